"""Time to evaluate a generation in float32 and in bfloat16 (`run.precision`), for four searches on MNIST.

    python benchmarks/precision.py [--rounds 15] [--json FILE]

Both precisions take turns in one process, on the same genotypes and images, with one thread. A round goes from the
genotypes asked for to their fitness. Seconds are the processor's, the least and the median of all rounds.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from hyperevo.config import load_config
from hyperevo.parts import Parts
from hyperevo.runs.compose import compose
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.runs.evaluate import evaluate

ROWS = ("cppn-mnist", "dct-mnist", "eggroll-mnist", "dct-eggroll-mnist")
PRECISIONS = (torch.float32, torch.bfloat16)


def per_network(parts: Parts, number: int) -> dict[torch.dtype, float]:
    """Seconds of the processor for one network of a generation, in each precision."""
    genotypes, batch, times = parts.search.ask(), parts.task.batch(0, number), {}
    for precision in PRECISIONS:
        start = time.process_time()
        fitness = evaluate(parts.encoding, parts.target, genotypes, batch, parts.task.fitness, 1.0, precision=precision)
        times[precision] = (time.process_time() - start) / len(fitness)
    parts.search.tell(fitness)
    return times


def figures(name: str, rounds: int) -> dict[str, float]:
    """Microseconds of a network, and how many times as fast bfloat16 is, by the medians."""
    parts = compose(load_config(name, ["threads=1"]).config)
    per_network(parts, 0)  # of NEAT's first population, which is another's work, and a start for all
    times = [per_network(parts, number) for number in range(1, rounds + 1)]
    found: dict[str, float] = {}
    for precision in PRECISIONS:
        own = [1e6 * spent[precision] for spent in times]
        kinds: dict[str, Callable[[list[float]], float]] = {"least": min, "median": statistics.median}
        found |= {f"{precision} {kind}".removeprefix("torch."): take(own) for kind, take in kinds.items()}
    return found | {"times as fast": statistics.median(spent[PRECISIONS[0]] / spent[PRECISIONS[1]] for spent in times)}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = {}
    for name in ROWS:
        rows[name] = figures(name, options.rounds)
        print(f"{name:18}", "  ".join(f"{what} {value:.4g}" for what, value in rows[name].items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rounds": options.rounds, "load": os.getloadavg(),
                                            "torch": torch.__version__, "configs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
