"""Data sets: find, check, download, read. One file a data set, found by its name."""

from types import ModuleType
from typing import Any

from hyperevo.components import component_names, load_component
from hyperevo.data._files import (
    DataMissing,
    FileStatus,
    available,
    download,
    remove,
    require,
    statuses,
)
from hyperevo.data._images import ImageData
from hyperevo.data._strokes import StrokeData, read_iam, read_stroke_file
from hyperevo.data._text import Alphabet, TextData, decode, encode, read_text_file
from hyperevo.errors import UserError

__all__ = ["Alphabet", "DataMissing", "FileStatus", "ImageData", "StrokeData", "TextData", "data_source", "data_title",
           "dataset_names", "decode", "encode", "fetch", "load_images", "load_strokes", "load_text", "read_iam",
           "read_stroke_file", "read_text_file", "verify"]


def dataset_names() -> list[str]:
    """All data sets hyperevo knows."""
    return component_names("data set")


def data_source(name: str) -> ModuleType:
    """The module of a data set: NAME, TITLE, TERMS, FILES (name to sha256), MIRRORS, `load`; else UserError.

    KIND is what it holds, `text` or `strokes`, and `images` where it is not given. Files that nobody may offer for
    download have no MIRRORS; BY_HAND then tells where they are from.
    """
    return load_component("data set", name)


def data_title(name: str) -> str:
    """A data set's name as people write it; other names are as they are."""
    return data_source(name).NAME if name in dataset_names() else name


def load_images(name: str) -> ImageData:
    """An image data set, fetched where it is missing; raises DataMissing or UserError in one line."""
    return _load(name, "images")


def load_text(name: str) -> TextData:
    """A text data set, fetched where it is missing; raises DataMissing or UserError in one line."""
    return _load(name, "text")


def load_strokes(name: str) -> StrokeData:
    """A data set of pen strokes, fetched where it is missing; raises DataMissing or UserError in one line."""
    return _load(name, "strokes")


def fetch(name: str, force: bool = False) -> None:
    """Make sure that all files of a data set are on this machine and right.

    `force` downloads them again into the cache, over what lies there. Files that cannot be downloaded are only checked.
    """
    source = data_source(name)
    if force and source.MIRRORS:
        for file, sha256 in source.FILES.items():
            remove(name, file)
            download(name, file, sha256, source.MIRRORS)
    require(name, source)


def verify(name: str) -> list[FileStatus]:
    """Every file of a data set: where it is and what is wrong with it. Nothing is downloaded."""
    return statuses(name, available(name, data_source(name)))


def _load(name: str, kind: str) -> Any:
    source = data_source(name)
    if _kind(source) != kind:
        others = [other for other in dataset_names() if _kind(data_source(other)) == kind]
        raise UserError(f"data set {name!r} holds {_kind(source)}, not {kind}; allowed: {', '.join(others)}")
    return source.load()


def _kind(source: ModuleType) -> str:
    return getattr(source, "KIND", "images")
