"""HyperGAN beside its baselines on MNIST, on 5,000 images of MNIST, and on five classes of CIFAR-10: what distributions
over networks know.

    python experiments/hypergan/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), and writes results.csv beside this file from
the runs' own result.json. measure.py then measures ensembles of the networks that each run gives.
"""

from collections.abc import Sequence
from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record

ROUNDS, STEPS = 12, 500
"""Length of a run on MNIST: 6,000 steps."""

LENGTHS = {
    "": ("hypergan-mnist", ["task.images=64", "task.pad=1", f"run.rounds={ROUNDS}"]),
    "mnist-5000-": ("hypergan-mnist-5000", ["task.images=32", "run.rounds=6"]),
    "cifar-5-": ("hypergan-cifar-5", ["task.images=64", "task.flip=true", "run.rounds=5"]),
}
"""Config, images of a step and how they are moved, and rounds of STEPS steps of every data set, by what its rows' names
begin with."""

DRAWN = [f"search.steps_per_round={STEPS}", "search.population=4", "search.validated=4"]
"""Networks of a step of those that draw them; 32 in the paper's code and in the shipped configs."""

GAUSSIAN = ["encoding={name='gaussian'}", f"search.divergence={1 / 55_000}", "search.beta=1.0",
            "search.discriminator=none", "search.learning_rate=2e-3", "search.mixer_learning_rate=1e-2",
            "search.pretraining=0"]


def trained(networks: int) -> list[str]:
    """Overrides of networks that are trained directly, side by side."""
    return ["encoding={name='direct', scale=1.0}",
            f"search={{name='gradient', population={networks}, schedule='cosine', steps_per_round={STEPS}}}"]


ROWS: dict[str, Sequence[str]] = {
    "hypergan": DRAWN,
    "ensemble": trained(10),
    "hypernetwork": [*DRAWN, "search.discriminator=none"],
    "bayes": [*DRAWN, *GAUSSIAN],
    "dropout": [*trained(1), "target.dropout=0.25"],
    **{f"hypergan-decay-{decay}": [*DRAWN, f"search.weight_decay={decay}"] for decay in ("0.1", "0.3", "1")},
}
ELSEWHERE = ("hypergan", "ensemble")
"""Rows of the other two data sets."""

VARIANTS = {f"{data}{name}": (config, [*length, "run.validate_every=1", *overrides])
            for data, (config, length) in LENGTHS.items() for name, overrides in ROWS.items()
            if not data or name in ELSEWHERE}

if __name__ == "__main__":
    options = arguments(__doc__, list(VARIANTS), 3, "runs/hypergan")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
