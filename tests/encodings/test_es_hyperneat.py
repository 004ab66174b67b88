"""ES-HyperNEAT: a population grows, all at once, the very networks that the paper's recursion grows one by one."""

import math
import random
from dataclasses import replace
from itertools import product

import neat
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neat.activations import ActivationFunctionSet
from neat.aggregations import AggregationFunctionSet
from pydantic import ValidationError

from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings._program import graph_numbers
from hyperevo.encodings._queries import Cppns
from hyperevo.encodings.es_hyperneat import EsHyperneatEncoding, Settings
from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, OWN_SCALAR_ACTIVATIONS
from hyperevo.geometry import SUBSTRATE, ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology
from hyperevo.plots.run_figures import save_run_figures
from hyperevo.plots.substrate import found_network
from hyperevo.runs import create_run, execute
from hyperevo.tensors import read_tensors
from hyperevo.weights import Weights

LINE = ParameterGeometry(Sheet((1,)), Sheet((3,)))
PLANE = ParameterGeometry(Sheet((1, 2)), Sheet((2, 2)))
FUNCTIONS = ("sin", "cos", "gauss", "sigmoid", "tanh", "abs", "identity", "square", "step", "hat")
OPTIONS = [{}, {"maximum_depth": 2}, {"initial_depth": 1}, {"iteration_level": 2, "initial_depth": 1},
           {"iteration_level": 0, "initial_depth": 3}, {"delta": True, "distance": True}, {"bias": False},
           {"variance_threshold": 0.2, "band_threshold": 0.05}, {"division_threshold": 0.5, "band_threshold": 0.1},
           {"link_expression": True, "initial_depth": 1},
           {"bias_everywhere": True, "link_expression": True, "distance": True}]


def population(encoding, size, seed, functions=FUNCTIONS, hidden=4, aggregations=("sum",)):
    """Random graphs of different shapes, float64; some nodes have no links, some are dead."""
    draw = random.Random(seed)
    graphs = []
    for _ in range(size):
        inputs, nodes = len(encoding.input_names), []
        for index in range(draw.randrange(hidden + 1)):
            sources = draw.sample(range(inputs + index), draw.randrange(5))
            nodes.append(Node(draw.choice(functions), draw.choice(aggregations), tuple(sources)))
        outputs = len(encoding.output_names)
        for _ in range(outputs):
            nodes.append(Node(draw.choice(functions), "sum", tuple(draw.sample(range(inputs + len(nodes)), 3))))
        topology = Topology(inputs, tuple(nodes), tuple(range(len(nodes) - outputs, len(nodes))))
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        weights, biases, responses = (torch.randn(count, generator=generator, dtype=torch.float64)
                                      for count in (topology.links, len(nodes), len(nodes)))
        responses = responses if draw.random() < 0.3 else torch.ones_like(responses)
        graphs.append(Graph(topology, weights * 1.5, biases * 0.5, responses))
    return graphs


# The paper's algorithms, for one network and one query at a time


def neat_python_cppn(graph):
    """The graph as neat-python's own network."""
    functions, aggregations = ActivationFunctionSet(), AggregationFunctionSet()
    for name, function in OWN_SCALAR_ACTIVATIONS.items():
        functions.add(name, function)
    inputs, offset, evaluations = graph.topology.inputs, 0, []
    weights, biases, responses = graph.weights.tolist(), graph.biases.tolist(), graph.responses.tolist()
    for index, node in enumerate(graph.topology.nodes):
        links = [(source - inputs if source >= inputs else -source - 1, weights[offset + place])
                 for place, source in enumerate(node.sources)]
        evaluations.append((index, functions.get(node.activation), aggregations.get(node.aggregation), biases[index],
                            responses[index], links))
        offset += len(node.sources)
    return neat.nn.FeedForwardNetwork([-place - 1 for place in range(inputs)], list(graph.topology.outputs),
                                      evaluations)


def asker(graph, options):
    """A function of a source's and a target's place, the CPPN's answers."""
    network, known = neat_python_cppn(graph), {}

    def ask(source, target):
        if (source, target) not in known:
            inputs = [*source, *target, 1.0]
            inputs += [a - b for a, b in zip(source, target, strict=True)] if options.delta else []
            inputs += [math.dist(source, target)] if options.distance else []
            known[source, target] = network.activate(inputs)
        return known[source, target]

    return ask


class QuadPoint:
    def __init__(self, place, width, level):
        self.place, self.width, self.level = place, width, level
        self.children, self.w = [], None

    def leaves(self):
        return [leaf for child in self.children for leaf in child.leaves()] if self.children else [self.w]

    def variance(self):
        return float(np.var(self.leaves()))


def division_and_initialisation(a, outgoing, ask, options):
    root = QuadPoint((0.0,) * len(a), 1.0, 1)
    queue = [root]
    while queue:
        p = queue.pop(0)
        half = p.width / 2
        p.children = [QuadPoint(tuple(x + sign * half for x, sign in zip(p.place, corner, strict=True)), half,
                                p.level + 1) for corner in product((-1, 1), repeat=len(a))]
        for c in p.children:
            c.w, *c.leo = ask(a, c.place) if outgoing else ask(c.place, a)
        if p.level < options.initial_depth or (p.level < options.maximum_depth
                                               and p.variance() > options.division_threshold):
            queue += p.children
    return root


def pruning_and_extraction(a, p, outgoing, ask, options):
    connections = {}
    for c in p.children:
        if c.variance() > options.variance_threshold:
            connections |= pruning_and_extraction(a, c, outgoing, ask, options)
            continue
        smaller = []
        for axis in range(len(a)):
            sides = []
            for sign in (-1, 1):
                beside = tuple(x + sign * p.width * (other == axis) for other, x in enumerate(c.place))
                sides.append(abs(c.w - (ask(a, beside) if outgoing else ask(beside, a))[0]))
            smaller.append(min(sides))
        if max(smaller) > options.band_threshold and all(leo > 0 for leo in c.leo):
            connections[c.place] = c.w
    return connections


def tree(a, outgoing, ask, options):
    return pruning_and_extraction(a, division_and_initialisation(a, outgoing, ask, options), outgoing, ask, options)


def paper_network(graph, inputs, outputs, options):
    """Connections of one network: {(source, target): w}. Inputs and outputs are named by number, hidden nodes by their
    place; the input that comes last may be the bias."""
    ask = asker(graph, options)
    connections = {(("input", number), place): w for number, a in enumerate(inputs)
                   for place, w in tree(a, True, ask, options).items()}
    hidden = {target for _, target in connections}
    unexplored = set(hidden)
    for _ in range(options.iteration_level):
        found = {(a, place): w for a in unexplored for place, w in tree(a, True, ask, options).items()}
        connections |= found
        unexplored = {target for _, target in found} - hidden
        hidden |= unexplored
    connections |= {(place, ("output", number)): w for number, a in enumerate(outputs)
                    for place, w in tree(a, False, ask, options).items()}
    ahead = reachable({("input", number) for number in range(len(inputs))}, connections)
    back = reachable({("output", number) for number in range(len(outputs))}, [edge[::-1] for edge in connections])
    kept = {(source, target): w for (source, target), w in connections.items() if {source, target} <= ahead & back}
    if options.bias_everywhere:
        bias = len(inputs) - 1
        kept |= {(("input", bias), place): ask(inputs[bias], place)[0] for place in hidden & ahead & back}
    return kept


def reachable(start, edges):
    seen, more = set(start), set(start)
    while more:
        more = {target for source, target in edges if source in more} - seen
        seen |= more
    return seen


# Ours, in the same words


def grown_networks(encoding, graphs, dtype=torch.float64):
    """The same of P networks."""
    weights, nodes = encoding.connections(graphs, dtype)
    networks = []
    for number, own in enumerate(nodes):
        hidden = [tuple(encoding.cells.places[cell].tolist()) if cell >= 0 else None for cell in own]
        inputs = [("input", place) for place in range(len(encoding.sources))]
        outputs = [("output", place) for place in range(len(encoding.outputs))]
        edges = {}
        for name, sources, targets in (("input.weight", inputs[: len(encoding.inputs)], hidden),
                                       ("recurrent.weight", hidden, hidden), ("readout.weight", hidden, outputs),
                                       ("recurrent.bias", inputs[len(encoding.inputs) :], hidden)):
            if name in weights:
                values = weights[name][number].reshape(len(targets), len(sources))
                edges |= {(sources[source], targets[target]): float(values[target, source])
                          for target, source in (~values.isnan()).nonzero().tolist()}
        networks.append(edges)
    return networks


def places(tensor):
    return [tuple(place) for place in tensor.tolist()]


def assert_equal_networks(encoding, graphs):
    for graph, edges in zip(graphs, grown_networks(encoding, graphs), strict=True):
        expected = paper_network(graph, places(encoding.sources), places(encoding.outputs), encoding.settings)
        assert edges.keys() == expected.keys()
        assert all(math.isclose(edges[edge], w, rel_tol=1e-9, abs_tol=1e-9) for edge, w in expected.items())


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_population_grows_the_papers_networks(options, seed):
    encoding = EsHyperneatEncoding(Settings(**options), LINE)
    assert_equal_networks(encoding, population(encoding, 4, seed))


@pytest.mark.parametrize("options", [{"maximum_depth": 2}, {"maximum_depth": 2, "link_expression": True},
                                     {"initial_depth": 1, "maximum_depth": 2, "delta": True}])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_so_it_does_in_three_dimensions(options, seed):
    encoding = EsHyperneatEncoding(Settings(**options), PLANE)
    assert encoding.cells.axes == 3
    assert_equal_networks(encoding, population(encoding, 2, seed))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_nodes_may_aggregate_in_any_way(seed):
    encoding = EsHyperneatEncoding(Settings(), LINE)
    assert_equal_networks(encoding, population(encoding, 4, seed, aggregations=("sum", "mean", "product", "max",
                                                                               "min", "maxabs")))


def test_the_random_networks_have_all_that_is_tested():
    """Many connections, and of every kind, and nodes of several depths; or the tests above would test little."""
    encoding = EsHyperneatEncoding(Settings(initial_depth=1), LINE)
    networks = grown_networks(encoding, population(encoding, 40, 0))
    hidden = [place for edges in networks for source, target in edges for place in (source, target)
              if not isinstance(place[0], str)]
    assert len({abs(place[0]) for place in hidden}) == 1 + 2 + 4
    assert kinds(networks) == {("input", False), (False, False), (False, "output")}
    assert sum(not edges for edges in networks) > 2


def kinds(networks):
    return {tuple(isinstance(end[0], str) and end[0] for end in edge) for edges in networks for edge in edges}


def test_link_expression_takes_connections_away_and_moves_none():
    """Of the same graphs without the second output; which nodes remain follows from the connections."""
    leo = EsHyperneatEncoding(Settings(initial_depth=1, link_expression=True), LINE)
    graphs = population(leo, 40, 0)
    bare = [replace(graph, topology=replace(graph.topology, outputs=graph.topology.outputs[:1])) for graph in graphs]
    fewer = grown_networks(leo, graphs)
    every = grown_networks(EsHyperneatEncoding(Settings(initial_depth=1), LINE), bare)
    assert kinds(fewer) == {("input", False), (False, False), (False, "output")}
    assert all(own.items() <= all_of_them.items() for own, all_of_them in zip(fewer, every, strict=True))
    assert 0 < sum(map(len, fewer)) < 0.8 * sum(map(len, every))


@pytest.mark.parametrize("options", [{}, {"initial_depth": 1, "maximum_depth": 4}, {"distance": True},
                                     {"link_expression": True}])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_network_is_the_same_to_the_last_bit_whatever_is_grown_beside_it(options, seed):
    encoding = EsHyperneatEncoding(Settings(**options), LINE)
    graphs = population(encoding, 6, seed, functions=tuple(ACTIVATIONS))
    together = encoding.connections(graphs)
    for number, graph in enumerate(graphs):
        weights, nodes = encoding.connections([graph])
        count = nodes.shape[1]
        assert torch.equal(together[1][number, :count], nodes[0])
        assert bool((together[1][number, count:] < 0).all())
        for name, values in weights.items():
            own = together[0][name][number]
            padded = torch.full_like(own, torch.nan)
            padded[tuple(slice(size) for size in values.shape[1:])] = values[0]
            assert torch.equal(own.nan_to_num(99.0), padded.nan_to_num(99.0)), name


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_constant_cppn_makes_no_hidden_node(everywhere):
    encoding = EsHyperneatEncoding(Settings(bias_everywhere=everywhere), LINE)
    topology = Topology(5, (Node("identity", "sum", (4,)),), (0,))
    graph = Graph(topology, torch.ones(1).double(), torch.ones(1).double(), torch.ones(1).double())
    weights = encoding.express([graph, graph])
    assert {name: tuple(value.shape) for name, value in weights.dense().items()} == {
        "input.weight": (2, 0, 3), "recurrent.weight": (2, 0, 0), "readout.weight": (2, 1, 0),
        "recurrent.bias": (2, 0), "hidden.places": (2, 0, 2)}


def test_hidden_nodes_that_reach_no_output_are_dropped():
    encoding = EsHyperneatEncoding(Settings(), LINE)
    # A wave of what lies left and right of the target, but nothing where the target is an output.
    topology = Topology(5, (Node("step", "sum", (3, 4)), Node("sin", "sum", (2,)),
                            Node("identity", "product", (5, 6))), (2,))
    weights = torch.tensor([-1.0, 0.99, 1.5, 1.0, 1.0]).double()
    graph = Graph(topology, weights, torch.zeros(3).double(), torch.ones(3).double())
    ask = asker(graph, encoding.settings)
    assert tree((0.0, -1.0), True, ask, encoding.settings)
    assert not tree((0.0, 1.0), False, ask, encoding.settings)
    assert encoding.express([graph])["input.weight"].shape == (1, 0, 3)


def test_expressed_weights_are_scaled_and_placed():
    encoding = EsHyperneatEncoding(Settings(maximum_weight=5.0), LINE)
    graphs = population(encoding, 20, 1)
    values, nodes = encoding.connections(graphs, torch.float64)
    weights = encoding.express(graphs, torch.float64)
    for name, own in values.items():
        torch.testing.assert_close(weights[name], own.nan_to_num(0.0) * 5)
    hidden = weights["hidden.places"]
    assert torch.equal(hidden[:, :, 0].isnan(), nodes < 0)
    assert (nodes >= 0).any() and (nodes < 0).any()
    assert bool((hidden[nodes >= 0].abs() < 1).all())


@pytest.mark.parametrize("everywhere", [False, True])
def test_gradients_equal_finite_differences(everywhere):
    encoding = EsHyperneatEncoding(Settings(distance=True, maximum_depth=2, bias_everywhere=everywhere), LINE)
    graphs = population(encoding, 3, seed=5, functions=("sin", "tanh", "sigmoid"))
    numbers = [part.clone().requires_grad_() for graph in graphs for part in (graph.weights, graph.biases)]

    def weights(*numbers):
        learned = [Graph(graph.topology, *numbers[2 * place : 2 * place + 2], graph.responses)
                   for place, graph in enumerate(graphs)]
        expressed = encoding.express(learned, torch.float64).dense()
        return tuple(value for name, value in expressed.items() if name != "hidden.places")

    assert all(value.numel() for value in weights(*numbers))
    assert torch.autograd.gradcheck(weights, numbers, atol=1e-6)
    for name, value in encoding.express(graphs, torch.float64).items():
        if name != "hidden.places":
            torch.testing.assert_close(value, dict(zip(encoding.connections(graphs)[0], weights(*numbers),
                                                       strict=True))[name].detach())


def test_graphs_answer_as_in_neat_python_wherever_they_are_asked():
    encoding = EsHyperneatEncoding(Settings(distance=True), LINE)
    graphs = population(encoding, 5, 3, aggregations=("sum", "product"))
    numbers, starts = graph_numbers(graphs)
    cppns = Cppns(graphs, numbers, starts, encoding.input_names, torch.float64)
    generator = torch.Generator().manual_seed(0)
    near, far = (torch.rand(6, size, generator=generator, dtype=torch.float64) for size in (40, 7))
    owner = np.sort(np.random.default_rng(0).integers(0, 4, 40))  # none of the last graph
    answers = cppns.ask(torch.from_numpy(owner), near, far)
    for unit, point in product(range(0, 40, 3), range(7)):
        inputs = (near[:, unit] + far[:, point]).tolist()
        inputs[-1] = math.dist(inputs[:2], inputs[2:4])
        expected = neat_python_cppn(graphs[owner[unit]]).activate(inputs)[0]
        assert math.isclose(float(answers[0, unit, point]), expected, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_what_a_graph_answers_does_not_depend_on_what_else_is_asked(seed):
    """To the last bit, wherever the points come to lie: most operations round what is left of a vector differently."""
    encoding = EsHyperneatEncoding(Settings(), LINE)
    graphs = population(encoding, 6, seed, functions=("sigmoid",))
    numbers, starts = graph_numbers(graphs)
    generator = torch.Generator().manual_seed(seed)
    near, far = (torch.randn(5, size, generator=generator) for size in (60, 7))
    owner = np.sort(np.random.default_rng(seed).integers(0, 6, 60))
    cppns = Cppns(graphs, numbers, starts, encoding.input_names, torch.float32)
    together = cppns.ask(torch.from_numpy(owner), near, far)
    for number, graph in enumerate(graphs):
        own = Cppns([graph], *graph_numbers([graph]), encoding.input_names, torch.float32)
        units = np.flatnonzero(owner == number)
        assert torch.equal(own.ask(torch.zeros(len(units), dtype=torch.long), near[:, units], far), together[:, units])


@pytest.mark.parametrize("options", [{}, {"link_expression": True}])
def test_figures_show_networks_with_and_without_hidden_nodes(options):
    encoding = EsHyperneatEncoding(Settings(initial_depth=1, **options), LINE)
    graphs = population(encoding, 40, 0)
    hidden = (encoding.connections(graphs)[1] >= 0).sum(1)
    for count in (hidden.min(), hidden.median(), hidden.max()):
        figure = found_network(encoding.found_network(graphs[int((hidden == count).int().argmax())]), "run")
        figure.draw_without_rendering()
        assert f"({int(count)} hidden nodes" in figure.get_suptitle().replace("\n", " ")
    assert hidden.min() == 0 < hidden.max()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValidationError, match="maximum_depth 2 is less than initial_depth 3"):
        Settings(initial_depth=3, maximum_depth=2)
    with pytest.raises(UserError, match="needs target.name = substrate"):
        build_encoding(Settings(), {"weight": LINE}, torch.device("cpu"))
    with pytest.raises(UserError, match="at most three axes"):
        build_encoding(Settings(), {SUBSTRATE: ParameterGeometry(Sheet((1,)), Sheet((2, 2, 2, 2)))},
                       torch.device("cpu"))


def test_a_run_ends_with_a_network_and_figures(tmp_path):
    config = load_config("es-hyperneat-parity", ["run.rounds=2", "search.population=40", "threads=1"]).config
    run = create_run(config, tmp_path / "run")
    result, task = execute(run), run.parts.task
    network = read_tensors(tmp_path / "run" / "champion" / "weights.safetensors")
    patterns, labels = task.test()
    outputs = run.parts.target.forward(Weights({name: value[None] for name, value in network.items()}), patterns)
    assert float(task.score(outputs, labels)) == result["test_accuracy"] and len(network["hidden.places"])
    assert network["input.weight"].shape == (len(network["hidden.places"]), 3)
    figures = {path.stem for path in save_run_figures(tmp_path / "run")}
    assert {"learning_curves", "cppn_graph", "found_network"} <= figures
