"""Outcomes of the runs of a comparison, run by run and row by row."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hyperevo.compare.plan import Entry, as_text
from hyperevo.compare.statistics import Estimate, interquartile_mean, mean
from hyperevo.config import Values
from hyperevo.measure import Measure
from hyperevo.runs import finished
from hyperevo.runs.files import write_text
from hyperevo.runs.schemas import METRICS, TIMING, ResultFile, read_checked, read_log

COLUMNS = ("name", "seed", "finished", "test_accuracy", "validation_accuracy", "encoding", "search", "encoded_genes",
           "direct_parameters", "generated_weights", "fitted_parameters", "evaluations", "images", "operations",
           "seconds", "peak_memory_gb", "data", "test_images", "folder")


@dataclass(frozen=True)
class Curve:
    """Progress of one run, (points,) each, wherever a champion was known: evaluations, seconds, and the champion's
    validation score."""

    evaluations: np.ndarray
    seconds: np.ndarray
    accuracy: np.ndarray

    def along(self, axis: str) -> np.ndarray:
        """Evaluations or seconds (points,), as `axis` names them."""
        return {"evaluations": self.evaluations, "seconds": self.seconds}[axis]


@dataclass(frozen=True)
class Outcome:
    """One run: its result, None while it is not finished, and its curve so far, None before its first validation."""

    entry: Entry
    result: Values | None
    curve: Curve | None


@dataclass(frozen=True)
class Row:
    """All seeds of one name. Estimates are of test accuracy over the seeds that are finished; costs are means."""

    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def results(self) -> list[Values]:
        """Results of the seeds that are finished."""
        return [outcome.result for outcome in self.outcomes if outcome.result is not None]

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of every seed that is finished."""
        return [result["test_accuracy"] for result in self.results]

    @property
    def measure(self) -> Measure:
        """Name and format of the score."""
        return Measure.read(self.results[0])

    @cached_property
    def mean(self) -> Estimate:
        """Estimate of the mean test accuracy."""
        return mean(self.accuracies)

    @cached_property
    def middle(self) -> Estimate:
        """Estimate of the inter-quartile mean of the test accuracies."""
        return interquartile_mean(self.accuracies)

    def cost(self, key: str) -> float:
        """Mean over the results of the number called `key`."""
        return float(np.mean([result[key] for result in self.results]))

    @property
    def searched(self) -> float:
        """Mean number of what is searched: encoded genes and direct parameters."""
        return self.cost("encoded_genes") + self.cost("direct_parameters")


def read_outcomes(entries: Sequence[Entry]) -> list[Outcome]:
    """Outcomes of runs as they are on disk."""
    return [Outcome(entry, read_checked(entry.folder / "result.json", ResultFile) if finished(entry.folder) else None,
                    _read_curve(entry.folder)) for entry in entries]


def _read_curve(folder: Path) -> Curve | None:
    metrics, timing = read_log(folder / "metrics.csv", METRICS), read_log(folder / "timing.csv", TIMING)
    clock = np.cumsum([float(row["seconds"]) for row in timing])
    known = [(float(row["evaluations"]), clock[place], float(row["champion_accuracy"]))
             for place, row in enumerate(metrics[: len(clock)]) if row["champion_accuracy"]]
    return Curve(*np.array(known).T) if known else None


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Rows by name, in the order of the comparison; names without a finished seed are left out."""
    every = [Row(name, tuple(own)) for name, own in by_name(outcomes)]
    return [row for row in every if row.results]


def by_name(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    """(name, outcomes of its runs) in the order of the comparison."""
    for name in dict.fromkeys(outcome.entry.name for outcome in outcomes):
        yield name, [outcome for outcome in outcomes if outcome.entry.name == name]


def unfinished(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes without a result."""
    return [outcome for outcome in outcomes if outcome.result is None]


def write_results(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write results.csv: one line per run, also for those that are not finished."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        config = outcome.entry.config
        values = {"name": outcome.entry.name, "seed": outcome.entry.seed, "finished": outcome.result is not None,
                  "encoding": config.part("encoding").name, "search": config.part("search").name,
                  "folder": outcome.entry.folder.name}
        writer.writerow({key: as_text(value) for key, value in {**(outcome.result or {}), **values}.items()})
    write_text(path, text.getvalue())
