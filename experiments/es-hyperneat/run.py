"""ES-HyperNEAT (Risi & Stanley 2012): generations until parity of 3 bits is solved on networks whose hidden nodes are
found, and how far the retina problem gets.

    python experiments/es-hyperneat/run.py [--seeds 30] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and a figure for
each task beside this file. A run ends when its champion is right on all patterns, or after 300 generations of parity
and 1,000 of the retina, of which there are five seeds at most.
"""

import sys
from argparse import Namespace
from pathlib import Path

from hyperevo.plots.comparison import success_along
from hyperevo.plots.run_figures import save_figure
from hyperevo.runs.files import read_tensors

sys.path.insert(0, str(Path(__file__).parents[1]))
from recorder import arguments, read_table, record, success_rounds

PARITY = ["run.until=1.0", "run.rounds=300", "encoding.maximum_depth=4"]
RETINA = ["run.rounds=1000"]
VARIANTS = {
    "parity": ("es-hyperneat-parity", PARITY),
    "parity-depth-3": ("es-hyperneat-parity", [*PARITY, "encoding.maximum_depth=3"]),
    "retina": ("es-hyperneat-retina", RETINA),
    "retina-no-seeds": ("es-hyperneat-retina", [*RETINA, "search.locality=''", "search.layering=false",
                                                "search.connection=full_direct"]),
}
TASKS = {"parity": ("Parity of 3 bits, population 150", 300), "retina": ("Retina, population 300", 1000)}
RETINA_SEEDS = 5
COLUMNS = ("name", "seed", "rounds", "champion_round", "validation_accuracy", "hidden_nodes", "generated_weights",
           "encoded_genes", "separation", "seconds", "seconds_a_round")
"""rounds are generations; validation_accuracy is that of all patterns, of which there are no others; generated_weights
are the champion's connections."""


def main(options: Namespace) -> None:
    """Run, record and draw."""
    table = Path(__file__).with_name("results.csv")

    def spread(row: dict) -> dict:
        weights = read_tensors(options.runs / f"{row['name']}-{row['seed']}" / "champion" / "weights.safetensors")
        return row | {"hidden_nodes": len(weights["hidden.places"]),
                      "seconds_a_round": round(row["seconds"] / row["rounds"], 3)}

    for name in options.names:
        seeds = min(options.seeds, RETINA_SEEDS) if name.startswith("retina") else options.seeds
        record(Namespace(names=[name], seeds=seeds, runs=options.runs), VARIANTS, table, COLUMNS, spread)
    rows = list(read_table(table).values())
    for task, (label, last) in TASKS.items():
        solved = success_rounds([row for row in rows if row["name"].startswith(task)])
        if solved:
            save_figure(success_along(solved, last, "generations", label), table.with_name(f"{task}.png"))


if __name__ == "__main__":
    main(arguments(__doc__, tuple(VARIANTS), 30, "runs/es-hyperneat"))
