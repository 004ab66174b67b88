"""The Penn Treebank's Wall Street Journal texts, character by character (Marcus, Santorini & Marcinkiewicz 1993), in
Mikolov's preparation and splits.

In the files every line is a sentence with spaces between its characters, and `_` is a space of the text. Here words are
separated by a space and every sentence ends with a line end, which counts as a symbol: 50 symbols in all. `<unk>` for a
rare word and `N` for a number are the preparation's own marks, spelt out as characters.
"""

import hashlib
import sys
from pathlib import Path

from hyperevo.data._files import LARGEST, require
from hyperevo.data._text import TextData, alphabet_of, encode
from hyperevo.reading import read_text

NAME = "Penn Treebank"
TITLE = "Penn Treebank by characters, Mikolov's splits, 5.0M / 0.39M / 0.44M symbols"
TERMS = "for research only, do not redistribute; the text is the Linguistic Data Consortium's, LDC99T42"
KIND = "text"
UNPACKED: dict[str, str] = {}
FILES = {
    "ptb.char.train.txt": "e313d91425e06c4f0a8fb6e881dcce0c291f2a0e9f4dda54833069b122f91da9",
    "ptb.char.valid.txt": "21661f63ec355085879458b6524644d4add5573541b4be14fb52ab2e2e995eb8",
    "ptb.char.test.txt": "1ef5607ac3c463b16e38bfe7900dd3bfc91de5a96e0f21e7eab5188b465b8ebe",
}
MIRRORS: tuple[str, ...] = ()
BY_HAND = "from data/ of http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz"


def load() -> TextData:
    """The whole data set; raises UserError where a file is wrong or missing."""
    paths = require("ptb", sys.modules[__name__])
    texts = {file: _sentences(read_text(path, LARGEST)) for file, path in paths.items()}
    alphabet = alphabet_of("".join(texts.values()))
    train, validation, test = (encode(texts[file], alphabet, Path(file)) for file in FILES)
    return TextData("ptb", alphabet, train, validation, test,
                    hashlib.sha256("".join(FILES.values()).encode()).hexdigest())


def _sentences(content: str) -> str:
    rows = (row.split() for row in content.splitlines())
    return "".join("".join(row).replace("_", " ") + "\n" for row in rows if row)
