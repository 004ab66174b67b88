"""Static against dynamic weights on Penn Treebank by characters: four recurrent layers of as many parameters each.

    python experiments/char-ptb/run.py [--seeds 3] [--runs DIR] [NAME ...]

The configs char-ptb-… are the paper's, of 1000 units; here they are made smaller, until each has about 328,000
parameters, and see all of the training text twice, each layer at two learning rates. Runs what is missing (a finished
run in DIR is kept, a broken one resumed), then writes results.csv and figures beside this file from the runs' own
files; without names, also controls.csv.
"""

from argparse import Namespace
from math import log
from pathlib import Path

from hyperevo.compare.studies import along_and_after, arguments, record
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.run_samples import text_figure
from hyperevo.plots.run_view import open_view
from hyperevo.plots.studies import curves_beside_tests
from hyperevo.runs import finished

EPOCHS = 2
SMALL = ["task.sequences=32", "search.learning_rate=0.003", "search.schedule=one-cycle", "search.steps_per_round=313",
         f"run.rounds={5 * EPOCHS}", "run.validate_every=5", "target.keep=1.0", "threads=1"]
HYPER = ["target.hidden=232", "target.hyper=32"]
LAYERS = {
    "lstm": ("char-ptb-lstm", [*SMALL, "target.hidden=256"]),
    "layernorm-lstm": ("char-ptb-layernorm-lstm", [*SMALL, "target.hidden=256"]),
    "hyperlstm": ("char-ptb-hyperlstm", [*SMALL, *HYPER]),
    "layernorm-hyperlstm": ("char-ptb-layernorm-hyperlstm", [*SMALL, *HYPER]),
}
FAST = {f"{name}-fast": (base, [*overrides, "search.learning_rate=0.01"]) for name, (base, overrides) in LAYERS.items()}
LSTM, OWN = LAYERS["lstm"]
CONTROLS = {"lstm-slow": (LSTM, [*OWN, "search.learning_rate=0.001"]),
            "lstm-forget": (LSTM, [*OWN, "target.variant=reference"])}
"""Of one seed: a third learning rate for the LSTM, and 1 more at its forget gates."""
VARIANTS = LAYERS | FAST
COLUMNS = ("name", "data", "seed", "test_bits_per_character", "validation_bits_per_character", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test characters; evaluations are steps."""
SPELT = {"lstm": "LSTM", "layernorm-lstm": "LSTM, layer norm", "hyperlstm": "HyperLSTM",
         "layernorm-hyperlstm": "HyperLSTM, layer norm"}
RATES = {"": "0.003", "-fast": "0.01"}


def draw(table: Path, runs: Path) -> None:
    """For either learning rate, all layers and seeds in one figure; and what one network writes, with the changes of
    its weights."""
    for suffix, rate in RATES.items():
        spelt = {f"{name}{suffix}": label for name, label in SPELT.items()}
        curves, tests = along_and_after(table, runs, spelt, lambda row: -float(row["mean"]) / log(2),
                                        "test_bits_per_character")
        if curves:
            save_figure(curves_beside_tests(curves, tests, "steps along the gradient", "training bits per character",
                                            "test bits per character",
                                            f"Penn Treebank, about 328,000 parameters each, learning rate {rate}",
                                            "training: the mean of the 313 steps before"),
                        table.with_name(f"curves{suffix}.png"))
    writer = runs / "layernorm-hyperlstm-0"
    if finished(writer):
        save_figure(text_figure(open_view(writer)), table.with_name("written_text.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 3, "runs/char-ptb")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS)
    draw(results, options.runs)
    if tuple(options.names) == tuple(VARIANTS):
        record(Namespace(names=tuple(CONTROLS), seeds=1, runs=options.runs), CONTROLS,
               results.with_name("controls.csv"), COLUMNS)
