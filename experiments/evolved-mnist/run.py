"""How far evolved networks get on MNIST, 784-256-10, in minutes of one core: a CPPN, and cosine coefficients.

    python experiments/evolved-mnist/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), writes results.csv and curves.csv beside
this file, from the runs' own results and the processor's clock, and draws curves.png. Runs have one thread, so that
seconds of the processor are those of one core, however busy the machine is.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperevo.compare.studies import Curve, add_rows, arguments, read_table, result
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import curves_beside_tests
from hyperevo.runs import Round, finished
from hyperevo.runs.files import read_rows

NAMES = ("cppn-mnist", "dct-eggroll-mnist")
COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "encoded_genes", "direct_parameters",
           "generated_weights", "rounds", "evaluations", "processor_seconds", "seconds", "peak_memory_gb")
POINTS = ("name", "seed", "round", "processor_seconds", "validation_accuracy")
SPELT = {"cppn-mnist": "CPPN, NEAT and NES", "dct-eggroll-mnist": "cosines, EGGROLL"}
TABLE, CURVES = (Path(__file__).with_name(name) for name in ("results.csv", "curves.csv"))


def points_of(name: str, seed: int) -> list[dict[str, str]]:
    """Points of one run's curve."""
    return [row for row in read_rows(CURVES) if (row["name"], row["seed"]) == (name, str(seed))]


def timed(name: str, seed: int) -> Callable[[Round], None]:
    """Function of a round that adds a point to a run's curve after every validation."""
    known = points_of(name, seed)
    before, started = float(known[-1]["processor_seconds"]) if known else 0.0, time.process_time()

    def observe(round_: Round) -> None:
        if round_.validation_score is not None:
            seconds = round(before + time.process_time() - started, 1)
            add_point(name, seed, round_.number, seconds, round_.validation_score)

    return observe


def add_point(*point: object) -> None:
    """Add a line to the table of curves, which is made where it is missing."""
    new = not CURVES.exists()
    with CURVES.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([POINTS, point] if new else [point])


def record(name: str, seed: int, runs: Path) -> None:
    """Make or complete one run, and write its row."""
    folder = runs / f"{name}-{seed}"
    observe = (lambda round_: None) if finished(folder) else timed(name, seed)
    row = result(name, seed, folder, {}, observe)
    seconds = points_of(name, seed)[-1]["processor_seconds"]
    add_rows(TABLE, COLUMNS, {(name, seed): {**row, "processor_seconds": seconds}})


def draw() -> None:
    """Errors on the validation images over minutes of one core, and on the test images."""
    curves: dict[str, list[Curve]] = {}
    tests: dict[str, list[float]] = {}
    for (name, seed), row in sorted(read_table(TABLE).items()):
        own = points_of(name, seed)
        minutes = np.array([float(point["processor_seconds"]) / 60 for point in own])
        errors = np.array([100 - 100 * float(point["validation_accuracy"]) for point in own])
        curves.setdefault(SPELT[name], []).append((minutes, errors))
        tests.setdefault(SPELT[name], []).append(100 * float(row["test_accuracy"]))
    save_figure(curves_beside_tests(curves, tests, "minutes of one core", "validation error, %",
                                    "test accuracy, %", "784-256-10 on MNIST, evolved", log=True),
                TABLE.with_name("curves.png"))


if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/evolved-mnist")
    for chosen in options.names:
        for number in range(options.seeds):
            record(chosen, number, options.runs)
            draw()
