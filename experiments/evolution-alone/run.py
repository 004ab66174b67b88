"""How far evolution alone gets on MNIST, 784-256-10: every shipped config, several seeds, and what it owes to what.

    python experiments/evolution-alone/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures of the first seed are in its run folder.
"""

import argparse
import csv
import json
from pathlib import Path

from hyperevo.config import load_config
from hyperevo.runs import create_run, execute, finished, open_run

NAMES = ("cppn-mnist", "coordinate-mnist", "dct-mnist", "direct-mnist", "cppn-mnist-graph-kept", "cppn-mnist-neat-only")
VARIANTS = {
    # One champion of the first generation is refined to the end: no change of structure.
    "cppn-mnist-graph-kept": ("cppn-mnist", ["search.refine.rounds=100000"]),
    # No evolution strategy: NEAT's own mutation moves the numbers. Graphs that all differ cannot be evaluated together,
    # so this takes about as long for a ninth of the evaluations.
    "cppn-mnist-neat-only": ("cppn-mnist", ["search.refine.rounds=0", "search.mutate_rate=0.2", "run.rounds=200"]),
}
COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "encoded_genes", "direct_parameters",
           "generated_weights", "rounds", "evaluations", "seconds", "peak_memory_gb")


def result(name: str, seed: int, folder: Path) -> dict:
    """The result of one run, made or completed where it is missing."""
    if not finished(folder):
        base, overrides = VARIANTS.get(name, (name, []))
        config = load_config(base, [f"name={name}", f"seed={seed}", *overrides]).config
        execute(open_run(folder) if (folder / "config.toml").exists() else create_run(config, folder))
    return json.loads((folder / "result.json").read_text())


def main() -> None:
    """Run and tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/evolution-alone"))
    options = parser.parse_args()
    table = Path(__file__).with_name("results.csv")
    rows = {}
    if table.exists():
        with table.open(newline="") as file:
            rows = {(row["name"], int(row["seed"])): row for row in csv.DictReader(file)}
    for name in options.names:
        for seed in range(options.seeds):
            rows[name, seed] = result(name, seed, options.runs / f"{name}-{seed}")
            with table.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows[key] for key in sorted(rows))


if __name__ == "__main__":
    main()
