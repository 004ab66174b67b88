"""Food gathering (D'Ambrosio & Stanley 2007; Stanley, D'Ambrosio & Gauci 2009): robots evolved with eight sensors and
effectors, tested with up to 128 that they were not evolved with.

    python experiments/food/run.py [--seeds 20] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and figures beside
this file from the runs' own result.json. Sensors and effectors lie on two rings or in two rows; the CPPN knows the
distance of two units or not. With it, all food is found in the first generations: what the others are for is how soon.
"""

import math
from pathlib import Path

from hyperevo.compare.studies import arguments, champions_along, read_table, record
from hyperevo.measure import Measure
from hyperevo.plots.comparison import accuracy_along
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import across_sizes, success_along

BARE, ROWS = "encoding.distance=false", "task.layout='rows'"
VARIANTS = {
    "ring-distance": ("food", []),
    "ring": ("food", [BARE]),
    "rows-distance": ("food", [ROWS]),
    "rows": ("food", [ROWS, BARE]),
}
GENERATIONS = 50
ALL_FOUND = 10 / 11
"""The least score of robots that find all food."""

SIZES = ("8", "16", "32", "64", "128")
COLUMNS = ("name", "seed", "rounds", "solved", "champion_round", "validation_accuracy", "encoded_genes",
           *(f"{what}_{size}" for size in SIZES for what in ("accuracy", "ticks")), "seconds")
"""rounds are generations; solved is the one in which all eight pieces of food were found first, infinite if they were
not; validation_accuracy is the score of these; accuracy is the share of food found within 1,000 ticks anywhere around,
ticks are those it took where it was found."""


def spread(row: dict) -> dict:
    """A result with a column for every number of its retests."""
    rounds, scores = champions_along(options.runs / f"{row['name']}-{row['seed']}", GENERATIONS)
    solved = next((float(round_) for round_, score in zip(rounds, scores, strict=True) if score >= ALL_FOUND), math.inf)
    retests = {f"{what}_{size}": value for size, values in row["retests"].items() for what, value in values.items()}
    return row | retests | {"solved": solved}


def draw(table: Path, runs: Path) -> None:
    """Scores along the generations; food found, and how soon, with more sensors."""
    rows = [row for (name, seed), row in read_table(table).items() if (runs / f"{name}-{seed}").is_dir()]
    curves: dict[str, list] = {}
    solved: dict[str, list[float]] = {}
    scaled: dict[str, dict[str, list]] = {"accuracy": {}, "ticks": {}}
    for row in rows:
        along = champions_along(runs / f"{row['name']}-{row['seed']}", GENERATIONS)
        curves.setdefault(row["name"], []).append(along)
        solved.setdefault(row["name"], []).append(float(row["solved"]))
        for what, own in scaled.items():
            own.setdefault(row["name"], []).append([float(row[f"{what}_{size}"]) for size in SIZES])
    label, remark = "Food gathering", "champions of 8 sensors; rings: seeds; line: mean"
    sizes = [f"{size} sensors" for size in SIZES]
    save_figure(accuracy_along(curves, "generations", label, Measure("food score")),
                table.with_name("generations.png"))
    save_figure(success_along(solved, GENERATIONS, "generations", f"{label}, all eight pieces"),
                table.with_name("success.png"))
    save_figure(across_sizes(scaled["accuracy"], sizes, label, Measure("share of food found"), remark),
                table.with_name("scaling.png"))
    save_figure(across_sizes(scaled["ticks"], sizes, label, Measure("ticks to the food that is found", 1.0, "", 0),
                             remark), table.with_name("ticks.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 20, "runs/food")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS, spread)
    draw(results, options.runs)
