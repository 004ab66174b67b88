"""Runs side by side: accuracy against size and effort, receptive fields of the first layer, and their smoothness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY, Measure
from hyperevo.plots._series import (
    Curves,
    Points,
    Style,
    broken,
    finish,
    label_accuracies,
    legend_columns,
    lines_figure,
    log_ticks,
    mean_curve,
    percent,
    styles_of,
)
from hyperevo.plots._style import (
    FAINT,
    INK,
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

SEARCHED_NUMBERS = "searched numbers (encoded genes and direct parameters)"
"""Axis label of the size by which encodings are compared."""


def accuracy_against_genes(points: Points, front: Sequence[str], label: str = "", measure: Measure = ACCURACY,
                           names: Sequence[str] = ()) -> Figure:
    """Accuracy over the number of searched numbers, on a log axis; `front` names those that nothing smaller beats.
    `names` are all of the comparison, so that each keeps its colour where only some are shown."""
    accuracy = f"test {measure.name}"
    figure, axes = lines_figure(5.6, points, label, f"{accuracy} against size", "every ring is one seed, a large mark "
                                 "their mean; the line joins the Pareto front")
    styles, means = styles_of(points, names), {}
    for name, own in points.items():
        colour, marker = styles[name].colour, styles[name].marker
        sizes, values = np.array(own, dtype=float).T
        values = measure.drawn(values)
        # Above the means, which would hide seeds that hardly differ.
        axes.scatter(sizes, values, s=11, color="white", edgecolor=colour, linewidth=0.9, zorder=4)
        means[name] = sizes.mean(), values.mean()
        axes.scatter(*means[name], s=90, color=colour, marker=marker, edgecolor="white", linewidth=0.8,
                     label=broken(name), zorder=3)
    axes.plot(*np.array([means[name] for name in front], dtype=float).T, color=INK, linewidth=1, linestyle="--",
              zorder=1)
    axes.set_xscale("log")
    log_ticks(axes.xaxis)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.set_xlabel(SEARCHED_NUMBERS, fontsize=TEXT)
    label_accuracies(axes, accuracy, measure)
    finish(axes, legend_columns(points, 5.6))
    return figure


@dataclass(frozen=True)
class Swept:
    """One value of a varied key: its position on the axis, its text, and the accuracy of every seed."""

    place: float
    value: str
    accuracies: Sequence[float]


def accuracy_across(series: Mapping[str, Sequence[Swept]], key: str, x: str, label: str = "",
                    measure: Measure = ACCURACY, log: bool = False) -> Figure:
    """Accuracy over the values of `key`, at their positions along `x`: the means over seeds, a line for each name, and
    every seed as a ring. Values that are not positions themselves stand above the axes."""
    accuracy = f"test {measure.name}"
    figure, axes = lines_figure(5.6, series, label, f"{accuracy} against {key}", "every ring is one seed; the line "
                                 "joins their means")
    styles = styles_of(series, ())
    for name, own in series.items():
        style, ordered = styles[name], sorted(own, key=lambda swept: swept.place)
        means = [measure.drawn(float(np.mean(swept.accuracies))) for swept in ordered]
        axes.plot([swept.place for swept in ordered], means, color=style.colour, marker=style.marker, markersize=9,
                  markeredgecolor="white", linestyle=style.line, linewidth=2, label=broken(name), zorder=3)
        for swept in ordered:
            axes.scatter([swept.place] * len(swept.accuracies), measure.drawn(np.array(swept.accuracies)), s=14,
                         color="white", edgecolor=style.colour, linewidth=0.9, zorder=4)
    if log:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    values = {swept.place: swept.value for own in series.values() for swept in own}
    _mark_values(axes, values, "" if x == key else key)
    axes.set_xlabel(x, fontsize=TEXT)
    label_accuracies(axes, accuracy, measure)
    finish(axes, legend_columns(series, 5.6))
    return figure


def _mark_values(axes: Axes, values: Mapping[float, str], key: str) -> None:
    """Mark values at their positions: as ticks, or, if ticks are something else, above the axes with the name of their
    key."""
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
    figure, axes = lines_figure(5.6, curves, label, f"{accuracy} against {x}", "thick: mean over seeds, as far as all "
                                 "of them go; thin: every seed; dots: where they end")
    styles = styles_of(curves, names)
    for name, own in curves.items():
        style = styles[name]
        for places, values in own:
            axes.plot(places, measure.drawn(values), color=style.colour, linewidth=0.7, alpha=0.5,
                      drawstyle="steps-post", **_dot_at_end(len(places), 3))
        grid, middle = mean_curve(own)
        axes.plot(grid, measure.drawn(middle), color=style.colour, linewidth=2.2, linestyle=style.line,
                  drawstyle="steps-post", label=broken(name), **_dot_at_end(len(grid), 6))
    if log:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.set_xlabel(x, fontsize=TEXT)
    label_accuracies(axes, accuracy, measure)
    finish(axes, legend_columns(curves, 5.6))
    return figure


def _dot_at_end(points: int, size: float) -> dict[str, Any]:
    """Options of a line that mark its last point: a curve of one point would not be seen without."""
    return {"marker": "o", "markersize": size, "markevery": [points - 1]} if points else {}


def receptive_fields_side_by_side(weights: Mapping[str, Tensor], target: Sheet, source: Sheet, label: str = "",
                                  tiles: int = 6, remark: str = "") -> Figure:
    """The first layer's weights (target units, source units) of one run per name: the same `tiles` × `tiles` units of
    each, every run's weights divided by their standard deviation, in one scale. A remark goes below."""
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
    """Smoothness of the weights by encoding: the share of their power at every spatial frequency. A remark goes
    below."""
    figure, axes = lines_figure(5.2, weights, label, "how smooth the weights are", "Fourier transform of every hidden "
                                 "unit's weights over the inputs; directions and units summed"
                                 + added(remark))
    styles = styles_of(weights, names)
    for name, own in weights.items():
        style = styles[name]
        frequencies, shares = spectrum(own, source)
        axes.plot(frequencies, np.maximum(shares, 1e-9), color=style.colour, marker=style.marker, markersize=4,
                  linewidth=1.4, linestyle=style.line, label=broken(name))
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-6))
    log_ticks(axes.yaxis)
    axes.yaxis.set_major_formatter(percent)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("spatial frequency, waves across the image", fontsize=TEXT)
    axes.set_ylabel("share of the power", fontsize=TEXT)
    finish(axes, legend_columns(weights, 5.2))
    return figure


def fitness_distribution(kinds: Sequence[tuple[str, Mapping[str, np.ndarray]]], label: str = "",
                         names: Sequence[str] = ()) -> Figure:
    """Fitness of every network of the last generation, by kind of fitness, each on axes of its own, and by run: all
    networks as dots, their quartiles as a box."""
    counts = [len(fitness) for _, fitness in kinds]
    figure = new_figure(9.0, 0.6 * sum(counts) + 1.2 * len(kinds) + 1.4, label, "fitness in the last generation",
                        "dots: networks; boxes: their middle half, with the median"
                        + ("; values on different axes cannot be compared" if len(kinds) > 1 else ""))
    styles = styles_of([name for _, fitness in kinds for name in fitness], names)
    grid = figure.subplots(len(kinds), 1, squeeze=False, height_ratios=[0.6 * count + 0.6 for count in counts])
    for axes, (kind, fitness) in zip(grid.flat, kinds, strict=True):
        _boxes(axes, fitness, styles)
        axes.set_xlabel(kind, fontsize=TEXT)
    return figure


def _boxes(axes: Axes, fitness: Mapping[str, np.ndarray], styles: Mapping[str, Style]) -> None:
    noise = np.random.default_rng(0)
    for place, (own, values) in enumerate(fitness.items()):
        axes.scatter(values, place + noise.uniform(-0.22, 0.22, len(values)), s=9, color=styles[own].colour, alpha=0.5,
                     linewidth=0)
        axes.boxplot(values, positions=[place], orientation="horizontal", widths=0.5, showfliers=False,
                     medianprops={"color": INK}, boxprops={"color": INK}, whiskerprops={"color": FAINT},
                     capprops={"color": FAINT})
    axes.set_yticks(range(len(fitness)), [broken(own) for own in fitness], fontsize=SMALL)
    axes.set_ylim(len(fitness) - 0.5, -0.5)
    bare(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
