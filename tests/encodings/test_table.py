"""Tables of columns hold the same graphs as the objects, node by node."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_cppns import GEOMETRY, population

from hyperevo.encodings._program import ACTIVATION_NAMES, AGGREGATION_NAMES
from hyperevo.encodings._table import (
    LinkColumns,
    NodeColumns,
    Table,
    repeated_graph,
    table_from_columns,
    table_from_graphs,
)
from hyperevo.encodings.cppn import CppnEncoding, Settings
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION
from hyperevo.graph import node_values, program

ENCODING = CppnEncoding(Settings(), GEOMETRY)


def walked(table: Table, network: int, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Outputs of one graph of a table, node by node as its docstring says."""
    layout, values = table.layout, list(inputs)
    for node in range(layout.starts[network], layout.starts[network + 1]):
        links = slice(layout.first_links[node], layout.first_links[node + 1])
        own = [values[source] * weight for source, weight in zip(layout.sources[links], table.weights[links],
                                                                 strict=True)]
        aggregation = AGGREGATION_NAMES[layout.aggregations[node]]
        total = AGGREGATIONS[aggregation](own) if own else torch.full_like(inputs[0], EMPTY_AGGREGATION[aggregation])
        values.append(ACTIVATIONS[ACTIVATION_NAMES[layout.activations[node]]](
            total * table.responses[node] + table.biases[node]))
    return [values[value] for value in layout.outputs[network]]


def points(count=9, inputs=5):
    return list(torch.rand(inputs, count, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def expected(graph, inputs):
    values = node_values(graph, inputs, range(len(graph.topology.outputs)))
    return [values[output].reshape(-1).expand_as(inputs[0]) for output in graph.topology.outputs]


@given(st.integers(0, 10**6))
def test_a_table_computes_what_its_graphs_compute(seed):
    graphs, inputs = population(ENCODING, 6, seed), points()
    table = table_from_graphs(graphs)
    assert len(table) == 6
    for network, graph in enumerate(graphs):
        torch.testing.assert_close(walked(table, network, inputs), expected(graph, inputs), equal_nan=True)


def columns(graphs):
    """Genes of graphs in a random order, with outputs first, as a genome has them."""
    random, nodes, links = np.random.default_rng(0), [], []
    for owner, graph in enumerate(graphs):
        topology, inputs = graph.topology, graph.topology.inputs
        hidden = random.permutation([place for place in range(len(topology.nodes)) if place not in topology.outputs])
        order = [*topology.outputs, *hidden.tolist()]
        place = {node: index for index, node in enumerate(order)}
        offsets = np.cumsum([0, *(len(node.sources) for node in topology.nodes)])
        nodes.append([(ACTIVATION_NAMES.index(topology.nodes[node].activation),
                       AGGREGATION_NAMES.index(topology.nodes[node].aggregation), float(graph.biases[node]),
                       float(graph.responses[node])) for node in order])
        links += [(owner, source if source < inputs else inputs + place[source - inputs], place[node],
                   float(graph.weights[offsets[node] + link]))
                  for node in order for link, source in enumerate(topology.nodes[node].sources)]
    sizes = np.array([len(own) for own in nodes])
    kinds = np.array([row for own in nodes for row in own])
    ends = np.array(links).reshape(-1, 4)
    return (NodeColumns(sizes, kinds[:, 0].astype(int), kinds[:, 1].astype(int), kinds[:, 2], kinds[:, 3]),
            LinkColumns(*ends[:, :3].T.astype(int), ends[:, 3]))


@given(st.integers(0, 10**6))
def test_columns_in_any_order_become_a_table_in_which_sources_come_first(seed):
    graphs, inputs = population(ENCODING, 6, seed), points()
    table = table_from_columns(5, 4, *columns(graphs))
    for network, graph in enumerate(graphs):
        nodes = table.layout.starts[network + 1] - table.layout.starts[network]
        assert nodes == len(program(graph.topology, (0, 1, 2, 3)))  # dead ones are dropped
        torch.testing.assert_close(walked(table, network, inputs), expected(graph, inputs), equal_nan=True)


@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 4))
def test_a_slice_holds_the_same_graphs(seed, start, length):
    graphs, inputs = population(ENCODING, 6, seed), points()
    part = table_from_columns(5, 4, *columns(graphs)).of(slice(start, start + length))
    assert len(part) == len(graphs[start : start + length])
    for network, graph in enumerate(graphs[start : start + length]):
        torch.testing.assert_close(walked(part, network, inputs), expected(graph, inputs), equal_nan=True)


@given(st.integers(0, 10**6))
def test_nodes_that_outputs_need_are_those_of_their_program(seed):
    graphs = population(ENCODING, 6, seed)
    groups = [(0,), (1, 3), (2,)]
    for table in (table_from_graphs(graphs), table_from_columns(5, 4, *columns(graphs))):
        needed = table.layout.needed(groups)
        for network, graph in enumerate(graphs):
            own = needed[:, table.layout.starts[network] : table.layout.starts[network + 1]]
            assert own.sum(1).tolist() == [len(program(graph.topology, group)) for group in groups]


def test_a_cycle_is_refused():
    nodes = NodeColumns(np.array([2]), np.zeros(2, int), np.zeros(2, int), np.zeros(2), np.ones(2))
    links = LinkColumns(np.zeros(2, int), np.array([5, 6]), np.array([1, 0]), np.ones(2))
    with pytest.raises(ValueError, match="cycle"):
        table_from_columns(5, 1, nodes, links)


def test_one_graph_with_many_numbers_is_a_table_without_graphs():
    graph, = population(ENCODING, 1, seed=4)
    weights, biases = torch.randn(3, graph.topology.links).double(), torch.randn(3, len(graph.topology.nodes)).double()
    graphs, inputs = repeated_graph(graph.topology, weights, biases, graph.responses), points()
    for network, own in enumerate(graphs):
        torch.testing.assert_close(walked(graphs.table, network, inputs), expected(own, inputs), equal_nan=True)
    assert graphs.table.layout is repeated_graph(graph.topology, weights, biases, graph.responses).table.layout
    assert len(graphs[1:]) == 2 and torch.equal(graphs[1:][0].weights, weights[1])
