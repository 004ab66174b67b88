"""Figures of studies in experiments/: seeds that solved a task, champions at other sizes, curves beside tests."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure

from hyperevo.measure import ACCURACY, Measure
from hyperevo.plots._series import (
    COLOURS,
    LINES,
    MARKERS,
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
from hyperevo.plots._style import FAINT, INK, NEGATIVE, SMALL, TEXT, bare, new_figure


def across_sizes(points: Mapping[str, Sequence[Sequence[float]]], sizes: Sequence[str], label: str = "",
                 measure: Measure = ACCURACY, remark: str = "", names: Sequence[str] = ()) -> Figure:
    """Accuracy of champions at sizes that they were not evolved at: by name, for every seed one value a size. The mean
    over seeds as a line, every seed as a ring. `names` are all of the study, so that each keeps its colour."""
    figure, axes = lines_figure(5.6, points, label, f"test {measure.name} against size", remark)
    styles = styles_of(points, names)
    for place, (name, own) in enumerate(points.items()):
        style, values = styles[name], measure.drawn(np.array(own, dtype=float))
        # Beside each other, or the rings of names would lie on each other.
        across = np.arange(len(sizes)) + 0.06 * (place - (len(points) - 1) / 2)
        axes.plot(across, values.mean(0), color=style.colour, marker=style.marker, linestyle=style.line, linewidth=2,
                  markersize=9, markeredgecolor="white", label=broken(name), zorder=3)
        axes.scatter(np.tile(across, len(values)), values.ravel(), s=14, color="white", edgecolor=style.colour,
                     linewidth=0.9, alpha=0.8, zorder=2)
    axes.set_xticks(range(len(sizes)), sizes)
    label_accuracies(axes, f"test {measure.name}", measure)
    finish(axes, legend_columns(points, 5.6))
    return figure


def success_along(solved: Mapping[str, Sequence[float]], last: float, x: str, label: str = "") -> Figure:
    """Share of seeds that have solved a task by some point of their runs, from each seed's point by name, infinite if
    it never did. Curves end where runs do, at `last`, or soon after the last seed that solved it."""
    slowest = max(max(own) for own in solved.values())
    last = min(last, 1.15 * slowest)
    shown = {name: f"{name} ({int(np.isfinite(own).sum())} of {len(own)})" for name, own in solved.items()}
    figure, axes = lines_figure(5.6, shown.values(), label, f"share of seeds solved against {x}",
                                 "in brackets: seeds that solved it, of all")
    styles = styles_of(solved, ())
    for name, own in solved.items():
        steps = np.sort(np.array(own, dtype=float))
        steps = steps[steps <= last]
        places, shares = np.append(np.insert(steps, 0, 0), last), np.arange(len(steps) + 1) / len(own)
        axes.plot(places, np.append(shares, shares[-1]), color=styles[name].colour, linestyle=styles[name].line,
                  linewidth=2.2, drawstyle="steps-post", label=broken(shown[name]))
    axes.set_xlim(0, last)
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(percent)
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel("seeds solved", fontsize=TEXT)
    finish(axes, legend_columns(shown.values(), 5.6))
    return figure


def curves_beside_tests(curves: Curves, tests: Mapping[str, Sequence[float]], x: str, y: str, test: str,
                        label: str = "", remark: str = "", log: bool = False) -> Figure:
    """Curves of runs on the left, `y` over `x`, on a log axis where asked for: the mean over seeds as a thick line,
    every seed as a thin one. Tests on the right: each seed's value as a mark, by name, and the mean as a bar."""
    figure = new_figure(11.0, 4.9, label, f"{y} along the runs, and {test}",
                        f"{remark}; small: seeds; large: means" if remark else "small: seeds; large: means")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    styles = styles_of(curves, ())
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
    if log:
        log_ticks(left.yaxis)
        left.yaxis.set_major_formatter("{x:g}")
    means = {name: f"{np.mean(values):.4g}".replace("-", "−") for name, values in tests.items()}
    right.set_yticks(range(len(curves)), [f"{name}\n{means[name]}" for name in curves], fontsize=SMALL)
    right.invert_yaxis()
    right.margins(x=0.1, y=0.15)
    right.set_xlabel(test, fontsize=TEXT)
    for axes in (left, right):
        bare(axes)
    left.legend(fontsize=SMALL, loc="best", frameon=False)
    right.grid(visible=False, axis="y")
    right.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


def before_and_after(accuracies: Mapping[str, tuple[Sequence[float], Sequence[float]]], sides: tuple[str, str],
                     label: str = "", accuracy: str = "test accuracy") -> Figure:
    """Effect of one change on every row: accuracies of all seeds before and after, their means joined by a line."""
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
    axes.xaxis.set_major_formatter(percent)
    finish(axes, 1)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return figure


def seeds_in_plane(points: Points, x: str, y: str, headline: str, label: str = "", remark: str = "") -> Figure:
    """Two values of every seed's champion against each other, one mark per seed, by name."""
    figure, axes = lines_figure(5.6, points, label, headline, remark)
    styles = styles_of(points, ())
    for place, (name, own) in enumerate(points.items()):
        # One within the other where seeds of several names meet.
        across, up = np.array(own, dtype=float).T
        axes.scatter(across, up, s=30 * (len(points) - place) + 20, facecolor="none", linewidth=1.6,
                     edgecolor=styles[name].colour, marker=styles[name].marker, alpha=0.8, label=broken(name))
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    finish(axes, legend_columns(points, 5.6))
    return figure


def evaluations_to_solve(curve: Mapping[int, Sequence[float | None]], others: Mapping[str, Sequence[float | None]],
                         budget: float, label: str = "") -> Figure:
    """Koutník's curve: evaluations until each seed solved the task, on a log axis, by number of coefficients, and
    beside it by the name of another encoding; None for seeds that did not solve it within the budget."""
    figure = new_figure(9.0, 5.6, label, "evaluations to solve", "rings: seeds; large marks and lines: medians of "
                        "all; above: how many solved it")
    axes, noise = figure.add_subplot(), np.random.default_rng(0)
    columns = {**{str(count): values for count, values in curve.items()}, **others}
    styles = [Style(COLOURS[number], MARKERS[number], LINES[number])
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
    log_ticks(axes.yaxis)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_xticks(places, list(columns), fontsize=TEXT)
    axes.set_xlabel("cosine coefficients and biases, and other encodings", fontsize=TEXT)
    axes.set_ylabel("evaluations to solve", fontsize=TEXT)
    bare(axes)
    return figure
