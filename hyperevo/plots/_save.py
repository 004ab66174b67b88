"""Writing of figures to files."""

import logging
import warnings
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from hyperevo.runs.files import whole

log = logging.getLogger(__name__)


METADATA: dict[str, dict[str, Any]] = {"png": {"Software": "hyperevo"}, "svg": {"Creator": "hyperevo", "Date": None},
                                       "pdf": {"Creator": "hyperevo", "Producer": None, "CreationDate": None}}
"""Metadata by format: without matplotlib's version and the time, the same figure is the same file; the name says whose
it is."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix, whole or not at all. A dollar in a text is no formula; letters
    that the font lacks are boxes, which is logged once."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_text():  # those of ticks that are still empty are matplotlib's own
            text.set_parse_math(False)
    kind = path.suffix[1:]
    with whole(path) as temporary, warnings.catch_warnings(record=True) as caught, rc_context(
            {"svg.hashsalt": "hyperevo", "pdf.fonttype": 42}):
        warnings.filterwarnings("always", "Glyph .* missing from")
        figure.savefig(temporary, format=kind, metadata=METADATA[kind])
    if lacking := {str(one.message).partition(" ")[2].partition(" ")[0] for one in caught}:
        log.info("%s: %d letters are boxes, as the font lacks them", path, len(lacking))
