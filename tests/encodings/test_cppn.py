"""CPPN populations: whatever way they are expressed, every graph paints what it paints alone, node by node."""

import random
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperevo.encodings import _painting, cppn
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology, activate
from hyperevo.weights import Deferred, Factored, Pieces

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((2, 5)), Sheet((3, 4))),
            "readout.bias": ParameterGeometry(Sheet((2, 5)))}

SMOOTH = ("sin", "cos", "gauss", "sigmoid", "tanh", "identity", "square", "softplus")
TAME = tuple(name for name in ACTIVATIONS if name not in ("exp", "cube", "inv", "log"))
OPTIONS = [{}, {"threshold": 0}, {"delta": True, "distance": True}, {"link_expression": True, "threshold": 0},
           {"outputs": "shared", "delta": True, "threshold": 0}, {"patterns": ("readout.weight",), "threshold": 0}]


@pytest.fixture(params=["point by point", "one by one", "in blocks"])
def way(request, monkeypatch):
    """How matrices are painted."""
    monkeypatch.setattr(cppn, "POINTS", 10**6 if request.param == "point by point" else 20)
    if request.param == "in blocks":
        monkeypatch.setattr(_painting, "BLOCK", 25)


def population(encoding, size, seed, activations=TAME, aggregations=tuple(AGGREGATIONS), hidden=6):
    """Random graphs of different shapes, float64; some nodes have no links, some are dead."""
    draw = random.Random(seed)
    graphs = []
    for _ in range(size):
        inputs, nodes = len(encoding.input_names), []
        for index in range(draw.randrange(hidden + 1)):
            sources = draw.sample(range(inputs + index), draw.randrange(5) % (inputs + index))
            nodes.append(Node(draw.choice(activations), draw.choice(aggregations), tuple(sources)))
        before = len(nodes)
        nodes += [Node("identity", "sum", tuple(draw.sample(range(inputs + before), 3)))
                  for _ in encoding.output_names]
        topology = Topology(inputs, tuple(nodes), tuple(range(before, len(nodes))))
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        numbers = [torch.randn(count, generator=generator, dtype=torch.float64) for count in
                   (topology.links, len(nodes), len(nodes))]
        responses = numbers[2] if draw.random() < 0.3 else torch.ones_like(numbers[2])
        graphs.append(Graph(topology, numbers[0] * 0.7, numbers[1] * 0.5, responses))
    return graphs


def painted_alone(encoding, graph, name):
    """A parameter of one network from its graph, node by node."""
    painting, shape = encoding.paintings[name], encoding.geometry[name].shape
    values = activate(graph, encoding.inputs(name, torch.float64), painting.values + painting.expression)
    rows = len(painting.values)
    size = (shape[0] // rows, shape[1] if len(shape) == 2 else 1)
    values = [value.expand(size) for value in values]
    weights = encoding.weight(torch.cat(values[:rows]))
    if painting.expression:
        weights = torch.where(torch.cat(values[rows:]) > 0, weights, 0.0)
    return weights.reshape(shape)


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
    graph = Graph(topology, torch.linspace(20, 9, topology.links).double(), torch.zeros(6).double(),
                  torch.ones(6).double())
    with torch.no_grad():
        weights = encoding.express([graph], torch.float64).dense()
    for name, values in weights.items():
        torch.testing.assert_close(values[0], painted_alone(encoding, graph, name))


LARGE = """
import random, sys, torch
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.runs.environment import peak_memory_gb
from hyperevo.runs.evaluate import evaluate
from hyperevo.targets.mlp import MlpTarget, Settings as Mlp
from hyperevo.weights import project
sys.path.insert(0, {folder!r})
from test_cppn import population
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
    script = LARGE.format(folder=str(request.path.parent), body=body)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.4  # gigabytes; as many as 814 MB are a thousand networks' weights alone
