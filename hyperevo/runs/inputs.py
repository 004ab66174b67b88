"""Files of data that a run's config names, by their SHA-256: an edited file makes another run of the same config."""

import hashlib
from pathlib import Path

import torch

from hyperevo.config import PARTS, RunConfig
from hyperevo.errors import UserError
from hyperevo.parts import Target
from hyperevo.runs.files import read_json

CHUNK = 1 << 20


def input_hashes(config: RunConfig) -> dict[str, str]:
    """SHA-256 of every file or folder that the config names, by its name there; raises UserError where one cannot be
    read."""
    names = [name for kind in PARTS for name in config.part(kind).files()]
    return {name: _hash(Path(name)) for name in names}


def recorded_hashes(folder: Path) -> dict[str, str]:
    """Hashes that a run folder recorded; none where it names no files, or was made by an earlier version."""
    path = folder / "inputs.json"
    if not path.is_file():
        return {}
    values = read_json(path)
    if not isinstance(values, dict) or not all(isinstance(own, str) for own in values.values()):
        raise UserError(f"{path}: does not hold a SHA-256 by file")
    return values


def constants_hash(target: Target) -> str | None:
    """SHA-256 of the numbers in a target's networks that nobody searches; None where there are none."""
    if not target.constants:
        return None
    digest = hashlib.sha256()
    for name, value in sorted(target.constants.items()):
        plain = (value.to_dense() if value.layout != torch.strided else value).detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _hash(path: Path) -> str:
    """Hash of a file's bytes, or of the names and bytes of all files below a folder."""
    digest = hashlib.sha256()
    try:
        for file in [path] if path.is_file() else sorted(own for own in path.rglob("*") if own.is_file()):
            digest.update(str(file.relative_to(path)).encode())
            with file.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
