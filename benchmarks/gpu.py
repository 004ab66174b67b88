"""Everything that is claimed of a GPU, measured on a machine without network in at most six minutes.

    python benchmarks/gpu.py --out DIR [--device cuda] [--parts kernel,population] [--tensorneat CHECKOUT] [--quick]

Every part is measured by itself; one that fails is reported, and the others go on. DIR gets results.json, rewritten
after every part, and table.md. `--quick` shows at tiny sizes that everything runs, on the CPU too; with
TRITON_INTERPRET=1 the kernel is interpreted there. Figures are medians; `README.md` says how to prepare a machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_runs import CPU, Bench, configs, resume, rounds, steps
from torch import Tensor

from hyperevo import devices
from hyperevo.benchmark import mnist_network, random_batch, random_graphs, seconds
from hyperevo.encodings import cppn
from hyperevo.encodings._program import ACTIVATION_NAMES, AGGREGATION_NAMES
from hyperevo.encodings._table import LinkColumns, NodeColumns, Table, TabledGraphs, table_from_columns
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology, activate
from hyperevo.runs.environment import environment
from hyperevo.runs.evaluate import evaluate
from hyperevo.search.neat import NeatSearch
from hyperevo.search.neat import Settings as Neat

MEMORY_GB = 40.0
SHARES = {"kernel": 20, "population": 45, "generation": 25, "rounds": 30, "resume": 45, "configs": 110, "steps": 80,
          "tensorneat": 60}
"""Seconds of each part; what has not begun by then is left out, and named."""


def median_seconds(work: Callable[[], Any], device: torch.device, times: int = 3) -> float:
    work()
    return statistics.median(seconds(work, device) for _ in range(times))


# The kernel against the float64 walk


def kernel(bench: Bench) -> dict[str, Any]:
    """Largest difference, in shares of a network's largest weight, for graphs of every function and aggregation."""
    sheets = (Sheet((4, 4)), Sheet((4, 4))) if bench.quick else (Sheet((16, 16)), Sheet((28, 28)))
    geometry = {"weight": ParameterGeometry(*sheets)}
    ours = cppn.CppnEncoding(cppn.Settings(threshold=0.0), geometry, bench.device)
    theirs = cppn.CppnEncoding(ours.settings, geometry)
    kinds = [(activation, aggregation) for activation in ACTIVATIONS for aggregation in AGGREGATIONS]
    draw, apart = np.random.default_rng(0), dict[str, float]()
    graphs = [_graph_of(*kinds[7 * number % len(kinds)], draw) for number in range(6 if bench.quick else 200)]
    with torch.no_grad(), _interpreted():
        painted, way = ours.express(graphs).tensor("weight").double().cpu(), devices.painting(bench.device)
    for graph, own in zip(graphs, painted, strict=True):
        walked = theirs.weight(activate(graph, theirs.inputs("weight", torch.float64), [0])[0].expand_as(own))
        name = graph.topology.nodes[0].activation
        apart[name] = max(apart.get(name, 0.0), _difference(own, walked, name == "step"))
    return {"way": way, "graphs": len(graphs), "largest_relative_difference": apart,
            "agrees": all(value <= (0.01 if name == "step" else 1e-5) for name, value in apart.items())}


@contextmanager
def _interpreted() -> Iterator[None]:
    """Context in which the kernel is used without a GPU too, if Triton is told to interpret it."""
    before = devices.has_kernel
    if os.environ.get("TRITON_INTERPRET") == "1":
        devices.has_kernel = lambda device: True
    try:
        yield
    finally:
        devices.has_kernel = before


def _graph_of(activation: str, aggregation: str, draw: np.random.Generator) -> Graph:
    """Two hidden nodes of one kind, the second reading the first, and an output that reads both."""
    nodes = (Node(activation, aggregation, tuple(draw.permutation(5)[:3].tolist())),
             Node(activation, aggregation, (5, *draw.permutation(5)[:2].tolist())), Node("identity", "sum", (5, 6)))
    topology = Topology(5, nodes, (2,))
    numbers = [torch.from_numpy(draw.normal(size=count)) for count in (topology.links, 3, 3)]
    return Graph(topology, numbers[0] * 0.7, numbers[1] * 0.5, numbers[2])


def _difference(own: Tensor, walked: Tensor, counted: bool) -> float:
    """Largest difference, in shares of the largest weight; where rounding decides about a step, the share of points
    that differ."""
    finite = walked.abs() < torch.finfo(torch.float32).max
    own, walked = own[finite], walked[finite]
    if not len(walked):
        return 0.0
    apart = (own - walked).abs() / max(1.0, float(walked.abs().max()))
    return float((apart > 1e-5).double().mean()) if counted else float(apart.max())


# A population's fitness

COUNTED = ("population", "launches", "waits", "gpu_share")
"""Figures that are no seconds."""


def columns_of(graphs: list[Graph]) -> tuple[NodeColumns, LinkColumns]:
    """Genes of graphs whose outputs are their last nodes, as NEAT has them: outputs first."""
    nodes: list[tuple[float, ...]] = []
    links: list[tuple[float, ...]] = []
    for owner, graph in enumerate(graphs):
        topology, link = graph.topology, 0
        order = [*topology.outputs, *(node for node in range(len(topology.nodes)) if node not in topology.outputs)]
        place = {node: number for number, node in enumerate(order)}
        nodes += [(ACTIVATION_NAMES.index(topology.nodes[node].activation),
                   AGGREGATION_NAMES.index(topology.nodes[node].aggregation), float(graph.biases[node]),
                   float(graph.responses[node])) for node in order]
        weights = graph.weights.tolist()
        for target, node in enumerate(topology.nodes):
            for source in node.sources:
                inner = source - topology.inputs
                links.append((owner, source if inner < 0 else topology.inputs + place[inner], place[target],
                              weights[link]))
                link += 1
    kinds, ends = np.array(nodes), np.array(links)
    sizes = np.array([len(graph.topology.nodes) for graph in graphs])
    return (NodeColumns(sizes, *kinds[:, :2].T.astype(int), *kinds[:, 2:].T),
            LinkColumns(*ends[:, :3].T.astype(int), ends[:, 3]))


def _part(columns: tuple[NodeColumns, LinkColumns], first: int, last: int) -> tuple[NodeColumns, LinkColumns]:
    """Columns of graphs first … last - 1."""
    nodes, links = columns
    start = nodes.sizes[:first].sum()
    own = slice(start, start + nodes.sizes[first:last].sum())
    rows = slice(*np.searchsorted(links.owners, [first, last]))
    kinds = (None if column is None else column[own] for column in nodes[1:])
    return (NodeColumns(nodes.sizes[first:last], *kinds),
            LinkColumns(links.owners[rows] - first, *(column[rows] for column in links[1:])))


def population(bench: Bench) -> dict[str, Any]:
    """Microseconds a network of expressing and evaluating different CPPNs on 784-256-10 and 1,000 images, from columns
    of genes to fitness, beside one batched matrix product."""
    target, batch = mnist_network(), random_batch(20 if bench.quick else 1000, bench.device)
    encoding = cppn.CppnEncoding(cppn.Settings(), target.geometry, bench.device)
    sizes = (2, 4) if bench.quick else (64, 1024, 4096)
    graphs, rows = random_graphs(encoding, sizes[-1]), list[dict[str, Any]]()
    for size in sizes:
        if not bench.is_over:
            rows.append(_microseconds_a_network(encoding, graphs[:size], batch, bench))
    return {"microseconds_a_network": rows}


@torch.no_grad()
def _microseconds_a_network(encoding: cppn.CppnEncoding, graphs: list[Graph], batch: tuple[Tensor, Tensor],
                            bench: Bench) -> dict[str, Any]:
    columns, target, device, size = columns_of(graphs), mnist_network(), bench.device, len(graphs)
    weights, inputs = torch.randn(size, 256, 784, device=device), batch[0].T.contiguous()

    def part(first: int, last: int) -> Table:
        return table_from_columns(len(encoding.input_names), len(encoding.output_names), *_part(columns, first, last))

    def tabled() -> TabledGraphs:
        return TabledGraphs(size, lambda: graphs, lambda: part(0, size), part)

    def evaluated() -> Tensor:
        return evaluate(encoding, target, tabled(), batch, lambda outputs, labels: outputs.mean((1, 2)), MEMORY_GB)

    row = {"population": size, **_launches(evaluated, device), "table": median_seconds(lambda: tabled().table, CPU),
           "express": median_seconds(lambda: encoding.express(tabled()), device)}
    for name, precision in (("float32", "highest"), ("tf32", "high")):
        with _products(precision):
            row[name] = median_seconds(evaluated, device)
            row[f"{name}_product"] = median_seconds(lambda: weights @ inputs, device)
    return {name: value if name in COUNTED else 1e6 * value / size for name, value in row.items()}


@contextmanager
def _products(precision: str) -> Iterator[None]:
    """Context in which float32 products are computed with this precision."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _launches(work: Callable[[], Any], device: torch.device) -> dict[str, float | None]:
    """Launches of one call, times that it waits for the GPU, and the share of its time that the GPU works; None without
    one."""
    if device.type != "cuda":
        return {"launches": None, "waits": None, "gpu_share": None}
    work()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(own.message) for own in seen)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        spent = seconds(work, device)
    events = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return {"launches": len(events), "waits": waits,
            "gpu_share": sum(event.device_time for event in events) / 1e6 / spent}


# A whole generation


def generation(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a NEAT generation of 1,024 on 784-256-10 and 1,000 images: ask, evaluate, tell."""
    target, batch = mnist_network(), random_batch(20 if bench.quick else 1000, bench.device)
    encoding = cppn.CppnEncoding(cppn.Settings(), target.geometry, bench.device)
    search = NeatSearch(Neat(population=12 if bench.quick else 1024, hidden=8, refine={"rounds": 0}),
                        encoding.input_names, encoding.output_names, 0, encoding.matrix_outputs())
    rows: list[list[float]] = []
    for _ in range(2 if bench.quick else 8):
        times = [time.perf_counter()]
        graphs = search.ask()
        times.append(time.perf_counter())
        fitness = evaluate(encoding, target, graphs, batch, lambda outputs, labels: outputs.square().mean((1, 2)),
                           MEMORY_GB)
        times.append(time.perf_counter())
        search.tell(fitness)
        times.append(time.perf_counter())
        rows.append([1e3 * (after - before) for before, after in zip(times, times[1:], strict=False)])
    middle = [statistics.median(column) for column in zip(*rows[1:], strict=True)]
    return {"milliseconds": dict(zip(("ask", "evaluate", "tell"), middle, strict=True)) | {"whole": sum(middle)}}


# TensorNEAT


def tensorneat(bench: Bench) -> dict[str, Any]:
    """Microseconds a network of TensorNEAT's HyperNEAT, compiled, on the same network and number of images."""
    if bench.tensorneat is None:
        return {"left out": "no checkout is named by --tensorneat"}
    sizes = (2,) if bench.quick else (4, 64)
    program, rows = Path(__file__).with_name("tensorneat_hyperneat.py"), {}
    for size in sizes:
        done = subprocess.run([sys.executable, str(program), str(size)], capture_output=True, text=True, timeout=120,
                              env={**os.environ, "PYTHONPATH": str(bench.tensorneat / "src"),
                                   "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
        rows[str(size)] = json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1:]
    return {"microseconds_a_network": rows}


# All parts


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "kernel": kernel, "population": population, "generation": generation, "rounds": rounds, "resume": resume,
    "configs": configs, "steps": steps, "tensorneat": tensorneat}


def measure(bench: Bench, chosen: list[str], out: Path) -> dict[str, Any]:
    """Results of the chosen parts by name, each with its seconds."""
    results: dict[str, Any] = {"machine": environment(bench.device) | {"quick": bench.quick}}
    for name in chosen:
        begun = time.perf_counter()
        try:
            results[name] = PARTS[name](Bench(bench.device, bench.quick, bench.tensorneat, begun + SHARES[name]))
        except Exception as error:
            where = traceback.format_exc().splitlines()[-8:]
            results[name] = {"failed": f"{type(error).__name__}: {error}", "where": where}
        results[name]["seconds"] = round(time.perf_counter() - begun, 2)
        (out / "results.json").write_text(json.dumps(results, indent=1))
        (out / "table.md").write_text(table(results))
    return results


def table(results: dict[str, Any]) -> str:
    """All figures as a Markdown table, one a row."""
    lines = [f"{results['machine']['device_name']}, torch {results['machine']['libraries']['torch']}, "
             f"{results['machine']['painting']}", "", "| part | what | figure |", "|---|---|---|"]
    for part, own in results.items():
        if part != "machine":
            lines += [f"| {part} | {key} | {value} |" for key, value in _flat(own)]
    return "\n".join(lines) + "\n"


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, own in value.items():
            yield from _flat(own, f"{key} · {name}" if key else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for own in value:
            yield from _flat(own, f"{key} · {next(iter(own.values()))}")
    else:
        yield key, f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "¦")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--tensorneat", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = measure(Bench(torch.device(options.device), options.quick, options.tensorneat), options.parts.split(","),
                      options.out)
    print(table(results), end="")
    if any("failed" in own for name, own in results.items() if name != "machine"):
        sys.exit(1)


if __name__ == "__main__":
    main()
