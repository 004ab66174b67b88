"""Seals: hashes by which a folder of plain data and tensors says that it is as it was written.

`state.json` begins with the SHA-256 of its own text after that, and names that of `tensors.safetensors`. Folders of
earlier versions have neither.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperevo.errors import UserError, reason, shortened

STATE, TENSORS = "state.json", "tensors.safetensors"
"""Files of a folder of values and tensors."""

HEAD = b'{"sha256": "'


def sealed(values: Mapping[str, Any]) -> bytes:
    """Plain data as JSON that begins with the SHA-256 of all that follows it."""
    text = json.dumps(values, allow_nan=False)[1:].encode() + b"\n"
    return HEAD + hashlib.sha256(text).hexdigest().encode() + b'", ' + text


def break_seal(folder: Path, content: bytes, values: Any) -> None:
    """Check what a folder's `state.json` says of itself and of the tensors, and take that out of its values; raises
    UserError naming the file that was changed."""
    if not isinstance(values, dict) or not {"sha256", "tensors"} & values.keys():
        return
    start = len(HEAD) + 64 + 3
    check_hash(folder / STATE, hashlib.sha256(content[start:]).hexdigest(), values.pop("sha256", None))
    check_hash(folder / TENSORS, file_hash(folder / TENSORS), values.pop("tensors", None))


def file_hash(path: Path) -> str:
    """SHA-256 of a file; raises UserError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error


def check_hash(path: Path, found: str, recorded: object) -> None:
    """Raise UserError naming the file where its hash is not the recorded one."""
    if found != recorded:
        raise UserError(f"{path}: is damaged or was changed: its SHA-256 is {found[:12]}…, recorded is "
                        f"{shortened(recorded)[:12]}…")
