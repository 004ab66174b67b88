"""Recurrent layers evolved on the adding problem: an LSTM, the same with layer normalisation, and a HyperLSTM.

    python experiments/adding/run.py [--seeds 3] [--runs DIR] [NAME ...]

All numbers of a network, about 700, are one genotype of SNES; all networks see the same sequences of eight numbers, and
as many evaluations. Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv
and a figure beside this file from the runs' own files.
"""

from pathlib import Path

from hyperevo.compare.studies import along_and_after, arguments, record
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import curves_beside_tests

SMALL = ["task.length=8", "task.images=50", "search.population=50", "run.rounds=250", "run.validate_every=10",
         "threads=1"]
VARIANTS = {
    "lstm": ("adding-hyperlstm", [*SMALL, "target.layer=lstm", "target.hidden=12"]),
    "layernorm-lstm": ("adding-hyperlstm", [*SMALL, "target.layer=layer-norm-lstm", "target.hidden=11"]),
    "hyperlstm": ("adding-hyperlstm", [*SMALL, "target.hidden=6", "target.hyper=4"]),
}
COLUMNS = ("name", "seed", "test_accuracy", "validation_accuracy", "test_images", "direct_parameters", "rounds",
           "evaluations", "operations", "seconds")
"""test_images are test sequences; an accuracy is the share of sums that are right to within 0.04."""
SPELT = {"lstm": "LSTM", "layernorm-lstm": "LSTM, layer norm", "hyperlstm": "HyperLSTM"}


def draw(table: Path, runs: Path) -> None:
    """All layers and seeds in one figure."""
    curves, tests = along_and_after(table, runs, SPELT, lambda row: -float(row["mean"]), "test_accuracy")
    percent = {name: [100 * share for share in own] for name, own in tests.items()}
    save_figure(curves_beside_tests(curves, percent, "networks evaluated", "squared error of the population",
                                    "test accuracy in percent", "Adding two of eight numbers, evolved",
                                    "accuracy: sums right to within 0.04", log=True), table.with_name("curves.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 3, "runs/adding")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS)
    draw(results, options.runs)
