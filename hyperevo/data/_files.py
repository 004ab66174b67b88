"""Find, check and download the files of a data set.

A file is looked for in `HYPEREVO_DATA`/<data set>, then in the user's cache, then downloaded into the cache from the
data set's public mirrors in turn. Its sha256 is checked in all cases; a wrong file is an error that names it and is
never replaced unasked.
"""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from types import ModuleType

from hyperevo.cache import user_cache
from hyperevo.errors import FULL, UserError, reason
from hyperevo.reading import is_there, read_bytes

log = logging.getLogger(__name__)

TIMEOUT = (5, 60)
"""Seconds to connect to a mirror, and to wait for its next bytes."""


LARGEST = 2**28
"""Most bytes that a published file has; CIFAR-10's archive, the largest, has 170,498,071."""


class DataMissing(UserError):
    """A data set is nowhere on this machine and cannot be downloaded."""


@dataclass(frozen=True)
class FileStatus:
    """State of one file of a data set: its path, or None where it is missing; and its fault in words, or None."""

    name: str
    path: Path | None
    problem: str | None


def cache_folder() -> Path:
    """The user's cache of data sets."""
    return user_cache() / "data"


def _own_folder() -> Path | None:
    """The folder that `HYPEREVO_DATA` names now, or None; raises UserError where there is no such folder."""
    given = os.environ.get("HYPEREVO_DATA")
    if not given:
        return None
    folder = Path(given)
    if not os.path.isdir(folder):
        raise UserError(f"HYPEREVO_DATA: no folder {folder}")
    return folder


def locate(dataset: str, file: str) -> Path | None:
    """Path of a file in HYPEREVO_DATA or the cache, its content unchecked; None where it is in neither."""
    own = _own_folder()
    places = [own / dataset / file] if own else []
    return next((path for path in [*places, cache_folder() / dataset / file] if is_there(path)), None)


def problem_with(path: Path, sha256: str) -> str | None:
    """A file's fault in words: it cannot be read, or its sha256 is another one. None where it is right."""
    try:
        found = hashlib.sha256(read_bytes(path, LARGEST)).hexdigest()
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")
    if found == sha256:
        return None
    return f"is damaged or not the published file (sha256 {found[:12]}…, {sha256[:12]}… wanted)"


def available(dataset: str, source: ModuleType) -> Mapping[str, str]:
    """Files to read a data set from, name to sha256: the unpacked ones where all of them are on this machine, else the
    published ones."""
    unpacked: Mapping[str, str] = source.UNPACKED
    return unpacked if unpacked and all(locate(dataset, file) for file in unpacked) else source.FILES


def require(dataset: str, source: ModuleType) -> dict[str, Path]:
    """Checked paths of all files of a data set, downloaded where they are missing.

    Raises DataMissing where one cannot be had, UserError where one is wrong; both are one line that names the file.
    """
    paths = {}
    for file, sha256 in available(dataset, source).items():
        path = locate(dataset, file)
        if path is None and not source.MIRRORS:
            raise DataMissing(f"{dataset}: {file} is not on this machine and cannot be downloaded; place it "
                              f"(sha256 {sha256[:12]}…, {source.BY_HAND}) in {cache_folder() / dataset} or in "
                              f"HYPEREVO_DATA/{dataset}")
        path = path or download(dataset, file, sha256, source.MIRRORS)
        if problem := problem_with(path, sha256):
            raise UserError(f"{path}: {problem}; delete it or run: hyperevo data fetch {dataset} --force")
        paths[file] = path
    return paths


def statuses(dataset: str, files: Mapping[str, str]) -> list[FileStatus]:
    """Status of every file of a data set, looked for and checked; nothing is downloaded."""
    found = []
    for file, sha256 in files.items():
        path = locate(dataset, file)
        found.append(FileStatus(file, path, "is missing" if path is None else problem_with(path, sha256)))
    return found


def download(dataset: str, file: str, sha256: str, mirrors: Sequence[str]) -> Path:
    """Fetch one file into the cache, whole or not at all, from the first mirror that has the published file.

    Raises DataMissing where no mirror has it, UserError where the cache cannot be written.
    """
    try:
        path = cache_folder() / dataset / file
    except UserError as error:
        raise DataMissing(f"{dataset}: not on this machine, and cannot be downloaded: {error}") from error
    by_hand = (f"place {file} (sha256 {sha256[:12]}…, from {mirrors[0]}{file}) in {path.parent} or in "
               f"HYPEREVO_DATA/{dataset}")
    if os.environ.get("HYPEREVO_OFFLINE"):
        raise DataMissing(f"{dataset}: not on this machine, and HYPEREVO_OFFLINE forbids a download; {by_hand}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written: {reason(error)}") from error
    reasons = []
    for mirror in mirrors:
        try:
            _retrieve(f"{mirror}{file}", sha256, path)
            return path
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; pooch says ValueError for a wrong sum
            if isinstance(error, OSError) and error.errno in (EACCES, EPERM, EROFS, *FULL):
                raise UserError(f"{path.parent}: cannot be written: {reason(error)}") from error
            log.info("%s%s: %s", mirror, file, error)
            reasons.append(f"{mirror.split('/')[2]}: {type(error).__name__}")
    raise DataMissing(f"{dataset}: not on this machine and no mirror can be had ({', '.join(reasons)}); {by_hand}")


def remove(dataset: str, file: str) -> None:
    """Delete one file from the cache, if it is there; raises UserError where it cannot be."""
    path = cache_folder() / dataset / file
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be removed: {reason(error)}") from error


def _retrieve(url: str, sha256: str, path: Path) -> None:
    """Download to a temporary file, check it and move it to its name (pooch's way), under a progress bar."""
    import pooch
    from rich.console import Console
    from rich.progress import Progress

    pooch.get_logger().setLevel("WARNING")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = _Bar(progress, progress.add_task(f"{path.parent.name}/{path.name}", total=None))
        pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=path.name, path=path.parent,
                       downloader=pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT))
    log.info("downloaded %s", url)


class _Bar:
    """A progress bar drawn by rich, with the interface that pooch expects."""

    def __init__(self, progress, task):
        self._progress, self._task, self._total = progress, task, 0

    @property
    def total(self) -> int:
        """Size of the file in bytes."""
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self._progress.update(self._task, total=value or None)

    def update(self, count: int) -> None:
        """Advance by `count` bytes."""
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        """Start again."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to do: the display belongs to the caller."""
