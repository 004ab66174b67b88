"""Data sets: find, check, download, read. One file a data set, found by its name."""

from types import ModuleType

from hyperevo.components import component_names, load_component
from hyperevo.data._files import DataMissing, FileStatus, available, cache_folder, download, require, statuses
from hyperevo.data._images import ImageData

__all__ = ["DataMissing", "FileStatus", "ImageData", "data_source", "dataset_names", "fetch", "load_images", "verify"]


def dataset_names() -> list[str]:
    """All data sets hyperevo knows."""
    return component_names("data set")


def data_source(name: str) -> ModuleType:
    """The module of a data set: NAME, TITLE, TERMS, FILES (name to sha256), MIRRORS, `load`; else UserError."""
    return load_component("data set", name)


def load_images(name: str) -> ImageData:
    """An image data set, fetched where it is missing; raises DataMissing or UserError in one line."""
    return data_source(name).load()


def fetch(name: str, force: bool = False) -> None:
    """Make sure that all files of a data set are on this machine and right.

    `force` downloads them again into the cache, over what lies there.
    """
    source = data_source(name)
    if force:
        for file, sha256 in source.FILES.items():
            (cache_folder() / name / file).unlink(missing_ok=True)
            download(name, file, sha256, source.MIRRORS)
    require(name, source)


def verify(name: str) -> list[FileStatus]:
    """Every file of a data set: where it is and what is wrong with it. Nothing is downloaded."""
    return statuses(name, available(name, data_source(name)))
