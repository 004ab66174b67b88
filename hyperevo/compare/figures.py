"""The figures of a comparison: which rows go into which."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from hyperevo.compare.outcomes import Outcome, Row
from hyperevo.compare.statistics import pareto_front
from hyperevo.data import data_title
from hyperevo.geometry import Sheet
from hyperevo.measure import Measure
from hyperevo.plots.comparison import (
    accuracy_against_genes,
    accuracy_along,
    fitness_distribution,
    receptive_fields_side_by_side,
    spectra,
)
from hyperevo.plots.run_figures import NamedFigures, fitness_name, open_view, save_all
from hyperevo.runs.fitness_log import read_fitness

CAPTIONS = {
    "accuracy_against_genes": "How accurate networks are, against how many numbers had to be found for them. On the "
                              "dashed line: rows that no smaller one beats.",
    "accuracy_along_evaluations": "The champion's accuracy on the validation images as the search goes on, by networks "
                                  "evaluated.",
    "accuracy_along_seconds": "The same by the time that the search took on the machine it ran on.",
    "receptive_fields": "Weights of the first layer of every row's champion, of its first finished seed.",
    "spectra": "How much of the same weights' power lies at which spatial frequency: smooth weights have theirs on the "
               "left, noise has it everywhere.",
    "fitness_distribution": "How the networks of the last generation differ, in the first finished seed. Only rows "
                            "with the same fitness share an axis.",
}

FAR_APART = 5
"""Rows whose runs are so many times longer than others share a log axis."""


def comparison_figures(rows: Sequence[Row], outcomes: Sequence[Outcome]) -> NamedFigures:
    """(file name without suffix, function that draws the figure) for every figure that applies to a comparison.

    Names keep their colours in all of them, also while some of them have no finished seed.
    """
    names = list(dict.fromkeys(outcome.entry.name for outcome in outcomes))
    if rows:
        yield from _accuracies(rows, names)
        yield from _weights(rows, names)
        yield from _fitness(rows, names)


def _accuracies(rows: Sequence[Row], names: Sequence[str]) -> NamedFigures:
    """None where rows are measured in different ways: such numbers share no axis."""
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
                  if (own := [(getattr(outcome.curve, axis), outcome.curve.accuracy) for outcome in row.outcomes
                              if outcome.result is not None and outcome.curve is not None])}
        ends = [places[-1] for own in curves.values() for places, _ in own]
        if ends:
            yield f"accuracy_along_{axis}", partial(accuracy_along, curves, axis, label, measure,
                                                    max(ends) > FAR_APART * min(ends), names)


def _weights(rows: Sequence[Row], names: Sequence[str]) -> NamedFigures:
    """The first matrix of every row that has it on the same sheets as most rows; kernels have no place in an image."""
    first = {row.name: found for row in rows if (found := _first_matrix(row)) is not None}
    flat = {name: (weights, sheets) for name, (weights, sheets) in first.items() if len(sheets[1].sizes) <= 2}
    if not flat:
        return
    [(usual, _)] = Counter(sheets for _, sheets in flat.values()).most_common(1)
    weights = {name: own for name, (own, sheets) in flat.items() if sheets == usual}
    label = _label(rows, [row for row in rows if row.name in weights])
    yield "receptive_fields", partial(receptive_fields_side_by_side, weights, *usual, label)
    yield "spectra", partial(spectra, weights, usual[1], label, names)


def _first_matrix(row: Row) -> tuple[Tensor, tuple[Sheet, Sheet]] | None:
    view = open_view(_first_finished(row).entry.folder)
    return next(((view.weights[name], sheets) for name, sheets in view.matrices.items()), None)


def _first_finished(row: Row) -> Outcome:
    return next(outcome for outcome in row.outcomes if outcome.result is not None)


def _fitness(rows: Sequence[Row], names: Sequence[str]) -> NamedFigures:
    """A figure for every kind of fitness that several rows share, or that is the only one. A population of one has no
    distribution."""
    last = {row.name: read_fitness(_first_finished(row).entry.folder / "fitness.bin")[-1].numpy() for row in rows}
    spread = [row for row in rows if len(last[row.name]) > 1]
    kinds = Counter(_kind_of_fitness(row) for row in spread)
    shared = [kind for kind, count in kinds.items() if count > 1 or len(kinds) == 1]
    for place, kind in enumerate(shared, 1):
        own = [row for row in spread if _kind_of_fitness(row) == kind]
        fitness = {row.name: last[row.name] for row in own}
        yield ("fitness_distribution" if place == 1 else f"fitness_distribution_{place}",
               partial(fitness_distribution, fitness, _label(rows, own), kind[1], names))


def _kind_of_fitness(row: Row) -> tuple[Measure, str]:
    """What tells one fitness from another: the measure of its task, and what it is minus what of which outputs."""
    task = row.outcomes[0].entry.config.part("task")
    scale = getattr(task, "scale_outputs", 0.0)
    return row.measure, fitness_name(task, f", outputs scaled to a deviation of {scale:g}" if scale else "")


def _label(rows: Sequence[Row], shown: Sequence[Row]) -> str:
    """The data sets, and how many rows are shown where some are not."""
    data = dict.fromkeys(data_title(row.results[0]["data"]) for row in shown)
    return " and ".join(data) + (f", {len(shown)} of {len(rows)} rows" if len(shown) < len(rows) else "")


def caption(name: str) -> str:
    """What a figure of that name shows, in words."""
    return CAPTIONS.get(name.rstrip("_0123456789"), "")


def save_figures(rows: Sequence[Row], outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
    """Draw every figure that applies into a folder, as PNG files; returns their paths. Raises UserError where the
    folder cannot be written or a finished run cannot be read."""
    return save_all(comparison_figures(rows, outcomes), folder)
