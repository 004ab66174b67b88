"""ES-HyperNEAT (Risi & Stanley 2012): generations until parity of 3 bits is solved on networks whose hidden nodes are
found, and generations until the retina problem is solved.

    python experiments/es-hyperneat/run.py [--seeds 30] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv, a figure for each
task and the network of a champion that solved the retina beside this file. A run ends when its champion is right on all
patterns, or after 300 generations of parity and 400 of the retina, of which there are five seeds at most: all of the
retina takes about an hour of one core.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from hyperevo.compare.studies import arguments, champions_along, read_table, record, success_rounds
from hyperevo.pictures import FoundNetworkPicture
from hyperevo.plots.comparison import accuracy_along
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.run_view import open_view
from hyperevo.plots.studies import success_along
from hyperevo.plots.substrate import found_network
from hyperevo.tensors import read_tensors

PARITY_GENERATIONS, RETINA_GENERATIONS = 300, 400
PARITY = ["run.until=1.0", f"run.rounds={PARITY_GENERATIONS}", "encoding.maximum_depth=4"]
RETINA = [f"run.rounds={RETINA_GENERATIONS}"]
LINE, BY_TREE = "task.layout=line", "encoding.bias_everywhere=false"
VARIANTS = {
    "parity": ("es-hyperneat-parity", PARITY),
    "parity-depth-3": ("es-hyperneat-parity", [*PARITY, "encoding.maximum_depth=3"]),
    "retina": ("es-hyperneat-retina", RETINA),
    "retina-bias-by-tree": ("es-hyperneat-retina", [*RETINA, BY_TREE]),
    "retina-line": ("es-hyperneat-retina", [*RETINA, LINE]),
    "retina-line-bias-by-tree": ("es-hyperneat-retina", [*RETINA, LINE, BY_TREE]),
    "retina-no-seeds": ("es-hyperneat-retina", [*RETINA, "search.locality=''", "search.layering=false",
                                                "search.connection=full_direct"]),
}
SHOWN = {"parity": "depth 4", "parity-depth-3": "depth 3"}
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
    draw(table, options.runs)


def draw(table: Path, runs: Path) -> None:
    """Parity: the share of seeds that solved it, along the generations. The retina: the share of patterns."""
    rows = list(read_table(table).values())
    if solved := success_rounds([row for row in rows if row["name"] in SHOWN]):
        named = {SHOWN[name]: own for name, own in solved.items()}
        save_figure(success_along(named, PARITY_GENERATIONS, "generations", "Parity of 3 bits, population 150"),
                    table.with_name("parity.png"))
    curves: dict[str, list] = {}
    for row in rows:
        folder = runs / f"{row['name']}-{row['seed']}"
        if row["name"] not in SHOWN and (folder / "metrics.csv").exists():
            curves.setdefault(row["name"], []).append(champions_along(folder, RETINA_GENERATIONS))
    if curves:
        save_figure(accuracy_along(curves, "generations", "Retina, left and right, population 300"),
                    table.with_name("retina.png"))
    solved = [row for row in rows if row["name"] == "retina" and float(row["validation_accuracy"]) == 1]
    if solved:
        draw_smallest(solved, runs, table.with_name("champion.png"))


def draw_smallest(solved: Sequence[dict[str, str]], runs: Path, file: Path) -> None:
    """The champion with the fewest connections: its network, and weights painted from an input and a hidden node."""
    row = min(solved, key=lambda row: int(row["generated_weights"]))
    view = open_view(runs / f"{row['name']}-{row['seed']}")
    picture, = (own for own in view.encoding.figures(view.champion) if isinstance(own, FoundNetworkPicture))
    save_figure(found_network(picture, f"Retina, ES-HyperNEAT, seed {row['seed']}"), file)


if __name__ == "__main__":
    main(arguments(__doc__, tuple(VARIANTS), 30, "runs/es-hyperneat"))
