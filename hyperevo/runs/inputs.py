"""Files of data that a run's config names, by their SHA-256: an edited file makes another run of the same config."""

import hashlib
from pathlib import Path

from hyperevo.config import PARTS, RunConfig
from hyperevo.errors import UserError, reason
from hyperevo.runs.files import read_json
from hyperevo.runs.schemas import InputsFile, checked

CHUNK = 1 << 20


def input_hashes(config: RunConfig) -> dict[str, str]:
    """SHA-256 of every file or folder that the config names, by its name in the config; raises UserError where one
    cannot be read."""
    names = [name for kind in PARTS for name in config.part(kind).files()]
    return {name: _hash(Path(name)) for name in names}


def recorded_hashes(folder: Path) -> dict[str, str]:
    """Hashes that a run folder recorded; none where it names no files, or was made by an earlier version."""
    path = folder / "inputs.json"
    return checked(InputsFile, read_json(path), path).root if path.is_file() else {}


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
