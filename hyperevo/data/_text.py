"""Text data sets: their arrays, a reader of a user's own file, and symbol indices of characters and back."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperevo.errors import UserError
from hyperevo.reading import as_text, read_bytes

Alphabet = tuple[str, ...] | tuple[bytes, ...]

MOST_BYTES = 2**28
"""Bytes of a text; enwik8 has 100,000,000."""

PIECE = 2**20
"""Characters that are numbered at a time: numbering takes some twenty bytes for each."""

MOST_SYMBOLS = 2**16
"""Largest size of an alphabet: symbol indices are uint16 at most."""

LEAST_SYMBOLS = 2
"""Shortest part of a text: one symbol to read and one to predict."""


@dataclass(frozen=True)
class TextData:
    """A text as symbol indices: `train`, `validation` and `test`, each (length,) uint8, or uint16 where there are more
    than 256 symbols.

    Index i stands for `alphabet[i]`: a character, or a byte (`bytes` of length one) in a data set of bytes. The
    alphabet is all symbols that occur in any of the three parts, in ascending order of code point or byte value.
    `checksum` is the sha256 of the file, or over the sha256 of the data set's files where there are several.
    """

    name: str
    alphabet: Alphabet
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    checksum: str


def read_text_file(path: Path | str, validation_share: float = 0.05, test_share: float = 0.05) -> TextData:
    """Read a user's own UTF-8 text by characters, and cut it in order into training, validation and test.

    A byte order mark is left out, and nothing else is changed. Raises UserError, one line that names the file, where it
    is missing, cannot be read, is empty, is not UTF-8, has more than 65,536 different characters or is too short for
    three parts of two characters each, and where a share is not between 0 and 1.
    """
    path = Path(path)
    content = read_bytes(path, MOST_BYTES)
    text = as_text(content, path)
    if not text:
        raise UserError(f"{path}: is empty")
    train, validation, test = cut(len(text), validation_share, test_share, LEAST_SYMBOLS,
                                  f"{path}: {len(text)} characters")
    alphabet = alphabet_of(text)
    if len(alphabet) > MOST_SYMBOLS:
        raise UserError(f"{path}: has {len(alphabet):,} different characters, at most {MOST_SYMBOLS:,} can be numbered")
    numbers = encode(text, alphabet, path)
    return TextData(path.name, alphabet, numbers[train], numbers[validation], numbers[test],
                    hashlib.sha256(content).hexdigest())


def alphabet_of(text: str) -> tuple[str, ...]:
    """The characters of a text, in ascending order of code point."""
    return tuple(sorted(set(text)))


def encode(text: str, alphabet: Alphabet, file: Path | str) -> np.ndarray:
    """Symbol indices of a text, (length,) uint8, or uint16 for more than 256 symbols. An alphabet of bytes gives those
    of its UTF-8 bytes.

    Raises UserError that names `file`, the source of the text, and the first symbol that is not in the alphabet, with
    its line and its position in the line, both counted from 1.
    """
    starts = range(0, max(len(text), 1), PIECE)
    return np.concatenate([_encode_piece(text, start, alphabet, file) for start in starts])


def _encode_piece(text: str, start: int, alphabet: Alphabet, file: Path | str) -> np.ndarray:
    codes = _codes(text[start : start + PIECE], alphabet)
    known = _alphabet_codes(alphabet)
    unknown = len(alphabet)
    table = np.full(int(max(codes.max(initial=0), known.max())) + 1, unknown, np.uint32)
    table[known] = np.arange(len(alphabet))
    numbers = table[codes]
    if (numbers == unknown).any():
        before = _codes(text[:start], alphabet)
        place = _place(np.append(before, codes), len(before) + int((numbers == unknown).argmax()), alphabet)
        raise UserError(f"{file}: {place} is not in the alphabet of {len(alphabet)} symbols")
    return numbers.astype(np.uint8 if len(alphabet) <= 256 else np.uint16)


def decode(numbers: np.ndarray, alphabet: Alphabet) -> str:
    """The text that symbol indices (length,) spell; bytes that are not UTF-8 become U+FFFD. The inverse of `encode`."""
    codes = _alphabet_codes(alphabet)[np.asarray(numbers, np.int64)]
    if _of_bytes(alphabet):
        return codes.astype(np.uint8).tobytes().decode("utf-8", "replace")
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def cut(count: int, validation_share: float, test_share: float, least: int, what: str) -> tuple[slice, slice, slice]:
    """Slices of a sequence of `count` items for training, validation and test, in this order.

    Raises UserError, which begins with `what`, where a share is out of range or a part would have fewer than `least`.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise UserError(f"{what}: shares of {validation_share} for validation and {test_share} for the test: each must "
                        "be more than 0, both together less than 1")
    validation, test = round(count * validation_share), round(count * test_share)
    train = count - validation - test
    if min(train, validation, test) < least:
        raise UserError(f"{what} are too few: {train} for training, {validation} for validation and {test} for the "
                        f"test, at least {least} are needed in each")
    return slice(0, train), slice(train, train + validation), slice(train + validation, count)


def _of_bytes(alphabet: Alphabet) -> bool:
    return isinstance(alphabet[0], bytes)


def _alphabet_codes(alphabet: Alphabet) -> np.ndarray:
    return np.array([ord(symbol) for symbol in alphabet], "<u4")


def _codes(text: str, alphabet: Alphabet) -> np.ndarray:
    """Code points of a text, or its UTF-8 bytes where the alphabet is one of bytes."""
    if _of_bytes(alphabet):
        return np.frombuffer(text.encode(), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _place(codes: np.ndarray, position: int, alphabet: Alphabet) -> str:
    line_ends = np.flatnonzero(codes[:position] == ord("\n"))
    before = int(line_ends[-1]) + 1 if len(line_ends) else 0
    code = int(codes[position])
    kind, symbol = ("byte", repr(bytes([code]))) if _of_bytes(alphabet) else ("character", repr(chr(code)))
    return f"line {len(line_ends) + 1}, {kind} {position - before + 1}: {symbol}"
