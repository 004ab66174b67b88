"""Data sets: find, check, download, read. Each file is one data set, found by its name."""

from types import ModuleType
from typing import Any

from hyperevo.components import component_names, load_component
from hyperevo.data._arrays import ArrayData, Examples, given_arrays, read_arrays
from hyperevo.data._files import (
    DataMissing,
    FileStatus,
    available,
    download,
    remove,
    require,
    statuses,
)
from hyperevo.data._folders import FolderImages, class_folders, read_image_folder
from hyperevo.data._images import ImageData
from hyperevo.data._pairs import PairData, Pairs, read_pair_files
from hyperevo.data._strokes import StrokeData, read_iam, read_stroke_file
from hyperevo.data._subwords import BEGIN, END, PADDING, Subwords, learned_subwords
from hyperevo.data._text import Alphabet, TextData, decode, encode, read_text_file
from hyperevo.errors import UserError, shown

__all__ = ["BEGIN", "END", "PADDING", "Alphabet", "ArrayData", "DataMissing", "Examples", "FileStatus", "FolderImages",
           "ImageData", "PairData", "Pairs", "StrokeData", "Subwords", "TextData", "class_folders",
           "data_source", "data_title", "dataset_names", "decode", "encode", "fetch", "given_arrays",
           "learned_subwords", "load_images", "load_pairs", "load_strokes", "load_text", "read_arrays",
           "read_iam", "read_image_folder", "read_pair_files", "read_stroke_file", "read_text_file",
           "verify"]


def dataset_names() -> list[str]:
    """Names of all data sets, sorted."""
    return component_names("data set")


def data_source(name: str) -> ModuleType:
    """Load a data set's module by name; raises UserError where there is none of that name.

    The module defines NAME, TITLE, TERMS, KIND (images, text, strokes or pairs), FILES (name to sha256), UNPACKED (name
    to sha256 of files that these unpack to), MIRRORS and `load`; with pairs LANGUAGES too. Files that nobody may offer
    for download have no MIRRORS; BY_HAND then says where they come from.
    """
    return load_component("data set", name)


def data_title(name: str) -> str:
    """A data set's name as people write it; any other name as it is."""
    return data_source(name).NAME if name in dataset_names() else name


def load_images(name: str) -> ImageData:
    """Load an image data set, downloading it where it is missing; raises DataMissing or UserError, in one line."""
    return _load(name, "images")


def load_text(name: str) -> TextData:
    """Load a text data set, downloading it where it is missing; raises DataMissing or UserError, in one line."""
    return _load(name, "text")


def load_strokes(name: str) -> StrokeData:
    """Load a data set of pen strokes, downloading it where it is missing; raises DataMissing or UserError, in one line.
    """
    return _load(name, "strokes")


def load_pairs(name: str, languages: tuple[str, str]) -> PairData:
    """Load a data set of sentences and translations; raises DataMissing or UserError, in one line, where it is missing
    or is in other languages."""
    source = _of_kind(name, "pairs")
    for language in languages:
        if language not in source.LANGUAGES:
            raise UserError(f"{name} is in {', '.join(source.LANGUAGES)}, not {shown(language)}")
    if languages[0] == languages[1]:
        raise UserError(f"{name}: both languages are {shown(languages[0])}")
    return source.load(languages)


def fetch(name: str, force: bool = False) -> None:
    """Make sure that all files of a data set are on this machine and have the right sha256.

    `force` downloads them again into the cache, in place of those there. Files that cannot be downloaded are only
    checked. Raises DataMissing or UserError, in one line.
    """
    source = data_source(name)
    if force and source.MIRRORS:
        for file, sha256 in source.FILES.items():
            remove(name, file)
            download(name, file, sha256, source.MIRRORS)
    require(name, source)


def verify(name: str) -> list[FileStatus]:
    """Status of every file of a data set. Nothing is downloaded."""
    return statuses(name, available(name, data_source(name)))


def _load(name: str, kind: str) -> Any:
    return _of_kind(name, kind).load()


def _of_kind(name: str, kind: str) -> ModuleType:
    source = data_source(name)
    if _kind(source) != kind:
        others = [other for other in dataset_names() if _kind(data_source(other)) == kind]
        raise UserError(f"data set {name!r} holds {_kind(source)}, not {kind}; allowed: {', '.join(others)}")
    return source


def _kind(source: ModuleType) -> str:
    return str(source.KIND)
