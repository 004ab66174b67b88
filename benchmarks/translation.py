"""Time of a training step of the three translation configs, whose networks have as many parameters each.

    python benchmarks/translation.py [--steps 20] [--threads 1] [--json FILE] [OVERRIDE ...]
    python benchmarks/translation.py search.precision=bfloat16

The configs take turns in one process, on the same sentences: Multi30k's, at HYPEREVO_DATA. A step goes from genes to
the optimiser, as in a run. Seconds are the processor's; the ratio is the median of a step over the
LSTM's step on the same sentences.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch

from hyperevo.config import load_config
from hyperevo.runs.compose import compose
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.runs.learn import dropping
from hyperevo.runs.steps import Steps

ROWS, WARM = ("lstm", "layernorm-lstm", "hyperlstm"), 2
"""Configs, the first of which is what the others are compared with, and steps that do not count."""


def seconds(rows: dict[str, Steps], number: int) -> dict[str, float]:
    """Seconds of one step of every row, on the same batch."""
    times = {}
    for name, steps in rows.items():
        task, target = steps.parts.task, steps.parts.target
        batch, dropped = task.batch(0, number), dropping(target, 0, number)
        start = time.process_time()
        steps.take(batch, dropped)
        times[name] = time.process_time() - start
    return times


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    rows = {}
    for name in ROWS:
        overrides = [f"threads={options.threads}", *options.overrides]
        parts = compose(load_config(f"translation-multi30k-{name}", overrides).config)
        rows[name] = Steps(parts, parts.search, 0)
    times = [seconds(rows, number) for number in range(WARM + options.steps)][WARM:]
    figures = {name: {"seconds": statistics.median(own[name] for own in times),
                      "times the LSTM": statistics.median(own[name] / own[ROWS[0]] for own in times),
                      "parameters": rows[name].parts.encoding.genes} for name in ROWS}
    for name, values in figures.items():
        print(f"{name:15}", "  ".join(f"{what} {value:.4g}" for what, value in values.items()))
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "threads": options.threads,
                                            "overrides": options.overrides, "load": os.getloadavg(),
                                            "torch": torch.__version__, "configs": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
