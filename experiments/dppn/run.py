"""Graphs that NEAT evolves and a gradient teaches (DPPN, Fernando et al. 2016): MNIST, and the denoising autoencoder.

    python experiments/dppn/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders.
"""

from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record

NAMES = ("dppn-mnist", "dppn-mnist-baldwinian", "dppn-autoencoder", "neat-autoencoder", "direct-autoencoder")
VARIANTS = {
    "dppn-mnist-baldwinian": ("dppn-mnist", ["search.learn.inherit=false"]),
    # As many evaluations of networks as the taught ones take; nothing but mutation changes their numbers.
    "neat-autoencoder": ("dppn-autoencoder", ["search.learn.steps=0", "search.population=100", "run.rounds=386",
                                              "search.mutate_rate=0.3", "run.validate_every=10"]),
}

if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/dppn")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
