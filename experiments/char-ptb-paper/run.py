"""Table 3 of Ha, Dai & Le (2016) at its own size: Penn Treebank by characters, recurrent layers of 1000 units.

    python experiments/char-ptb-paper/run.py [--minutes 8] [--seeds 1] [--runs DIR] [NAME ...]

The shipped configs char-ptb-…, 75 times through the text, with products in TF32 where there is a GPU. One call is a
stretch of at most so many minutes: it goes on from the last checkpoint, and ends after a round. Call it again until it
says that all is done. Results are in results.csv beside this file, from the runs' own result.json.
"""

from math import log
from pathlib import Path

from hyperevo.compare.studies import along_and_after, arguments, record_stretch
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import curves_beside_tests

OWN = ["search.precision=tf32"]
VARIANTS = {name: (f"char-ptb-{name}", OWN)
            for name in ("layernorm-hyperlstm", "lstm", "layernorm-lstm", "hyperlstm")}
COLUMNS = ("name", "data", "seed", "test_bits_per_character", "validation_bits_per_character", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test characters; evaluations are steps."""
SPELT = {"lstm": "LSTM", "layernorm-lstm": "LSTM, layer norm", "hyperlstm": "HyperLSTM",
         "layernorm-hyperlstm": "HyperLSTM, layer norm"}


def draw(table: Path, runs: Path) -> None:
    """All layers and seeds in one figure."""
    curves, tests = along_and_after(table, runs, SPELT, lambda row: -float(row["mean"]) / log(2),
                                    "test_bits_per_character")
    if curves:
        save_figure(curves_beside_tests(curves, tests, "steps along the gradient", "training bits per character",
                                        "test bits per character", "Penn Treebank, 1000 units",
                                        "training: with dropout, the mean of the 391 steps before"),
                    table.with_name("curves.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 1, "runs/char-ptb-paper", minutes=8)
    results = Path(__file__).with_name("results.csv")
    done = record_stretch(options, VARIANTS, results, COLUMNS)
    draw(results, options.runs)
    print("all is done" if done else "the stretch is over; the same command goes on")
