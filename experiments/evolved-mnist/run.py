"""How far evolved networks get on MNIST, 784-256-10, in minutes of one core: cppn-mnist and dct-eggroll-mnist.

    python experiments/evolved-mnist/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), writes results.csv and curves.csv beside this
file, from the runs' own results and the processor's clock, and draws accuracy.png. Runs have one thread, so seconds of
the processor are those of one core, however busy the machine is.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path

from hyperevo.compare.studies import add_rows, arguments, result
from hyperevo.runs import Round, finished

NAMES = ("cppn-mnist", "dct-eggroll-mnist")
COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "encoded_genes", "direct_parameters",
           "generated_weights", "rounds", "evaluations", "processor_seconds", "seconds", "peak_memory_gb")
POINTS = ("name", "seed", "round", "processor_seconds", "validation_accuracy")
HERE = Path(__file__).parent


def clock(name: str, seed: int, curves: Path) -> tuple[list[dict[str, str]], Callable[[Round], None]]:
    """Points of a run's curve so far, and a function that adds one after every validation."""
    points = read_points(name, seed, curves)
    before, started = float(points[-1]["processor_seconds"]) if points else 0.0, time.process_time()

    def observe(round_: Round) -> None:
        if round_.validation_score is not None:
            add_point(curves, dict(zip(POINTS, (name, seed, round_.number, before + time.process_time() - started,
                                                round_.validation_score), strict=True)))

    return points, observe


def read_points(name: str, seed: int, curves: Path) -> list[dict[str, str]]:
    """Points of one run in the table of curves."""
    if not curves.exists():
        return []
    with curves.open(newline="") as file:
        return [row for row in csv.DictReader(file) if (row["name"], row["seed"]) == (name, str(seed))]


def add_point(curves: Path, point: dict[str, object]) -> None:
    """Add a line to the table of curves, which is made where it is missing."""
    new = not curves.exists()
    with curves.open("a", newline="") as file:
        writer = csv.DictWriter(file, POINTS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(point)


def record(name: str, seed: int, runs: Path) -> None:
    """Make or complete one run, and write its row."""
    folder, curves = runs / f"{name}-{seed}", HERE / "curves.csv"
    if not finished(folder):
        _, observe = clock(name, seed, curves)
        result(name, seed, folder, {}, observe)
    row = result(name, seed, folder, {})
    row["processor_seconds"] = round(float(read_points(name, seed, curves)[-1]["processor_seconds"]), 1)
    add_rows(HERE / "results.csv", COLUMNS, {(name, seed): row})


if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/evolved-mnist")
    for chosen in options.names:
        for number in range(options.seeds):
            record(chosen, number, options.runs)
