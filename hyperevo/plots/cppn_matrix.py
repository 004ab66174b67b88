"""CPPNs with too many links for a drawing: their weights as a matrix."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from hyperevo.graph import Graph, Node
from hyperevo.plots._layout import live_links, live_nodes
from hyperevo.plots._style import SMALL, TEXT, colour_bar, new_figure, show_map, symmetric_limit


def cppn_matrix(graph: Graph, input_names: Sequence[str], output_names: Sequence[str], label: str = "") -> Figure:
    """A CPPN's links: a row for every node, in the order of evaluation, a column for every input or node that is read;
    red above zero, blue below. Dead nodes are left out."""
    topology, links, live = graph.topology, live_links(graph), live_nodes(graph.topology)
    names = dict(enumerate(input_names))
    for index in live:
        painted = [output_names[at] for at, own in enumerate(topology.outputs) if own == index]
        names[topology.inputs + index] = " ".join([str(index), function_name(topology.nodes[index]), *painted])
    rows = {topology.inputs + index: row for row, index in enumerate(live)}
    columns = {vertex: column for column, vertex in enumerate(sorted({start for start, _, _ in links}))}
    weights = torch.full((len(rows), len(columns)), torch.nan, dtype=torch.float64)
    for start, end, weight in links:
        weights[rows[end], columns[start]] = weight
    hidden = len(live) - len(set(topology.outputs))
    figure = new_figure(max(0.24 * len(columns) + 4.5, 8.0), max(0.24 * len(rows) + 3.0, 4.5), label,
                        f"the CPPN as a matrix ({hidden} hidden nodes, {len(links)} links)",
                        "every row is a node, every column what it reads; grey: no link")
    axes = figure.add_subplot()
    image = show_map(axes, weights, symmetric_limit(torch.tensor([weight for _, _, weight in links])))
    axes.set_xticks(range(len(columns)), [names[vertex] for vertex in columns], rotation=90, fontsize=SMALL)
    axes.set_yticks(range(len(rows)), [names[vertex] for vertex in rows], fontsize=SMALL)
    axes.set_xlabel("reads", fontsize=TEXT)
    axes.set_ylabel("node", fontsize=TEXT)
    colour_bar(figure, image, axes, "weight of a link")
    return figure


def function_name(node: Node) -> str:
    """Name of a node's function, with its aggregation where that is not a sum."""
    return node.activation if node.aggregation == "sum" else f"{node.activation} of {node.aggregation}"
