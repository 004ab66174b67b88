"""Seconds of one ES-HyperNEAT generation on one thread: 150 networks are found, expressed and run on parity of 3 bits.

    python benchmarks/es_hyperneat.py

Quadtrees are divided to depth 4 everywhere, which is the most that a maximum depth of 4 can ask for, and then from
depth 2 on where their variance is large. The CPPNs are NEAT's first population, random ones of 8 hidden nodes, and
random ones of 4 hidden waves, whose patterns are so fine that half of all networks fill the substrate.
"""

import random
import time
from collections.abc import Sequence

import torch

from hyperevo.encodings import es_hyperneat
from hyperevo.geometry import SUBSTRATE
from hyperevo.graph import Graph, Node, Topology
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.runs.evaluate import evaluate
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search.neat import NeatSearch, Settings
from hyperevo.targets import substrate
from hyperevo.tasks import parity

POPULATION, TURNS = 150, 5


def random_graphs(inputs: int, hidden: int, functions: Sequence[str], seed: int = 0) -> list[Graph]:
    """Graphs that all differ; every node has three sources."""
    draw, graphs = random.Random(seed), []
    for _ in range(POPULATION):
        nodes = [Node(draw.choice(functions), "sum", tuple(draw.sample(range(inputs + place), 3)))
                 for place in range(hidden)]
        nodes.append(Node("tanh", "sum", tuple(draw.sample(range(inputs, inputs + hidden), 3))))
        topology = Topology(inputs, tuple(nodes), (hidden,))
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        weights, biases = (torch.randn(count, generator=generator, dtype=torch.float64)
                           for count in (topology.links, len(nodes)))
        graphs.append(Graph(topology, weights, biases, torch.ones_like(biases)))
    return graphs


def measure(name: str, graphs: list[Graph], initial_depth: int) -> None:
    """Print the seconds of the fastest turn, by the clock and of the processor."""
    task = parity.Parity(parity.Settings())
    target = substrate.build(substrate.Settings(), task.inputs, task.outputs)
    encoding = es_hyperneat.EsHyperneatEncoding(
        es_hyperneat.Settings(initial_depth=initial_depth, maximum_depth=4), target.geometry[SUBSTRATE])
    times = []
    for _ in range(TURNS):
        started = time.perf_counter(), time.process_time()
        evaluate(encoding, target, graphs, task.batch(0, 0), task.fitness, memory_gb=4.0)
        times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    nodes = (encoding.connections(graphs)[1] >= 0).sum(1).float()
    print(f"{name:<22} depth {initial_depth} to 4: {min(times)[0]:.3f} s ({min(row[1] for row in times):.3f} s of the "
          f"processor); hidden nodes: mean {nodes.mean():.0f}, most {nodes.max():.0f}", flush=True)


def main() -> None:
    """All populations at both depths."""
    torch.set_num_threads(1)
    keep_freed_memory()
    names = ["x1", "y1", "x2", "y2", "one"]
    settings = Settings(population=POPULATION, output_function="tanh", refine=RefineSettings(rounds=0))
    populations = {"NEAT's first CPPNs": NeatSearch(settings, names, ["weight"], seed=0).ask(),
                   "8 random hidden nodes": random_graphs(len(names), 8, settings.functions),
                   "4 hidden waves": random_graphs(len(names), 4, ["sin"])}
    for initial_depth in (4, 2):
        for name, graphs in populations.items():
            measure(name, graphs, initial_depth)


if __name__ == "__main__":
    main()
