"""Evaluation of many small graphs of different shapes in few tensor operations.

A `Row` is a node as a program holds it: one value per point. `Rows` are the rows of one topology; `assemble` puts the
rows of a whole population in one order, by depth and kind, so that `interpret` computes all rows of a kind at once,
a whole population in a few dozen operations. Topologies differ in index tensors only: no code is generated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION
from hyperevo.graph import Graph, Topology, program
from hyperevo.kept import kept

ONE, ZERO = -2, -1
"""Indices of links and biases that are constants 1 and 0, and no genes."""

LINEAR = ("sum", "mean")

ACTIVATION_NAMES, AGGREGATION_NAMES = tuple(ACTIVATIONS), tuple(AGGREGATIONS)
_ACTIVATION_PLACE = {name: place for place, name in enumerate(ACTIVATION_NAMES)}
_AGGREGATION_PLACE = {name: place for place, name in enumerate(AGGREGATION_NAMES)}


@dataclass(frozen=True)
class Row:
    """A node's value: activation(gain · bias + aggregation(factor · link · source for every source)).

    `sources` are indices of inputs, 0 … inputs - 1, and then of rows; `links` and `bias` index the numbers of a graph
    (see `graph_numbers`), or are ONE or ZERO.
    """

    activation: str
    aggregation: str
    sources: tuple[int, ...]
    links: tuple[int, ...]
    bias: int = ZERO
    factor: float = 1.0
    gain: float = 1.0


@dataclass(frozen=True)
class Rows:
    """The rows of one topology, every source before its use, and the inputs they read."""

    inputs: int
    rows: tuple[Row, ...]

    @cached_property
    def widest(self) -> int:
        """Largest count of sources of a row."""
        return max((len(row.sources) for row in self.rows), default=0)

    @cached_property
    def depths(self) -> list[int]:
        """Depth of every row: 0 where it reads inputs only, else one more than its deepest source's."""
        depths: list[int] = []
        for row in self.rows:
            depths.append(max((1 + depths[source - self.inputs] for source in row.sources if source >= self.inputs),
                              default=0))
        return depths

    @cached_property
    def table(self) -> np.ndarray:
        """Table (rows, 7 + 2 · widest): depth, aggregation, count of sources and activation of each row, then its bias,
        factor and gain, its sources and its links. Functions and links are indices. float64 holds all of them exactly.
        """
        values = []
        for depth, row in zip(self.depths, self.rows, strict=True):
            missing = (ZERO,) * (self.widest - len(row.sources))
            values.append((depth, _AGGREGATION_PLACE[row.aggregation], len(row.sources),
                           _ACTIVATION_PLACE[row.activation], row.bias, row.factor, row.gain,
                           *row.sources, *missing, *row.links, *missing))
        return np.array(values, dtype=np.float64).reshape(len(values), 7 + 2 * self.widest)


@dataclass(frozen=True)
class Bucket:
    """Rows start … stop - 1, alike in depth, aggregation and count of sources (`width`); `runs` are (activation, start,
    stop) of those alike in activation too."""

    start: int
    stop: int
    depth: int
    aggregation: str
    width: int
    runs: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Program:
    """The rows of a population in the order in which they are computed.

    sources, links: (rows, widest); biases: (rows,); scales, factor and gain: (rows, 2). `place[i]` is the index in this
    order of the i-th row of the population, counted graph by graph.
    """

    inputs: int
    buckets: tuple[Bucket, ...]
    sources: Tensor
    links: Tensor
    biases: Tensor
    scales: Tensor
    place: np.ndarray


def graph_numbers(graphs: Sequence[Graph]) -> tuple[Tensor, np.ndarray]:
    """Numbers (1, 0, then those of every graph), and the index of each graph's first (P,), counted after the 1 and 0.

    A graph's numbers are its weights, its biases and its responses. A response is multiplied into the weights of its
    node where that gives the same value. Differentiable.
    """
    like = graphs[0].weights
    parts = [kept(lambda: torch.tensor([1.0, 0.0], dtype=like.dtype, device=like.device))]
    starts, total = [], 0
    for graph in graphs:
        starts.append(total)
        parts += [_with_responses(graph), graph.biases, graph.responses]
        total += graph.weights.numel() + 2 * graph.biases.numel()
    return torch.cat(parts), np.array(starts, dtype=np.int64)


def _with_responses(graph: Graph) -> Tensor:
    if not graph.responses.requires_grad and kept(lambda: bool((graph.responses == 1).all())):
        return graph.weights
    factors = torch.cat([graph.responses, graph.responses.new_ones(1)])
    return graph.weights * factors[kept(lambda: torch.tensor(_responding(graph.topology), device=factors.device))]


@lru_cache(maxsize=8192)
def _responding(topology: Topology) -> tuple[int, ...]:
    """Index, for every link, of the node whose response multiplies the link's weight; -1 for none."""
    owners: list[int] = []
    for index, node in enumerate(topology.nodes):
        links = len(node.sources)
        alone = node.aggregation == "product" and links > 0
        owners += [index] + [-1] * (links - 1) if alone else [index if node.aggregation in LINEAR else -1] * links
    return tuple(owners)


def node_rows(topology: Topology, index: int, offset: int, sources: tuple[int, ...], next_row: int) -> list[Row]:
    """A node as one row, or as two where its response multiplies the aggregated value; `next_row` is the index that the
    first one will have."""
    node, bias = topology.nodes[index], topology.links + index
    links, mean = tuple(range(offset, offset + len(sources))), node.aggregation == "mean" and sources
    if node.aggregation in LINEAR or node.aggregation == "product" and sources:
        return [Row(node.activation, "sum" if mean else node.aggregation, sources, links, bias,
                    1 / len(sources) if mean else 1.0)]
    response = bias + len(topology.nodes)
    return [Row("identity", node.aggregation, sources, links),
            Row(node.activation, "sum", (next_row,), (response,), bias)]


def assemble(rows: Sequence[Rows], numbers: np.ndarray, device: torch.device | str = "cpu") -> Program:
    """Assemble the rows of a population into one program; `numbers` (P,) are the indices of each graph's first number.
    """
    return kept(lambda: _assembled(rows, numbers, device))


def _assembled(rows: Sequence[Rows], numbers: np.ndarray, device: torch.device | str) -> Program:
    inputs, counts = rows[0].inputs, [len(own.rows) for own in rows]
    table, widest = join_tables(rows)
    kinds, biases, sources, links = (part.astype(np.int64) for part in (
        table[:, :4], table[:, 4], table[:, 7 : 7 + widest], table[:, 7 + widest :]))
    own_numbers = np.repeat(numbers, counts)
    own_rows = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    order = np.lexsort(kinds.T[::-1])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    inner = sources >= inputs
    sources[inner] = inputs + place[(sources - inputs + own_rows[:, None])[inner]]
    links = np.where(links >= 0, links + own_numbers[:, None], links) + 2
    biases = np.where(biases >= 0, biases + own_numbers, biases) + 2
    tensors = [torch.from_numpy(part[order]).to(device) for part in (sources, links, biases, table[:, 5:7])]
    return Program(inputs, tuple(_buckets(kinds[order])), tensors[0], tensors[1], tensors[2], tensors[3], place)


def join_tables(rows: Sequence[Rows]) -> tuple[np.ndarray, int]:
    """Concatenate the tables of all rows, with sources and links padded to the widest → the table and that width."""
    widest = max(own.widest for own in rows)
    tables = []
    for own in rows:
        if own.widest == widest:
            tables.append(own.table)
        else:
            padded = np.full((len(own.rows), 7 + 2 * widest), float(ZERO))
            padded[:, : 7 + own.widest] = own.table[:, : 7 + own.widest]
            padded[:, 7 + widest : 7 + widest + own.widest] = own.table[:, 7 + own.widest :]
            tables.append(padded)
    return np.concatenate(tables), widest


def _buckets(kinds: np.ndarray) -> list[Bucket]:
    """Buckets of alike rows, from sorted kinds (rows, 4): depth, aggregation, count of sources, activation."""
    buckets: list[Bucket] = []
    edges = [0, *(np.flatnonzero((kinds[1:] != kinds[:-1]).any(1)) + 1).tolist(), len(kinds)]
    for start, stop in zip(edges[:-1], edges[1:], strict=True) if len(kinds) else ():
        depth, aggregation, width, activation = kinds[start].tolist()
        run = (ACTIVATION_NAMES[activation], start, stop)
        last = buckets[-1] if buckets else None
        if last and (last.depth, last.aggregation, last.width) == (depth, AGGREGATION_NAMES[aggregation], width):
            buckets[-1] = Bucket(last.start, stop, depth, last.aggregation, width, (*last.runs, run))
        else:
            buckets.append(Bucket(start, stop, depth, AGGREGATION_NAMES[aggregation], width, (run,)))
    return buckets


def interpret(steps: Program, numbers: Tensor, inputs: Tensor,
              start: Callable[[int, int], Tensor] | None = None) -> Tensor:
    """Values (inputs + rows, points) of a program over inputs (inputs, points), of the inputs' dtype.

    start: `start(first, last)` returns what rows first … last - 1 have received already, (rows, points).
    Differentiable in `numbers` and in the results of `start`; without a gradient every value is written once.
    """
    own = numbers.to(inputs.dtype)
    factors, gains = steps.scales.to(inputs.dtype).unbind(1)
    links, biases = own[steps.links] * factors[:, None], own[steps.biases] * gains
    differentiable = torch.is_grad_enabled() and (own.requires_grad or inputs.requires_grad)
    values = inputs
    if not differentiable:
        values = inputs.new_empty(len(inputs) + len(steps.sources), inputs.shape[1])
        values[: len(inputs)] = inputs
    for bucket in steps.buckets:
        rows = slice(bucket.start, bucket.stop)
        received = _receive(bucket, values, steps.sources[rows, : bucket.width], links[rows, : bucket.width],
                            biases[rows, None])
        received = received if start is None else received + start(bucket.start, bucket.stop)
        answers = [ACTIVATIONS[name](received[first - bucket.start : last - bucket.start])
                   for name, first, last in bucket.runs]
        if differentiable:
            values = torch.cat([values, *answers])
        else:
            for (_, first, last), answer in zip(bucket.runs, answers, strict=True):
                values[len(inputs) + first : len(inputs) + last] = answer
    return values


def _receive(bucket: Bucket, values: Tensor, sources: Tensor, links: Tensor, biases: Tensor) -> Tensor:
    """Aggregated inputs (rows, points): bias + aggregation(link · source)."""
    if bucket.width == 0:
        return (biases + EMPTY_AGGREGATION[bucket.aggregation]).expand(-1, values.shape[1])
    rows = len(sources)
    if bucket.aggregation != "sum":
        return AGGREGATIONS[bucket.aggregation](
            [links[:, link, None] * values[sources[:, link]] for link in range(bucket.width)]) + biases
    if bucket.depth == 0:
        # All rows read the same few inputs: one product, with a link of 0 where a row does not read an input.
        inputs = kept(lambda: int(sources.max())) + 1
        spread = links.new_zeros(rows, inputs).scatter_add(1, sources, links)
        return torch.addmm(biases, spread, values[:inputs])
    if bucket.width == 1:
        return torch.addcmul(biases, links, values.index_select(0, sources[:, 0]))
    alike = kept(lambda: _rows_alike(sources))
    gathered = values.index_select(0, sources[::alike].reshape(-1)).view(rows // alike, bucket.width, -1)
    own = links.view(-1, alike, bucket.width)
    return torch.baddbmm(biases.view(-1, alike, 1), own, gathered).flatten(0, 1)


def _rows_alike(sources: Tensor) -> int:
    """Largest number that divides the rows (rows, width) into groups of neighbours with equal sources, as a graph's
    outputs often have: such a group is one product."""
    if sources.device.type != "cpu":
        return 1  # nobody waits for a GPU
    changes = np.flatnonzero((sources[1:] != sources[:-1]).any(1).numpy()) + 1
    return int(np.gcd.reduce(changes, initial=len(sources)))


@lru_cache(maxsize=8192)
def plain_rows(topology: Topology, outputs: tuple[int, ...]) -> tuple[Rows, tuple[int, ...]]:
    """Rows of the nodes that some outputs need, and the row index of every output."""
    place: dict[int, int] = {}
    rows: list[Row] = []
    for index, node, offset in program(topology, outputs):
        sources = tuple(source if source < topology.inputs else place[source - topology.inputs]
                        for source in node.sources)
        rows += node_rows(topology, index, offset, sources, topology.inputs + len(rows))
        place[index] = topology.inputs + len(rows) - 1
    return Rows(topology.inputs, tuple(rows)), tuple(place[topology.outputs[output]] for output in outputs)


def answer(graphs: Sequence[Graph], numbers: Tensor, starts: np.ndarray, inputs: Tensor,
           outputs: tuple[int, ...]) -> Tensor:
    """Some outputs (P, outputs, points) of P graphs over inputs (inputs, points), with all nodes at all points.

    numbers, starts: from `graph_numbers`. Differentiable in the numbers.
    """
    rows, asked = zip(*(plain_rows(graph.topology, outputs) for graph in graphs), strict=True)
    steps = assemble(rows, starts, inputs.device)
    firsts = np.cumsum([0, *(len(own.rows) for own in rows[:-1])])
    ids = len(inputs) + steps.place[firsts[:, None] + np.array(asked) - len(inputs)]
    return interpret(steps, numbers, inputs)[kept(lambda: torch.from_numpy(ids).to(inputs.device))]
