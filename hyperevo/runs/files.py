"""Files that are written whole or not at all, and logs that a killed process can cut short without harm."""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyperevo.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to: renamed to `path` when all is written, removed when that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def is_temporary(path: Path) -> bool:
    """True for a file or folder that a killed process left unfinished: `.NAME.PROCESS`."""
    return path.name.startswith(".") and path.suffix[1:].isdigit()


def write_json(path: Path, values: Any, indent: int | None = 1) -> None:
    """Write plain data; floats keep all their digits. Without indent it is written faster, and on one line."""
    write_text(path, json.dumps(values, indent=indent, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Plain data; raises UserError naming the file where it is missing, cut short or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path}: is cut short or damaged: {' '.join(str(error).split())}") from error


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV log; none where the file is missing. The rest of a line that a killed process cut short is left
    out."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    return list(csv.DictReader(content[: content.rfind(b"\n") + 1].decode().splitlines()))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    # Clones: tensors that share memory would be refused.
    own = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    with whole(path) as temporary:
        save_file(own, temporary)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors on the CPU; raises UserError naming the file where it is missing, cut short or not safetensors."""
    try:
        return load_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"{path}: is cut short or damaged: {' '.join(str(error).split())}") from error


def write_folder(folder: Path, values: Any, tensors: Mapping[str, Tensor]) -> None:
    """Write `state.json` and `tensors.safetensors` into a new folder that appears under its name only when whole."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_json(temporary / "state.json", values, indent=None)
    write_tensors(temporary / "tensors.safetensors", tensors)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.replace(folder)


def read_folder(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """Plain data and tensors that `write_folder` wrote; raises UserError naming a file that is missing or damaged."""
    return read_json(folder / "state.json"), read_tensors(folder / "tensors.safetensors")


class AppendLog:
    """A file that only grows. Checkpoints keep its length; bytes that a killed process wrote after one are cut off."""

    def __init__(self, path: Path, length: int | None = None):
        if length is not None and (path.stat().st_size if path.exists() else 0) < length:
            raise UserError(f"{path}: is shorter than the checkpoint says ({length} bytes)")
        self._file = path.open("ab")
        if length is not None:
            self._file.truncate(length)
            self._file.seek(length)

    def append(self, content: bytes) -> None:
        """Add to the end of the file, and hand it to the operating system."""
        self._file.write(content)
        self._file.flush()

    def length(self) -> int:
        """Number of bytes in the file."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
