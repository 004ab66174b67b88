"""Style of all figures: sizes of text, colours, symmetric limits, mosaics of tiles.

Red stands for positive and blue for negative in maps and links alike; both ends of the map are told apart by people
with any common colour blindness, and zero is white.
"""

import textwrap
from collections.abc import Sequence
from math import ceil, prod

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from hyperevo.geometry import Sheet

DIVERGING = "RdBu_r"
POSITIVE, NEGATIVE = "#b2182b", "#2166ac"
INK, FAINT, GAP = "#222222", "#666666", "#8c8c8c"
HEADLINE, TEXT, SMALL = 14, 11, 9.5
DPI = 160
PERCENTILE = 99.5


def new_figure(width: float, height: float, label: str, headline: str, caption: str = "") -> Figure:
    """An empty white figure in inches, with a headline that begins with the run's label and a caption below."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white",
                    layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    # Wide figures are looked at from further away.
    scale = max(1.0, width / 13)
    title = f"{label}: {headline}" if label else headline
    if label and "\n" in wrapped(title, width, HEADLINE * scale):
        title = f"{label}:\n{headline}"
    figure.suptitle(wrapped(title, width, HEADLINE * scale), fontsize=HEADLINE * scale, color=INK, parse_math=False)
    if caption:
        figure.supxlabel(wrapped(caption, width, TEXT * scale), fontsize=TEXT * scale, color=FAINT, parse_math=False)
    return figure


def wrapped(text: str, width: float, size: float) -> str:
    """Text with lines that fit a width in inches at a font size in points, broken after semicolons where it can be."""
    # A letter of a sans-serif font is a little more than half as wide as its size.
    letters = max(int(width * 72 / (size * 0.57)), 10)
    lines = [line.replace("; ", ";\n") if len(line) > letters else line for line in text.split("\n")]
    return "\n".join(textwrap.fill(line, letters) for line in "\n".join(lines).split("\n"))


def symmetric_limit(values: Tensor | Sequence[Tensor], percentile: float = PERCENTILE) -> float:
    """The percentile of |value| over one tensor or several, above zero, so that a map can be centred on zero."""
    tensors = [values] if isinstance(values, Tensor) else list(values)
    magnitudes = np.concatenate([tensor.detach().abs().double().cpu().numpy().ravel() for tensor in tensors])
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    limit = float(np.percentile(magnitudes, percentile)) if len(magnitudes) else 0.0
    # Where nearly all is zero, as in a sparse painting, the largest value sets the limit.
    limit = limit or float(magnitudes.max(initial=0.0))
    return limit or 1.0


def rows_and_columns(sizes: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a grid on paper: a line is one row; axes before the last two are stacked along the rows."""
    return (prod(sizes[:-1]), sizes[-1]) if sizes else (1, 1)


def mosaic(weights: Tensor, target: Sheet, source: Sheet, gap: int = 1) -> Tensor:
    """Weights (target units, source units) as one picture (height, width) of tiles, not-a-number in the gaps.

    Each tile is one target unit's weights on the source sheet, at the unit's position on the target sheet.
    """
    rows, columns = rows_and_columns(target.sizes)
    height, width = rows_and_columns(source.sizes)
    tiles = weights.detach().double().cpu().reshape(rows, columns, height, width)
    picture = torch.full((rows, height + gap, columns, width + gap), torch.nan, dtype=torch.float64)
    picture[:, :height, :, :width] = tiles.permute(0, 2, 1, 3)
    return picture.reshape(rows * (height + gap), columns * (width + gap))[: -gap or None, : -gap or None]


def tiled(weights: Tensor, target: Sheet, source: Sheet) -> Tensor:
    """A mosaic in which small tiles are drawn with several pixels per weight, so that gaps stay thin beside them."""
    height, width = rows_and_columns(source.sizes)
    fineness = ceil(24 / max(height, width))
    fine = weights.detach().reshape(target.units, height, width)
    fine = fine.repeat_interleave(fineness, 1).repeat_interleave(fineness, 2)
    return mosaic(fine, target, Sheet((height * fineness, width * fineness)))


def show_map(axes: Axes, picture: Tensor, limit: float) -> AxesImage:
    """Draw a picture (height, width) in diverging colours from -limit to limit, without ticks."""
    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=GAP)
    image = axes.imshow(picture.detach().double().cpu().numpy(), cmap=colours, vmin=-limit, vmax=limit,
                        interpolation="nearest")
    frame(axes, GAP, 0.6)
    return image


def frame(axes: Axes, colour: str, width: float) -> None:
    """Remove the ticks of a picture and draw a thin frame around it."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(width)


def colour_bar(figure: Figure, image: AxesImage, axes: Sequence[Axes] | Axes, text: str,
               symbol: str = "w") -> None:
    """Add a colour bar beside some axes, with the meaning of its colours and the percentile at which they saturate."""
    bar = figure.colorbar(image, ax=axes, extend="both", fraction=0.04, pad=0.015, aspect=30)
    bar.set_label(f"{text}\n(limits: {PERCENTILE}th percentile of |{symbol}|)", fontsize=TEXT, color=INK)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)


def in_words(sizes: Sequence[int]) -> str:
    """A sheet's sizes in words: 16 × 16 sheet, line of 7."""
    return f"{' × '.join(map(str, sizes))} sheet" if len(sizes) > 1 else f"line of {sizes[0]}"


def bare(axes: Axes) -> None:
    """Remove the box around curves but for its left and bottom lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def added(remark: str) -> str:
    """A remark as the end of a caption, or nothing."""
    return f"; {remark}" if remark else ""
