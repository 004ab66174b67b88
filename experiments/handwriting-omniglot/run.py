"""Static against dynamic weights on pen strokes: an LSTM and a HyperLSTM of as many parameters, on Omniglot's drawings.

    python experiments/handwriting-omniglot/run.py [--seeds 3] [--runs DIR] [NAME ...]

The configs are shipped ones, but for a schedule that fits two cores: every drawing is seen five times, 64 in a batch.
Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from recorder import arguments, record

NAMES = ("handwriting-omniglot-lstm", "handwriting-omniglot-hyperlstm")
EPOCHS = 5
SHORT = ["task.drawings=64", "search.learning_rate=0.003", "search.schedule=one-cycle", "search.steps_per_round=469",
         f"run.rounds={EPOCHS}", "threads=1"]
VARIANTS = {name: (name, SHORT) for name in NAMES}
COLUMNS = ("name", "data", "seed", "test_nats_per_drawing", "validation_nats_per_drawing", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test drawings; evaluations are steps."""

if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/handwriting-omniglot")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), COLUMNS)
