"""Contract of data sets, as rules; see `hyperevo.data.data_source`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Literal

import numpy as np

from hyperevo.contracts._rules import Rule, check_attributes
from hyperevo.data import ImageData, PairData, StrokeData, TextData

KINDS = {"images": ImageData, "text": TextData, "strokes": StrokeData, "pairs": PairData}
"""Type of the data by kind."""


class Source:
    """Names that the module of a data set defines."""

    KIND: Literal["images", "text", "strokes", "pairs"]
    NAME: str
    TITLE: str
    TERMS: str
    FILES: Mapping[str, str]
    MIRRORS: tuple[str, ...]
    load: Callable[..., object]


@dataclass(frozen=True)
class Case:
    """A data set under test."""

    part: ModuleType

    @cached_property
    def data(self) -> Any:
        """The whole data set."""
        return self.part.load()


def keeps_attributes(case: Case) -> Iterator[str]:
    """Names are those of the contract."""
    return check_attributes(Source, case.part)


def names_its_files(case: Case) -> Iterator[str]:
    """Files have their SHA-256, and mirrors or an address from where they are placed by hand."""
    files = {**case.part.FILES, **vars(case.part).get("UNPACKED", {})}
    yield from (f"{name}: {sha256!r} is no SHA-256 in 64 hexadecimal digits" for name, sha256 in files.items()
                if not re.fullmatch("[0-9a-f]{64}", sha256))
    yield from (f"mirror {mirror!r} is no address that ends in a slash" for mirror in case.part.MIRRORS
                if not re.fullmatch(r"https?://.+/", mirror))
    if case.part.FILES and not case.part.MIRRORS and not isinstance(vars(case.part).get("BY_HAND"), str):
        yield "BY_HAND is missing: files without mirrors are placed by hand, and it says from where"


def gives_its_kind(case: Case) -> Iterator[str]:
    """Data are of the type of their kind, with a name and a checksum."""
    wanted = KINDS[case.part.KIND]
    if not isinstance(case.data, wanted):
        yield f"gives {type(case.data).__name__}, not {wanted.__name__}"
        return
    yield from check_attributes(wanted, case.data)


def gives_whole_arrays(case: Case) -> Iterator[str]:
    """Arrays have the shapes, types and values that their class says."""
    if isinstance(case.data, ImageData):
        yield from _images(case.data)
    elif isinstance(case.data, TextData):
        yield from _text(case.data)
    elif isinstance(case.data, StrokeData):
        yield from _strokes(case.data)
    elif isinstance(case.data, PairData):
        yield from _pairs(case.data)


def _images(data: ImageData) -> Iterator[str]:
    for part, images, labels in (("train", data.train_images, data.train_labels),
                                 ("test", data.test_images, data.test_labels)):
        if images.ndim not in (3, 4) or images.dtype != np.uint8 or int(images.max()) > data.maximum:
            yield f"{part}_images are {images.dtype} {images.shape} up to {images.max()}"
        if labels.shape != (len(images),) or labels.dtype != np.uint8 or int(labels.max()) >= data.classes:
            yield f"{part}_labels are {labels.dtype} {labels.shape} up to {labels.max()}"


def _text(data: TextData) -> Iterator[str]:
    for part, text in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        if text.ndim != 1 or text.dtype not in (np.uint8, np.uint16) or int(text.max()) >= len(data.alphabet):
            yield f"{part} is {text.dtype} {text.shape} up to {text.max()}, of {len(data.alphabet)} symbols"


def _strokes(data: StrokeData) -> Iterator[str]:
    for part, drawings in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        points = np.concatenate(drawings)
        if points.shape[1:] != (3,) or points.dtype != np.float32 or not np.isfinite(points).all():
            yield f"{part} drawings are {points.dtype}, of points {points.shape}, or not finite"
        elif not np.isin(points[:, 2], (0, 1)).all():
            yield f"{part}: the pen is neither 0 nor 1"


def _pairs(data: PairData) -> Iterator[str]:
    for part, pairs in {"train": data.train, "validation": data.validation, **data.tests}.items():
        if len(pairs.source) != len(pairs.target) or not len(pairs):
            yield f"{part} has {len(pairs.source)} sentences and {len(pairs.target)} translations"
        elif not all(sentence.strip() for sentence in (*pairs.source, *pairs.target)):
            yield f"{part} has an empty sentence"


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "files": names_its_files,
    "load, kind": gives_its_kind,
    "load, arrays": gives_whole_arrays,
}
