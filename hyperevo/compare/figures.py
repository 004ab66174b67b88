"""The figures of a comparison, and the choice of rows for each of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from hyperevo.compare.outcomes import Outcome, Row
from hyperevo.compare.plan import brief_key
from hyperevo.compare.statistics import pareto_front
from hyperevo.geometry import Sheet
from hyperevo.measure import Measure
from hyperevo.plots.comparison import (
    SEARCHED_NUMBERS,
    Swept,
    accuracy_across,
    accuracy_against_genes,
    accuracy_along,
    fitness_distribution,
    receptive_fields_side_by_side,
    spectra,
)
from hyperevo.plots.run_figures import NamedFigures, Observe, open_view, save_all
from hyperevo.plots.run_view import PUT_BACK, shown_data
from hyperevo.runs.fitness_log import read_fitness

CAPTIONS = {
    "accuracy_against_genes": "Test accuracy of networks, against the count of numbers that were searched for them. On "
                              "the dashed line: rows that no smaller one beats.",
    "accuracy_along_evaluations": "The champion's accuracy on the validation images as the search goes on, by networks "
                                  "evaluated.",
    "accuracy_along_seconds": "The champion's accuracy on the validation images, by the time that the search took on "
                              "its machine.",
    "receptive_fields": "Weights of the first layer of every row's champion, of its first finished seed.",
    "spectra": "Power of the same weights by spatial frequency: that of smooth weights is on the left, that of noise "
               "everywhere.",
    "fitness_distribution": "Fitness of the networks of the last generation, in the first finished seed. Only rows "
                            "with the same fitness share an axis.",
}

SWEPT = "Test accuracy by the value of one setting, with all other settings equal."

FAR_APART = 5
"""Ratio of the longest to the shortest run above which rows share a logarithmic axis."""


@dataclass(frozen=True)
class _FirstMatrix:
    """A champion's first matrix (target units, source units); the same matrix with shuffled pixels put back in the
    image's order; a remark on that order; the target and source sheets."""

    weights: Tensor
    over_image: Tensor
    remark: str
    sheets: tuple[Sheet, Sheet]


def comparison_figures(rows: Sequence[Row], outcomes: Sequence[Outcome], trust: bool = False) -> NamedFigures:
    """(file name without suffix, function that draws the figure) for every figure that applies to a comparison.

    Names keep their colours in all of them, also while some of them have no finished seed.
    """
    names = list(dict.fromkeys(outcome.entry.name for outcome in outcomes))
    if rows:
        yield from _accuracies(rows, names)
        yield from _sweeps(rows)
        yield from _weights(rows, names, trust)
        yield from _fitness(rows, names)


def _accuracies(rows: Sequence[Row], names: Sequence[str]) -> NamedFigures:
    """Accuracy against size and along runs; no figure where rows have different measures, which share no axis."""
    measures = {row.measure for row in rows}
    if len(measures) > 1:
        return
    [measure] = measures
    label = _label(rows, rows)
    points = {row.name: [(result["encoded_genes"] + result["direct_parameters"], result["test_accuracy"])
                         for result in row.results] for row in rows}
    front = pareto_front([row.searched for row in rows], [float(np.mean(row.accuracies)) for row in rows])
    yield "accuracy_against_genes", partial(accuracy_against_genes, points, [rows[place].name for place in front],
                                            label, measure, names)
    for axis in ("evaluations", "seconds"):
        curves = {row.name: own for row in rows
                  if (own := [(outcome.curve.along(axis), outcome.curve.accuracy) for outcome in row.outcomes
                              if outcome.result is not None and outcome.curve is not None])}
        ends = [places[-1] for own in curves.values() for places, _ in own]
        if ends:
            yield f"accuracy_along_{axis}", partial(accuracy_along, curves, axis, label, measure,
                                                    max(ends) > FAR_APART * min(ends), names)


def _sweeps(rows: Sequence[Row]) -> NamedFigures:
    """One figure for every varied key, with a curve for every config and every value of the other keys."""
    keys = [key for key, _ in rows[0].outcomes[0].entry.varied]
    measures = {row.measure for row in rows}
    for key in keys if len(measures) == 1 else ():
        values = list(dict.fromkeys(_value(row, key) for row in rows))
        if len(values) > 1:
            x, places = _places(rows, key, values)
            curves: dict[str, list[Swept]] = {}
            for row in rows:
                curves.setdefault(_curve_name(row, key), []).append(
                    Swept(places[row.name], _value(row, key), row.accuracies))
            ends = list(places.values())
            yield (f"accuracy_against_{key.replace('.', '_')}",
                   partial(accuracy_across, curves, key, x, _label(rows, rows), rows[0].measure,
                           min(ends) > 0 and max(ends) > FAR_APART * min(ends)))


def _value(row: Row, key: str) -> str:
    return dict(row.outcomes[0].entry.varied)[key]


def _curve_name(row: Row, key: str) -> str:
    """A row's name without the key that its curve goes along."""
    entry = row.outcomes[0].entry
    keys = [own for own, _ in entry.varied]
    return " ".join([entry.config_name, *(f"{brief_key(own, keys)}={value}" for own, value in entry.varied
                                          if own != key)])


def _places(rows: Sequence[Row], key: str, values: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Label of a sweep's axis, and every row's position on it: the count of searched numbers, where the key sets it;
    the key's value, where that is a number; else the value's index."""
    counts: dict[str, set[float]] = {}
    for row in rows:
        counts.setdefault(_value(row, key), set()).update(
            result["encoded_genes"] + result["direct_parameters"] for result in row.results)
    if all(len(own) == 1 for own in counts.values()) and len(set.union(*counts.values())) == len(values):
        return SEARCHED_NUMBERS, {row.name: min(counts[_value(row, key)]) for row in rows}
    numbers = {value: number for value in values if (number := _number(value)) is not None}
    places = numbers if len(numbers) == len(values) else {value: float(place) for place, value in enumerate(values)}
    return key, {row.name: places[_value(row, key)] for row in rows}


def _number(value: str) -> float | None:
    """A config's value as a number, where it is one, alone or in brackets; else None."""
    try:
        return float(value.strip("[] "))
    except ValueError:
        return None


def _weights(rows: Sequence[Row], names: Sequence[str], trust: bool) -> NamedFigures:
    """Figures of the first matrix of all rows that have it on the most common pair of sheets; kernels are left out."""
    first = {row.name: found for row in rows if (found := _first_matrix(row, trust)) is not None}
    flat = [own.sheets for own in first.values() if len(own.sheets[1].sizes) <= 2]
    if not flat:
        return
    [(usual, _)] = Counter(flat).most_common(1)
    weights = {name: own.weights for name, own in first.items() if own.sheets == usual}
    shown = [row for row in rows if row.name in weights]
    label, shuffled = _label(rows, shown), any(first[row.name].remark for row in shown)
    over_image = {name: first[name].over_image for name in weights}
    yield "receptive_fields", partial(receptive_fields_side_by_side, over_image, *usual, label,
                                      remark=PUT_BACK if shuffled else "")
    yield "spectra", partial(spectra, weights, usual[1], label, names,
                             "shuffled pixels in the order in which they are read" if shuffled else "")


def _first_matrix(row: Row, trust: bool) -> _FirstMatrix | None:
    view = open_view(_first_finished(row).entry.folder, trust)
    if not view.matrices:
        return None
    name, sheets = next(iter(view.matrices.items()))
    weights = view.weights[name]
    return _FirstMatrix(weights, view.over_image(name, weights), view.remark(name), sheets)


def _first_finished(row: Row) -> Outcome:
    return next(outcome for outcome in row.outcomes if outcome.result is not None)


def _fitness(rows: Sequence[Row], names: Sequence[str]) -> NamedFigures:
    """Distributions of fitness, in which rows with one kind of fitness share axes; populations of one are left out."""
    last = {row.name: read_fitness(_first_finished(row).entry.folder / "fitness.bin")[-1].numpy() for row in rows}
    spread = [row for row in rows if len(last[row.name]) > 1]
    kinds: dict[tuple[Measure, str], dict[str, np.ndarray]] = {}
    for row in spread:
        kinds.setdefault(_kind_of_fitness(row), {})[row.name] = last[row.name]
    if kinds:
        yield "fitness_distribution", partial(fitness_distribution, [(kind, own) for (_, kind), own in kinds.items()],
                                              _label(rows, spread), names)


def _kind_of_fitness(row: Row) -> tuple[Measure, str]:
    """The kind of a row's fitness: its task's measure, and the fitness's name with its scale of outputs."""
    task = row.outcomes[0].entry.config.task
    label, remark = task.fitness_label(), task.fitness_remark()
    return row.measure, f"{label.removesuffix(')')}, {remark})" if remark else label


def _label(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    """Label of a figure: the data sets, and the count of rows shown where some are not."""
    data = dict.fromkeys(shown_data(row.outcomes[0].entry.config, row.results[0]["data"]) for row in shown)
    return " and ".join(data) + (f", {len(shown)} of {len(rows)} rows" if len(shown) < len(rows) else "")


def caption(name: str) -> str:
    """Caption of the figure of that name; empty where it has none."""
    return CAPTIONS.get(name, SWEPT if name.startswith("accuracy_against_") else "")


def save_figures(rows: Sequence[Row], outcomes: Sequence[Outcome], folder: Path, trust: bool = False,
                 observe: Observe = lambda *_: None) -> list[Path]:
    """Draw every figure that applies into a folder, as PNG files and in the other formats of the runs' `run.figures`;
    returns their paths. Raises UserError where the folder cannot be written or a finished run cannot be read, and
    UntrustedCode where one needs code that came with it and may not run."""
    formats = dict.fromkeys(["png", *(kind for outcome in outcomes for kind in outcome.entry.config.run.figures)])
    return save_all(comparison_figures(rows, outcomes, trust), folder, list(formats), observe)
