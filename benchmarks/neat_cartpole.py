"""A NEAT generation's evaluation in CartPole: 1,024 different networks for 500 steps, all at once and by neat-python.

    python benchmarks/neat_cartpole.py [--out FILE] [--tensorneat PYTHON]

Nobody fails: the limits of the cart and the pole are lifted, so that every network acts for all 500 steps.
neat-python's networks act in gymnasium's CartPole-v1, in two processes, as its ParallelEvaluator would have them; a
sample of networks is timed and scaled up. hyperevo plays as a run does (`runs.evaluate`), with the making of tensors
from genes counted in. Seconds of the processor are counted beside those of the clock: on a machine that does other
things too, only their ratio is fair. `--tensorneat` names the Python of an environment with jax and TensorNEAT, whose
evaluation of as many networks of such sizes is then measured too, on one core, right after ours.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gymnasium
import neat
import torch

import hyperevo.control.cartpole as cartpole
from hyperevo.encodings import network
from hyperevo.geometry import NETWORK, Sheet
from hyperevo.runs.environment import environment
from hyperevo.runs.evaluate import evaluate
from hyperevo.search.neat import NeatSearch, Settings
from hyperevo.targets.network import NetworkTarget
from hyperevo.targets.network import Settings as TargetSettings
from hyperevo.tasks.control import Control
from hyperevo.tasks.control import Settings as ControlSettings

POPULATION, STEPS, SAMPLE, GENERATIONS, TIMES = 1024, 500, 32, 12, 9
KINDS = {"feed-forward": False, "recurrent": True}
"""Whether networks recur, by kind."""


def evolved(encoding: network.NetworkEncoding, population: int) -> NeatSearch:
    """NEAT after some generations of random fitness, whose networks all differ."""
    settings = Settings(population=population, functions=("tanh",), output_function="tanh", connection="full_direct",
                        neutral_growth=False, mutate_rate=0.8, mutate_power=0.5, refine={"rounds": 0})
    search = NeatSearch(settings, encoding.input_names, encoding.output_names, 0, [], encoding.recurrent)
    generator = torch.Generator().manual_seed(0)
    for _ in range(GENERATIONS):
        search.tell(torch.rand(population, generator=generator))
    return search


Seconds = tuple[float, float]
"""Seconds of the clock, and of the processor."""


def now() -> Seconds:
    """Both clocks."""
    return time.perf_counter(), time.process_time()


def since(started: Seconds) -> Seconds:
    """Seconds since then."""
    clock, processor = now()
    return clock - started[0], processor - started[1]


def own_seconds(search: NeatSearch, encoding: network.NetworkEncoding, threads: int) -> list[Seconds]:
    """Seconds of evaluations of a whole generation, from genes to fitness."""
    torch.set_num_threads(threads)
    task = Control(ControlSettings(environment="cartpole", episodes=1))
    target = NetworkTarget(TargetSettings(), task.inputs, task.outputs)
    seconds = []
    for generation in range(TIMES + 1):
        started = now()
        fitness = evaluate(encoding, target, search.ask(), task.batch(0, generation), task.fitness, 4.0,
                           acting=task.play)
        seconds.append(since(started))
        assert bool((fitness == STEPS).all())
    return seconds[1:]


def neat_python_seconds(arguments: tuple[list[Any], Any]) -> Seconds:
    """Seconds of neat-python's networks of some genomes, one by one in gymnasium's CartPole."""
    genomes, config = arguments
    world = gymnasium.make("CartPole-v1").unwrapped
    world.theta_threshold_radians = world.x_threshold = math.inf
    kind = neat.nn.FeedForwardNetwork if config.genome_config.feed_forward else neat.nn.RecurrentNetwork
    started = now()
    for genome in genomes:
        acting = kind.create(genome, config)
        seen, _ = world.reset(seed=0)
        for _ in range(STEPS):
            left, right = acting.activate(seen.tolist())
            seen, *_ = world.step(int(right > left))
    return since(started)


def measured(population: int = POPULATION, sample: int = SAMPLE, recurrent: bool = False) -> dict[str, Any]:
    """Median seconds of a generation here and of neat-python, and how many times as long the latter takes."""
    place = NetworkTarget(TargetSettings(), Sheet((4,)), 2).geometry[NETWORK]
    encoding = network.NetworkEncoding(network.Settings(recurrent=recurrent), place)
    search = evolved(encoding, population)
    with patch.object(cartpole, "LIMITS", (math.inf,) * 4):
        by_threads = {threads: own_seconds(search, encoding, threads) for threads in (1, 2)}
    genomes, config = list(search.population.values()), search.config
    parts = [(genomes[core * sample : (core + 1) * sample], config) for core in range(2)]
    for own, _ in parts:
        for genome in own:
            genome.nodes  # noqa: B018 - from columns to neat-python's objects, before the clock starts
    with multiprocessing.get_context("fork").Pool(2) as pool:
        both = pool.map(neat_python_seconds, parts, chunksize=1)
    clock, processor = (max(own) * population / (2 * sample) for own in zip(*both, strict=True))
    medians = {str(threads): statistics.median(own for own, _ in all_own) for threads, all_own in by_threads.items()}
    alone = statistics.median(own for _, own in by_threads[1])
    sizes = [genome.size() for genome in genomes]
    return {"population": population, "steps": STEPS, "recurrent": recurrent,
            "mean_nodes": statistics.mean(nodes for nodes, _ in sizes),
            "mean_links": statistics.mean(links for _, links in sizes), "seconds_by_threads": medians,
            "processor_seconds_on_one_core": alone, "neat_python_sampled_networks": 2 * sample,
            "neat_python_seconds_on_two_cores": clock, "neat_python_processor_seconds_on_each_of_two_cores": processor,
            "speedup_by_the_clock": clock / min(medians.values()), "speedup_by_the_processor": processor / alone}


def beside_tensorneat(python: str, figures: dict[str, Any]) -> dict[str, Any]:
    """What TensorNEAT's program measures, with how many times as long it takes as ours on one core."""
    program = Path(__file__).with_name("tensorneat_cartpole.py")
    done = subprocess.run([python, str(program)], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    for kind in KINDS:
        ours, theirs = figures[kind], found[kind]
        theirs["speedup_by_the_clock"] = theirs["seconds"] / ours["seconds_by_threads"]["1"]
        theirs["speedup_by_the_processor"] = theirs["processor_seconds"] / ours["processor_seconds_on_one_core"]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tensorneat", metavar="PYTHON")
    options = parser.parse_args()
    figures: dict[str, Any] = {"environment": environment(torch.device("cpu")),
                               **{kind: measured(recurrent=recurrent) for kind, recurrent in KINDS.items()}}
    if options.tensorneat:
        figures["tensorneat"] = beside_tensorneat(options.tensorneat, figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
