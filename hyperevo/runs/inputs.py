"""Data and runs that a run's config names, by their SHA-256: an edited file makes another run of the same config."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.config import PARTS, RunConfig
from hyperevo.errors import UserError, reason
from hyperevo.parts import Target
from hyperevo.runs.files import read_json
from hyperevo.runs.schemas import InputsFile, checked

CHUNK = 1 << 20


def input_hashes(config: RunConfig) -> dict[str, str]:
    """SHA-256 of every file or folder that the config names, by its name there, and of the copies that the run keeps,
    by the name of their folder; raises UserError where one cannot be read."""
    parts = [config.part(kind) for kind in PARTS]
    kept = {name: packed_hash(*packed) for part in parts for name, packed in part.kept().items()}
    return kept | {name: _hash(Path(name)) for part in parts for name in part.files()}


def packed_hash(plain: object, tensors: Mapping[str, Tensor]) -> str:
    """Hash of plain data and tensors."""
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def recorded_hashes(folder: Path) -> dict[str, str]:
    """Hashes that a run folder recorded; none where it names no files, or was made by an earlier version."""
    path = folder / "inputs.json"
    return checked(InputsFile, read_json(path), path).root if path.is_file() else {}


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
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    return digest.hexdigest()
