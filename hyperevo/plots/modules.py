"""A small network as a graph, and its modules: Newman's modularity Q of the sizes of its weights."""

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.plots._style import INK, NEGATIVE, POSITIVE, new_figure

MOST_UNITS = 60
"""Largest number of units of a network that is drawn."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
"""Okabe and Ito's colours, for modules."""


def modules_figure(layers: Sequence[Tensor], label: str = "") -> Figure:
    """A chain of layers, weights (target units, source units) each from the inputs on: units in rows, inputs below,
    coloured by module; links as wide as their weights are large, red above and blue below zero."""
    sizes = [layers[0].shape[1], *map(len, layers)]
    starts = np.cumsum([0, *sizes])
    adjacency = np.zeros((starts[-1], starts[-1]))
    for place, layer in enumerate(layers):
        adjacency[starts[place + 1] : starts[place + 2], starts[place] : starts[place + 1]] = layer.double().numpy()
    sizes_of_links = np.abs(adjacency) + np.abs(adjacency.T)
    modules, quality = find_modules(sizes_of_links)
    figure = new_figure(9.0, 1.9 * len(sizes) + 1.6, label,
                        f"the network and its {len(set(modules))} modules (modularity Q = {quality:.2f})",
                        "inputs below; colours of units: modules that an eigenvector of the modularity matrix finds")
    axes = figure.add_subplot()
    axes.set_axis_off()
    places = np.array([((unit + 0.5) / size, row) for row, size in enumerate(sizes) for unit in range(size)])
    ends, starts_of = np.nonzero(adjacency)
    weights = adjacency[ends, starts_of]
    order, largest = np.argsort(np.abs(weights)), np.abs(weights).max(initial=1e-12)
    shares = np.abs(weights[order]) / largest
    axes.add_collection(LineCollection(
        np.stack([places[starts_of[order]], places[ends[order]]], 1).tolist(), linewidths=0.3 + 2.7 * shares,
        colors=[POSITIVE if weight > 0 else NEGATIVE for weight in weights[order]], alpha=0.6))
    axes.scatter(places[:, 0], places[:, 1], s=130, zorder=3, edgecolor=INK,
                 c=[COLOURS[module % len(COLOURS)] for module in modules])
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.3, len(sizes) - 0.7)
    return figure


def find_modules(sizes: np.ndarray) -> tuple[list[int], float]:
    """Module of every node, and modularity Q, of an undirected graph with links of these sizes (nodes, nodes): split in
    two by the sign of the leading eigenvector, again and again, while that makes Q larger (Newman 2006). Nodes without
    links are modules of their own."""
    total = sizes.sum()
    if not total:
        return list(range(len(sizes))), 0.0
    degrees = sizes.sum(1)
    excess = (sizes - np.outer(degrees, degrees) / total) / total
    waiting, found = [np.nonzero(degrees)[0]], [np.array([node]) for node in np.nonzero(degrees == 0)[0]]
    while waiting:
        nodes = waiting.pop()
        own = excess[np.ix_(nodes, nodes)]
        own = own - np.diag(own.sum(1))
        signs = np.where(np.linalg.eigh(own)[1][:, -1] >= 0, 1.0, -1.0)
        if signs @ own @ signs > 1e-10 and abs(signs.sum()) < len(nodes):
            waiting += [nodes[signs > 0], nodes[signs < 0]]
        else:
            found.append(nodes)
    found.sort(key=lambda nodes: int(nodes[0]))
    module = np.zeros(len(sizes), int)
    for number, nodes in enumerate(found):
        module[nodes] = number
    return module.tolist(), float(sum(excess[np.ix_(nodes, nodes)].sum() for nodes in found))
