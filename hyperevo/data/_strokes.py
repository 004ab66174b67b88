"""Data sets of pen strokes: their arrays, and readers of stroke-3 files and of IAM-OnDB's own files.

A drawing is an array (n, 3) in stroke-3 form: dx and dy from the point before, and 1 where the pen is lifted after the
point, else 0. y grows downwards, as it does in pictures and on IAM-OnDB's board.
"""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from hyperevo.data._npz import unpack_arrays
from hyperevo.data._text import cut
from hyperevo.errors import UserError, shortened, shown
from hyperevo.reading import is_there, read_bytes

log = logging.getLogger(__name__)

PARTS = ("train", "validation", "test")

FORMAT = "wanted: points (N, 3) and offsets (drawings + 1), or train_points, train_offsets, valid_… and test_…"

LARGEST = float(np.finfo(np.float32).max)

MOST_BYTES = 2**28
"""Bytes of an `.npz` file, and of the arrays in it together."""

MOST_DRAWINGS = 2**20
MOST_POINTS = 10_000_000
"""Rows of an array of points: checking them takes some hundred bytes for each."""

MOST_BYTES_OF_A_LINE = 2**22
"""Bytes of one of IAM-OnDB's files, which have some 10,000."""

IAM_LIMIT = 500.0
"""Largest offset of IAM-OnDB's pens along x and along y, in its own units. Larger ones are cut to it: they are slips of
the sensor or moves across the board, and a few of them would set the scale of all others."""

IAM_LISTS = {"train": ("trainset.txt",), "validation": ("testset_v.txt", "testset_t.txt"), "test": ("testset_f.txt",)}
"""Lists of forms that make up the official split; its two validation sets count as one."""

IAM_EVERY = 20
"""Texts per cycle of the split without the lists: the last but one is for validation, the last for the test."""


@dataclass(frozen=True)
class StrokeData:
    """Drawings, each (n, 3) float32 in stroke-3 form: dx, dy, pen lifted after the point (1 or 0).

    dx and dy are divided by `scale`, their common standard deviation over `train`; multiplied by it, they are in the
    units of the source again. `checksum` is a sha256 over the files that were read.
    """

    name: str
    train: tuple[np.ndarray, ...]
    validation: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    scale: float
    checksum: str


def to_points(drawing: np.ndarray) -> np.ndarray:
    """Points (n, 3) float64 of a stroke-3 drawing (n, 3): x and y, from an origin at 0, 0, and the pen."""
    points = np.array(drawing, np.float64)
    points[:, :2] = points[:, :2].cumsum(0)
    return points


def to_offsets(points: np.ndarray) -> np.ndarray:
    """Stroke-3 drawing (n, 3) float64 of points (n, 3), each x, y and the pen. The inverse of `to_points`."""
    drawing = np.array(points, np.float64)
    drawing[1:, :2] -= points[:-1, :2]
    return drawing


def read_stroke_file(path: Path | str, validation_share: float = 0.05, test_share: float = 0.05) -> StrokeData:
    """Read a user's own drawings from an `.npz` file of plain arrays; pickled objects are refused.

    The file holds either `points`, numbers (N, 3) in stroke-3 form, and `offsets`, integers (drawings + 1,): drawing i
    is `points[offsets[i]:offsets[i + 1]]`, and the last drawings are held out, by the two shares. Or it holds both
    arrays for every part: `train_points`, `train_offsets`, `valid_points`, … and `test_points`, …; the shares then have
    no effect.

    Raises UserError, one line that names the file and the position in it, where the file is missing, empty, cut short
    or of another format, and where a value is not finite, a pen is neither 0 nor 1, a drawing is empty or all offsets
    of the training drawings are equal.
    """
    path = Path(path)
    content = read_bytes(path, MOST_BYTES)
    arrays, _ = unpack_arrays(content, path, MOST_BYTES, lambda key: key.endswith(("points", "offsets")), FORMAT)
    if "points" in arrays:
        drawings = _drawings(arrays, "", path)
        parts = cut(len(drawings), validation_share, test_share, 1, f"{path}: {len(drawings)} drawings")
        splits = [drawings[part] for part in parts]
    else:
        splits = [_drawings(arrays, prefix, path) for prefix in ("train_", "valid_", "test_")]
    return _scaled(path.name, splits, path, hashlib.sha256(content).hexdigest())


def read_iam(folder: Path | str) -> StrokeData:
    """Read IAM-OnDB, one drawing for every line of handwriting, from a folder that contains its `lineStrokes`.

    Every line begins at 0, 0. Offsets of more than 500 units along x or y are cut to 500. The split is the official one
    where the folder has `trainset.txt`, `testset_v.txt`, `testset_t.txt` and `testset_f.txt`, which list forms: both
    validation sets count as one, and lines of unlisted forms are left out. Without these files the split is our own,
    and the data set's name says so: of the texts in order of name (`a01-000`, by all its writers), the 19th of every
    twenty is for validation, the 20th for the test.

    Raises UserError, one line: the first bad file, its fault and the count of other bad files; or the missing file or
    part.
    """
    folder = Path(folder)
    files = sorted((folder / "lineStrokes").rglob("*.xml"))
    if not files:
        raise UserError(f"{folder}: no files lineStrokes/**/*.xml in it")
    official = _has_lists(folder)
    split = _official_split(folder, files) if official else _own_split(folder, files)
    lines, sums = _read_lines([file for part in PARTS for file in split[part]])
    listed = "".join(f"{part} {file.name} {sums[file]}\n" for part in PARTS for file in split[part])
    splits = [[lines[file] for file in split[part]] for part in PARTS]
    name = "IAM-OnDB" if official else "IAM-OnDB (own split)"
    return _scaled(name, splits, folder, hashlib.sha256(listed.encode()).hexdigest())


def _scaled(name: str, splits: Sequence[Sequence[np.ndarray]], source: Path, checksum: str) -> StrokeData:
    scale = float(np.concatenate([drawing[:, :2] for drawing in splits[0]]).astype(np.float64).std())
    if scale == 0:
        raise UserError(f"{source}: all offsets of the training drawings are the same, there is nothing to scale by")
    with np.errstate(over="ignore"):
        train, validation, test = (tuple((drawing / (scale, scale, 1)).astype(np.float32) for drawing in drawings)
                                   for drawings in splits)
    if not all(np.isfinite(drawing).all() for drawing in (*train, *validation, *test)):
        raise UserError(f"{source}: some offsets are too long to be divided by {scale:.3g}, the training drawings' "
                        "standard deviation")
    return StrokeData(name, train, validation, test, scale, checksum)


def _drawings(arrays: Mapping[str, np.ndarray], prefix: str, path: Path) -> list[np.ndarray]:
    for key in (f"{prefix}points", f"{prefix}offsets"):
        if key not in arrays:
            raise UserError(f"{path}: no array {key} in it; {FORMAT}")
    points, offsets = arrays[f"{prefix}points"], arrays[f"{prefix}offsets"]
    _check_offsets(points, offsets, prefix, path)
    _check_points(points, offsets, prefix, path)
    return np.split(points, offsets[1:-1])


def _check_offsets(points: np.ndarray, offsets: np.ndarray, prefix: str, path: Path) -> None:
    """Raise UserError unless the arrays have the right shapes and types and every drawing has at least one point."""
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iuf" or points.itemsize > 8:
        raise UserError(f"{path}: {prefix}points must be numbers (N, 3), dx, dy and pen lifted: they are "
                        f"{shortened(points.dtype)} {points.shape}")
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) < 2 or offsets[0] != 0:
        raise UserError(f"{path}: {prefix}offsets must be integers (drawings + 1,) from 0 on: they are "
                        f"{shortened(offsets.dtype)} {offsets.shape}")
    for rows, most, what in ((points, MOST_POINTS, "points"), (offsets, MOST_DRAWINGS, "offsets")):
        if len(rows) > most:
            raise UserError(f"{path}: {prefix}{what} has {len(rows):,} rows, where at most {most:,} are read")
    if offsets[-1] != len(points):
        raise UserError(f"{path}: {prefix}points has {len(points):,} rows, its offsets end at {offsets[-1]:,}: one of "
                        "them is cut short")
    if (empty := offsets[1:] <= offsets[:-1]).any():
        raise UserError(f"{path}: {prefix}offsets: drawing {int(empty.argmax())} has no points")


def _check_points(points: np.ndarray, offsets: np.ndarray, prefix: str, path: Path) -> None:
    infinite = ~(np.abs(points.astype(np.float64)) <= LARGEST)  # also NaN, and what float32 cannot hold
    wrong_pen = ~np.isin(points[:, 2], (0, 1))
    for wrong, what in ((infinite.any(1), "is not finite"), (wrong_pen, "has a pen that is neither 0 nor 1")):
        if wrong.any():
            row = int(wrong.argmax())
            drawing = int(np.searchsorted(offsets, row, side="right")) - 1
            raise UserError(f"{path}: {prefix}points: drawing {drawing}, point {row - int(offsets[drawing])}, "
                            f"{points[row].tolist()}, {what}")


def _has_lists(folder: Path) -> bool:
    lists = [folder / name for names in IAM_LISTS.values() for name in names]
    missing = [file for file in lists if not is_there(file)]
    if missing and len(missing) < len(lists):
        raise UserError(f"{missing[0]}: is missing; the official split needs all of "
                        f"{', '.join(file.name for file in lists)}")
    return not missing


def _official_split(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    by_form: dict[str, list[Path]] = {}
    for file in files:
        by_form.setdefault(_form(file), []).append(file)
    split = {}
    for part, names in IAM_LISTS.items():
        forms = [form for name in names
                 for form in read_bytes(folder / name, MOST_BYTES_OF_A_LINE).decode("ascii", "replace").split()]
        split[part] = [file for form in forms for file in by_form.pop(form, ())]
        if not split[part]:
            raise UserError(f"{folder / names[0]}: none of its forms is in {folder / 'lineStrokes'}")
    if left_out := sum(map(len, by_form.values())):
        log.info("%s: %s lines of forms that are in no list are left out", folder, left_out)
    return split


def _own_split(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    texts = sorted({_text(file) for file in files})
    if len(texts) < IAM_EVERY:
        raise UserError(f"{folder}: {len(texts)} texts are too few to split; place the official lists there, "
                        f"{', '.join(name for names in IAM_LISTS.values() for name in names)}")
    held_out = {IAM_EVERY - 2: "validation", IAM_EVERY - 1: "test"}
    part_of = {text: held_out.get(number % IAM_EVERY, "train") for number, text in enumerate(texts)}
    return {part: [file for file in files if part_of[_text(file)] == part] for part in PARTS}


def _form(file: Path) -> str:
    """Name of a line's form, such as `a01-000u` for `a01-000u-01.xml`: the text, then a letter for the writer."""
    return file.stem.rpartition("-")[0]


def _text(file: Path) -> str:
    return _form(file).rstrip("abcdefghijklmnopqrstuvwxyz")


def _read_lines(files: Iterable[Path]) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
    """Drawings and sha256 of all files; raises UserError where any is bad, after all were read."""
    lines, sums, bad = {}, {}, []
    for file in files:
        try:
            content = read_bytes(file, MOST_BYTES_OF_A_LINE)
            lines[file] = _read_line(content)
            sums[file] = hashlib.sha256(content).hexdigest()
        except UserError as error:
            bad.append(str(error))
        except (ValueError, LookupError, ElementTree.ParseError) as error:
            bad.append(f"{file}: {error}")
    if bad:
        others = f"; {len(bad) - 1} other file{'s are' if len(bad) > 2 else ' is'} bad too" if len(bad) > 1 else ""
        raise UserError(bad[0] + others)
    return lines, sums


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses a DOCTYPE before any of its entities is expanded: IAM-OnDB's files have none."""

    def doctype(self, *_: str | None) -> None:
        raise ValueError("has a DOCTYPE, which is refused")


def _read_line(content: bytes) -> np.ndarray:
    """A line of handwriting (n, 3) float64 in stroke-3 form; raises ValueError or ParseError."""
    if not content:
        raise ValueError("is empty")
    root = ElementTree.fromstring(content, ElementTree.XMLParser(target=_WithoutDoctype()))
    if root.tag != "WhiteboardCaptureSession":
        raise ValueError(f"is <{shortened(root.tag)}>, not <WhiteboardCaptureSession>")
    rows: list[tuple[float, float, float]] = []
    for stroke in root.iterfind("StrokeSet/Stroke"):
        places = [_read_point(point, len(rows) + number) for number, point in enumerate(stroke.iterfind("Point"))]
        rows += [(*place, float(place_number == len(places))) for place_number, place in enumerate(places, 1)]
    if not rows:
        raise ValueError("has no points")
    points = np.array(rows)
    points[:, :2] -= points[0, :2]
    drawing = to_offsets(points)
    drawing[:, :2] = drawing[:, :2].clip(-IAM_LIMIT, IAM_LIMIT)
    return drawing


def _read_point(point: ElementTree.Element, number: int) -> tuple[float, float]:
    try:
        place = float(point.get("x", "")), float(point.get("y", ""))
    except ValueError:
        place = math.nan, math.nan
    if not all(abs(value) <= LARGEST for value in place):
        raise ValueError(f"point {number} has x={shown(point.get('x'))}, y={shown(point.get('y'))}, which must be "
                         "finite numbers")
    return place
