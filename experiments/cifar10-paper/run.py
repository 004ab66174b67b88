"""Table 2 of Ha, Dai & Le (2016) at its own size: CIFAR-10 by wide residual networks, kernels generated or direct.

    python experiments/cifar10-paper/run.py [--minutes 8] [--seeds 1] [--runs DIR] [NAME ...]

The shipped configs wrn-40-1, wrn-40-2 and their -hyper, whose schedules are the paper's, and each with one cycle of the
learning rate in 60 and in 200 epochs; products are in TF32 where there is a GPU. One call is a stretch of at most so
many minutes: it goes on from the last checkpoint, and ends after a round. Call it again until it says that all is done.
Results are in results.csv beside this file, from the runs' own result.json.
"""

from pathlib import Path

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record_stretch

OWN = ["search.precision=tf32"]
PAPER = {name: (name, OWN) for name in ("wrn-40-1-hyper", "wrn-40-1", "wrn-40-2-hyper", "wrn-40-2")}


def one_cycle(name: str, epochs: int) -> tuple[str, list[str]]:
    """Config and overrides of a network with one cycle of the learning rate, up to 0.1 for direct kernels (SGD) and
    0.004 for generated ones (Adam)."""
    rate = 0.004 if name.endswith("-hyper") else 0.1
    return name, [*OWN, "search.schedule=one-cycle", "search.steps=[]", f"search.learning_rate={rate}",
                  f"run.rounds={epochs}"]


VARIANTS = {f"{name}-{epochs}": one_cycle(name, epochs) for epochs in (60, 200) for name in PAPER} | PAPER

if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 1, "runs/cifar10-paper", minutes=8)
    done = record_stretch(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
    print("all is done" if done else "the stretch is over; the same command goes on")
