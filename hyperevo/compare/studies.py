"""Studies in experiments/: run what is missing, resume what was broken, write a table from the runs' own results."""

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hyperevo.config import Values, load_config
from hyperevo.runs import Round, create_run, execute, finished, open_run
from hyperevo.runs.files import read_rows

Variants = Mapping[str, tuple[str, Sequence[str]]]
"""Shipped config and overrides of every variant, by name."""
Result = Values
"""A run's result or a row of a table, by column."""
Curve = tuple[np.ndarray, np.ndarray]
"""Steps of a run (points,), and a value at each (points,)."""

GRADIENT_COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "test_images", "encoded_genes",
                    "direct_parameters", "generated_weights", "rounds", "evaluations", "seconds", "peak_memory_gb")
"""Columns of a study along the gradient; evaluations are steps."""


def arguments(description: str, names: Sequence[str], seeds: int, runs: str,
              minutes: float | None = None) -> argparse.Namespace:
    """Parse the command line of a study: names of runs, number of seeds, folder of the runs and, for a study that is
    run in stretches, the minutes of one."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--runs", type=Path, default=Path(runs))
    if minutes is not None:
        parser.add_argument("--minutes", type=float, default=minutes)
    return parser.parse_args()


class StretchOver(Exception):
    """The minutes of a stretch are over, and the last checkpoint of a run is written."""


def result(name: str, seed: int, folder: Path, variants: Variants,
           observe: Callable[[Round], object] = lambda _: None) -> Result:
    """Result of one run, which is made or completed where it is missing; `observe` is called after every round."""
    if not finished(folder):
        base, overrides = variants.get(name, (name, []))
        config = load_config(base, [f"name={name}", f"seed={seed}", *overrides]).config
        execute(open_run(folder) if (folder / "config.toml").exists() else create_run(config, folder), observe)
    return json.loads((folder / "result.json").read_text())


def record(options: argparse.Namespace, variants: Variants, table: Path, columns: Sequence[str],
           spread: Callable[[Result], Result] = dict, observe: Callable[[Round], object] = lambda _: None) -> None:
    """Run every name with every seed, the first seed of all names first, and keep the table up to date after each;
    `spread` makes a row's columns of a result."""
    for seed in range(options.seeds):
        for name in options.names:
            row = spread(result(name, seed, options.runs / f"{name}-{seed}", variants, observe))
            add_rows(table, columns, {(name, seed): row})


def record_stretch(options: argparse.Namespace, variants: Variants, table: Path, columns: Sequence[str]) -> bool:
    """Do as `record` does for so many minutes, less where a round more would take longer, but a round at least: True
    where nothing is left to do, else the next stretch goes on from the last checkpoint."""
    started = time.monotonic()

    def observe(round_: Round) -> None:
        left = 60 * options.minutes - (time.monotonic() - started)
        print(f"round {round_.number}: {round_.seconds:.1f} s, fitness {round_.mean:.4f}, {round_.spent:.1%} done",
              flush=True)
        # The last round leads to the test, and that of a run with one round left is as long as this.
        if round_.seconds > left and round_.spent < 1:
            raise StretchOver

    try:
        record(options, variants, table, columns, observe=observe)
    except StretchOver:
        return False
    return True


def add_rows(table: Path, columns: Sequence[str], added: Mapping[tuple[str, int], Result]) -> None:
    """Add rows, by name and seed, to a table."""
    # Another study's process may have written a row in the meantime.
    rows = {**read_table(table), **added}
    write_table(table, columns, [rows[key] for key in sorted(rows)])


def write_table(table: Path, columns: Sequence[str], rows: Sequence[Result]) -> None:
    """Write rows to a table anew; what is in no column is left out."""
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(table: Path) -> dict[tuple[str, int], Result]:
    """Rows of a table by name and seed; none where there is no file."""
    if not table.exists():
        return {}
    with table.open(newline="") as file:
        return {(row["name"], int(row["seed"])): row for row in csv.DictReader(file)}


def along_and_after(table: Path, runs: Path, spelt: Mapping[str, str], along: Callable[[dict[str, str]], float],
                    test: str) -> tuple[dict[str, list[Curve]], dict[str, list[float]]]:
    """Curves and test values by the names in `spelt`: (steps, values that `along` gives for a round's metrics) of every
    seed's run, and the column `test` of its result. Other names, and runs whose folder is elsewhere, are left out."""
    curves: dict[str, list[Curve]] = {}
    tests: dict[str, list[float]] = {}
    rows = read_table(table)
    for name, seed in sorted((key for key in rows if key[0] in spelt), key=lambda key: list(spelt).index(key[0])):
        folder = runs / f"{name}-{seed}"
        if not finished(folder):
            continue
        metrics = read_rows(folder / "metrics.csv")
        steps = np.array([float(row["evaluations"]) for row in metrics])
        curves.setdefault(spelt[name], []).append((steps, np.array([along(row) for row in metrics])))
        tests.setdefault(spelt[name], []).append(float(rows[name, seed][test]))
    return curves, tests


def champions_along(folder: Path, last: int) -> Curve:
    """Rounds of a run, and the accuracy of its champion; a finished run keeps its last value until the round `last`."""
    metrics = read_rows(folder / "metrics.csv")
    accuracies = [float(row["champion_accuracy"]) for row in metrics]
    return np.array([*(float(row["round"]) for row in metrics), float(last)]), np.array([*accuracies, accuracies[-1]])


def success_rounds(rows: Sequence[Mapping[str, str]]) -> dict[str, list[float]]:
    """Round in which each seed's champion was right throughout, by name; infinite where none was."""
    solved: dict[str, list[float]] = {}
    for row in rows:
        right = float(row["validation_accuracy"]) >= 1
        solved.setdefault(row["name"], []).append(float(row["champion_round"]) if right else math.inf)
    return solved
