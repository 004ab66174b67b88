"""Text and pen strokes that recurrent networks generate, and the change of their weights meanwhile."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from hyperevo.dynamic import GATES
from hyperevo.plots._style import FAINT, INK, SMALL, TEXT, frame, new_figure

GATE_COLOURS = ("#0072b2", "#009e73", "#d55e00", "#aa4499")
"""Colours of GATES, in their order (Okabe & Ito's, but for the last)."""
GATE_NAMES = {"i": "input", "g": "candidate", "f": "forget", "o": "output"}
RAISED = {"i": "ⁱ", "g": "ᵍ", "f": "ᶠ", "o": "ᵒ"}

LETTERS = 64
"""Letters in a line of generated text."""
STRIP = 0.3
"""Height of one gate's strip; that of a line of letters is about 1."""

PERCENTILE = 97
"""Percentile of a matrix's changes at which its colour is full."""
BEGINNING = 6
"""First steps from a zero state, which colours are not scaled by: their changes are far above all later ones."""

CHANGE = f"change of each matrix, from white to full colour at the {PERCENTILE}th percentile of its later changes"


def strip_names(gates: int) -> list[str]:
    """Names of the strips: the matrices of an LSTM's gates, or the only one of a simple network."""
    return [f"Wₕ{RAISED[gate]}, {GATE_NAMES[gate]} gate" for gate in GATES] if gates > 1 else ["Wₕ"]


def shades(change: Tensor) -> np.ndarray:
    """Colours (..., gates, 3) of changes (..., gates), white where nothing changes."""
    values = change.detach().double().cpu().numpy()
    shares = (values / full_at(values)).clip(0, 1)[..., None]
    return 1 - shares * (1 - np.array([to_rgb(colour) for colour in GATE_COLOURS[: values.shape[-1]]]))


def full_at(changes: np.ndarray) -> np.ndarray:
    """Change (gates,) at which each gate's colour is full, for changes (..., steps, gates)."""
    later = changes[..., min(BEGINNING, changes.shape[-2] // 2) :, :]
    limits = np.percentile(later.reshape(-1, changes.shape[-1]), PERCENTILE, axis=0)
    return np.where(limits > 0, limits, 1)


def written_text(letters: Sequence[str], change: Tensor | None = None, label: str = "", remark: str = "") -> Figure:
    """Letters that a network wrote and, under each, the change of the weights at that step.

    change: (letters, gates), or None where weights do not change.
    """
    gates = 0 if change is None else change.shape[1]
    room, lines = 1.25 + STRIP * gates + 0.35 * bool(gates), -(-len(letters) // LETTERS)
    explained = [remark] if remark else []
    if gates:
        explained.append(CHANGE)
    figure = new_figure(11.5, 1.5 + 0.24 * room * lines, label, "text that the network wrote", "; ".join(explained))
    axes = figure.add_subplot()
    axes.set(xlim=(0, LETTERS), ylim=(room * lines, 0))
    axes.axis("off")
    for place, letter in enumerate(letters):
        line, column = divmod(place, LETTERS)
        axes.text(column + 0.5, room * line + 0.7, shown(letter), family="monospace", fontsize=TEXT + 1, ha="center",
                  va="center", color=INK if letter.isprintable() else FAINT)
    if change is not None:
        _strips_under_lines(axes, shades(change), room)
        axes.legend(handles=[Patch(color=colour, label=name) for colour, name
                             in zip(GATE_COLOURS, strip_names(gates), strict=False)],
                    loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=gates, fontsize=SMALL, frameon=False)
    return figure


def shown(letter: str) -> str:
    """A letter in a visible form: a sign stands for a line end, a tab and any other character that no font draws."""
    return {"\n": "↵", "\t": "→"}.get(letter, letter if letter.isprintable() else "·")


def _strips_under_lines(axes: Axes, colours: np.ndarray, room: float) -> None:
    for line in range(-(-len(colours) // LETTERS)):
        own = colours[line * LETTERS : (line + 1) * LETTERS].transpose(1, 0, 2)
        top = room * line + 1.25
        axes.imshow(own, extent=(0, own.shape[1], top + STRIP * len(own), top), interpolation="nearest", aspect="auto")


def lines_of(drawing: Tensor) -> list[np.ndarray]:
    """Lines (n, 2) that the pen drew in a drawing (points, 3) in stroke-3 form, which ends at the first not-a-number.
    """
    points = drawing.detach().double().cpu().numpy()
    points = points[~np.isnan(points[:, 0])]
    places, lifts = points[:, :2].cumsum(0), np.flatnonzero(points[:, 2] > 0.5) + 1
    edges = [0, *(int(lift) for lift in lifts if lift < len(points)), len(points)]
    return [places[first:last] for first, last in pairwise(edges)]


def _draw(axes: Axes, drawing: Tensor) -> None:
    for line in lines_of(drawing):
        # A line of one point is a dot.
        axes.plot(*line.T, "-" if len(line) > 1 else ".", color=INK, linewidth=1.6, markersize=3,
                  solid_capstyle="round", solid_joinstyle="round")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.12)
    axes.invert_yaxis()
    axes.axis("off")


def drawings_beside_samples(rows: Sequence[tuple[str, Tensor]], label: str = "", caption: str = "") -> Figure:
    """Rows of drawings, each with its name: (drawings, points, 3) in stroke-3 form, not-a-number after a drawing's end.
    """
    columns = max(len(drawings) for _, drawings in rows)
    figure = new_figure(1.05 * columns + 1.6, 1.15 * len(rows) + 1.3, label, "pen strokes drawn and learned", caption)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, drawings) in zip(grid, rows, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, drawing in zip(line, drawings, strict=False):
            _draw(axes, drawing)
        line[0].text(-0.15, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=TEXT, color=INK)
    return figure


def strokes_in_time(drawings: Tensor, change: Tensor | None, label: str = "", remark: str = "") -> Figure:
    """Drawings (N, points, 3) that a network made, each above strips of its weights' change at every point.

    change: (N, points, gates), or None where weights do not change.
    """
    # The median tells lines of handwriting from single letters, one of which may be wide.
    wide = np.median([_breadth(drawing) for drawing in drawings]) > 3
    columns = 1 if wide else min(4, len(drawings))
    lines = -(-len(drawings) // columns)
    explained = [remark] if remark else []
    if change is not None:
        explained.append(CHANGE)
    figure = new_figure(max(3.0 * columns, 11.0), 3.1 * lines + 1.5, label, "pen strokes that the network drew",
                        "; ".join(explained))
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[1.0, 0.4 if wide else 0.3] * lines)
    for axes in grid.flat:
        axes.axis("off")
    colours = None if change is None else shades(change)
    for number, drawing in enumerate(drawings):
        line, column = divmod(number, columns)
        _draw(grid[2 * line, column], drawing)
        if colours is not None:
            _strip_in_time(grid[2 * line + 1, column], colours[number], column == 0, line == lines - 1)
    return figure


def _breadth(drawing: Tensor) -> float:
    places = np.concatenate(lines_of(drawing))
    width, height = np.ptp(places, axis=0)
    return float(width / max(height, 1e-9))


def _strip_in_time(axes: Axes, colours: np.ndarray, first: bool, last: bool) -> None:
    axes.axis("on")
    axes.imshow(colours.transpose(1, 0, 2), interpolation="nearest", aspect="auto",
                extent=(0.5, len(colours) + 0.5, colours.shape[1], 0))
    frame(axes, FAINT, 0.5)
    if first:
        names = strip_names(colours.shape[1])
        axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=SMALL)
        axes.tick_params(left=False)
    if last:
        axes.set_xlabel(f"{len(colours)} points, one after the other", fontsize=SMALL, color=FAINT)
