"""Expression of one weight matrix by a whole population of graphs.

One-sided values depend on one of a connection's two units only; they are computed for all graphs together, in two
programs of few points. Outputs that are sums of products of one-sided values are left in factors. All other nodes, the
spread nodes, have one value per connection and are most of the work; there are two ways, equal but for rounding. On the
CPU graphs are computed one by one, in blocks of connections that stay in cache, every node in place. Elsewhere
launching an operation costs more than computing it, so the nodes of all graphs are computed together, level by level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperevo import devices
from hyperevo.encodings._program import Program, Rows, assemble, interpret
from hyperevo.encodings._separable import WAVES, Split, Spread, Value, clamped_nodes, split
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.graph import Graph
from hyperevo.kept import kept

BLOCK = 262_144
"""Connections of one network that are painted at a time on the CPU: 1 MB in float32."""

GAINS = (("sin", 5.0), ("cos", 5.0), ("gauss", 5.0**0.5), ("sigmoid", 5.0), ("tanh", 5.0))
"""Factors of activations' arguments, multiplied into the spread nodes' links and biases beforehand, so that
`answer_in_place` need not."""


@dataclass(frozen=True)
class Canvas:
    """Inputs of the CPPN over a matrix of T target units and S source units.

    source (inputs, S) and target (inputs, T): the part of every input that depends on that unit alone, else 0.
    spread: inputs (T, S) that are not sums of such parts. grid: rows and columns of targets, then of sources.
    """

    names: tuple[str, ...]
    grid: torch.Size
    source: Tensor
    target: Tensor
    spread: tuple[Tensor, ...]


Painted = Tensor | tuple[Tensor, Tensor]
"""One output of n graphs: (n, T, S), or its factors left (n, T, r) and right (n, S, r)."""

Planned = list[Painted] | Callable[[], list[Painted]]
"""All outputs of consecutive graphs of a population, or a function that paints all outputs of one graph."""


@dataclass(frozen=True)
class _Sides:
    """Values of all one-sided rows, (rows, S) and (rows, T), and for every graph the indices of its own rows."""

    source: Tensor
    target: Tensor
    source_rows: tuple[np.ndarray, ...]
    target_rows: tuple[np.ndarray, ...]


def plan(graphs: Sequence[Graph], numbers: Tensor, starts: np.ndarray, canvas: Canvas,
         outputs: tuple[int, ...], together: bool | None = None) -> list[Planned]:
    """Outputs of P graphs over all connections of a matrix, in the population's order.

    All one-sided values are computed here. On the CPU a graph's spread nodes are computed when its function is called;
    without a gradient, a call overwrites the result of the call before. numbers, starts: from `graph_numbers`.
    Differentiable in the numbers. together: paint all graphs at once; by default, where the device takes all at once.
    """
    together = devices.takes_all_at_once(canvas.source.device) if together is None else together
    differentiable = torch.is_grad_enabled() and numbers.requires_grad
    gains = () if together or differentiable else GAINS
    clamped = kept(lambda: clamped_nodes(graphs, canvas.names, outputs))
    splits = [split(graph.topology, canvas.names, outputs, own, gains)
              for graph, own in zip(graphs, clamped, strict=True)]
    sides = _one_sided(splits, numbers, starts, canvas)
    spread = [place for place, own in enumerate(splits) if own.spread]
    painted: dict[int, Planned] = {}
    if not together:
        own = numbers.to(canvas.source.dtype).unbind() if differentiable else numbers.tolist()
        scratch = None if differentiable else Scratch()
        painted |= {place: partial(_paint_one, splits[place], place, sides, own[2 + starts[place] :], canvas, scratch)
                    for place in spread}
    else:
        painted |= zip(spread, _paint_together(splits, spread, sides, numbers, starts, canvas), strict=True)
    planned: list[Planned] = []
    for _, members in groupby(range(len(graphs)), key=lambda place: (place in painted and place, id(splits[place]))):
        places = list(members)
        planned.append(painted[places[0]] if places[0] in painted
                       else [_factors(value, places, sides) for value in splits[places[0]].outputs])
    return planned


def build_painted(painted: Painted) -> Tensor:
    """The matrices (n, T, S) of a painted output."""
    return painted if isinstance(painted, Tensor) else painted[0] @ painted[1].transpose(1, 2)


def _one_sided(splits: Sequence[Split], numbers: Tensor, starts: np.ndarray, canvas: Canvas) -> _Sides:
    values, rows = [], []
    for side, inputs in (("source", canvas.source), ("target", canvas.target)):
        own = [attrgetter(side)(one) for one in splits]
        steps = assemble(own, starts, inputs.device)
        ends = np.cumsum([len(one.rows) for one in own])
        values.append(interpret(steps, numbers, inputs))
        rows.append(tuple(np.concatenate([np.arange(len(inputs)), len(inputs) + part])
                          for part in np.split(steps.place, ends[:-1])))
    return _Sides(values[0], values[1], rows[0], rows[1])


def _factors(value: Value, places: Sequence[int], sides: _Sides) -> tuple[Tensor, Tensor]:
    """Factors left (n, T, r) and right (n, S, r) of one output, for graphs that share a split."""
    left, right = [], []
    if value.products:
        targets, sources = zip(*value.products, strict=True)
        left.append(_chosen(sides.target, sides.target_rows, places, targets))
        right.append(_chosen(sides.source, sides.source_rows, places, sources))
    if value.source is not None:
        right.append(_chosen(sides.source, sides.source_rows, places, (value.source,)))
        left.append(sides.target.new_ones(len(places), 1, sides.target.shape[1]))
    if value.target is not None and not value.constant:
        left.append(_chosen(sides.target, sides.target_rows, places, (value.target,)))
        right.append(sides.source.new_ones(len(places), 1, sides.source.shape[1]))
    return torch.cat(left, 1).transpose(1, 2), torch.cat(right, 1).transpose(1, 2)


def _chosen(values: Tensor, rows: Sequence[np.ndarray], places: Sequence[int], own: tuple[int, ...]) -> Tensor:
    """Values (graphs, own rows, points) of each graph's own rows."""
    ids = np.stack([rows[place][list(own)] for place in places])
    return values[kept(lambda: torch.from_numpy(ids).to(values.device))]


# Graphs one by one


class Scratch:
    """Tensors of the size of a block that are reused, and so stay in cache."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []
        self._lent: list[Tensor] = []

    def take(self, shape: torch.Size, like: Tensor) -> Tensor:
        """A tensor of this shape, with arbitrary content."""
        whole = self._free.pop() if self._free else like.new_empty(shape.numel())
        self._lent.append(whole)
        return (whole if len(whole) == shape.numel() else whole[: shape.numel()]).view(shape)

    def take_back(self) -> None:
        """Free all tensors that were taken."""
        self._free += self._lent
        self._lent = []


def blocks_of(grid: torch.Size) -> list[tuple[slice, slice]]:
    """Blocks of a matrix as slices of its target rows and columns, the largest first."""
    rows, columns, sources = grid[0], grid[1], grid[2] * grid[3]
    high = max(1, BLOCK // (columns * sources))
    wide = columns if columns * sources <= BLOCK else max(1, BLOCK // sources)
    return [(slice(row, min(row + high, rows)), slice(column, min(column + wide, columns)))
            for row in range(0, rows, high) for column in range(0, columns, wide)]


def _paint_one(taken: Split, place: int, sides: _Sides, numbers: Sequence[Tensor], canvas: Canvas,
               scratch: Scratch | None) -> list[Painted]:
    """Outputs (1, T, S) of one graph. `numbers` are the graph's own: Python numbers, which cost no tensor operation
    each, or tensors where a gradient is wanted; then there is no scratch, and nothing is done in place."""
    grid = canvas.grid
    source = sides.source[sides.source_rows[place]].unflatten(1, grid[2:])
    target = sides.target[sides.target_rows[place]].unflatten(1, grid[:2])
    inputs = [values.view(grid) for values in canvas.spread]
    blocks = blocks_of(grid)
    painted = []
    for rows, columns in blocks:
        if scratch is not None:
            scratch.take_back()
        one = _Block(taken, source, target[:, rows, columns], numbers, scratch)
        painted.append(one.paint([values[rows, columns] for values in inputs]))
        if scratch is not None and len(blocks) > 1:
            painted[-1] = [values.clone() for values in painted[-1]]
    return [_assembled(parts, blocks, grid) for parts in zip(*painted, strict=True)]


def _assembled(parts: Sequence[Tensor], blocks: list[tuple[slice, slice]], grid: torch.Size) -> Tensor:
    """A matrix (1, T, S) from its blocks (target rows, target columns, source rows, source columns)."""
    across = sum(rows.start == 0 for rows, _ in blocks)
    rows = [torch.cat(list(parts[place : place + across]), 1) if across > 1 else parts[place]
            for place in range(0, len(parts), across)]
    whole = torch.cat(rows) if len(rows) > 1 else rows[0]
    return whole.reshape(1, grid[0] * grid[1], grid[2] * grid[3])


class _Block:
    """All spread nodes of one graph over a block of connections, (target rows, target columns, source rows, source
    columns); a value has size 1 along axes on which it does not depend.

    source (rows, source rows, source columns), target (rows, target rows, target columns): the one-sided values.
    """

    def __init__(self, taken: Split, source: Tensor, target: Tensor, numbers: Sequence[Tensor],
                 scratch: Scratch | None):
        self.taken, self.numbers, self.scratch = taken, numbers, scratch
        self.source, self.target = source.unbind(), target.unbind()
        self.shape = torch.Size((*target.shape[1:], *source.shape[1:]))

    def paint(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """All outputs over the block."""
        values = list(inputs)
        for node in self.taken.spread:
            received = self._receive(node, values)
            values.append(ACTIVATIONS[node.row.activation](received) if self.scratch is None
                          else answer_in_place(node.row.activation, received, node.clamped))
        return [(values[value.spread] if value.spread is not None else self._built(value)).expand(self.shape)
                for value in self.taken.outputs]

    def _receive(self, node: Spread, values: list[Tensor]) -> Tensor:
        """The aggregated input of a node, in a tensor of its own."""
        row = node.row
        links = [row.factor * (self.numbers[link] if link >= 0 else 1.0) for link in row.links]
        sources = [values[place] for place in row.sources]
        if row.aggregation != "sum":
            total = AGGREGATIONS[row.aggregation]([value * link for value, link in zip(sources, links, strict=True)])
            return total if node.start.empty else total + self._built(node.start)
        out = None
        if self.scratch is not None and len(node.axes) == 4:
            out = self.scratch.take(self.shape, self.source[0])
        total = self._built(node.start, out)
        for value, link in zip(sources, links, strict=True):
            total = self._plus(total, value, link, out)
        return total

    def _plus(self, total: Tensor, value: Tensor, link: Any, out: Tensor | None) -> Tensor:
        """Sum total + link · value, in `out` where the sum has its shape."""
        if self.scratch is None:
            return total + value * link
        if out is not None and _spread_shape(total, value) == self.shape:
            return torch.add(total, value, alpha=link, out=out)
        return torch.add(total, value, alpha=link)

    def _built(self, value: Value, out: Tensor | None = None) -> Tensor:
        """Build a value from one-sided rows, in the smallest shape that holds it; in `out` where it has that shape."""
        source = [] if value.source is None else [self._source_view(value.source)]
        target = [] if value.target is None or value.constant else [self._target_view(value.target)]
        if value.products:
            left = [self._target_view(row) for row, _ in value.products]
            right = [self._source_view(row) for _, row in value.products]
            left += [torch.ones_like(left[0][:1, :1]) for _ in source] + target
            right += source + [torch.ones_like(right[0][..., :1, :1]) for _ in target]
            return _sum_of_products(left, right, out)
        if not source or not target:
            return (source or target)[0].clone()
        total_shape = _spread_shape(source[0], target[0])
        return torch.add(source[0], target[0], out=out if out is not None and total_shape == self.shape else None)

    def _source_view(self, row: int) -> Tensor:
        axes = self.taken.source_axes[row]
        return self.source[row][None, None, : None if 2 in axes else 1, : None if 3 in axes else 1]

    def _target_view(self, row: int) -> Tensor:
        axes = self.taken.target_axes[row]
        return self.target[row][: None if 0 in axes else 1, : None if 1 in axes else 1, None, None]


def _spread_shape(first: Tensor, second: Tensor) -> tuple[int, ...]:
    return tuple(map(max, first.shape, second.shape))


def _sum_of_products(left: list[Tensor], right: list[Tensor], out: Tensor | None) -> Tensor:
    """Σ left · right of values (target rows, target columns, 1, 1) and (1, 1, source rows, source columns), as one
    matrix product."""
    high, wide = (max(value.shape[axis] for value in left) for axis in (0, 1))
    deep, long = (max(value.shape[axis] for value in right) for axis in (2, 3))
    columns = torch.stack([value.expand(high, wide, 1, 1).reshape(-1) for value in left], 1)
    rows = torch.stack([value.expand(1, 1, deep, long).reshape(-1) for value in right])
    if out is not None and out.shape == (high, wide, deep, long):
        torch.mm(columns, rows, out=out.view(len(columns), -1))
        return out
    return (columns @ rows).view(high, wide, deep, long)


def answer_in_place(activation: str, received: Tensor, clamped: bool = True) -> Tensor:
    """activation(received / gain), see GAINS; `received` is overwritten. Waves that are not `clamped` cannot reach
    neat-python's limit."""
    if activation in WAVES:
        received = received.clamp_(-60, 60) if clamped else received
        return received.sin_() if activation == "sin" else received.cos_()
    # The limits of the next two are neat-python's: without them their tails are 0, of which inv and log make much.
    if activation == "gauss":
        return received.square_().neg_().clamp_(min=-5 * 3.4**2).exp_()
    if activation == "sigmoid":
        return received.clamp_(min=-60).sigmoid_()
    if activation == "tanh":
        # tanh(z) = 2 sigmoid(2z) - 1, three times as fast on the CPU.
        return received.sigmoid_().mul_(2).sub_(1)
    if activation in IN_PLACE:
        return IN_PLACE[activation](received)
    return ACTIVATIONS[activation](received)


IN_PLACE = {"abs": torch.Tensor.abs_, "relu": torch.relu_, "square": torch.Tensor.square_,
            "step": lambda received: received.gt_(0)}


# All graphs together


def _paint_together(splits: Sequence[Split], places: Sequence[int], sides: _Sides, numbers: Tensor, starts: np.ndarray,
                    canvas: Canvas) -> list[list[Painted]]:
    """Outputs (1, T, S) of every graph at the indices `places`, with all spread nodes of a level computed at once."""
    if not places:
        return []
    inputs = torch.stack(list(canvas.spread)).flatten(1) if canvas.spread \
        else sides.source.new_empty(0, sides.source.shape[1] * sides.target.shape[1])
    rows = [spread_rows(splits[place], len(inputs)) for place in places]
    steps = assemble(rows, starts[list(places)], inputs.device)
    received = _Starts(splits, places, sides, np.argsort(steps.place))
    values = interpret(steps, numbers, inputs, received)
    shape, first = (1, sides.target.shape[1], sides.source.shape[1]), 0
    painted: list[list[Painted]] = []
    for place, own in zip(places, rows, strict=True):
        painted.append([
            (build_painted(_factors(value, [place], sides)) if value.spread is None
             else values[_row_of(value.spread, first, len(inputs), steps)].view(shape))
            for value in splits[place].outputs])
        first += len(own.rows)
    return painted


def _row_of(own: int, first: int, inputs: int, steps: Program) -> int:
    return own if own < inputs else inputs + int(steps.place[first + own - inputs])


@lru_cache(maxsize=8192)
def spread_rows(taken: Split, inputs: int) -> Rows:
    """The spread nodes of a graph as rows of a program."""
    return Rows(inputs, tuple(node.row for node in taken.spread))


class _Starts:
    """The part of spread rows' inputs that comes from one-sided rows, for `interpret`; rows in the program's order."""

    def __init__(self, splits: Sequence[Split], places: Sequence[int], sides: _Sides, order: np.ndarray):
        nodes = [(sides.source_rows[place], sides.target_rows[place], node.start)
                 for place in places for node in splits[place].spread]
        nodes = [nodes[place] for place in order]
        widest = max((len(start.products) for _, _, start in nodes), default=0)
        # The last row of each side is zero, for parts that a node does not have.
        self._source = torch.cat([sides.source, torch.zeros_like(sides.source[:1])])
        self._target = torch.cat([sides.target, torch.zeros_like(sides.target[:1])])
        self._rank = np.array([len(start.products) for _, _, start in nodes])
        source = np.full((len(nodes), 1 + widest), len(sides.source))
        target = np.full((len(nodes), 1 + widest), len(sides.target))
        for place, (own_source, own_target, start) in enumerate(nodes):
            if start.source is not None:
                source[place, 0] = own_source[start.source]
            if start.target is not None and not start.constant:
                target[place, 0] = own_target[start.target]
            for rank, (first, second) in enumerate(start.products, start=1):
                target[place, rank], source[place, rank] = own_target[first], own_source[second]
        device = sides.source.device
        self._source_ids, self._target_ids = kept(
            lambda: (torch.from_numpy(source).to(device), torch.from_numpy(target).to(device)))

    def __call__(self, first: int, last: int) -> Tensor:
        rows = slice(first, last)
        total = (self._source[self._source_ids[rows, 0]][:, None, :]
                 + self._target[self._target_ids[rows, 0]][:, :, None])
        rank = int(self._rank[rows].max())
        if rank:
            total = torch.baddbmm(total, self._target[self._target_ids[rows, 1 : 1 + rank]].transpose(1, 2),
                                  self._source[self._source_ids[rows, 1 : 1 + rank]])
        return total.flatten(1)
