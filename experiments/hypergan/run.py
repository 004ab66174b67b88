"""HyperGAN beside its baselines on the 31,520-weight target, MNIST: what distributions over networks know.

    python experiments/hypergan/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), and writes results.csv beside this file from
the runs' own result.json. measure.py then measures ensembles of the networks that each run gives.
"""

from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record

SHORT = ["search.steps_per_round=250", "run.rounds=6", "run.validate_every=2"]
"""Length of every run: 1,500 steps of 32 images."""

DRAWN = [*SHORT, "search.population=8", "search.validated=4"]
"""Networks of a step of those that draw them; 32 in the paper's code and in the shipped config."""

GAUSSIAN = ["encoding={name='gaussian'}", f"search.divergence={1 / 55_000}", "search.beta=1.0",
            "search.discriminator=none", "search.learning_rate=2e-3", "search.mixer_learning_rate=1e-2",
            "search.pretraining=0"]

TRAINED = ["encoding={name='direct', scale=1.0}"]
ADAM = "search={{name='gradient', population={}, schedule='cosine', steps_per_round=250}}"

VARIANTS = {
    "hypergan": ("hypergan-mnist", DRAWN),
    "hypernetwork": ("hypergan-mnist", [*DRAWN, "search.discriminator=none"]),
    "bayes": ("hypergan-mnist", [*DRAWN, *GAUSSIAN]),
    "ensemble": ("hypergan-mnist", [*SHORT[1:], *TRAINED, ADAM.format(10)]),
    "dropout": ("hypergan-mnist", [*SHORT[1:], *TRAINED, ADAM.format(1), "target.dropout=0.25"]),
}

if __name__ == "__main__":
    options = arguments(__doc__, list(VARIANTS), 3, "runs/hypergan")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
