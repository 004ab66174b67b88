"""Speed of expressing and evaluating populations, against bare matrix products and against other implementations.

Works that are compared are timed in turns in one process, because machines are noisy: a ratio is the median of the
turns' ratios. Work that would take hours is timed on a sample and scaled up, and its name in the results says so.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import neat
import torch
from torch import Tensor

from hyperevo.abilities import FixedLength
from hyperevo.components import ComponentSettings
from hyperevo.encodings import build_encoding, cppn, dct, direct, embedding
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology, activate
from hyperevo.parts import Target
from hyperevo.runs.environment import environment, keep_freed_memory, peak_memory_gb
from hyperevo.runs.evaluate import evaluate
from hyperevo.search._neat_benchmark import bookkeeping
from hyperevo.search.neat import Settings as NeatSettings
from hyperevo.targets import convnet, mlp, wide_resnet
from hyperevo.weights import Weights, project

HIDDEN, LINKS = 8, 3
"""Hidden nodes of the CPPNs that are timed, and sources of each node."""

Work = Callable[[], Any]


def measure(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """All measurements by name, seconds unless said otherwise. quick: tiny sizes, to see that everything runs."""
    keep_freed_memory()
    population, images = (4, 50) if quick else (64, 1000)
    return {
        "machine": environment(device) | {"quick": quick},
        "cppn": measure_cppn(device, population, images, turns=2 if quick else 7),
        "dct": measure_dct(device, population, images, turns=2 if quick else 7),
        "neat": bookkeeping(40, 3) if quick else bookkeeping(),
        "gradient": measure_gradient(device, quick),
        "growth": measure_growth(device, quick),
        "peak_memory_gb": peak_memory_gb(),
    }


# Timing


def seconds(work: Work, device: torch.device) -> float:
    """Seconds of one call, including everything it launched on the device."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def in_turns(works: dict[str, Work], device: torch.device, turns: int) -> dict[str, list[float]]:
    """Seconds of every work, one value per turn, after a warm-up turn that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            spent = seconds(work, device)
            if turn:
                times[name].append(spent)
    return times


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of first / second over the turns."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# What is timed


def mnist_network() -> mlp.MlpTarget:
    """A 784-256-10 network for MNIST."""
    return mlp.MlpTarget(mlp.Settings(), Sheet((28, 28)), 10)


def random_graphs(encoding: cppn.CppnEncoding, size: int, hidden: int = HIDDEN, seed: int = 0) -> list[Graph]:
    """Random CPPNs, all of different topology. A hidden node has three sources, inputs or nodes before it, and one of
    NEAT's functions. An output reads three hidden nodes; the first output also reads those that no other node reads."""
    draw, functions = random.Random(seed), NeatSettings().functions
    inputs, graphs = len(encoding.input_names), []
    for _ in range(size):
        nodes = [Node(draw.choice(functions), "sum", tuple(draw.sample(range(inputs + index), LINKS)))
                 for index in range(hidden)]
        unread = set(range(inputs, inputs + hidden)) - {source for node in nodes for source in node.sources}
        for place in range(len(encoding.output_names)):
            sources = set(draw.sample(range(inputs, inputs + hidden), LINKS)) | (unread if place == 0 else set())
            nodes.append(Node("identity", "sum", tuple(sorted(sources))))
        topology = Topology(inputs, tuple(nodes), tuple(range(hidden, len(nodes))))
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        weights, biases = (torch.randn(count, generator=generator, dtype=torch.float64)
                           for count in (topology.links, len(nodes)))
        graphs.append(Graph(topology, weights, biases, torch.ones_like(biases)))
    return graphs


def random_batch(images: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise of MNIST's shape (images, 784), and labels (images,)."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(images, 784, generator=generator).to(device),
            torch.randint(10, (images,), generator=generator).to(device))


def _mean_output(outputs: Tensor, labels: Tensor) -> Tensor:
    return outputs.mean((1, 2))


# CPPNs


def measure_cppn(device: torch.device, population: int, images: int, turns: int) -> dict[str, Any]:
    """Speed of a population of different CPPNs on 784-256-10 networks, against the first layer's matrix products alone.
    """
    target = mnist_network()
    encoding = cppn.CppnEncoding(cppn.Settings(), target.geometry, device)
    graphs, batch = random_graphs(encoding, population), random_batch(images, device)
    floor_weight, columns = torch.randn(256, 784, device=device), batch[0].T.contiguous()
    with torch.no_grad():
        dense = Weights(encoding.express(graphs).dense())
        works: dict[str, Work] = {
            "matrix_product": lambda: [floor_weight @ columns for _ in range(population)],
            "express_and_evaluate": lambda: evaluate(encoding, target, graphs, batch, _mean_output, 4.0),
            "express": lambda: encoding.express(graphs).dense(),
            "evaluate": lambda: target.forward(dense, batch[0]),
            "node_by_node": lambda: _node_by_node(encoding, target, graphs[:4], batch[0]),
            "evaluate_by_vmap": lambda: _by_vmap(dense, batch[0]),
        }
        times = in_turns(works, device, turns)
    per_network = {name: statistics.median(spent) / population for name, spent in times.items()}
    per_network["node_by_node"] *= population / len(graphs[:4])
    ours, floor = times["express_and_evaluate"], times["matrix_product"]
    return {
        "population": population, "images": images, "hidden": HIDDEN, "sources_per_node": LINKS,
        "seconds_per_network": per_network,
        "ratio_to_matrix_product": ratio(ours, floor),
        "networks_per_second": 1 / per_network["express_and_evaluate"],
        "speedup_over_node_by_node": ratio(times["node_by_node"], ours) * population / len(graphs[:4]),
        "evaluate_speedup_over_vmap": ratio(times["evaluate_by_vmap"], times["evaluate"]),
        **_against_neat_python(encoding, graphs[0], target, images, per_network["express_and_evaluate"]),
    }


def _node_by_node(encoding: cppn.CppnEncoding, target: mlp.MlpTarget, graphs: Sequence[Graph],
                  images: Tensor) -> Tensor:
    """Outputs by the straightforward way: one tensor operation per node over all connections, network by network."""
    outputs = []
    for graph in graphs:
        values = {}
        for name, parameter in encoding.geometry.items():
            inputs = [places.contiguous() for places in torch.broadcast_tensors(*encoding.inputs(name))]
            painted = activate(graph, inputs, encoding.paintings[name].values)[0]
            values[name] = encoding.weight(painted).expand(parameter.target.units, -1).reshape(1, *parameter.shape)
        outputs.append(target.forward(Weights(values), images))
    return torch.cat(outputs)


def _by_vmap(weights: Weights, images: Tensor) -> Tensor:
    """Outputs by `torch.vmap` over the networks' weights. (Expression cannot be mapped: the graphs differ.)"""
    def network(first: Tensor, bias: Tensor, second: Tensor, second_bias: Tensor) -> Tensor:
        return torch.tanh(images @ first.T + bias) @ second.T + second_bias

    return torch.vmap(network)(*weights.dense().values())


def _against_neat_python(encoding: cppn.CppnEncoding, graph: Graph, target: mlp.MlpTarget, images: int,
                         ours: float) -> dict[str, float]:
    """Speed of neat-python's own networks: the CPPN queried connection by connection, then a network of those weights,
    both timed on a sample and scaled up."""
    painter = _neat_python_cppn(graph)
    queries, sample_images = 500, 1
    generator = torch.Generator().manual_seed(0)
    places = (torch.rand(queries, graph.topology.inputs, generator=generator) * 2 - 1).tolist()
    started = time.perf_counter()
    for place in places:
        painter.activate(place)
    query = (time.perf_counter() - started) / queries
    network = _neat_python_mlp({name: value for name, value in encoding.express([graph]).network(0).items()}, target)
    pixels = torch.rand(sample_images, 784, generator=generator).tolist()
    started = time.perf_counter()
    for image in pixels:
        network.activate(image)
    forward = (time.perf_counter() - started) / sample_images
    connections = sum(parameter.size for parameter in target.geometry.values())
    total = query * connections + forward * images
    return {"neat_python_sampled_queries": queries, "neat_python_sampled_images": sample_images,
            "neat_python_seconds_per_query": query, "neat_python_seconds_per_image": forward,
            "neat_python_seconds_per_network_scaled_up": total, "speedup_over_neat_python": total / ours}


def _neat_python_cppn(graph: Graph) -> Any:
    """The graph as neat-python's feed-forward network."""
    from neat.activations import ActivationFunctionSet

    from hyperevo.functions import OWN_SCALAR_ACTIVATIONS

    functions = ActivationFunctionSet()
    for name, function in OWN_SCALAR_ACTIVATIONS.items():
        functions.add(name, function)
    inputs, offset, evaluations = graph.topology.inputs, 0, []
    weights, biases, responses = graph.weights.tolist(), graph.biases.tolist(), graph.responses.tolist()
    for index, node in enumerate(graph.topology.nodes):
        links = [(source - inputs if source >= inputs else -source - 1, weights[offset + place])
                 for place, source in enumerate(node.sources)]
        evaluations.append((index, functions.get(node.activation), sum, biases[index], responses[index], links))
        offset += len(node.sources)
    keys = [-place - 1 for place in range(inputs)]
    return neat.nn.FeedForwardNetwork(keys, list(graph.topology.outputs), evaluations)


def _neat_python_mlp(weights: dict[str, Tensor], target: mlp.MlpTarget) -> Any:
    """The painted network as neat-python's feed-forward network."""
    import math

    evaluations: list[tuple[Any, ...]] = []
    before = [-place - 1 for place in range(784)]
    for layer in target.layers:
        rows, biases = weights[f"{layer}.weight"].tolist(), weights[f"{layer}.bias"].tolist()
        function = (lambda value: value) if layer == target.layers[-1] else math.tanh
        first = len(evaluations)
        evaluations += [(first + unit, function, sum, biases[unit], 1.0, list(zip(before, row, strict=True)))
                        for unit, row in enumerate(rows)]
        before = list(range(first, len(evaluations)))
    return neat.nn.FeedForwardNetwork([-place - 1 for place in range(784)], before, evaluations)


# DCT


def measure_dct(device: torch.device, population: int, images: int, turns: int) -> dict[str, Any]:
    """Speed of MNIST's first layer from 8 × 8 × 8 × 8 coefficients, as factors and as dense matrices."""
    geometry = {"hidden.weight": ParameterGeometry(Sheet((16, 16)), Sheet((28, 28)))}
    encoding = dct.build(dct.Settings(coefficients=(8,)), geometry, device)
    genes = torch.randn(population, encoding.genes, generator=torch.Generator().manual_seed(0)).to(device)
    columns = random_batch(images, device)[0].T.contiguous()
    floor_weight = torch.randn(256, 784, device=device)
    with torch.no_grad():
        def factored() -> Tensor:
            return project(encoding.express(genes)["hidden.weight"], columns)

        def built() -> Tensor:
            return project(Weights(encoding.express(genes).dense())["hidden.weight"], columns)

        error = float((factored() - built()).abs().max() / built().abs().max())
        times = in_turns({"factored": factored, "dense": built,
                          "matrix_product": lambda: [floor_weight @ columns for _ in range(population)]}, device, turns)
    return {"population": population, "images": images, "coefficients": [8, 8, 8, 8],
            "seconds_per_network": {name: statistics.median(spent) / population for name, spent in times.items()},
            "factored_speedup": ratio(times["dense"], times["factored"]),
            "ratio_to_matrix_product": ratio(times["factored"], times["matrix_product"]),
            "largest_relative_difference": error}


# Gradients


def measure_gradient(device: torch.device, quick: bool) -> dict[str, Any]:
    """Speed of one forward and backward pass: a wide residual network with generated kernels against one with direct
    ones, and five networks at once against one."""
    images, depth, turns = (8, 10, 2) if quick else (128, 40, 3)
    network = wide_resnet.build(wide_resnet.Settings(depth=depth), Sheet((3, 32, 32)), 10)
    hyper = embedding.Settings(direct=("conv1.*", "*.shortcut.*", "readout.*"))
    photographs = torch.rand(images, 3 * 32 * 32, device=device)
    small = mnist_convnet()
    pictures = torch.rand(20 if quick else 1000, 28 * 28, device=device)
    own = embedding.Settings(embedding=4, direct=("convolution1.weight", "readout.weight"))
    times = in_turns({
        "wide_resnet_direct": _step(network, direct.Settings(), photographs, 1, device),
        "wide_resnet_generated": _step(network, hyper, photographs, 1, device),
        "convnet_alone": _step(small, own, pictures, 1, device),
        "five_convnets": _step(small, own, pictures, 5, device),
    }, device, turns)
    return {"wide_resnet_images": images, "convnet_images": len(pictures),
            "seconds_per_step": {name: statistics.median(spent) for name, spent in times.items()},
            "generated_ratio_to_direct": ratio(times["wide_resnet_generated"], times["wide_resnet_direct"]),
            "five_at_once_ratio_to_five_in_turn": ratio(times["five_convnets"], times["convnet_alone"]) / 5}


def mnist_convnet() -> convnet.ConvNetTarget:
    """The MNIST network of Ha, Dai & Le (2016)."""
    return convnet.build(convnet.Settings(), Sheet((28, 28)), 10)


def _step(target: Target, settings: ComponentSettings, inputs: Tensor, population: int, device: torch.device) -> Work:
    """Work that computes the gradient of a loss by all genes of a population."""
    encoding = build_encoding(settings, target.geometry, device)
    assert isinstance(encoding, FixedLength)
    genes = encoding.sample(population, torch.Generator().manual_seed(0)).to(device).requires_grad_()

    def work() -> None:
        loss = target.forward(encoding.express(genes), inputs).logsumexp(2).mean(1).sum()
        torch.autograd.grad(loss, genes)

    return work


# Growth


def measure_growth(device: torch.device, quick: bool) -> dict[str, list[dict[str, float]]]:
    """Growth of the cost with the population, the connections, the hidden nodes and the images."""
    target = mnist_network()
    encoding = cppn.CppnEncoding(cppn.Settings(), target.geometry, device)
    few = 2 if quick else 16

    def evaluated(graphs: Sequence[Graph], images: int = 1000) -> float:
        """Seconds per network, the median of three evaluations."""
        batch = random_batch(images, device)
        work = lambda: evaluate(encoding, target, list(graphs), batch, _mean_output, 4.0)  # noqa: E731
        work()
        return statistics.median(seconds(work, device) for _ in range(3)) / len(graphs)

    def by_population(sizes: Sequence[int]) -> list[dict[str, float]]:
        """Seconds per network by population. Smaller populations are several slices of the largest one, so that all
        sizes paint comparable graphs."""
        graphs = random_graphs(encoding, sizes[-1])
        rows = []
        for size in sizes:
            starts = range(0, len(graphs), max(size, len(graphs) // 4))
            spent = [evaluated(graphs[start : start + size], 20 if quick else 1000) for start in starts]
            rows.append({"population": size, "seconds_per_network": statistics.mean(spent)})
        return rows

    populations, images, hidden = ((2, 4), (20, 40), (4, 8)) if quick else \
        ((16, 64, 256, 1024), (100, 300, 1000, 3000), (4, 8, 16, 32))
    return {
        "population": by_population(populations),
        "connections": [_paint_substrate(device, sizes, few if sizes[0] * sizes[1] < 10**6 else 4)
                        for sizes in (((11, 11),) if quick else
                                      ((121, 121), (256, 784), (784, 784), (1600, 1600), (3025, 3025)))],
        "hidden": [{"hidden": nodes, "seconds_per_network": evaluated(random_graphs(encoding, few, nodes),
                                                                      20 if quick else 1000)} for nodes in hidden],
        "images": [{"images": count, "seconds_per_network": evaluated(random_graphs(encoding, few), count)}
                   for count in images],
    }


def _paint_substrate(device: torch.device, sizes: tuple[int, int], population: int) -> dict[str, float]:
    """Seconds to paint one matrix of `sizes` (targets, sources), on square sheets where a count is a square."""
    geometry = {"weight": ParameterGeometry(_sheet(sizes[0]), _sheet(sizes[1]))}
    encoding = cppn.CppnEncoding(cppn.Settings(), geometry, device)
    graphs = random_graphs(encoding, population)

    def work() -> None:
        weight = encoding.express(graphs)["weight"]
        for place in range(population):
            one = weight[place : place + 1]
            _ = one if isinstance(one, Tensor) else one.dense()

    with torch.no_grad():
        work()
        spent = min(seconds(work, device) for _ in range(3)) / population
    connections = sizes[0] * sizes[1]
    return {"connections": connections, "population": population, "seconds_per_network": spent,
            "nanoseconds_per_connection": 1e9 * spent / connections}


def _sheet(units: int) -> Sheet:
    side = round(units**0.5)
    return Sheet((side, side)) if side * side == units else Sheet((units,))
