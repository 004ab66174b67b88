"""Writing of figures to files."""

import logging
import warnings
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from hyperevo.runs.files import whole

log = logging.getLogger(__name__)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all. A dollar in a text is no formula; letters that the font lacks are
    boxes, which is logged once."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_text():  # those of ticks that are still empty are matplotlib's own
            text.set_parse_math(False)
    with whole(path) as temporary, warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "Glyph .* missing from")
        # Without matplotlib's version in it, the same figure is the same file; the name says whose it is.
        figure.savefig(temporary, format="png", metadata={"Software": "hyperevo"})
    if lacking := {str(one.message).partition(" ")[2].partition(" ")[0] for one in caught}:
        log.info("%s: %d letters are boxes, as the font lacks them", path, len(lacking))
