"""Tiny Shakespeare: 1.1 million characters of plays (Karpathy 2015), cut in order into 90, 5 and 5 %."""

import sys
from dataclasses import replace

from hyperevo.data._files import require
from hyperevo.data._text import TextData, read_text_file

NAME = "Tiny Shakespeare"
TITLE = "Tiny Shakespeare, 1.1M characters"
TERMS = "public domain"
KIND = "text"
UNPACKED: dict[str, str] = {}
FILES = {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}
MIRRORS = ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",)


def load() -> TextData:
    """The whole data set; raises UserError where the file is wrong or cannot be had."""
    paths = require("tinyshakespeare", sys.modules[__name__])
    return replace(read_text_file(paths["input.txt"], 0.05, 0.05), name="tinyshakespeare")
