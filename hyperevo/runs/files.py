"""Files that are written whole or not at all, and logs that a killed process can cut short without harm.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from hyperevo.config import Values
from hyperevo.errors import UserError
from hyperevo.reading import as_json, as_text, read_bytes
from hyperevo.seal import STATE, TENSORS, break_seal, check_hash, sealed
from hyperevo.tensors import read_tensors, tensor_bytes

KEPT = (STATE, TENSORS, "weights.safetensors", "preprocessing.safetensors", "examples.safetensors")
"""All files that such a folder may have, the champion's too."""

PARTIAL = re.compile(r"\..+\.(\d+)\.hyperevo")
"""Temporary names, with the number of the process."""

MOST_BYTES = 2**31
"""Largest JSON or CSV file that is read."""

CHUNK = 1 << 20


# Writing


def _temporary(path: Path, what: str = "") -> Path:
    return path.with_name(f".{path.name[:150]}{what}.{os.getpid()}.hyperevo")


def writer_of(path: Path) -> int | None:
    """Number of the process that left a file or folder unfinished; None for all others."""
    found = PARTIAL.fullmatch(path.name)
    return int(found[1]) if found else None


def is_temporary(path: Path) -> bool:
    """True for a file or folder that a killed process left unfinished."""
    return writer_of(path) is not None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to: renamed to `path` when all is written, removed when that fails."""
    temporary = _temporary(path)
    try:
        temporary.unlink(missing_ok=True)  # of a dead process with this number, or a link that somebody put there
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole(path) as temporary, temporary.open("xb") as file:
        file.write(content)


def write_json(path: Path, values: object, indent: int | None = 1) -> None:
    """Write plain data; floats keep all their digits. Without indent it is written faster, and on one line."""
    write_text(path, json.dumps(values, indent=indent, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    write_bytes(path, tensor_bytes(tensors))


def write_folder(folder: Path, values: Mapping[str, object], tensors: Mapping[str, Tensor],
                 also: Mapping[str, Mapping[str, Tensor]] | None = None) -> None:
    """Write `state.json`, `tensors.safetensors` and further files of tensors into a folder that appears under its name
    only when whole. A folder of that name gives way; other files in it move to the new one."""
    content = {name: tensor_bytes(own) for name, own in {TENSORS: tensors, **(also or {})}.items()}
    content[STATE] = sealed({**values, "tensors": hashlib.sha256(content[TENSORS]).hexdigest()})
    temporary, old = _temporary(folder), _temporary(folder, "-old")
    for left in (temporary, old):
        remove_folder(left, KEPT)
    temporary.mkdir()
    try:
        for name, own in content.items():
            with (temporary / name).open("xb") as file:
                file.write(own)
        if folder.exists():
            _give_way(folder, temporary, old)
        temporary.replace(folder)
    except BaseException:
        remove_folder(temporary, KEPT)
        raise
    remove_folder(old, KEPT)


def _give_way(folder: Path, successor: Path, old: Path) -> None:
    for own in [path for path in folder.iterdir() if path.name not in KEPT]:
        own.replace(successor / own.name)
    folder.replace(old)


def remove_folder(folder: Path, names: Container[str]) -> None:
    """Remove files of these names, and temporary ones, from a folder, and the folder if nothing else is in it. It is
    not seen half removed: where it holds nothing else, it loses its name first."""
    if folder.is_symlink() or not folder.is_dir():
        return
    others = [own for own in folder.iterdir() if not _is_known(own, names)]
    if not others and not is_temporary(folder):
        remove_folder(_temporary(folder, "-old"), names)
        folder = folder.replace(_temporary(folder, "-old"))
    for path in [own for own in folder.iterdir() if _is_known(own, names)]:
        path.unlink(missing_ok=True)
    if not others:
        folder.rmdir()


def _is_known(path: Path, names: Container[str]) -> bool:
    return (path.name in names or is_temporary(path)) and (path.is_symlink() or not path.is_dir())


# Reading


def read_json(path: Path) -> object:
    """Plain data; raises UserError naming the file where it is missing, cut short or not JSON."""
    return as_json(read_bytes(path, MOST_BYTES), path)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV log; none where the file is missing. What a killed process left of its last line is left out.
    Raises UserError naming the file, and line, where a row has too few or too many cells."""
    if not (path.is_symlink() or path.exists()):
        return []
    content = read_bytes(path, MOST_BYTES)
    reader = csv.DictReader(io.StringIO(as_text(content[: content.rfind(b"\n") + 1], path), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: {error}") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UserError(f"{path}: line {number}: does not have {len(reader.fieldnames or ())} cells")
    return rows


def read_folder(folder: Path) -> tuple[Values, dict[str, Tensor]]:
    """Values and tensors that `write_folder` wrote. Raises UserError naming the file where one was changed since; what
    earlier versions wrote has no hashes."""
    content = read_bytes(folder / STATE, MOST_BYTES)
    values, tensors = as_json(content, folder / STATE), read_tensors(folder / TENSORS)
    if not isinstance(values, dict):
        raise UserError(f"{folder / STATE}: is no table of keys and values")
    break_seal(folder, content, values)
    return values, tensors


class AppendLog:
    """A file that only grows. Its length and hash are kept in checkpoints; what a killed process wrote after one is cut
    off."""

    def __init__(self, path: Path, length: int = 0, sha256: str | None = None):
        """length, sha256: those that a checkpoint recorded; raises UserError where the file does not begin so."""
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path}: is not a file")
        if path.exists() and path.stat().st_nlink > 1:  # another name of the file may be somebody's backup
            with whole(path) as temporary:
                shutil.copyfile(path, temporary)
        self._file, self._length, self._digest = path.open("ab+", buffering=0), length, hashlib.sha256()
        try:
            self._begin(path, length, sha256)
        except BaseException:
            self._file.close()
            raise

    def _begin(self, path: Path, length: int, sha256: str | None) -> None:
        if (size := self._file.seek(0, os.SEEK_END)) < length:
            raise UserError(f"{path}: is shorter than the checkpoint says ({size:,} of {length:,} bytes)")
        self._file.truncate(length)
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._digest.update(chunk)
        if sha256 is not None:
            check_hash(path, self.sha256(), sha256)

    def append(self, content: bytes) -> None:
        """Add to the end of the file, and hand it to the operating system."""
        written = 0
        while written < len(content):
            written += self._file.write(content[written:])
        self._digest.update(content)
        self._length += written

    def length(self) -> int:
        """Number of bytes in the file."""
        return self._length

    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
