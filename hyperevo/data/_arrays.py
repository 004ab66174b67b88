"""A user's own arrays: from .npz files, from .csv files with a header line, or from memory."""

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperevo.components import nearest
from hyperevo.data._npz import unpack_arrays
from hyperevo.errors import UserError, shortened, shown, shown_path
from hyperevo.reading import as_text, read_bytes

MOST_BYTES = 2**33
"""Bytes of a file, and of the arrays in it together."""

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
    suffix = Path(path).suffix.lower()
    if suffix not in (".npz", ".csv"):
        raise UserError(f"{shown_path(path)}: is neither a .npz nor a .csv file")
    content = read_bytes(path, MOST_BYTES)
    parts = _read_npz(content, path, inputs, labels) if suffix == ".npz" \
        else {"training": _read_csv(as_text(content, path), path, inputs, labels)}
    return ArrayData(parts, hashlib.sha256(content).hexdigest())


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
        raise UserError(f"{where}: is no array: {shortened(error)}") from error
    if array.dtype == object and array.size and all(isinstance(own, str) for own in array.flat):
        return array.astype(str)
    return array


def _read_npz(content: bytes, path: str, inputs: Sequence[str], labels: Sequence[str]) -> dict[str, Examples]:
    own_inputs, own_labels = _one(inputs, path) or "inputs", _one(labels, path)
    wanted = {prefix + name for prefix in PREFIXES.values() for name in (own_inputs, own_labels, *LABELS)}
    found, names = unpack_arrays(content, path, MOST_BYTES, wanted.__contains__)
    own_labels = own_labels or next((name for name in LABELS if name in names), LABELS[0])
    for name in (own_inputs, own_labels):
        if name not in found:
            raise UserError(f"{shown_path(path)}: holds no array {shown(name)}; {shortened(nearest(name, names))}")
    return _parts(found, own_inputs, own_labels, path)


def _one(names: Sequence[str], path: str) -> str:
    if len(names) > 1:
        raise UserError(f"{shown_path(path)}: inputs are one array in a .npz file, and so are labels (given: "
                        f"{shown(tuple(names))})")
    return names[0] if names else ""


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
    _check_finite(values, f"{where}: {inputs_name}")
    _check_finite(_float32(labels) if labels.dtype.kind == "f" else labels, f"{where}: {labels_name}")
    return Examples(values, _as_text(labels, f"{where}: {labels_name}") if labels.dtype.kind == "S" else labels, where)


def _as_text(labels: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.char.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: is not UTF-8: {shortened(error)}") from error


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


LARGEST = float(np.finfo(np.float32).max)

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
                raise UserError(f"{self._place(line, column)}: {shown(cell)} is not a number")
            if not abs(number) <= LARGEST:
                fault = "is too large" if math.isfinite(number) else "is not finite"
                raise UserError(f"{self._place(line, column)}: {shortened(cell)} {fault}")
            found.append(number)
        return found

    def _place(self, line: int, column: str) -> str:
        return f"{shown_path(self.path)}: line {line}, column {shortened(column)}"


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _read_csv(text: str, path: str, inputs: Sequence[str], labels: Sequence[str]) -> Examples:
    table = _read_table(text, path)
    if not labels:
        raise UserError(f"task.label: which column of {shown_path(path)} holds the labels? It has "
                        f"{shortened(', '.join(table.columns))}")
    inputs, where = inputs or [name for name in table.columns if name not in labels], shown_path(path)
    for name in (*inputs, *labels):
        if name not in table.columns:
            raise UserError(f"{where}: has no column {shown(name)}; {shortened(nearest(name, table.columns))}")
        if name in labels and name in inputs:
            raise UserError(f"{where}: column {shown(name)} is both an input and a label")
    if not inputs:
        raise UserError(f"{where}: has no columns but the labels'")
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


def _read_table(text: str, path: str) -> _Table:
    try:
        rows = list(_rows(csv.reader(io.StringIO(text, newline=""), strict=True), path))
    except csv.Error as error:
        raise UserError(f"{shown_path(path)}: cannot be read: {shortened(error)}") from error
    if len(rows) < 2:
        raise UserError(f"{shown_path(path)}: has no rows below its header")
    header = rows[0][1]
    if len(set(header)) < len(header):
        name = next(name for name in header if header.count(name) > 1)
        raise UserError(f"{shown_path(path)}: has {header.count(name)} columns called {shown(name)}")
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
            raise UserError(f"{shown_path(path)}: line {reader.line_num}: has {len(row)} cells, and the header has "
                            f"{len(header)}")
        yield reader.line_num, row
