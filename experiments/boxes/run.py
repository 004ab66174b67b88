"""Visual discrimination (Stanley, D'Ambrosio & Gauci 2009): generations until every trial is solved, and how champions
do on finer fields that they were not evolved on.

    python experiments/boxes/run.py [--seeds 20] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and figures beside
this file from the runs' own result.json. A run ends when its champion solves all 75 trials, or after 300 generations.
"""

from pathlib import Path

from hyperevo.compare.studies import arguments, champions_along, read_table, record
from hyperevo.plots.comparison import accuracy_along
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import across_sizes

DIRECT = ["encoding={name='direct', scale=1.0}"]
VARIANTS = {
    "hyperneat-delta": ("boxes", ["run.until=1.0"]),
    "hyperneat": ("boxes", ["run.until=1.0", "encoding.delta=false"]),
    # The paper's other side, P-NEAT: the graph is the network. It begins with all 14,641 links.
    "p-neat": ("boxes", ["run.until=1.0", "target={name='network'}", "encoding={name='network'}",
                         "search.connection=full_direct", "search.functions=['sigmoid']",
                         "search.output_function=sigmoid"]),
    # Fixed networks, evolved weight by weight by a genetic algorithm, and by SNES.
    "direct-genetic": ("boxes", ["run.until=1.0", *DIRECT, "search={name='genetic', population=150}"]),
    "direct-snes": ("boxes", ["run.until=1.0", *DIRECT, "search={name='snes', population=150}"]),
    "dct-snes": ("boxes", ["run.until=1.0", "encoding={name='dct', coefficients=[5, 5, 5, 5]}",
                           "search={name='snes', population=150, deviation=1.0}"]),
}
PAPER = ("hyperneat-delta", "hyperneat", "p-neat")
"""The encodings that the paper compares."""
SIZES = ("11", "33", "55")
COLUMNS = ("name", "seed", "rounds", "validation_accuracy", "encoded_genes", "direct_parameters", "generated_weights",
           *(f"{what}_{size}" for size in SIZES for what in ("accuracy", "distance", "pairs")), "seconds")
"""rounds are generations; validation_accuracy is that of the 75 trials, the others are those of every pair of boxes."""


def spread(row: dict) -> dict:
    """A result with a column for every number of its retests."""
    return row | {f"{what}_{size}": value for size, values in row.get("retests", {}).items()
                  for what, value in values.items()}


def draw(table: Path, runs: Path) -> None:
    """Figures 10a and 10b of the paper: along the generations, as there and of all encodings; at other resolutions."""
    rows = [row for (name, seed), row in read_table(table).items() if (runs / f"{name}-{seed}").is_dir()]
    curves: dict[str, list] = {}
    scaled: dict[str, list] = {}
    for row in rows:
        name = row["name"]
        curves.setdefault(name, []).append(champions_along(runs / f"{name}-{row['seed']}", 300))
        if row["accuracy_55"]:
            scaled.setdefault(name, []).append([float(row[f"accuracy_{size}"]) for size in SIZES])
    save_figure(accuracy_along(curves, "generations", "Visual discrimination, 75 trials"),
                table.with_name("generations.png"))
    if "p-neat" in curves:
        save_figure(accuracy_along({name: curves[name] for name in PAPER if name in curves}, "generations",
                                   "Visual discrimination, 75 trials"), table.with_name("p-neat.png"))
    label, remark = "Visual discrimination, every pair of boxes", "champions of 11 × 11; rings: seeds; line: mean"
    save_figure(across_sizes(scaled, [f"{size} × {size}" for size in SIZES], label, remark=remark, names=tuple(curves)),
                table.with_name("scaling.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 20, "runs/boxes")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS, spread)
    draw(results, options.runs)
