"""Cosine coefficients by frequency."""

from collections.abc import Sequence

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.plots._style import (
    SMALL,
    TEXT,
    colour_bar,
    new_figure,
    rows_and_columns,
    show_map,
    symmetric_limit,
    tiled,
)


def dct_coefficients(coefficients: Tensor, target_block: Sequence[int], source_block: Sequence[int], label: str = "",
                     parameter: str = "hidden.weight") -> Figure:
    """Coefficients (target coefficients, source coefficients) of one weight matrix, by frequency.

    Blocks are the counts of coefficients along each axis: (8, 8) and (8, 8), of two planes, make 8 × 8 maps of 8 × 8;
    (8,) and (8,), of a matrix transformed along its rows and columns, make one map.
    """
    flat = len(target_block) == 1 and len(source_block) == 1
    target, source = Sheet(tuple(target_block)), Sheet(tuple(source_block))
    picture = coefficients.reshape(target.units, source.units) if flat else tiled(coefficients, target, source)
    aspect = min(max(picture.shape[0] / picture.shape[1], 0.3), 2.0)
    caption = "" if flat else (f"each tile: {' × '.join(map(str, source_block))} source frequencies, rows down and "
                               "columns to the right; lowest frequencies top left")
    figure = new_figure(9.4, 7.8 * aspect + 1.4, label, f"cosine coefficients of {parameter}", caption)
    axes = figure.add_subplot()
    image = show_map(axes, picture, symmetric_limit(coefficients))
    axes.set_ylabel("target frequency" if flat else "target frequency, row", fontsize=TEXT)
    axes.set_xlabel("source frequency" if flat else "target frequency, column", fontsize=TEXT)
    rows, columns = (target.units, source.units) if flat else rows_and_columns(target_block)
    _number(axes.yaxis, rows, picture.shape[0], gap=not flat)
    _number(axes.xaxis, columns, picture.shape[1], gap=not flat)
    axes.tick_params(length=0, labelsize=SMALL)
    colour_bar(figure, image, axes, "coefficient", "c")
    return figure


def _number(axis: Axis, count: int, pixels: int, gap: bool) -> None:
    """Label tiles with their frequencies, or some of the tiles where there are many."""
    step = (pixels + gap) / count
    shown = range(0, count, max(1, count // 16))
    axis.set_ticks([index * step + (step - gap - 1) / 2 for index in shown], [str(index) for index in shown])
