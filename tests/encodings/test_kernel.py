"""The kernel paints what every graph paints alone, node by node in float64. Without a GPU it is interpreted."""

import json
import os
from unittest import mock

import numpy as np
import pytest
import torch
from random_cppns import GEOMETRY, OPTIONS, painted_alone, population

from hyperevo import devices
from hyperevo.benchmark import random_graphs
from hyperevo.encodings import _painter
from hyperevo.encodings._painter import KernelCppns
from hyperevo.encodings._program import graph_numbers
from hyperevo.encodings._queries import Cppns
from hyperevo.encodings._table import table_from_graphs
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.encodings.es_hyperneat import EsHyperneatEncoding
from hyperevo.encodings.es_hyperneat import Settings as EsHyperneat
from hyperevo.encodings.fixed_graph import FixedGraphEncoding
from hyperevo.encodings.fixed_graph import Settings as FixedGraph
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.genotypes import pack_genotype
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology
from hyperevo.runs.evaluate import evaluate
from hyperevo.search.neat import NeatSearch
from hyperevo.search.neat import Settings as Neat
from hyperevo.targets import mlp

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
INTERPRETED = {} if DEVICE == "cuda" else {"TRITON_INTERPRET": "1"}
with mock.patch.dict(os.environ, INTERPRETED):
    pytest.importorskip("triton", reason="Triton is for Linux")
    pytest.importorskip("hyperevo.encodings._kernel")


@pytest.fixture(autouse=True)
def kernel(monkeypatch):
    for name, value in INTERPRETED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(devices, "has_kernel", lambda device: True)
    monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)


def graph_of(activation, aggregation, draw):
    """Two hidden nodes of one kind, the second with the first as a source, and an output; numbers are random."""
    first = tuple(draw.permutation(5)[: draw.integers(0, 5)].tolist())
    second = (5, *draw.permutation(5)[: draw.integers(0, 4)].tolist())
    topology = Topology(5, (Node(activation, aggregation, first), Node(activation, aggregation, second),
                            Node("identity", "sum", (5, 6))), (2,))
    numbers = [torch.from_numpy(draw.normal(size=count)) for count in (topology.links, 3, 3)]
    return Graph(topology, numbers[0] * 0.7, numbers[1] * 0.5, numbers[2])


def assert_close(painted, expected):
    """Equal to 1e-5 of the largest weight, or of the weight itself; what is no number in one is none in the other."""
    finite = expected[expected.isfinite()]
    scale = max(1.0, float(finite.abs().max())) if len(finite) else 1.0
    torch.testing.assert_close(painted.double().cpu(), expected, atol=1e-5 * scale, rtol=1e-5, equal_nan=True)


def test_two_hundred_graphs_of_every_function_and_aggregation_equal_the_float64_walk():
    kinds = [(activation, aggregation) for activation in ACTIVATIONS for aggregation in AGGREGATIONS]
    draw = np.random.default_rng(0)
    graphs = [graph_of(*kinds[number % len(kinds)], draw) for number in range(200)]
    geometry = {"weight": ParameterGeometry(Sheet((2, 4)), Sheet((3, 2)))}
    encoding = CppnEncoding(Settings(threshold=0, maximum_weight=1.0), geometry, DEVICE)
    with torch.no_grad():
        painted = encoding.express(graphs)["weight"]
    for graph, own in zip(graphs, painted, strict=True):
        # Where a step just is taken, rounding decides.
        if "step" not in {node.activation for node in graph.topology.nodes}:
            assert_close(own, painted_alone(CppnEncoding(encoding.settings, geometry), graph, "weight"))
        else:
            alone = painted_alone(CppnEncoding(encoding.settings, geometry), graph, "weight")
            assert ((own.double().cpu() - alone).abs() > 1e-5).float().mean() <= 0.05


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_and_parameter_is_painted(options, monkeypatch):
    monkeypatch.setattr(_painter, "TILE", 64)  # two tiles for the largest parameter
    encoding, alone = (CppnEncoding(Settings(**options), GEOMETRY, device) for device in (DEVICE, "cpu"))
    graphs = population(encoding, 4, seed=3, activations=("sin", "gauss", "tanh", "square"), hidden=3)
    with torch.no_grad():
        weights = encoding.express(graphs)
    for name, values in weights.items():
        assert isinstance(values, torch.Tensor) and values.dtype == torch.float32
        for graph, own in zip(graphs, values, strict=True):
            assert_close(own, painted_alone(alone, graph, name))


def test_genomes_are_painted_from_their_columns_without_becoming_graphs():
    encoding = CppnEncoding(Settings(), GEOMETRY, DEVICE)
    search = NeatSearch(Neat(population=6, hidden=2, add_node=0.9, add_link=0.9, toggle_rate=0.3,
                             aggregations=("sum", "max", "mean"), aggregation_rate=0.5), encoding.input_names,
                        encoding.output_names, 0)
    for _ in range(3):
        search.tell(torch.rand(len(search.ask()), generator=torch.Generator().manual_seed(0)))
        while search.phase:
            search.tell(torch.rand(len(search.ask()), generator=torch.Generator().manual_seed(0)))
    asked = search.ask()
    with torch.no_grad():
        weights = encoding.express(asked)["hidden.weight"]
        parts = [encoding.express(own)["hidden.weight"]
                 for own in (asked[2:4], search.ask()[2:4], search.ask()[1:5][1:3])]
    assert "_graphs" not in vars(asked)
    assert all(torch.equal(part, weights[2:4]) for part in parts)
    for graph, own in zip(asked, weights, strict=True):
        assert_close(own, painted_alone(CppnEncoding(Settings(), GEOMETRY), graph, "hidden.weight"))


def test_a_fixed_graph_is_painted_with_every_genotypes_numbers():
    graph, = population(CppnEncoding(Settings(), GEOMETRY), 1, seed=5, activations=("sin", "tanh"))
    plain, tensors = pack_genotype(graph)
    text = json.dumps({name: plain[name] for name in ("inputs", "outputs", "nodes")}
                      | {name: numbers.tolist() for name, numbers in tensors.items()})
    encoding = FixedGraphEncoding(FixedGraph(graph=text), GEOMETRY, DEVICE)
    genes = torch.randn(3, encoding.genes, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = encoding.express(genes.to(DEVICE))["readout.weight"]
    for own, numbers in zip(weights, encoding.graphs(genes.double()), strict=True):
        assert_close(own, painted_alone(CppnEncoding(Settings(), GEOMETRY), numbers, "readout.weight"))


@pytest.mark.parametrize("options", [{"delta": True, "distance": True},
                                     {"link_expression": True, "bias_everywhere": True}])
def test_es_hyperneat_asks_the_kernel(options, monkeypatch):
    place = ParameterGeometry(Sheet((1,)), Sheet((2,)))
    encoding, alone = (EsHyperneatEncoding(EsHyperneat(maximum_depth=3, **options), place, device)
                       for device in (DEVICE, "cpu"))
    graphs = population(encoding, 3, seed=2, activations=("sin", "gauss", "tanh"), hidden=2)
    own = torch.tensor([0, 0, 1, 2, 2])
    near, far = (torch.rand(len(encoding.input_names), size, generator=torch.Generator().manual_seed(size)) * 2 - 1
                 for size in (5, 70))
    outputs, names = len(encoding.output_names), encoding.input_names
    asked = KernelCppns(table_from_graphs(graphs), names, torch.device(DEVICE), outputs).ask(
        *(part.to(DEVICE) for part in (own, near, far)))
    expected = Cppns(graphs, *graph_numbers(graphs), names, torch.float64, outputs).ask(own, near.double(),
                                                                                         far.double())
    torch.testing.assert_close(asked.double().cpu(), expected, rtol=1e-5, atol=1e-5)
    weights = encoding.express(graphs)
    monkeypatch.undo()
    for name, value in alone.express(graphs).items():
        torch.testing.assert_close(weights[name].cpu(), value, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_gradients_take_the_other_way():
    encoding = CppnEncoding(Settings(threshold=0), GEOMETRY, DEVICE)
    graph, = population(encoding, 1, seed=6, activations=("sin",), aggregations=("sum",))
    learned = Graph(graph.topology, graph.weights.requires_grad_(), graph.biases, graph.responses)
    encoding.express([learned]).tensor("hidden.weight").sum().backward()
    assert graph.weights.grad is not None and graph.weights.grad.abs().sum() > 0


def test_fitness_by_the_kernel_is_that_of_the_cpu(monkeypatch):
    target = mlp.build(mlp.Settings(hidden=((3, 3),)), Sheet((4, 5)), 4)
    batch = torch.rand(30, 20, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 4

    def fitness(device):
        encoding = CppnEncoding(Settings(), target.geometry, device)
        graphs, moved = random_graphs(encoding, 5, hidden=3), tuple(part.to(device) for part in batch)
        return evaluate(encoding, target, graphs, moved, lambda outputs, labels: outputs.square().mean((1, 2)), 1.0)

    ours = fitness(DEVICE)
    monkeypatch.undo()
    torch.testing.assert_close(ours, fitness("cpu"), rtol=1e-5, atol=1e-6)
