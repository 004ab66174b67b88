"""A graph in layers: links run from left to right, with few crossings, unless they lead back in a recurrent network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.optimize import isotonic_regression

from hyperevo.graph import Graph, Node, Topology, program

LANE = 0.45
"""Height that a link takes where it passes a layer, in units of a node's."""
SWEEPS = 30
DENSE = 120
"""Most links that get lanes of their own through the layers: lanes of more would take more room than all nodes."""


@dataclass
class Layout:
    """Positions of a graph's nodes and links in a drawing.

    Vertices are indexed as a node's sources: inputs first, then nodes; negative ones are points where a long link
    passes a layer. `routes` are links as (vertices passed, weight), `tallest` is the height of the tallest layer.
    """

    layers: list[list[int]]
    routes: list[tuple[list[int], float]]
    heights: dict[int, float]
    tallest: float

    @property
    def dense(self) -> bool:
        """True where links are too many for lanes and run straight from end to end."""
        return len(self.routes) > DENSE

    @property
    def places(self) -> dict[int, tuple[float, float]]:
        """Position (layer, height) of every vertex; heights grow downwards."""
        return {vertex: (float(layer), self.heights[vertex])
                for layer, vertices in enumerate(self.layers) for vertex in vertices}


def live_nodes(topology: Topology) -> list[int]:
    """Indices of the nodes that an output needs, directly or through others, in the order of evaluation."""
    return [index for index, _, _ in _live(topology)]


def _live(topology: Topology) -> tuple[tuple[int, Node, int], ...]:
    if topology.recurrent:  # of which a genome's graph has only those that are needed
        firsts = accumulate((len(node.sources) for node in topology.nodes), initial=0)
        return tuple(zip(range(len(topology.nodes)), topology.nodes, firsts, strict=False))
    return program(topology, tuple(range(len(topology.outputs))))


def lay_out(graph: Graph) -> Layout:
    """Lay out a graph: inputs in the first layer, outputs that feed nothing in the last; dead nodes are left out.

    Within a layer vertices are ordered by the mean height of their neighbours (Sugiyama, Tagawa & Toda 1981); the
    first and the last layer keep the order of inputs and outputs.
    """
    live = live_nodes(graph.topology)
    links = live_links(graph)
    depths = _depths(graph.topology, live, {start for start, _, _ in links})
    layers: list[list[int]] = [[] for _ in range(max(depths.values()) + 1)]
    for vertex, depth in depths.items():
        layers[depth].append(vertex)
    if len(links) > DENSE:
        routes = [([start, end], weight) for start, end, weight in links]
    else:
        routes = [_route(start, end, weight, depths, layers) for start, end, weight in links]
    tallest = max(sum(_room(vertex) for vertex in layer) for layer in layers)
    layout = Layout(layers, routes, {}, tallest)
    _order(layout)
    return layout


def live_links(graph: Graph) -> list[tuple[int, int, float]]:
    """Links into live nodes, each (source vertex, target vertex, weight)."""
    weights = graph.weights.detach().tolist()
    return [(source, graph.topology.inputs + index, weights[offset + position])
            for index, node, offset in _live(graph.topology) for position, source in enumerate(node.sources)]


def _depths(topology: Topology, live: Sequence[int], feeding: set[int]) -> dict[int, int]:
    """The layer of every vertex: one after its deepest source's, and the last for outputs that feed nothing."""
    depths, waiting = dict.fromkeys(range(topology.inputs), 0), list(live)
    while waiting:
        # In a feed-forward network the next one waits for nothing; where links lead back, the one that waits for least.
        index = min(waiting, key=lambda index: sum(source not in depths for source in topology.nodes[index].sources)) \
            if topology.recurrent else waiting[0]
        waiting.remove(index)
        depths[topology.inputs + index] = 1 + max((depths[source] for source in topology.nodes[index].sources
                                                   if source in depths), default=0)
    last = max(depths.values())
    for output in topology.outputs:
        if topology.inputs + output not in feeding:
            depths[topology.inputs + output] = last
    return depths


def _route(start: int, end: int, weight: float, depths: dict[int, int],
           layers: list[list[int]]) -> tuple[list[int], float]:
    """A link as (vertices, weight), with a new vertex in every layer that it passes; `layers` get the new ones."""
    passed = [start]
    for depth in range(depths[start] + 1, depths[end]):
        layers[depth].append(-1 - sum(vertex < 0 for layer in layers for vertex in layer))
        passed.append(layers[depth][-1])
    return [*passed, end], weight


def _room(vertex: int) -> float:
    return 1.0 if vertex >= 0 else LANE


def _order(layout: Layout) -> None:
    """Order the inner layers by their neighbours' mean heights, in sweeps to the right and to the left in turn."""
    for layer in layout.layers:
        spread = layout.tallest / len(layer)
        layout.heights.update({vertex: (at + 0.5) * spread for at, vertex in enumerate(layer)})
    neighbours: dict[int, list[int]] = {vertex: [] for layer in layout.layers for vertex in layer}
    for vertices, _ in layout.routes:
        for before, after in zip(vertices[:-1], vertices[1:], strict=True):
            neighbours[before].append(after)
            neighbours[after].append(before)
    inner = layout.layers[1:-1]
    for sweep in range(SWEEPS):
        for layer in inner if sweep % 2 == 0 else reversed(inner):
            wanted = {vertex: float(np.mean([layout.heights[other] for other in neighbours[vertex]]))
                      if neighbours[vertex] else layout.heights[vertex] for vertex in layer}
            layer.sort(key=lambda vertex: (wanted[vertex], vertex))
            heights = spaced([wanted[vertex] for vertex in layer], [_room(vertex) for vertex in layer], layout.tallest)
            layout.heights.update(zip(layer, heights, strict=True))


def spaced(wanted: Sequence[float], rooms: Sequence[float], tallest: float) -> list[float]:
    """Heights closest to the wanted ones (least squares) that keep their order and do not overlap.

    Distances from the tightest packing must not fall, so this is isotonic regression.
    """
    packed = np.cumsum(rooms) - np.array(rooms) / 2
    distances = isotonic_regression(np.array(wanted) - packed).x if len(rooms) else packed
    return (packed + distances.clip(0, tallest - sum(rooms))).tolist()
