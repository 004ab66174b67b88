"""Writing of figures to files."""

from pathlib import Path

from matplotlib.figure import Figure

from hyperevo.runs.files import whole


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole(path) as temporary:
        # Without matplotlib's version in it, the same figure is the same file.
        figure.savefig(temporary, format="png", metadata={"Software": None})
