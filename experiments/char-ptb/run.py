"""Static against dynamic weights on Penn Treebank by characters: four recurrent layers of as many parameters each.

    python experiments/char-ptb/run.py [--seeds 3] [--runs DIR] [NAME ...]

The configs char-ptb-… are the paper's, of 1000 units; here they are made smaller, until each has about 328,000
parameters, and see all of the training text twice. Runs what is missing (a finished run in DIR is kept, a broken
one resumed), then writes results.csv beside this file from the runs' own result.json. Figures are in the run folders.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from recorder import arguments, record

EPOCHS = 2
SMALL = ["task.sequences=32", "search.learning_rate=0.003", "search.schedule=one-cycle", "search.steps_per_round=313",
         f"run.rounds={5 * EPOCHS}", "run.validate_every=5", "target.keep=1.0", "threads=1"]
HYPER = ["target.hidden=232", "target.hyper=32"]
VARIANTS = {
    "lstm": ("char-ptb-lstm", [*SMALL, "target.hidden=256"]),
    "layernorm-lstm": ("char-ptb-layernorm-lstm", [*SMALL, "target.hidden=256"]),
    "hyperlstm": ("char-ptb-hyperlstm", [*SMALL, *HYPER]),
    "layernorm-hyperlstm": ("char-ptb-layernorm-hyperlstm", [*SMALL, *HYPER]),
}
COLUMNS = ("name", "data", "seed", "test_bits_per_character", "validation_bits_per_character", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test characters; evaluations are steps."""

if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 3, "runs/char-ptb")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), COLUMNS)
