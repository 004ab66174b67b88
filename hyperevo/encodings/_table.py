"""Graphs of a whole population as one table of columns: nodes and links, every source before its use.

`table_from_columns` makes it from genes in columns, as NEAT has them, by array operations: nothing is done in Python
per graph or per node, but per level of depth. `table_from_graphs` makes it from `Graph` objects. `TabledGraphs` are
graphs that become objects only where somebody asks for one.

A `Table` gives, for an interpreter of P graphs with N nodes and L links in all:

- `layout`, numbers that say what is computed: see `Layout`. Value i of a graph is its input i, for i < inputs, or its
  (i - inputs)-th node, in the order of the table. A graph's nodes are sorted by depth, unless they come from `Graph`
  objects, whose order stays.
- `weights` (L,), `biases` (N,) and `responses` (N,), tensors of any device and dtype. A node's value is
  activation(bias + response · aggregation(weight · value of the source, for every link)).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, overload

import numpy as np
import torch
from torch import Tensor

from hyperevo.encodings._program import ACTIVATION_NAMES, AGGREGATION_NAMES
from hyperevo.genotypes import Genotypes, as_graphs
from hyperevo.graph import Graph, Topology


class NodeColumns(NamedTuple):
    """Nodes of P graphs, graph after graph: `sizes` (P,) count those of each; a graph's outputs are its first nodes.

    activations, aggregations (N,): indices into ACTIVATION_NAMES and AGGREGATION_NAMES. time_constants (N,): those of
    networks in continuous time, None elsewhere.
    """

    sizes: np.ndarray
    activations: np.ndarray
    aggregations: np.ndarray
    biases: np.ndarray
    responses: np.ndarray
    time_constants: np.ndarray | None = None


class LinkColumns(NamedTuple):
    """Links of P graphs, (L,) each: `owners`, index of the graph; `sources`, index of an input of the graph or, after
    these, of one of its nodes; `targets`, index of one of its nodes."""

    owners: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Layout:
    """Structure of P graphs without the numbers that are searched or learned; int64.

    starts (P + 1,): first node of each graph, and the count of nodes. activations, aggregations, depths (N,): depth 0
    reads inputs only. first_links (N + 1,): first link of each node, and the count of links. sources (L,): value of the
    graph that a link reads. outputs (P, outputs): value of the graph that is an output. time_constants (N,): float64.
    """

    inputs: int
    starts: np.ndarray
    activations: np.ndarray
    aggregations: np.ndarray
    depths: np.ndarray
    first_links: np.ndarray
    sources: np.ndarray
    outputs: np.ndarray
    time_constants: np.ndarray

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def most_nodes(self) -> int:
        """Number of nodes of the largest graph."""
        return int(np.diff(self.starts).max(initial=0))

    @cached_property
    def targets(self) -> np.ndarray:
        """Index (L,) among all nodes of the node that a link leads to."""
        return np.repeat(np.arange(len(self.depths)), np.diff(self.first_links))

    @cached_property
    def inner_links(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices among all nodes of the source and the target of links between nodes, the deepest targets first."""
        inner = np.flatnonzero(self.sources >= self.inputs)
        targets = self.targets[inner]
        firsts = np.repeat(self.starts[:-1], np.diff(self.starts))
        order = _order(self.depths[targets])[::-1]
        return (self.sources[inner] - self.inputs + firsts[targets])[order], targets[order]

    def needed(self, groups: Sequence[Sequence[int]]) -> np.ndarray:
        """Mask (groups, N) of the nodes that each group of outputs needs."""
        mask = np.zeros((len(groups), len(self.depths)), dtype=bool)
        for own, outputs in zip(mask, groups, strict=True):
            own[(self.outputs[:, list(outputs)] - self.inputs + self.starts[:-1, None]).reshape(-1)] = True
        sources, targets = self.inner_links
        for level in _levels(self.depths[targets]):
            group, link = mask[:, targets[level]].nonzero()
            mask[group, sources[level][link]] = True
        return mask

    def of(self, graphs: slice) -> "Layout":
        """Layout of consecutive graphs."""
        first, last, _ = graphs.indices(len(self))
        last = max(first, last)
        nodes = slice(self.starts[first], self.starts[last])
        links = slice(self.first_links[nodes.start], self.first_links[nodes.stop])
        return Layout(self.inputs, self.starts[first : last + 1] - nodes.start, self.activations[nodes],
                      self.aggregations[nodes], self.depths[nodes],
                      self.first_links[nodes.start : nodes.stop + 1] - links.start, self.sources[links],
                      self.outputs[first:last], self.time_constants[nodes])


@dataclass(frozen=True)
class Table:
    """P graphs: their layout, and their weights (L,), biases (N,) and responses (N,)."""

    layout: Layout
    weights: Tensor
    biases: Tensor
    responses: Tensor

    def __len__(self) -> int:
        return len(self.layout)

    def of(self, graphs: slice) -> "Table":
        """Table of consecutive graphs."""
        first, last, _ = graphs.indices(len(self))
        if (first, last) == (0, len(self)):
            return self
        starts = self.layout.starts
        nodes = slice(int(starts[first]), int(starts[max(first, last)]))
        links = slice(*self.layout.first_links[[nodes.start, nodes.stop]].tolist())
        return Table(self.layout.of(graphs), self.weights[links], self.biases[nodes], self.responses[nodes])


class TabledGraphs(Sequence[Graph]):
    """A population of graphs that has a table. The graphs themselves are made, all at once, when one is asked for.

    table: makes the whole table; part: the table of graphs first … last - 1 alone, for slices, whose tables are then
    made one by one while a device works on the slice before.
    """

    def __init__(self, size: int, graphs: Callable[[], Sequence[Graph]], table: Callable[[], Table],
                 part: Callable[[int, int], Table] | None = None):
        self._size, self._make_graphs, self._make_table, self._make_part = size, graphs, table, part

    @cached_property
    def _graphs(self) -> list[Graph]:
        return list(self._make_graphs())

    @cached_property
    def table(self) -> Table:
        """The table of all graphs."""
        return self._make_table()

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, chosen: int) -> Graph: ...

    @overload
    def __getitem__(self, chosen: slice) -> "TabledGraphs": ...

    def __getitem__(self, chosen: int | slice) -> "Graph | TabledGraphs":
        if not isinstance(chosen, slice):
            return self._graphs[chosen]
        first, last, step = chosen.indices(len(self))
        if step != 1:
            raise ValueError("graphs with a table are consecutive ones")
        make = self._make_part
        if make is None or "table" in vars(self) or last - first == len(self):
            return TabledGraphs(max(0, last - first), lambda: self._graphs[chosen], lambda: self.table.of(chosen))
        return TabledGraphs(max(0, last - first), lambda: self._graphs[chosen], lambda: make(first, max(first, last)),
                            lambda start, stop: make(first + start, first + stop))

    def __iter__(self) -> Iterator[Graph]:
        return iter(self._graphs)


# From columns of genes


def table_from_columns(inputs: int, outputs: int, nodes: NodeColumns, links: LinkColumns,
                       recurrent: bool = False) -> Table:
    """Table of the nodes that some output needs and of the links into them; links of a node keep their order. Raises
    ValueError for graphs with a cycle, unless they are `recurrent`, whose depths are all 0."""
    starts = np.cumsum(nodes.sizes) - nodes.sizes
    owners = np.repeat(np.arange(len(nodes.sizes)), nodes.sizes)
    targets = starts[links.owners] + links.targets
    inner = links.sources >= inputs
    sources = np.where(inner, starts[links.owners] + links.sources - inputs, -1)
    asked = (starts[:, None] + np.arange(outputs)).reshape(-1)
    if recurrent:
        depths = np.zeros(len(owners), dtype=np.int64)
        kept = _needed(len(owners), sources[inner], targets[inner], asked)
    else:
        depths = _depths(len(owners), sources[inner], targets[inner])
        kept = _reachable(depths, sources[inner], targets[inner], asked)
    order = np.flatnonzero(kept)
    order = order[_order(owners[order] * (depths.max(initial=0) + 1) + depths[order])]
    place = np.full(len(owners), -1)
    place[order] = np.arange(len(order))
    chosen = np.flatnonzero(kept[targets])
    chosen = chosen[_order(place[targets[chosen]])]
    counts = np.bincount(owners[order], minlength=len(nodes.sizes))
    own_starts = np.cumsum(counts) - counts
    layout = Layout(
        inputs, _with_total(counts), nodes.activations[order], nodes.aggregations[order], depths[order],
        _with_total(np.bincount(place[targets[chosen]], minlength=len(order))),
        np.where(inner[chosen], inputs + place[sources[chosen]] - own_starts[links.owners[chosen]],
                 links.sources[chosen]),
        inputs + place[asked].reshape(-1, outputs) - own_starts[:, None],
        np.ones(len(order)) if nodes.time_constants is None else nodes.time_constants[order])
    return Table(layout, *(torch.from_numpy(numbers) for numbers in (
        links.weights[chosen], nodes.biases[order], nodes.responses[order])))


def _with_total(counts: np.ndarray) -> np.ndarray:
    """Starts of consecutive parts of these sizes, and the total."""
    return np.concatenate([[0], np.cumsum(counts)])


def _depths(nodes: int, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Depth of every node: one more than that of its deepest source. A round takes the links away whose source waits
    for no other link."""
    depths, level = np.zeros(nodes, dtype=np.int64), 0
    waiting = np.zeros(nodes, dtype=bool)
    while len(targets):
        level += 1
        waiting[:] = False
        waiting[targets] = True
        blocked = waiting[sources]
        if blocked.all():
            raise ValueError("a graph has a cycle")
        depths[targets[~blocked]] = level
        sources, targets = sources[blocked], targets[blocked]
    return depths


def _reachable(depths: np.ndarray, sources: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Mask (N,) of the nodes that those asked for need, themselves among them."""
    mask = np.zeros(len(depths), dtype=bool)
    mask[asked] = True
    order = _order(depths[targets])[::-1]
    sources, targets = sources[order], targets[order]
    for level in _levels(depths[targets]):
        mask[sources[level][mask[targets[level]]]] = True
    return mask


def _order(keys: np.ndarray) -> np.ndarray:
    """Indices that sort keys from 0 to 2³² - 1, equal ones in their order: by 16 bits at a time, which NumPy does in
    one go over the keys."""
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    upper = keys >> 16
    return order[np.argsort(upper[order].astype(np.uint16), kind="stable")] if upper.any() else order


def _needed(nodes: int, sources: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Mask (nodes,) of the nodes that those asked for need, themselves among them, in graphs that may have cycles."""
    mask = np.zeros(nodes, dtype=bool)
    new = asked
    while len(new):
        mask[new] = True
        new = sources[mask[targets] & ~mask[sources]]
    return mask


def _levels(depths: np.ndarray) -> list[slice]:
    """Slices of equal depth of sorted depths."""
    edges = [0, *(np.flatnonzero(depths[1:] != depths[:-1]) + 1).tolist(), len(depths)]
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True) if start < stop]


# From graphs


def table_from_graphs(graphs: Sequence[Graph]) -> Table:
    """Table of a population's graphs, with all their nodes; differentiable in their numbers."""
    if isinstance(graphs, TabledGraphs):
        return graphs.table
    topologies = [graph.topology for graph in graphs]
    layout = _repeated(topologies[0], len(topologies)) if len(set(map(id, topologies))) == 1 \
        else _joined([_layout_of(topology) for topology in topologies])
    return Table(layout, torch.cat([graph.weights for graph in graphs]), torch.cat([graph.biases for graph in graphs]),
                 torch.cat([graph.responses for graph in graphs]))


def wants_gradient(genotypes: Genotypes) -> bool:
    """True where a gradient of graphs' numbers is wanted."""
    if not torch.is_grad_enabled():
        return False
    owners: Sequence[Graph | Table] = [genotypes.table] if isinstance(genotypes, TabledGraphs) else as_graphs(genotypes)
    return any(own.weights.requires_grad or own.biases.requires_grad or own.responses.requires_grad for own in owners)


def repeated_graph(topology: Topology, weights: Tensor, biases: Tensor, responses: Tensor) -> TabledGraphs:
    """P graphs of one topology with numbers of their own: weights (P, links), biases (P, nodes), responses (nodes,)."""
    population = len(weights)

    def graphs() -> list[Graph]:
        return [Graph(topology, *numbers, responses) for numbers in zip(weights, biases, strict=True)]

    def table() -> Table:
        return Table(_repeated(topology, population), weights.reshape(-1), biases.reshape(-1),
                     responses.repeat(population))

    return TabledGraphs(population, graphs, table)


@lru_cache(maxsize=8)
def _repeated(topology: Topology, times: int) -> Layout:
    """Layout of so many graphs of one topology."""
    return _joined([_layout_of(topology)] * times)


@lru_cache(maxsize=4096)
def _layout_of(topology: Topology) -> Layout:
    nodes, inputs = topology.nodes, topology.inputs
    sizes = np.array([len(node.sources) for node in nodes], dtype=np.int64)
    sources = np.array([source for node in nodes for source in node.sources], dtype=np.int64)
    inner = sources >= inputs
    return Layout(inputs, np.array([0, len(nodes)]), _indices(ACTIVATION_NAMES, [node.activation for node in nodes]),
                  _indices(AGGREGATION_NAMES, [node.aggregation for node in nodes]),
                  np.zeros(len(nodes), dtype=np.int64) if topology.recurrent else
                  _depths(len(nodes), sources[inner] - inputs, np.repeat(np.arange(len(nodes)), sizes)[inner]),
                  _with_total(sizes), sources, inputs + np.array([topology.outputs], dtype=np.int64),
                  np.array([node.time_constant for node in nodes], dtype=np.float64))


def _indices(names: tuple[str, ...], chosen: Sequence[str]) -> np.ndarray:
    return np.array([names.index(name) for name in chosen], dtype=np.int64)


def _joined(parts: Sequence[Layout]) -> Layout:
    """Layout of graph after graph."""
    def joined(name: str) -> np.ndarray:
        return np.concatenate([vars(part)[name] for part in parts])

    return Layout(parts[0].inputs, _with_total(np.concatenate([np.diff(part.starts) for part in parts])),
                  joined("activations"), joined("aggregations"), joined("depths"),
                  _with_total(np.concatenate([np.diff(part.first_links) for part in parts])), joined("sources"),
                  joined("outputs"), joined("time_constants"))


# Copies

def distinct(graphs: TabledGraphs) -> tuple[Sequence[Graph], list[int]]:
    """Graphs without repetitions, numbers and all, and the index of each of the population among them."""
    table, layout = graphs.table, graphs.table.layout
    starts, ends = layout.starts, layout.first_links[layout.starts]
    biases, weights = _as_integers(table.biases), _as_integers(table.weights)
    _, kind, held = np.unique(3 * _sums(biases, starts) + _sums(weights, ends), return_inverse=True, return_counts=True)
    if len(held) == len(graphs):
        return graphs, list(range(len(graphs)))
    # Graphs of different sums differ; only others are compared in whole.
    nodes = np.stack([layout.activations, layout.aggregations, np.diff(layout.first_links), biases,
                      _as_integers(table.responses), layout.time_constants.view(np.int64)], axis=1)
    links = np.stack([layout.sources, weights], axis=1)
    first: dict[int | tuple[bytes, bytes, bytes], int] = {}
    edges = zip(kind.tolist(), (held[kind] == 1).tolist(), _pairwise(starts), _pairwise(ends), layout.outputs,
                strict=True)
    places = [first.setdefault(number if alone else (nodes[slice(*own)].tobytes(), links[slice(*leading)].tobytes(),
                                                     outputs.tobytes()), len(first))
              for number, alone, own, leading, outputs in edges]
    if len(first) == len(graphs):
        return graphs, places
    order = {place: number for number, place in reversed([*enumerate(places)])}
    return [graphs[order[place]] for place in range(len(first))], places


def _sums(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sum of each graph's integers, between its edges; they wrap around."""
    return np.diff(np.concatenate([[0], np.cumsum(values)])[edges])


def _as_integers(numbers: Tensor) -> np.ndarray:
    return numbers.detach().cpu().double().numpy().view(np.int64)


def _pairwise(edges: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
