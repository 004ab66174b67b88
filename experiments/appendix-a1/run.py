"""The coordinate network of appendix A.1: 801 genes paint 200,704 weights, with ReLU, with sines, and directly.

    python experiments/appendix-a1/run.py [--seeds 5] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders.
"""

from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record

NAMES = ("appendix-a1", "appendix-a1-sine", "appendix-a1-direct")
VARIANTS = {
    "appendix-a1-sine": ("appendix-a1", ["encoding.activation=sine"]),
    "appendix-a1-direct": ("appendix-a1", ["encoding={name='direct', scale=1.0}", "search.learning_rate=0.003",
                                           "task.images=250", "search.steps_per_round=220"]),
}

if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 5, "runs/appendix-a1")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
