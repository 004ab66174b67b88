"""task.json of a run folder: data set, measure, and the sheets and symbols that a network reads and answers."""

from dataclasses import dataclass
from pathlib import Path

from hyperevo.config import Values
from hyperevo.data import Alphabet
from hyperevo.errors import UserError, shortened
from hyperevo.geometry import Frame, PlacedLine, Ring, Sheet
from hyperevo.measure import ACCURACY, Measure
from hyperevo.parts import Task, output_units
from hyperevo.runs.schemas import TaskFile, read_checked


@dataclass(frozen=True)
class TaskFacts:
    """Name of the data set, and the sheets of a network's inputs and outputs."""

    data: str
    inputs: Sheet
    outputs: int | Sheet
    """Number of outputs, or the sheet they lie on."""
    class_names: tuple[str, ...]
    """Empty where outputs are no classes."""
    measure: Measure = ACCURACY
    """Name and format of the task's score."""
    alphabet: Alphabet = ()
    """Symbols of a text."""


def task_facts(task: Task) -> dict[str, object]:
    """Content of task.json."""
    outputs = {"outputs": _sheet_values(task.outputs)} if isinstance(task.outputs, Sheet) else {}
    return {"data": task.data_name, "inputs": _sheet_values(task.inputs), "classes": output_units(task.outputs),
            "class_names": list(task.class_names), **task.measure.record(), "examples_per_batch": task.batch_size(),
            **alphabet_facts(task), **outputs}


def _sheet_values(sheet: Sheet) -> object:
    if isinstance(sheet, Frame):
        return {"frame": list(sheet.sizes)}
    if isinstance(sheet, PlacedLine):
        return {"line": list(sheet.positions)}
    return {"ring": sheet.units, "radius": sheet.radius} if isinstance(sheet, Ring) else list(sheet.sizes)


def alphabet_facts(task: Task) -> dict[str, list[str | int]]:
    """Symbols of a text in order, characters or the numbers of bytes; nothing for other tasks."""
    symbols: list[str | int] = [symbol if isinstance(symbol, str) else symbol[0] for symbol in task.alphabet]
    return {"alphabet": symbols} if symbols else {}


def read_task(folder: Path) -> TaskFacts:
    """Facts in a run's task.json; raises UserError naming the file where it is missing, damaged or lacks a key."""
    path = folder / "task.json"
    values = read_checked(path, TaskFile)
    try:
        return TaskFacts(shortened(values["data"]), _sheet(values["inputs"]),
                         _sheet(values["outputs"]) if "outputs" in values else values["classes"],
                         tuple(map(shortened, values["class_names"])), Measure.read(values),
                         _alphabet(values.get("alphabet", [])))
    except ValueError as error:
        raise UserError(f"{path}: does not describe a task: {shortened(error)}") from error


def _sheet(sizes: list[int] | Values) -> Sheet:
    """Sheet from a list of sizes, a frame's, positions on a line, or a ring's units and radius."""
    if isinstance(sizes, dict) and "frame" in sizes:
        return Frame(tuple(int(size) for size in sizes["frame"]))
    if isinstance(sizes, dict) and "line" in sizes:
        return PlacedLine((len(sizes["line"]),), tuple(map(float, sizes["line"])))
    if isinstance(sizes, dict):
        return Ring((int(sizes["ring"]),), float(sizes["radius"]))
    return Sheet(tuple(int(size) for size in sizes))


def _alphabet(symbols: list[str] | list[int]) -> Alphabet:
    """Alphabet from characters, or from the numbers of bytes."""
    numbers = [symbol for symbol in symbols if isinstance(symbol, int)]
    return tuple(bytes([number]) for number in numbers) or tuple(str(symbol) for symbol in symbols)
