"""Wide ResNet 40-1 on CIFAR-10, kernels generated and trained directly: a few epochs on two cores, side by side.

    python experiments/cifar10/run.py [--seeds 1] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders. The paper's whole schedule is in the shipped configs.
"""

from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record

SHORT = ["search.schedule=one-cycle", "search.steps=[]", "run.rounds=3", "threads=1"]
NAMES = ("wrn-40-1-short", "wrn-40-1-hyper-short")
VARIANTS = {
    "wrn-40-1-short": ("wrn-40-1", SHORT),
    "wrn-40-1-hyper-short": ("wrn-40-1-hyper", [*SHORT, "search.learning_rate=0.004"]),
}

if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 1, "runs/cifar10")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
