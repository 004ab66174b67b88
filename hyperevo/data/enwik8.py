"""enwik8: the first 100,000,000 bytes of the English Wikipedia of March 2006, as XML (Mahoney 2006; Hutter 2006).

It is read from the official archive or from its unpacked file, and cut in order into 90, 5 and 5 %: for the whole file,
the field's standard split of 90M, 5M and 5M bytes. Where there is no archive, a file of the first 4,000,000 bytes is
accepted, and the data set's name then says so; results on it compare with no published ones. `hyperevo data fetch
enwik8 --force` gets the archive.

The symbols are the byte values that occur in the file: 205 in the whole one, as in the papers, 200 in the part.
"""

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperevo.data._files import LARGEST, locate, require
from hyperevo.data._text import LEAST_SYMBOLS, TextData, cut
from hyperevo.errors import UserError, shortened
from hyperevo.reading import read_bytes

NAME = "enwik8"
TERMS = "Wikipedia's text, GNU Free Documentation License"
KIND = "text"
ARCHIVE = "enwik8.zip"
FILES = {ARCHIVE: "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc"}
MIRRORS = ("http://mattmahoney.net/dc/", "https://data.deepai.org/")

FILE = "enwik8"
"""The file inside the archive."""
SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
LENGTH = 100_000_000
FIRST_SHA256 = "9f9ca3a41e2b87a0268d00380577e2c308e07959b22a94c8d7b1e8901bdefc37"
"""Checksum of the first 4,000,000 bytes."""


def __getattr__(name: str) -> Any:
    """`UNPACKED` and `TITLE`, which depend on what is on this machine."""
    if name == "UNPACKED":
        return _unpacked()
    if name == "TITLE":
        part = "the first 4,000,000 of " if FIRST_SHA256 in _unpacked().values() else ""
        return f"enwik8, {part}100,000,000 bytes of Wikipedia of March 2006"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _unpacked() -> Mapping[str, str]:
    """The unpacked file, name to sha256: the whole one where it is here, its first part where no archive is, else none.
    """
    path = locate("enwik8", FILE)
    if path is not None and path.is_file() and path.stat().st_size == LENGTH:
        return {FILE: SHA256}
    return {FILE: FIRST_SHA256} if path is not None and locate("enwik8", ARCHIVE) is None else {}


def load() -> TextData:
    """The whole data set, or its first part; raises UserError where the file is wrong or cannot be had."""
    content = _read(*require("enwik8", sys.modules[__name__]).values())
    name = "enwik8" if len(content) == LENGTH else f"enwik8 (first {len(content):,} bytes)"
    values = [value for value in range(256) if bytes([value]) in content]
    table = np.zeros(256, np.uint8)
    table[values] = np.arange(len(values))
    # bytes.translate, as indices into the table would take eight times the memory of the text.
    numbers = np.frombuffer(content.translate(table.tobytes()), np.uint8).copy()
    train, validation, test = cut(len(numbers), 0.05, 0.05, LEAST_SYMBOLS, name)
    return TextData(name, tuple(bytes([value]) for value in values), numbers[train], numbers[validation], numbers[test],
                    hashlib.sha256(content).hexdigest())


def _read(path: Path) -> bytes:
    content = read_bytes(path, LARGEST)
    if path.name != ARCHIVE:
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(FILE) as file:
            return file.read(LENGTH)
    except Exception as error:  # zipfile raises nearly anything
        raise UserError(f"{path}: is cut short or damaged: {shortened(error)}") from error
