"""CPPN populations: whatever way they are expressed, every graph paints what it paints alone, node by node."""

import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_cppns import GEOMETRY, OPTIONS, SMOOTH, painted_alone, population

from hyperevo import devices
from hyperevo.encodings import _painting, cppn
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.functions import ACTIVATIONS
from hyperevo.graph import Graph, Node, Topology
from hyperevo.weights import Deferred, Factored, Pieces


@pytest.fixture(params=["point by point", "one by one", "in blocks", "all at once"])
def way(request, monkeypatch):
    """How matrices are painted."""
    monkeypatch.setattr(cppn, "POINTS", 10**6 if request.param == "point by point" else 20)
    if request.param == "all at once":
        monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)
    if request.param == "in blocks":
        monkeypatch.setattr(_painting, "BLOCK", 25)


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_a_population_is_painted_as_every_graph_alone(way, options, seed):
    encoding = CppnEncoding(Settings(**options), GEOMETRY)
    graphs = population(encoding, 7, seed)
    graphs.append(graphs[2])
    with torch.no_grad():
        weights = encoding.express(graphs, torch.float64).dense()
    for name, values in weights.items():
        for graph, own in zip(graphs, values, strict=True):
            expected = painted_alone(encoding, graph, name)
            scale = max(1.0, float(expected.abs().max()))
            # Where a link is just expressed or a step just taken, rounding decides; such points are few.
            apart = ~((own - expected).abs() <= 1e-9 * scale)  # what is not a number is apart, too
            assert apart.float().mean() <= (0.05 if options.get("link_expression") else 0.0), name


@pytest.mark.parametrize("options", [{}, {"threshold": 0, "delta": True, "distance": True}])
def test_gradients_of_a_population_equal_finite_differences(way, options):
    encoding = CppnEncoding(Settings(**options), GEOMETRY)
    graphs = population(encoding, 3, seed=3, hidden=4, activations=SMOOTH, aggregations=("sum", "mean", "product"))
    numbers = [part.clone().requires_grad_() for graph in graphs for part in (graph.weights, graph.biases)]

    def weights(*numbers):
        learned = [Graph(graph.topology, *numbers[2 * place : 2 * place + 2], graph.responses)
                   for place, graph in enumerate(graphs)]
        return tuple(encoding.express(learned, torch.float64).dense().values())

    assert torch.autograd.gradcheck(weights, numbers, atol=1e-6)


def test_a_graph_of_waves_stays_factored(monkeypatch):
    monkeypatch.setattr(cppn, "POINTS", 20)
    encoding = CppnEncoding(Settings(threshold=0), GEOMETRY)
    waves = (Node("sin", "sum", (0, 3)), Node("cos", "sum", (1, 2)))
    wave = Topology(5, (*waves, *(Node("identity", "sum", (5, 6)),) * 4), (2, 3, 4, 5))
    corner = Topology(5, (Node("abs", "sum", (0, 3)), *(Node("identity", "sum", (5,)),) * 4), (1, 2, 3, 4))
    graphs = [Graph(topology, torch.full((topology.links,), 0.5).double(), torch.zeros(len(topology.nodes)).double(),
                    torch.ones(len(topology.nodes)).double()) for topology in (wave, wave, corner, wave)]
    with torch.no_grad():
        weight = encoding.express(graphs)["hidden.weight"]
    assert isinstance(weight, Pieces)
    assert [type(part) for part in weight.parts] == [Factored, Deferred, Factored]
    assert [len(part) for part in weight.parts] == [2, 1, 1]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_in_place_are_the_functions_far_out_too(name):
    places = torch.cat([torch.linspace(-99, 99, 1999, dtype=torch.float64), torch.tensor([0.0, 1e-9, -3.4, 12, -12.1])])
    expected, gain = ACTIVATIONS[name](places), dict(_painting.GAINS).get(name, 1.0)
    found = _painting.answer_in_place(name, gain * places)
    apart = (found - expected).abs() / expected.abs().clamp(min=1.0 if name in ("sin", "cos", "tanh") else 1e-30)
    assert float(apart.max()) < 1e-12


def test_waves_beyond_the_clamp_are_clamped_as_in_neat_python(way):
    encoding = CppnEncoding(Settings(threshold=0), GEOMETRY)
    topology = Topology(5, (Node("sin", "sum", (0, 3)), Node("sin", "sum", (0, 5)),
                            *(Node("identity", "sum", (5, 6)),) * 4), (2, 3, 4, 5))
    graphs = [Graph(topology, size * torch.linspace(20, 9, topology.links).double(), torch.zeros(6).double(),
                    torch.ones(6).double()) for size in (1.0, 0.1, 0.7, 0.35)]
    with torch.no_grad():
        alone, together = encoding.express(graphs[:1], torch.float64).dense(), encoding.express(graphs, torch.float64)
    for name, values in together.dense().items():
        torch.testing.assert_close(alone[name][0], values[0])
        for graph, own in zip(graphs, values, strict=True):
            torch.testing.assert_close(own, painted_alone(encoding, graph, name))


LARGE = """
import random, sys, torch
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.runs.environment import peak_memory_gb
from hyperevo.runs.evaluate import evaluate
from hyperevo.targets.mlp import MlpTarget, Settings as Mlp
from hyperevo.weights import project
sys.path.insert(0, {folder!r})
from random_cppns import population
torch.set_num_threads(1)
before = peak_memory_gb()
{body}
print(peak_memory_gb() - before)
"""

SUBSTRATE = """
encoding = CppnEncoding(Settings(), {"weight": ParameterGeometry(Sheet((55, 55)), Sheet((55, 55)))})
with torch.no_grad():
    weight = encoding.express(population(encoding, 4, 0, hidden=8))["weight"]
    assert tuple(weight.shape) == (4, 3025, 3025)
    assert torch.isfinite(project(weight, torch.randn(3025, 10))).all()
"""

THOUSAND = """
target = MlpTarget(Mlp(), Sheet((28, 28)), 10)
encoding = CppnEncoding(Settings(), target.geometry)
graphs = population(encoding, 1000, 0, hidden=8)
batch = torch.randn(200, 784), torch.randint(10, (200,))
fitness = evaluate(encoding, target, graphs, batch, lambda outputs, labels: outputs.square().mean((1, 2)), 2.0)
assert fitness.shape == (1000,)
"""


@pytest.mark.parametrize("body", [SUBSTRATE, THOUSAND], ids=["nine million connections", "a thousand networks"])
def test_memory_is_bounded(body, request):
    script = LARGE.format(folder=str(request.path.parents[1] / "helpers"), body=body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.4  # gigabytes; as many as 814 MB are a thousand networks' weights alone
