"""Runs side by side: accuracy against size and effort, what the first layer looks at, and how smooth it is."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY, Measure
from hyperevo.plots._style import (
    FAINT,
    INK,
    NEGATIVE,
    SMALL,
    TEXT,
    added,
    bare,
    colour_bar,
    new_figure,
    show_map,
    symmetric_limit,
    tiled,
    wrapped,
)
from hyperevo.plots.weights import _spread

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#e69f00", "#56b4e9", "#882255", "#666666", "#117733", "#332288",
           "#999933", "#cc6677")
"""Okabe and Ito's, then Paul Tol's; a name keeps its colour in all figures of a comparison."""
MARKERS = "osD^vPdXh<>p"
LINES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
SEARCHED_NUMBERS = "searched numbers (encoded genes and direct parameters)"
"""What encodings are compared by."""
LETTERS = 32
"""After so many, a name goes on in the next line."""

Points = Mapping[str, Sequence[tuple[float, float]]]
"""By name, (x, y) of every seed."""
Curves = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]
"""By name, x and y of every seed along its run."""


@dataclass(frozen=True)
class _Style:
    """How one name is drawn."""

    colour: str
    marker: str
    line: Any


def _styles(shown: Iterable[str], names: Sequence[str]) -> dict[str, _Style]:
    """Styles of what is shown, by its place among all names of the comparison where they are given. When the colours
    begin again, each comes with another marker and another kind of line."""
    every, styles = list(names) or list(shown), {}
    for number, name in enumerate(every):
        lap, place = divmod(number, len(COLOURS))
        styles[name] = _Style(COLOURS[place], MARKERS[(place + 5 * lap) % len(MARKERS)], LINES[lap % len(LINES)])
    return styles


def _lines_figure(height: float, shown: Iterable[str], *texts: str) -> tuple[Figure, Axes]:
    """A figure of one pair of axes that leaves room for the legend of what is shown."""
    figure = new_figure(9.0 + 2.4 * (_legend_columns(shown, height) - 1), height, *texts)
    return figure, figure.add_subplot()


def _legend_columns(shown: Iterable[str], height: float) -> int:
    # A line of text takes 1.2 times its size, and names are half a line apart.
    lines = sum(1.2 * (_broken(name).count("\n") + 1) + 0.5 for name in shown)
    return ceil(lines * SMALL / 72 / (height - 1.2))


def _broken(name: str) -> str:
    """A name in lines that fit a legend."""
    return textwrap.fill(name, LETTERS, break_on_hyphens=False)


def _percent(share: float, _: float) -> str:
    """A tick of an axis of shares, with as many digits as it takes to tell it from others."""
    return f"{100 * share:.10g}%"


def _label_accuracies(axes: Axes, name: str, measure: Measure) -> None:
    """The y axis of a figure of accuracies."""
    axes.set_ylabel(name, fontsize=TEXT)
    if measure.is_share:
        axes.yaxis.set_major_formatter(_percent)


def _log_ticks(axis: Axis) -> None:
    """Ticks of a log axis that are a few numbers people can read, over several decades or a small part of one."""
    low, high = axis.get_view_interval()
    if high < 4 * low:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_minor_locator(NullLocator())


def accuracy_against_genes(points: Points, front: Sequence[str], label: str = "", measure: Measure = ACCURACY,
                           names: Sequence[str] = ()) -> Figure:
    """Accuracy over the number of searched numbers, on a log axis; `front` names those that nothing smaller beats.
    `names` are all of the comparison, so that each keeps its colour where only some are shown."""
    accuracy = f"test {measure.name}"
    figure, axes = _lines_figure(5.6, points, label, f"{accuracy} against size", "every ring is one seed, a large mark "
                                 "their mean; the line joins the Pareto front")
    styles, means = _styles(points, names), {}
    for name, own in points.items():
        colour, marker = styles[name].colour, styles[name].marker
        sizes, values = np.array(own, dtype=float).T
        values = measure.drawn(values)
        # Above the means, which would hide seeds that hardly differ.
        axes.scatter(sizes, values, s=11, color="white", edgecolor=colour, linewidth=0.9, zorder=4)
        means[name] = sizes.mean(), values.mean()
        axes.scatter(*means[name], s=90, color=colour, marker=marker, edgecolor="white", linewidth=0.8,
                     label=_broken(name), zorder=3)
    axes.plot(*np.array([means[name] for name in front], dtype=float).T, color=INK, linewidth=1, linestyle="--",
              zorder=1)
    axes.set_xscale("log")
    _log_ticks(axes.xaxis)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.set_xlabel(SEARCHED_NUMBERS, fontsize=TEXT)
    _label_accuracies(axes, accuracy, measure)
    _finish(axes, _legend_columns(points, 5.6))
    return figure


@dataclass(frozen=True)
class Swept:
    """One value of a key that is varied: where it lies on the axis, how it is written, accuracy of every seed."""

    place: float
    value: str
    accuracies: Sequence[float]


def accuracy_across(series: Mapping[str, Sequence[Swept]], key: str, x: str, label: str = "",
                    measure: Measure = ACCURACY, log: bool = False) -> Figure:
    """Accuracy over the values of `key`, at their places along `x`: the means over seeds, a line for each name, and
    every seed as a ring. Where places are not the values themselves, the values stand above the axes."""
    accuracy = f"test {measure.name}"
    figure, axes = _lines_figure(5.6, series, label, f"{accuracy} against {key}", "every ring is one seed; the line "
                                 "joins their means")
    styles = _styles(series, ())
    for name, own in series.items():
        style, ordered = styles[name], sorted(own, key=lambda swept: swept.place)
        means = [measure.drawn(float(np.mean(swept.accuracies))) for swept in ordered]
        axes.plot([swept.place for swept in ordered], means, color=style.colour, marker=style.marker, markersize=9,
                  markeredgecolor="white", linestyle=style.line, linewidth=2, label=_broken(name), zorder=3)
        for swept in ordered:
            axes.scatter([swept.place] * len(swept.accuracies), measure.drawn(np.array(swept.accuracies)), s=14,
                         color="white", edgecolor=style.colour, linewidth=0.9, zorder=4)
    if log:
        axes.set_xscale("log")
        _log_ticks(axes.xaxis)
    values = {swept.place: swept.value for own in series.values() for swept in own}
    _mark_values(axes, values, "" if x == key else key)
    axes.set_xlabel(x, fontsize=TEXT)
    _label_accuracies(axes, accuracy, measure)
    _finish(axes, _legend_columns(series, 5.6))
    return figure


def _mark_values(axes: Axes, values: Mapping[float, str], key: str) -> None:
    """Values at their places: as ticks, or above the axes with the name of their key, where ticks are something
    else."""
    if not key:
        axes.set_xticks(list(values), list(values.values()))
        return
    axes.xaxis.set_major_formatter("{x:,.10g}")
    above = axes.secondary_xaxis("top")
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xticks(list(values), list(values.values()), fontsize=SMALL, color=FAINT)
    above.set_xlabel(key, fontsize=SMALL, color=FAINT)
    above.spines["top"].set_visible(False)


def accuracy_along(curves: Curves, x: str, label: str = "", measure: Measure = ACCURACY, log: bool = False,
                   names: Sequence[str] = ()) -> Figure:
    """Accuracy as runs go on, over `x`: the mean over seeds as a line, every seed as a thin one, with dots at their
    ends."""
    accuracy = f"validation {measure.name} of the champion"
    figure, axes = _lines_figure(5.6, curves, label, f"{accuracy} against {x}", "thick: mean over seeds, as far as all "
                                 "of them go; thin: every seed; dots: where they end")
    styles = _styles(curves, names)
    for name, own in curves.items():
        style = styles[name]
        for places, values in own:
            axes.plot(places, measure.drawn(values), color=style.colour, linewidth=0.7, alpha=0.5,
                      drawstyle="steps-post", **_dot_at_end(len(places), 3))
        grid, middle = mean_curve(own)
        axes.plot(grid, measure.drawn(middle), color=style.colour, linewidth=2.2, linestyle=style.line,
                  drawstyle="steps-post", label=_broken(name), **_dot_at_end(len(grid), 6))
    if log:
        axes.set_xscale("log")
        _log_ticks(axes.xaxis)
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.set_xlabel(x, fontsize=TEXT)
    _label_accuracies(axes, accuracy, measure)
    _finish(axes, _legend_columns(curves, 5.6))
    return figure


def _dot_at_end(points: int, size: float) -> dict[str, Any]:
    """A curve of a single point would not be seen without."""
    return {"marker": "o", "markersize": size, "markevery": [points - 1]} if points else {}


def curves_beside_tests(curves: Curves, tests: Mapping[str, Sequence[float]], x: str, y: str, test: str,
                        label: str = "", remark: str = "", log: bool = False) -> Figure:
    """Left, on a log axis where asked for, what runs were measured by on the way, `y` over `x`: the mean over seeds as
    a thick line, every seed as a thin one. Right, closer up, where each seed ended, by name: its test as a mark, and
    the mean as a bar."""
    figure = new_figure(11.0, 4.9, label, f"{y} along the runs, and {test}",
                        f"{remark}; small: seeds; large: means" if remark else "small: seeds; large: means")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    styles = _styles(curves, ())
    for place, (name, own) in enumerate(curves.items()):
        style, values = styles[name], np.array(tests[name], dtype=float)
        for places, seen in own:
            left.plot(places, seen, color=style.colour, linewidth=0.7, alpha=0.5)
        steps, middle = mean_curve(own)
        left.plot(steps, middle, color=style.colour, linewidth=2, linestyle=LINES[place % len(LINES)],
                  marker=style.marker, markevery=ceil(len(steps) / 12), markersize=6, markeredgecolor="white",
                  label=name)
        right.plot([values.mean()] * 2, [place - 0.32, place + 0.32], color=style.colour, linewidth=3)
        right.scatter(values, place + 0.12 * (np.arange(len(values)) - (len(values) - 1) / 2), s=45, facecolor="none",
                      edgecolor=style.colour, marker=style.marker, linewidth=1.4, zorder=3)
    left.set(xlim=(0, None), yscale="log" if log else "linear")
    left.set_xlabel(x, fontsize=TEXT)
    left.set_ylabel(y, fontsize=TEXT)
    left.xaxis.set_major_formatter("{x:,.0f}")
    means = {name: f"{np.mean(values):.4g}".replace("-", "−") for name, values in tests.items()}
    right.set_yticks(range(len(curves)), [f"{name}\n{means[name]}" for name in curves], fontsize=SMALL)
    right.invert_yaxis()
    right.margins(x=0.1, y=0.15)
    right.set_xlabel(test, fontsize=TEXT)
    for axes in (left, right):
        bare(axes)
    left.legend(fontsize=SMALL, loc="upper right", frameon=False)
    right.grid(visible=False, axis="y")
    right.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


def mean_curve(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of step functions, wherever one of them steps, from where all have begun to where the first ends."""
    first, last = max(places[0] for places, _ in curves), min(places[-1] for places, _ in curves)
    every = np.unique(np.concatenate([places for places, _ in curves]))
    grid = every[(every >= first) & (every <= last)]
    values = [own[np.searchsorted(places, grid, side="right") - 1] for places, own in curves]
    return grid, np.mean(values, axis=0)


def receptive_fields_side_by_side(weights: Mapping[str, Tensor], target: Sheet, source: Sheet, label: str = "",
                                  tiles: int = 6, remark: str = "") -> Figure:
    """The first layer's weights (target units, source units) of one run per name: the same `tiles` × `tiles` units of
    each, every run's weights divided by their own size, in one scale. A remark goes below."""
    units, shown = _spread(target, tiles)
    scaled = {name: own[units] / own.std().clamp(min=1e-12) for name, own in weights.items()}
    rows = ceil(len(scaled) / 4)
    columns = ceil(len(scaled) / rows)
    figure = new_figure(3.4 * columns + 0.8, 3.6 * rows + 0.9, label, "what hidden units look at",
                        "the same units of every network at their places; weights divided by their standard deviation"
                        + added(remark))
    grid = figure.subplots(rows, columns, squeeze=False)
    limit = symmetric_limit(list(scaled.values()))
    for axes in grid.flat[len(scaled):]:
        axes.set_axis_off()
    for axes, (name, own) in zip(grid.flat, scaled.items(), strict=False):
        image = show_map(axes, tiled(own, shown, source), limit)
        axes.set_title(wrapped(name, 3.2, TEXT), fontsize=TEXT)
    colour_bar(figure, image, list(grid.flat), "weight in standard deviations")
    return figure


def spectrum(weights: Tensor, source: Sheet) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies, in waves along the longer side of the source sheet, and the share of the weights' power at each:
    the two-dimensional Fourier transform of every unit's weights (target units, source units), summed over directions
    and units. The mean of every unit's weights is frequency 0."""
    rows, columns = source.units // source.sizes[-1], source.sizes[-1]
    power = torch.fft.fft2(weights.double().reshape(-1, rows, columns)).abs().square().mean(0)
    longer = max(rows, columns)
    down, right = (torch.fft.fftfreq(size, 1 / longer, dtype=torch.float64) for size in (rows, columns))
    rings = torch.sqrt(down[:, None] ** 2 + right[None, :] ** 2).round().long().flatten()
    shares = torch.zeros(int(rings.max()) + 1, dtype=torch.float64).index_add_(0, rings, power.flatten())
    kept = longer // 2 + 1
    return np.arange(kept), (shares / shares.sum())[:kept].numpy()


def spectra(weights: Mapping[str, Tensor], source: Sheet, label: str = "", names: Sequence[str] = (),
            remark: str = "") -> Figure:
    """How smooth each encoding's weights are: the share of their power at every spatial frequency. A remark goes
    below."""
    figure, axes = _lines_figure(5.2, weights, label, "how smooth the weights are", "Fourier transform of every hidden "
                                 "unit's weights over the inputs; directions and units summed"
                                 + added(remark))
    styles = _styles(weights, names)
    for name, own in weights.items():
        style = styles[name]
        frequencies, shares = spectrum(own, source)
        axes.plot(frequencies, np.maximum(shares, 1e-9), color=style.colour, marker=style.marker, markersize=4,
                  linewidth=1.4, linestyle=style.line, label=_broken(name))
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-6))
    _log_ticks(axes.yaxis)
    axes.yaxis.set_major_formatter(_percent)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("spatial frequency, waves across the image", fontsize=TEXT)
    axes.set_ylabel("share of the power", fontsize=TEXT)
    _finish(axes, _legend_columns(weights, 5.2))
    return figure


def fitness_distribution(kinds: Sequence[tuple[str, Mapping[str, np.ndarray]]], label: str = "",
                         names: Sequence[str] = ()) -> Figure:
    """The fitness of every network of the last generation, by kind of fitness, which has axes of its own, and by run:
    all networks as dots, their quartiles as a box."""
    counts = [len(fitness) for _, fitness in kinds]
    figure = new_figure(9.0, 0.6 * sum(counts) + 1.2 * len(kinds) + 1.4, label, "fitness in the last generation",
                        "dots: networks; boxes: their middle half, with the median"
                        + ("; values on different axes cannot be compared" if len(kinds) > 1 else ""))
    styles = _styles([name for _, fitness in kinds for name in fitness], names)
    grid = figure.subplots(len(kinds), 1, squeeze=False, height_ratios=[0.6 * count + 0.6 for count in counts])
    for axes, (kind, fitness) in zip(grid.flat, kinds, strict=True):
        _boxes(axes, fitness, styles)
        axes.set_xlabel(kind, fontsize=TEXT)
    return figure


def _boxes(axes: Axes, fitness: Mapping[str, np.ndarray], styles: Mapping[str, _Style]) -> None:
    noise = np.random.default_rng(0)
    for place, (own, values) in enumerate(fitness.items()):
        axes.scatter(values, place + noise.uniform(-0.22, 0.22, len(values)), s=9, color=styles[own].colour, alpha=0.5,
                     linewidth=0)
        axes.boxplot(values, positions=[place], orientation="horizontal", widths=0.5, showfliers=False,
                     medianprops={"color": INK}, boxprops={"color": INK}, whiskerprops={"color": FAINT},
                     capprops={"color": FAINT})
    axes.set_yticks(range(len(fitness)), [_broken(own) for own in fitness], fontsize=SMALL)
    axes.set_ylim(len(fitness) - 0.5, -0.5)
    bare(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)


def _finish(axes: Axes, columns: int) -> None:
    bare(axes)
    axes.legend(fontsize=SMALL, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, ncols=columns)


def before_and_after(accuracies: Mapping[str, tuple[Sequence[float], Sequence[float]]], sides: tuple[str, str],
                     label: str = "", accuracy: str = "test accuracy") -> Figure:
    """What one change does to every row: accuracies of all seeds before and after, their means joined by a line."""
    figure = new_figure(9.0, 0.45 * len(accuracies) + 2.4, label, f"{accuracy}, {sides[0]} and {sides[1]}",
                        "small marks: seeds; large ones: their means")
    axes = figure.add_subplot()
    for place, own in enumerate(accuracies.values()):
        means = [float(np.mean(values)) for values in own]
        axes.plot(means, [place, place], color=FAINT, linewidth=2, zorder=1)
        for side, values, mean, colour, marker in zip(sides, own, means, COLOURS, MARKERS, strict=False):
            axes.scatter(values, [place] * len(values), s=14, color=colour, alpha=0.6, linewidth=0, zorder=2)
            axes.scatter([mean], [place], s=80, color=colour, marker=marker, edgecolor="white", linewidth=0.8,
                         zorder=3, label=None if place else side)
    axes.set_yticks(range(len(accuracies)), list(accuracies), fontsize=SMALL)
    axes.invert_yaxis()
    axes.set_xlabel(accuracy, fontsize=TEXT)
    axes.xaxis.set_major_formatter(_percent)
    _finish(axes, 1)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


def across_sizes(points: Mapping[str, Sequence[Sequence[float]]], sizes: Sequence[str], label: str = "",
                 measure: Measure = ACCURACY, remark: str = "", names: Sequence[str] = ()) -> Figure:
    """Accuracy of champions at sizes that they were not evolved at: by name, for every seed one value a size. The mean
    over seeds as a line, every seed as a ring. `names` are all of the study, so that each keeps its colour."""
    figure, axes = _lines_figure(5.6, points, label, f"test {measure.name} against size", remark)
    styles = _styles(points, names)
    for place, (name, own) in enumerate(points.items()):
        style, values = styles[name], measure.drawn(np.array(own, dtype=float))
        # Beside each other, or the rings of names would lie on each other.
        across = np.arange(len(sizes)) + 0.06 * (place - (len(points) - 1) / 2)
        axes.plot(across, values.mean(0), color=style.colour, marker=style.marker, linestyle=style.line, linewidth=2,
                  markersize=9, markeredgecolor="white", label=_broken(name), zorder=3)
        axes.scatter(np.tile(across, len(values)), values.ravel(), s=14, color="white", edgecolor=style.colour,
                     linewidth=0.9, alpha=0.8, zorder=2)
    axes.set_xticks(range(len(sizes)), sizes)
    _label_accuracies(axes, f"test {measure.name}", measure)
    _finish(axes, _legend_columns(points, 5.6))
    return figure


def success_along(solved: Mapping[str, Sequence[float]], last: float, x: str, label: str = "") -> Figure:
    """The share of seeds that have solved a task by some point of their runs: by name, where each seed did, infinite
    where it did not. Curves end where runs do, at `last`, or soon after the last of all seeds is through."""
    slowest = max(max(own) for own in solved.values())
    last = min(last, 1.15 * slowest)
    shown = {name: f"{name} ({int(np.isfinite(own).sum())} of {len(own)})" for name, own in solved.items()}
    figure, axes = _lines_figure(5.6, shown.values(), label, f"share of seeds solved against {x}",
                                 "in brackets: seeds that solved it, of all")
    styles = _styles(solved, ())
    for name, own in solved.items():
        steps = np.sort(np.array(own, dtype=float))
        steps = steps[steps <= last]
        places, shares = np.append(np.insert(steps, 0, 0), last), np.arange(len(steps) + 1) / len(own)
        axes.plot(places, np.append(shares, shares[-1]), color=styles[name].colour, linestyle=styles[name].line,
                  linewidth=2.2, drawstyle="steps-post", label=_broken(shown[name]))
    axes.set_xlim(0, last)
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(_percent)
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel("seeds solved", fontsize=TEXT)
    _finish(axes, _legend_columns(shown.values(), 5.6))
    return figure


def seeds_in_plane(points: Points, x: str, y: str, headline: str, label: str = "", remark: str = "") -> Figure:
    """Two figures of every seed's champion, one mark each, by name."""
    figure, axes = _lines_figure(5.6, points, label, headline, remark)
    styles = _styles(points, ())
    for place, (name, own) in enumerate(points.items()):
        # One within the other where seeds of several names meet.
        across, up = np.array(own, dtype=float).T
        axes.scatter(across, up, s=30 * (len(points) - place) + 20, facecolor="none", linewidth=1.6,
                     edgecolor=styles[name].colour, marker=styles[name].marker, alpha=0.8, label=_broken(name))
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    _finish(axes, _legend_columns(points, 5.6))
    return figure


def evaluations_to_solve(curve: Mapping[int, Sequence[float | None]], others: Mapping[str, Sequence[float | None]],
                         budget: float, label: str = "") -> Figure:
    """Koutník's curve: by number of coefficients, and beside it by the name of another encoding, evaluations until each
    seed solved the task, on a log axis; None where it did not within the budget."""
    figure = new_figure(9.0, 5.6, label, "evaluations to solve", "rings: seeds; large marks and lines: medians of "
                        "all; above: how many solved it")
    axes, noise = figure.add_subplot(), np.random.default_rng(0)
    columns = {**{str(count): values for count, values in curve.items()}, **others}
    styles = [_Style(COLOURS[number], MARKERS[number], LINES[number])
              for number in (*[0] * len(curve), *range(1, len(others) + 1))]
    # A step apart from the curve, which only coefficients lie on.
    places = [*range(len(curve)), *(len(curve) + 0.5 + place for place in range(len(others)))]
    medians = [float(np.median([value or np.inf for value in values])) for values in columns.values()]
    for place, (name, values), median, style in zip(places, columns.items(), medians, styles, strict=True):
        solved = [value for value in values if value is not None]
        axes.scatter(place + noise.uniform(-0.2, 0.2, len(solved)), solved, s=16, color="white", edgecolor=style.colour,
                     linewidth=0.9, alpha=0.8, zorder=2)
        axes.text(place, 1.01, f"{len(solved)}/{len(values)}", transform=axes.get_xaxis_transform(), ha="center",
                  fontsize=SMALL, color=INK if len(solved) == len(values) else NEGATIVE)
        if np.isfinite(median):
            axes.scatter(place, median, s=90, color=style.colour, marker=style.marker, edgecolor="white", zorder=4)
        if np.isfinite(median) and name in others:
            axes.axhline(median, color=style.colour, linewidth=1.4, linestyle=style.line, zorder=1)
    drawn = [median if np.isfinite(median) else np.nan for median in medians[: len(curve)]]
    axes.plot(places[: len(curve)], drawn, color=COLOURS[0], linewidth=2, zorder=3)
    axes.set_yscale("log")
    every = [value for values in columns.values() for value in values if value is not None]
    axes.set_ylim(min(every, default=budget / 10) / 1.3, budget * 1.1)
    axes.set_xlim(-0.5, places[-1] + 0.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xticks(places, list(columns), fontsize=TEXT)
    axes.set_xlabel("cosine coefficients and biases, and other encodings", fontsize=TEXT)
    axes.set_ylabel("evaluations to solve", fontsize=TEXT)
    bare(axes)
    return figure
