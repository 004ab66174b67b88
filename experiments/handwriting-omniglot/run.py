"""Static against dynamic weights on pen strokes: an LSTM and HyperLSTMs of as many parameters, on Omniglot's drawings.

    python experiments/handwriting-omniglot/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from recorder import arguments, record

NAMES = ("handwriting-omniglot-lstm", "handwriting-omniglot-hyperlstm")
COLUMNS = ("name", "data", "seed", "test_nats_per_drawing", "validation_nats_per_drawing", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test drawings; evaluations are steps."""

if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/handwriting-omniglot")
    record(options, {}, Path(__file__).with_name("results.csv"), COLUMNS)
