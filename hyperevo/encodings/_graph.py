"""CPPN graphs as plain data, and their evaluation over whole sheets of coordinates.

A `Graph` is a feed-forward CPPN: a topology (hashable, shared by genomes that differ in numbers only) and its numbers.
Nodes are evaluated once each, over all connections at a time. A node that depends on source coordinates only has one
value per source unit, shape (1, S); on target coordinates only, (T, 1); broadcasting does the rest. Graphs of one
topology are evaluated together: `stack` gives their numbers a leading axis P.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION


@dataclass(frozen=True)
class Node:
    """activation(bias + response · aggregation(weight · source for every source)).

    `sources` index values: 0 … inputs - 1 are the CPPN's inputs, inputs + j is node j.
    """

    activation: str
    aggregation: str
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Topology:
    """Nodes in an order in which every source comes before its use; `outputs` index nodes, one per CPPN output."""

    inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def links(self) -> int:
        """How many links the graph has."""
        return sum(len(node.sources) for node in self.nodes)


@dataclass(frozen=True, eq=False)
class Graph:
    """A topology with its numbers: weights (links,) in the nodes' order, biases (nodes,) and responses (nodes,).

    A stack of P graphs has (P, links) and (P, nodes) instead.
    """

    topology: Topology
    weights: Tensor
    biases: Tensor
    responses: Tensor

    @property
    def genes(self) -> int:
        """Numbers that evolution or a gradient can change, of one graph: weights and biases."""
        return self.weights.shape[-1] + self.biases.shape[-1]

    def to(self, *args, **options) -> "Graph":
        """The graph with its tensors moved or cast as by `Tensor.to`."""
        return replace(self, weights=self.weights.to(*args, **options), biases=self.biases.to(*args, **options),
                       responses=self.responses.to(*args, **options))


def stack(graphs: Sequence[Graph]) -> Graph:
    """Graphs of one topology as one, with a leading axis P on its numbers and on every value computed from it."""
    topology = graphs[0].topology
    if any(graph.topology != topology for graph in graphs):
        raise ValueError("graphs of different topologies cannot be stacked")
    return Graph(topology, torch.stack([graph.weights for graph in graphs]),
                 torch.stack([graph.biases for graph in graphs]), torch.stack([graph.responses for graph in graphs]))


@lru_cache(maxsize=4096)
def program(topology: Topology, outputs: tuple[int, ...]) -> tuple[tuple[int, Node, int], ...]:
    """(node index, node, offset of its first weight) for the nodes these outputs need; others are dropped as dead."""
    needed = {topology.outputs[output] for output in outputs}
    for index in range(len(topology.nodes) - 1, -1, -1):
        if index in needed:
            needed.update(source - topology.inputs for source in topology.nodes[index].sources
                          if source >= topology.inputs)
    offsets, total = [], 0
    for node in topology.nodes:
        offsets.append(total)
        total += len(node.sources)
    return tuple((index, topology.nodes[index], offsets[index]) for index in sorted(needed))


def activate(graph: Graph, inputs: Sequence[Tensor], outputs: Sequence[int]) -> list[Tensor]:
    """Values of some outputs, by their position in `topology.outputs`, over tensors of coordinates.

    inputs: one tensor per CPPN input, of shapes that broadcast: (1, S), (T, 1), (T, S) or (1, 1).
    Returns one tensor per output, of the smallest shape that holds it. Differentiable in all numbers of the graph.
    """
    values = node_values(graph, inputs, outputs)
    return [values[graph.topology.outputs[output]] for output in outputs]


def node_values(graph: Graph, inputs: Sequence[Tensor], outputs: Sequence[int]) -> dict[int, Tensor]:
    """Values of every node that the outputs need, by node index."""
    count = graph.topology.inputs
    weights, biases, responses = numbers(graph.weights), numbers(graph.biases), responses_of(graph.responses)
    values: dict[int, Tensor] = {}
    for index, node, offset in program(graph.topology, tuple(outputs)):
        sources = [inputs[source] if source < count else values[source - count] for source in node.sources]
        links = weights[offset : offset + len(sources)]
        received = aggregate(node.aggregation, sources, links, inputs[0])
        if responses is not None:
            received = received * responses[index]
        values[index] = ACTIVATIONS[node.activation](received + biases[index])
    return values


def numbers(tensor: Tensor) -> Sequence:
    """One number per gene: Python floats where no gradient is wanted, as they cost no tensor operation each, or
    tensors (P, 1, 1) of a stack."""
    if tensor.dim() == 2:
        return tensor.T[:, :, None, None].unbind()
    return tensor.unbind() if tensor.requires_grad else tensor.tolist()


def responses_of(tensor: Tensor) -> Sequence | None:
    """The numbers, or None where all are one: neat-python's default, and nothing to multiply by."""
    if not tensor.requires_grad and bool((tensor == 1).all()):
        return None
    return numbers(tensor)


def aggregate(name: str, sources: list[Tensor], weights: Sequence, like: Tensor) -> Tensor:
    if not sources:
        return torch.full((1, 1), EMPTY_AGGREGATION[name], dtype=like.dtype, device=like.device)
    if name == "sum":
        return weighted_sum(sources, weights)
    return AGGREGATIONS[name]([source * weight for source, weight in zip(sources, weights, strict=True)])


def weighted_sum(sources: list[Tensor], weights: Sequence) -> Tensor:
    """Sum of weight · source. Terms of one shape are added before they are spread over all connections."""
    totals: dict[torch.Size, Tensor] = {}
    for source, weight in zip(sources, weights, strict=True):
        side = source.shape[-2:]
        totals[side] = plus_scaled(totals.get(side), source, weight)
    return AGGREGATIONS["sum"](list(totals.values()))


def plus_scaled(total: Tensor | None, source: Tensor, weight) -> Tensor:
    """total + weight · source, where `total` is nobody else's: without a gradient it is changed in place."""
    if total is None:
        return source * weight
    if isinstance(weight, Tensor):
        return torch.addcmul(total, source, weight)
    if total.requires_grad or source.requires_grad or total.shape != source.shape:
        return torch.add(total, source, alpha=weight)
    return total.add_(source, alpha=weight)
