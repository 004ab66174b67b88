"""Overhead, bytes and growth of a population over a Ray cluster on this machine.

    python benchmarks/scale.py [--json FILE] [--quick] [--part overhead|growth|carracing …]

overhead: a generation of 1,000 networks of each config, asked once, evaluated in one process and over one worker, in
turns, with one thread each; both give the same bits. Counted are seconds of the processor, of this process and its
worker, which others on the machine hardly change, and seconds of the clock. Cheap generations are repeated in a turn.

growth: 64 blocks whose evaluation only sleeps, over 1 to 8 workers: what remains is the dealing. From it and from the
processor's time of the run's own process for each block, of `ask` and of `tell`, follows the model of docs/scale.md.

carracing: 16 networks of `carracing-dct` for 120 steps in one process, over two processes of this machine, and over two
workers of a cluster, in turns; all give the same bits.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from hyperevo.benchmark import random_graphs
from hyperevo.config import load_config
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.genotypes import Genotypes
from hyperevo.runs import Run, create_run
from hyperevo.runs.crew import Traffic
from hyperevo.runs.elsewhere import elsewhere
from hyperevo.runs.evaluate import acting_in, evaluate
from hyperevo.runs.spread import Spread

ROWS = ("cppn-mnist", "dct-mnist", "direct-mnist", "embedding-mnist", "eggroll-mnist", "cartpole-dct")
NETWORKS = "search.population=1000"
TURN = 1.5
"""Seconds of the processor that a turn in one process takes at least."""
SLEEP, BLOCKS = 0.05, 64

SLEEPY = '''
import time
import torch
from hyperevo import Task
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY

class Sleepy(Task):
    """A task whose networks' evaluation takes a while, and no processor's time."""
    inputs, outputs, measure, data_name, checksum, act_together = Sheet((4,)), 2, ACCURACY, "sleep", "none", 16
    validation = torch.zeros(1, 4), torch.zeros(1)

    def batch(self, seed, generation):
        return self.validation

    def test(self):
        return self.validation

    def play(self, target, weights, inputs, wanted):
        time.sleep(SECONDS if weights.population == 16 else 0)
        return torch.zeros(weights.population, 1, 1)

    def fitness(self, outputs, wanted):
        return outputs[:, 0, 0]

    score = fitness

def build(settings, device):
    task = Sleepy()
    task.settings = settings
    return task
'''


def processor_seconds() -> tuple[float, float]:
    """Seconds of the processor that this process and its workers have had, and those of Ray's own processes."""
    own = psutil.Process()
    children = own.children(recursive=True)
    hosts = [child for child in children if "ray::Host" in "".join(child.cmdline()[:1])
             or "spawn_main" in " ".join(child.cmdline())]
    return _used([own, *hosts]), _used([child for child in children if child not in hosts])


def _used(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _evaluated(run: Run, genotypes: Genotypes) -> torch.Tensor:
    parts = run.parts
    return evaluate(parts.encoding, parts.target, genotypes, parts.task.batch(0, 0), parts.task.fitness, run.memory_gb,
                    acting=acting_in(parts.task), together=parts.task.act_together, elsewhere=elsewhere(run, "fitness"))


def in_turns(runs: Sequence[Run], turns: int, genotypes: Genotypes) -> list[list[dict[str, float]]]:
    """Seconds a generation of every turn of every run, of the processor and of the clock, after two generations that
    are not counted: of the first nobody knows how long its blocks take. Odd turns go backwards."""
    alone = _evaluated(runs[0], genotypes)
    started = time.process_time()
    _evaluated(runs[0], genotypes)
    repeat = math.ceil(TURN / (time.process_time() - started))
    for run in [*runs[1:], *runs[1:]]:
        assert torch.equal(alone, _evaluated(run, genotypes))
    found: list[list[dict[str, float]]] = [[] for _ in runs]
    for turn in range(turns):
        for run, seen in list(zip(runs, found, strict=True))[:: -1 if turn % 2 else 1]:
            (before, ray), started = processor_seconds(), time.perf_counter()
            for _ in range(repeat):
                assert torch.equal(alone, _evaluated(run, genotypes))
            clock, (after, ray_after) = time.perf_counter() - started, processor_seconds()
            seen.append({"clock": clock / repeat, "processor": (after - before) / repeat,
                         "ray_itself": (ray_after - ray) / repeat})
    return found


def median_ratio(ones: Sequence[dict[str, float]], others: Sequence[dict[str, float]], key: str) -> float:
    """Median over the turns of one's seconds by the other's."""
    return statistics.median(one[key] / other[key] for one, other in zip(ones, others, strict=True))


def overhead(name: str, turns: int, unlike: bool = False) -> dict[str, Any]:
    """A generation of 1,000 networks over one worker against none. unlike: graphs of which no two have the same
    structure, in the place of those that the config's search asks for."""
    config = load_config(name, [NETWORKS, "threads=1", "run.memory_gb=4", "run.validate_every=1000"]).config
    runs = [create_run(config, None), create_run(config, None, spread=Spread("local", 1))]
    try:
        encoding = runs[0].parts.encoding
        asked = random_graphs(encoding, 1000) if isinstance(encoding, CppnEncoding) and unlike \
            else runs[0].parts.search.ask()
        alone, spread = in_turns(runs, turns, asked)
        crew = runs[1].crew
        assert crew is not None
        crew.traffic = Traffic()
        _evaluated(runs[1], asked)
        return {"alone": alone, "one_worker": spread,
                **{f"overhead_{key}": median_ratio(spread, alone, key) - 1 for key in ("processor", "clock")},
                "bytes_a_generation": crew.traffic.sent,
                "bytes_by_genotypes": crew.traffic.sent / max(crew.traffic.genotypes, 1)}
    finally:
        for run in runs:
            run.close()


def table(found: dict[str, Any]) -> str:
    """Overhead as docs/scale.md shows it."""
    def median(turns: Sequence[dict[str, float]], key: str) -> float:
        return statistics.median(turn[key] for turn in turns)

    lines = [f"| {name} | {median(own['alone'], 'processor'):.3g} s | {median(own['one_worker'], 'processor'):.3g} s | "
             f"{own['overhead_processor']:.1%} | {own['overhead_clock']:.1%} | "
             f"{median(own['one_worker'], 'ray_itself'):.2g} s |" for name, own in found.items()]
    return "\n".join(["| 1,000 networks a generation | one process | over one worker | more | more by the clock | "
                      "Ray itself |", "|---|---|---|---|---|---|", *lines])


def growth(workers: Sequence[int]) -> dict[str, Any]:
    """Seconds of 64 sleeping blocks by the number of workers, and this process's own for each block."""
    found: dict[str, Any] = {"sleep": SLEEP, "blocks": BLOCKS}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("sleepy.py").write_text(SLEEPY.replace("SECONDS", str(SLEEP)))
        for count in workers:
            config = load_config("cartpole-dct", ["task={name='sleepy.py'}", f"search.population={16 * BLOCKS}",
                                                  "encoding={name='direct'}", "target={name='mlp', hidden=[[8, 8]]}",
                                                  "run.validate_every=1000"]).config
            run = create_run(config, None, spread=Spread("local", count))
            try:
                _dealt(run)
                turns = [_dealt(run) for _ in range(5)]
            finally:
                run.close()
            found[str(count)] = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
            print(count, found[str(count)], flush=True)
    return found


def _dealt(run: Run) -> dict[str, float]:
    """Seconds of dealing a generation's blocks, by the clock, and this process's own by its processor."""
    genotypes = run.parts.search.ask()
    blocks = [slice(start, start + 16) for start in range(0, len(genotypes), 16)]
    started, own = time.perf_counter(), time.process_time()
    assert run.crew is not None
    run.crew.evaluate("fitness", run.parts.search.generation, genotypes, blocks)
    return {"clock": time.perf_counter() - started, "own_processor_a_block": (time.process_time() - own) / BLOCKS}


def telling(name: str) -> dict[str, float]:
    """Seconds of the processor that ask and tell take of a generation of 1,000."""
    run = create_run(load_config(name, [NETWORKS, "threads=1"]).config, None)
    seen = []
    for _ in range(5):
        started = time.process_time()
        genotypes = run.parts.search.ask()
        run.parts.search.tell(torch.randn(len(genotypes), generator=torch.Generator().manual_seed(0)))
        seen.append(time.process_time() - started)
    run.close()
    return {"ask_and_tell": statistics.median(seen)}


def carracing(turns: int) -> dict[str, Any]:
    """Generations of carracing-dct over two processes, and over two workers of a cluster."""
    config = load_config("carracing-dct", ["run.validate_every=1000", "search.population=16",
                                           "task.most_steps=120"]).config
    runs = [create_run(config, None, spread=spread)
            for spread in (Spread(None, 0), Spread(None, 2), Spread("local", 2))]
    try:
        alone, processes, cluster = in_turns(runs, turns, runs[0].parts.search.ask())
        return {"alone": alone, "processes": processes, "cluster": cluster,
                **{f"cluster_by_processes_{key}": median_ratio(cluster, processes, key)
                   for key in ("processor", "clock")}}
    finally:
        for run in runs:
            run.close()


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few turns: shows that all runs, not how fast")
    parser.add_argument("--part", action="append", choices=["overhead", "growth", "carracing"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts, turns = options.part or ["overhead", "growth"], 1 if options.quick else 7
    file = Path(options.json).absolute() if options.json else None
    found: dict[str, Any] = json.loads(file.read_text()) if file and file.is_file() else {}
    work: dict[str, Callable[[], Any]] = {
        "overhead": lambda: {name: overhead(name, turns) | telling(name) for name in ROWS}
        | {"cppn-mnist, no two structures alike": overhead("cppn-mnist", turns, unlike=True)},
        "growth": lambda: growth([1, 2] if options.quick else [1, 2, 4, 8]),
        "carracing": lambda: carracing(1 if options.quick else 15)}
    for part in parts:
        found[part] = work[part]()
        print(json.dumps({part: found[part]}, indent=1), flush=True)
        if file:
            file.write_text(json.dumps(found, indent=1))
    if "overhead" in found:
        print(table(found["overhead"]))


if __name__ == "__main__":
    main()
