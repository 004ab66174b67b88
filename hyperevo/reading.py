"""Files that others made: read up to a size, as UTF-8, and as JSON."""

import codecs
import json
import os
import stat
from pathlib import Path
from typing import Any

from hyperevo.errors import UserError, reason, shortened, shown_path


def read_bytes(path: Path | str, most: int) -> bytes:
    """Content of a regular file of at most `most` bytes.

    Raises UserError that names the file, before much is read, where it is missing, larger or no regular file: pipes
    and devices would keep a reader waiting or never end.
    """
    known = check_regular(path)
    try:
        with open(path, "rb") as file:
            content = b"" if known > most else file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: names that no file can have
        raise UserError(f"{shown_path(path)}: cannot be read: {reason(error)}") from error
    if (size := max(len(content), known)) > most:
        raise UserError(f"{shown_path(path)}: is too large: {size:,} bytes, where at most {most:,} are read")
    return content


def check_regular(path: Path | str) -> int:
    """Bytes of a regular file; raises UserError that names the file where it is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{shown_path(path)}: cannot be read: {reason(error)}") from error
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise UserError(f"{shown_path(path)}: cannot be read: it is a pipe, a socket or a device, not a file")
    return status.st_size


def read_text(path: Path | str, most: int) -> str:
    """Text of a regular file of at most `most` bytes, without a byte order mark; raises UserError as `read_bytes`, and
    where it is not UTF-8."""
    return as_text(read_bytes(path, most), path)


def as_text(content: bytes, path: Path | str) -> str:
    """UTF-8 as text, without a byte order mark; raises UserError that names the file and the first wrong byte."""
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        guess = ", as in UTF-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
        place = f"byte {error.start + 1:,} is 0x{content[error.start]:02x}{guess}"
        raise UserError(f"{shown_path(path)}: is not UTF-8: {place}") from error


def as_json(content: bytes, path: Path | str) -> Any:
    """Plain data of JSON; raises UserError that names the file where it is cut short or no JSON, is nested too deeply,
    or has what no file can be written with: numbers that are not finite, or half a character (a lone surrogate)."""
    try:
        text = content.decode()
        values = json.loads(text, parse_constant=_refused)
        if "\\ud" in text.lower():
            json.dumps(values, ensure_ascii=False).encode()
        return values
    except RecursionError:
        raise UserError(f"{shown_path(path)}: is damaged: it is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise UserError(f"{shown_path(path)}: is damaged: it holds half a character, "
                        f"{error.object[error.start]!r}") from None
    except ValueError as error:
        raise UserError(f"{shown_path(path)}: is cut short or damaged: {shortened(error)}") from error


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def is_there(path: Path | str) -> bool:
    """True for whatever has this name, broken links too; raises UserError where that cannot be told."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        raise UserError(f"{shown_path(path)}: cannot be read: {error.strerror}") from error
    return True
