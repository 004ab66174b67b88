"""Sentences and their translations: two texts whose lines belong together."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperevo.data._text import MOST_BYTES, cut
from hyperevo.errors import UserError
from hyperevo.reading import as_text, read_bytes

LEAST_PAIRS = 1
"""Smallest number of pairs in each part."""


@dataclass(frozen=True)
class Pairs:
    """Sentences, and their translations in the same order."""

    source: tuple[str, ...]
    target: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class PairData:
    """Pairs for training and validation, and tests by name, the first of which is the test of a run.

    `languages` are those of source and target, two letters each, empty where they are not known; `checksum` is the
    sha256 over the files.
    """

    name: str
    languages: tuple[str, str]
    train: Pairs
    validation: Pairs
    tests: Mapping[str, Pairs]
    checksum: str


def read_pair_files(source: Path | str, target: Path | str, validation_share: float = 0.05,
                    test_share: float = 0.05) -> PairData:
    """Read two texts in UTF-8, line i of one a translation of line i of the other, and cut them in order.

    Raises UserError, one line that names the file, where one cannot be read, is not UTF-8, has an empty line, or where
    one has more lines than the other.
    """
    contents = [read_bytes(path, MOST_BYTES) for path in (source, target)]
    texts = [as_text(content, path) for content, path in zip(contents, (source, target), strict=True)]
    pairs = pairs_of(texts[0], texts[1], source, target)
    parts = cut(len(pairs), validation_share, test_share, LEAST_PAIRS, f"{source}: {len(pairs)} pairs")
    train, validation, test = (Pairs(pairs.source[part], pairs.target[part]) for part in parts)
    return PairData(f"{Path(source).name} → {Path(target).name}", ("", ""), train, validation, {"test": test},
                    checksum_of(*contents))


def pairs_of(source: str, target: str, source_file: Path | str, target_file: Path | str) -> Pairs:
    """Pairs of two texts; raises UserError, which names a file and a line, where lines do not pair."""
    lines = [tuple(_lines(text, file)) for text, file in ((source, source_file), (target, target_file))]
    if len(lines[0]) != len(lines[1]):
        raise UserError(f"{target_file}: has {len(lines[1]):,} lines, and {source_file} has {len(lines[0]):,}: line i "
                        "of one must be a translation of line i of the other")
    return Pairs(*lines)


def _lines(text: str, file: Path | str) -> list[str]:
    lines = text.removesuffix("\n").split("\n") if text else []
    if not lines:
        raise UserError(f"{file}: is empty")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise UserError(f"{file}: line {number:,} is empty, and every sentence has a translation")
    return [line.removesuffix("\r") for line in lines]


def read_pairs(paths: Mapping[str, Path], part: str, languages: tuple[str, str]) -> Pairs:
    """Pairs of two compressed files called PART.LANGUAGE.gz of a data set, of which `paths` are checked."""
    files = [paths[f"{part}.{language}.gz"] for language in languages]
    texts = [as_text(gzip.decompress(read_bytes(path, MOST_BYTES)), path) for path in files]
    return pairs_of(texts[0], texts[1], *files)


def checksum_of(*contents: bytes) -> str:
    """sha256 over the sha256 of contents."""
    return hashlib.sha256("".join(hashlib.sha256(content).hexdigest() for content in contents).encode()).hexdigest()
