"""CPPN graphs as plain data, and the plain way to evaluate one, node by node.

A `Graph` is a feed-forward CPPN: a topology (hashable, shared by genomes that differ in numbers only) and its numbers.
Pictures of a CPPN's nodes come from here; whole populations are expressed by
`encodings._painting` and `encodings._program`.
"""

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from hyperevo.components import nearest
from hyperevo.errors import shown
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION


@dataclass(frozen=True)
class Node:
    """activation(bias + response · aggregation(weight · source for every source)).

    `sources` index values: 0 … inputs - 1 are the CPPN's inputs, inputs + j is node j. `time_constant`: seconds in
    which a node follows its sources, in a network in continuous time; unused elsewhere.
    """

    activation: str
    aggregation: str
    sources: tuple[int, ...]
    time_constant: float = 1.0

    def plain(self) -> list[Any]:
        """Plain data for files, without a time constant of 1."""
        return [self.activation, self.aggregation, list(self.sources),
                *([] if self.time_constant == 1 else [self.time_constant])]


@dataclass(frozen=True)
class Topology:
    """Nodes in an order in which every source comes before its use; `outputs` index nodes, one per CPPN output.

    recurrent: nodes are in any order, and links may lead back (networks of the encoding `network`, no CPPNs).
    """

    inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    recurrent: bool = False

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Topologies are keys of several caches, and large.
        return hash((self.inputs, self.nodes, self.outputs))

    @cached_property
    def links(self) -> int:
        """Number of links."""
        return sum(len(node.sources) for node in self.nodes)


def check_topology(topology: Topology) -> None:
    """Raise ValueError, one line that names the node, where a topology that was read from a file cannot be computed."""
    for index, node in enumerate(topology.nodes):
        _check_node(topology, index, node)
    for output in topology.outputs:
        if not 0 <= output < len(topology.nodes):
            raise ValueError(f"outputs: there is no node {output} among {len(topology.nodes)}")


def _check_node(topology: Topology, index: int, node: Node) -> None:
    if node.activation not in ACTIVATIONS:
        raise ValueError(f"nodes.{index}: no activation called {shown(node.activation)}; "
                         f"{nearest(node.activation, ACTIVATIONS)}")
    if node.aggregation not in AGGREGATIONS:
        raise ValueError(f"nodes.{index}: no aggregation called {shown(node.aggregation)}; "
                         f"{nearest(node.aggregation, AGGREGATIONS)}")
    if not 0 < node.time_constant < math.inf:
        raise ValueError(f"nodes.{index}: time constant {node.time_constant}: is no time")
    for source in node.sources:
        if topology.recurrent and not 0 <= source < topology.inputs + len(topology.nodes):
            raise ValueError(f"nodes.{index}: source {source}: is neither one of {topology.inputs} inputs nor, after "
                             f"these, one of {len(topology.nodes)} nodes")
        if not topology.recurrent and not 0 <= source < topology.inputs + index:
            raise ValueError(f"nodes.{index}: source {source}: is neither one of {topology.inputs} inputs nor, after "
                             f"these, one of the {index} nodes before it")


def numbers_needed(topology: Topology) -> dict[str, int]:
    """Count of weights, biases and responses of a topology's graphs."""
    return {"weights": topology.links, "biases": len(topology.nodes), "responses": len(topology.nodes)}


@dataclass(frozen=True, eq=False)
class Graph:
    """A topology with its numbers: weights (links,) in the nodes' order, biases (nodes,) and responses (nodes,)."""

    topology: Topology
    weights: Tensor
    biases: Tensor
    responses: Tensor

    @property
    def genes(self) -> int:
        """Numbers that evolution or a gradient can change: weights and biases."""
        return len(self.weights) + len(self.biases)

    def key(self) -> tuple[Topology, bytes]:
        """Value that two graphs share if their topologies and numbers are equal."""
        numbers = torch.cat([self.weights, self.biases, self.responses]).detach().cpu()
        return self.topology, numbers.numpy().tobytes()

    def to(self, *args, **options) -> "Graph":
        """The graph with its tensors moved or cast as by `Tensor.to`."""
        return replace(self, weights=self.weights.to(*args, **options), biases=self.biases.to(*args, **options),
                       responses=self.responses.to(*args, **options))


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Suspend garbage collection: genes and graphs hold no cycles, and checking ten thousands of new ones takes longer
    than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
    """Values of every node that the outputs need, by node index; arguments and shapes are those of `activate`."""
    count = graph.topology.inputs
    values: dict[int, Tensor] = {}
    for index, node, offset in program(graph.topology, tuple(outputs)):
        sources = [inputs[source] if source < count else values[source - count] for source in node.sources]
        links = graph.weights[offset : offset + len(sources)].to(inputs[0].dtype).unbind()
        received = AGGREGATIONS[node.aggregation](
            [source * link for source, link in zip(sources, links, strict=True)]) if sources \
            else inputs[0].new_full((1, 1), EMPTY_AGGREGATION[node.aggregation])
        values[index] = ACTIVATIONS[node.activation](received * graph.responses[index].to(received.dtype)
                                                     + graph.biases[index].to(received.dtype))
    return values
