"""Series by name in one pair of axes: their colours, markers and lines, their means, legends and ticks."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from hyperevo.measure import Measure
from hyperevo.plots._style import SMALL, TEXT, bare, new_figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#e69f00", "#56b4e9", "#882255", "#666666", "#117733", "#332288",
           "#999933", "#cc6677")
"""Colours of Okabe and Ito, then of Paul Tol; a name keeps its colour in all figures of a comparison."""
MARKERS = "osD^vPdXh<>p"
LINES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
LETTERS = 32
"""Number of characters in a line of a name."""

Points = Mapping[str, Sequence[tuple[float, float]]]
"""Values (x, y) of every seed, by name."""
Curves = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]
"""Values x (points,) and y (points,) of every seed along its run, by name."""


@dataclass(frozen=True)
class Style:
    """Colour, marker and kind of line of one name."""

    colour: str
    marker: str
    line: Any


def styles_of(shown: Iterable[str], names: Sequence[str]) -> dict[str, Style]:
    """Styles of the names shown, by index among all names of the comparison where they are given. When the colours
    begin again, each comes with another marker and another kind of line."""
    every, styles = list(names) or list(shown), {}
    for number, name in enumerate(every):
        lap, place = divmod(number, len(COLOURS))
        styles[name] = Style(COLOURS[place], MARKERS[(place + 5 * lap) % len(MARKERS)], LINES[lap % len(LINES)])
    return styles


def lines_figure(height: float, shown: Iterable[str], *texts: str) -> tuple[Figure, Axes]:
    """Figure and its one pair of axes, with room for the legend of the names shown."""
    figure = new_figure(9.0 + 2.4 * (legend_columns(shown, height) - 1), height, *texts)
    return figure, figure.add_subplot()


def legend_columns(shown: Iterable[str], height: float) -> int:
    """Number of columns that a legend of these names needs in a figure of a height in inches."""
    # A line of text takes 1.2 times its size, and names are half a line apart.
    lines = sum(1.2 * (broken(name).count("\n") + 1) + 0.5 for name in shown)
    return ceil(lines * SMALL / 72 / (height - 1.2))


def broken(name: str) -> str:
    """A name broken into lines that fit a legend."""
    return textwrap.fill(name, LETTERS, break_on_hyphens=False)


def finish(axes: Axes, columns: int) -> None:
    """Finish axes: bare, with their legend on the right."""
    bare(axes)
    axes.legend(fontsize=SMALL, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, ncols=columns)


def percent(share: float, _: float) -> str:
    """Tick label of an axis of shares, with as many digits as tell it from others."""
    return f"{100 * share:.10g}%"


def label_accuracies(axes: Axes, name: str, measure: Measure) -> None:
    """Label the y axis of a figure of accuracies."""
    axes.set_ylabel(name, fontsize=TEXT)
    if measure.is_share:
        axes.yaxis.set_major_formatter(percent)


def log_ticks(axis: Axis) -> None:
    """Put a few ticks with readable numbers on a log axis, over several decades or a small part of one."""
    low, high = axis.get_view_interval()
    if high < 4 * low:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_minor_locator(NullLocator())


def mean_curve(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of step functions, wherever one of them steps, from where all have begun to where the first ends."""
    first, last = max(places[0] for places, _ in curves), min(places[-1] for places, _ in curves)
    every = np.unique(np.concatenate([places for places, _ in curves]))
    grid = every[(every >= first) & (every <= last)]
    values = [own[np.searchsorted(places, grid, side="right") - 1] for places, own in curves]
    return grid, np.mean(values, axis=0)
