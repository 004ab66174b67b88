"""Omniglot's hand-drawn characters as pen strokes (Lake, Salakhutdinov & Tenenbaum 2015), in the stroke-3 form of Ha &
Eck (2017).

The published file holds pickled objects, which are never loaded here; this one has the same drawings as plain arrays.
"""

import sys
from dataclasses import replace

from hyperevo.data._files import require
from hyperevo.data._strokes import StrokeData, read_stroke_file

NAME = "Omniglot strokes"
TITLE = "Omniglot strokes, 30,000 / 1,000 / 1,000 hand-drawn characters"
TERMS = "MIT licence"
KIND = "strokes"
UNPACKED: dict[str, str] = {}
FILES = {"omniglot_stroke3.npz": "fbe57aeb0033cb920ea7e8fa187cb5af18393c620429cc06e815f4b64da37a1e"}
MIRRORS: tuple[str, ...] = ()
BY_HAND = "repacked without pickles from https://github.com/hardmaru/sketch-rnn-datasets"


def load() -> StrokeData:
    """The whole data set; raises UserError where the file is wrong or missing."""
    paths = require("omniglot", sys.modules[__name__])
    return replace(read_stroke_file(paths["omniglot_stroke3.npz"]), name="omniglot")
