"""Seconds of one step of 32 networks × 32 images, drawn from HyperGAN and direct, turn by turn on one thread.

    python experiments/hypergan/speed.py
"""

import statistics
import time
from collections.abc import Callable

import torch

from hyperevo.config import load_config
from hyperevo.runs import create_run
from hyperevo.runs.steps import steps_of

DIRECT = ["encoding={name='direct', scale=1.0}", "search={name='gradient', population=32}"]


def stepper(*overrides: str) -> Callable[[], object]:
    """Function that takes one step of the run of these overrides."""
    run = create_run(load_config("hypergan-mnist", overrides).config, None)
    steps = steps_of(run.parts, run.parts.search, 0, run.memory_gb, lambda genotypes, carried, blocks: None)
    return lambda: steps.take(run.parts.task.batch(0, run.parts.search.generation))


if __name__ == "__main__":
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"HyperGAN": [], "direct": []}
    steppers = dict(zip(seconds, (stepper(), stepper(*DIRECT)), strict=True))
    for _ in range(12):
        for name, step in steppers.items():
            started = time.process_time()  # of this process alone: other work does not count
            step()
            seconds[name].append(time.process_time() - started)
    medians = {name: statistics.median(own[2:]) for name, own in seconds.items()}
    print(", ".join(f"{name} {median:.3f} s" for name, median in medians.items()),
          f"quotient {medians['HyperGAN'] / medians['direct']:.2f}")
