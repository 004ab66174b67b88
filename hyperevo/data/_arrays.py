"""A user's own arrays: from .npz files, from .csv files with a header line, or from memory."""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperevo.components import nearest
from hyperevo.errors import UserError

PREFIXES = {"training": "", "validation": "validation_", "test": "test_"}
"""Beginnings of the names of a part's arrays, such as test_inputs and test_labels."""

LABELS = ("labels", "targets")
"""Names of labels in a .npz file, if the user gives none."""


@dataclass(frozen=True)
class Examples:
    """Inputs (N, …), float32, and labels (N, …), integers, floats or text; `where` begins messages about them."""

    inputs: np.ndarray
    labels: np.ndarray
    where: str


@dataclass(frozen=True)
class ArrayData:
    """Examples by part, training always among them, and the sha256 over their content."""

    parts: Mapping[str, Examples]
    checksum: str


def read_arrays(path: str, inputs: Sequence[str] = (), labels: Sequence[str] = ()) -> ArrayData:
    """Examples in a .npz or .csv file; raises UserError, which names the file, for whatever is wrong with them.

    inputs, labels: names of columns, or of an array each; by default all other columns, and `inputs`, and `labels` or
    `targets`.
    """
    file = Path(path)
    if file.suffix.lower() not in (".npz", ".csv"):
        raise UserError(f"{path}: is neither a .npz nor a .csv file")
    try:
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    if file.suffix.lower() == ".npz":
        return ArrayData(_read_npz(path, inputs, labels), checksum)
    return ArrayData({"training": _read_csv(path, inputs, labels)}, checksum)


# Arrays


def given_arrays(arrays: Mapping[str, Any], where: str = "arrays") -> ArrayData:
    """Examples from arrays in memory, or lists of numbers: inputs and labels, and perhaps those of validation and test,
    by names such as test_inputs; raises UserError for whatever is wrong with them."""
    found = {name: _array(value, f"{where}: {name}") for name, value in arrays.items() if value is not None}
    checksum = hashlib.sha256()
    for name in sorted(found):
        checksum.update(f"{name} {found[name].dtype.str} {found[name].shape} ".encode())
        checksum.update(np.ascontiguousarray(found[name]).tobytes())
    return ArrayData(_parts(found, "inputs", "labels", where), checksum.hexdigest())


def _array(value: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except Exception as error:  # lists of lists of different lengths, a tensor on a GPU, and more
        raise UserError(f"{where}: is no array: {' '.join(str(error).split())}") from error
    if array.dtype == object and array.size and all(isinstance(own, str) for own in array.flat):
        return array.astype(str)
    return array


def _read_npz(path: str, inputs: Sequence[str], labels: Sequence[str]) -> dict[str, Examples]:
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array, not several by name")
            names = archive.files
            own_inputs = _one(inputs, "inputs", path)
            own_labels = _one(labels, next((name for name in LABELS if name in names), LABELS[0]), path)
            wanted = [prefix + name for prefix in PREFIXES.values() for name in (own_inputs, own_labels)]
            found = {name: archive[name] for name in wanted if name in names}
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile raise anything at a damaged file
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    for name in (own_inputs, own_labels):
        if name not in found:
            raise UserError(f"{path}: holds no array {name!r}; {nearest(name, names)}")
    return _parts(found, own_inputs, own_labels, path)


def _one(names: Sequence[str], default: str, path: str) -> str:
    if len(names) > 1:
        raise UserError(f"{path}: {', '.join(names)}: inputs are one array in a .npz file, and so are labels")
    return names[0] if names else default


def _parts(found: Mapping[str, np.ndarray], inputs: str, labels: str, where: str) -> dict[str, Examples]:
    parts = {}
    for part, prefix in PREFIXES.items():
        own_inputs, own_labels = prefix + inputs, prefix + labels
        for name, other in ((own_inputs, own_labels), (own_labels, own_inputs)):
            if name not in found and other in found:
                raise UserError(f"{where}: has {other} and no {name}")
        if own_inputs in found:
            parts[part] = _examples(found[own_inputs], found[own_labels], own_inputs, own_labels, where)
    if "training" not in parts:
        raise UserError(f"{where}: holds no array {inputs!r}")
    return parts


def _examples(inputs: np.ndarray, labels: np.ndarray, inputs_name: str, labels_name: str, where: str) -> Examples:
    if inputs.dtype.kind not in "biuf" or not inputs.ndim:
        raise UserError(f"{where}: {inputs_name}: is {_kind(inputs)}, and numbers (N, …) are wanted")
    if labels.dtype.kind not in "biufUS" or not labels.ndim:
        raise UserError(f"{where}: {labels_name}: is {_kind(labels)}, and numbers or text (N,) are wanted")
    if len(inputs) != len(labels):
        raise UserError(f"{where}: {len(inputs)} {inputs_name} and {len(labels)} {labels_name}")
    if not len(inputs) or not inputs[0].size:
        raise UserError(f"{where}: {inputs_name}: is empty, of shape {inputs.shape}")
    values = _float32(inputs.reshape(len(inputs), -1) if inputs.ndim < 2 else inputs)
    for name, numbers in ((inputs_name, values), (labels_name, labels)):
        _check_finite(numbers, f"{where}: {name}")
    return Examples(values, np.char.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels, where)


def _kind(array: np.ndarray) -> str:
    if array.dtype.kind == "O":
        return "an array of objects"
    return f"{array.dtype} of shape {array.shape}"


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what overflows is infinite, and named by `_check_finite`
        return values.astype(np.float32)


def _check_finite(values: np.ndarray, where: str) -> None:
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    place = np.argwhere(~np.isfinite(values))[0]
    raise UserError(f"{where}[{', '.join(map(str, place))}]: {values[tuple(place)]} is not finite")


# Tables


DIGITS = 19
"""Characters from which on an integer may not fit into 64 bits, and is read as a float."""


@dataclass(frozen=True)
class _Table:
    """Cells of a .csv file by column, and the line of every row."""

    path: str
    columns: Mapping[str, tuple[str, ...]]
    lines: Sequence[int]

    def numbers(self, column: str) -> list[float]:
        """Numbers of a column; raises UserError, which names line and column, for anything else."""
        found = []
        for line, cell in zip(self.lines, self.columns[column], strict=True):
            number = _number(cell)
            if number is None:
                raise UserError(f"{self.path}: line {line}, column {column}: {cell!r} is not a number")
            if not math.isfinite(number):
                raise UserError(f"{self.path}: line {line}, column {column}: {cell} is not finite")
            found.append(number)
        return found


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _read_csv(path: str, inputs: Sequence[str], labels: Sequence[str]) -> Examples:
    table = _read_table(path)
    if not labels:
        raise UserError(f"task.label: which column of {path} holds the labels? It has {', '.join(table.columns)}")
    inputs = inputs or [name for name in table.columns if name not in labels]
    for name in (*inputs, *labels):
        if name not in table.columns:
            raise UserError(f"{path}: has no column {name!r}; {nearest(name, table.columns)}")
        if name in labels and name in inputs:
            raise UserError(f"{path}: column {name!r} is both an input and a label")
    if not inputs:
        raise UserError(f"{path}: has no columns but the labels'")
    values = np.array([table.numbers(name) for name in inputs]).T
    return Examples(_float32(values), _labels(table, labels), path)


def _labels(table: _Table, names: Sequence[str]) -> np.ndarray:
    """Labels (N,) of one column, integers, floats or text; (N, columns) floats of several."""
    if len(names) > 1:
        return np.array([table.numbers(name) for name in names]).T
    cells = table.columns[names[0]]
    if all(_number(cell) is None for cell in cells):
        return np.array(cells)
    numbers = table.numbers(names[0])
    return np.array([int(cell) for cell in cells] if all(_is_integer(cell) for cell in cells) else numbers)


def _is_integer(cell: str) -> bool:
    return cell.strip().removeprefix("-").isdecimal() and len(cell.strip()) < DIGITS


def _read_table(path: str) -> _Table:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(file, strict=True), path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file in UTF-8") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if len(rows) < 2:
        raise UserError(f"{path}: has no rows below its header")
    header = rows[0][1]
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{path}: has {header.count(name)} columns called {name!r}")
    columns = zip(*[cells for _, cells in rows[1:]], strict=True)
    return _Table(path, dict(zip(header, columns, strict=True)), [line for line, _ in rows[1:]])


def _rows(reader: Any, path: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of the header and of every row that is not empty."""
    header: list[str] = []
    for row in reader:
        if not row:
            continue
        header = header or row
        if len(row) != len(header):
            raise UserError(f"{path}: line {reader.line_num}: has {len(row)} cells, and the header has {len(header)}")
        yield reader.line_num, row
