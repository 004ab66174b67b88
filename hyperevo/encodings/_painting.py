"""One weight matrix of a whole population of graphs.

What is one-sided is computed for all graphs together, in two programs of few points. Outputs that are sums of products
of one-sided values are left in factors. What remains, the spread nodes, has one value per connection and is most of the
work; there are two ways, equal but for rounding. On the CPU graphs come one by one, in blocks of connections that stay
in cache, every node in place. Elsewhere launching an operation costs more than computing it, so the nodes of all graphs
are computed together, level by level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from hyperevo.encodings._graph import Graph
from hyperevo.encodings._program import Program, Rows, assemble, interpret
from hyperevo.encodings._separable import WAVES, Split, Spread, Value, clamped_nodes, split
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS

BLOCK = 262_144
"""Connections of one network that are painted at a time on the CPU: 1 MB in float32."""

GAINS = (("sin", 5.0), ("cos", 5.0), ("gauss", 5.0**0.5), ("sigmoid", 5.0), ("tanh", 5.0))
"""What the spread nodes' numbers are multiplied by beforehand, so that `_answer_in_place` need not."""


@dataclass(frozen=True)
class Canvas:
    """Where a matrix lies: the CPPN's inputs by their side, and what depends on both units.

    source (inputs, S) and target (inputs, T): the part of every input that is given by one unit, else 0.
    spread: inputs (T, S) that are not sums of such parts. `sides`: of every input, see `SIDES`.
    """

    names: tuple[str, ...]
    sides: tuple[str, ...]
    source: Tensor
    target: Tensor
    spread: tuple[Tensor, ...]


Painted = Tensor | tuple[Tensor, Tensor]
"""One output of n graphs: (n, T, S), or its factors left (n, T, r) and right (n, S, r)."""

Planned = list[Painted] | Callable[[], list[Painted]]
"""All outputs of neighbours in a population; or what paints all outputs of one graph when it is called."""


@dataclass(frozen=True)
class _Sides:
    """The values of all one-sided rows, (rows, S) and (rows, T), and for every graph where its own lie in them."""

    source: Tensor
    target: Tensor
    source_rows: tuple[np.ndarray, ...]
    target_rows: tuple[np.ndarray, ...]


def plan(graphs: Sequence[Graph], numbers: Tensor, starts: np.ndarray, canvas: Canvas,
         outputs: tuple[int, ...], together: bool | None = None) -> list[Planned]:
    """Outputs of P graphs over all connections of a matrix, in the population's order.

    All one-sided values are computed here, and on the CPU a graph's spread nodes when they are called for; without a
    gradient, what one call gives is overwritten by the next. numbers, starts: from `graph_numbers`. Differentiable in
    the numbers. together: whether all graphs are painted at once; by default, off the CPU.
    """
    together = canvas.source.device.type != "cpu" if together is None else together
    differentiable = torch.is_grad_enabled() and numbers.requires_grad
    gains = () if together or differentiable else GAINS
    splits = [split(graph.topology, canvas.sides, outputs, clamped_nodes(graph, canvas.names, outputs), gains)
              for graph in graphs]
    sides = _one_sided(splits, numbers, starts, canvas)
    spread = [place for place, own in enumerate(splits) if own.spread]
    painted: dict[int, Planned] = {}
    if not together:
        own = numbers.to(canvas.source.dtype).unbind() if differentiable else numbers.tolist()
        scratch = None if differentiable else Scratch(canvas)
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
    """(n, T, S)."""
    return painted if isinstance(painted, Tensor) else painted[0] @ painted[1].transpose(1, 2)


def _one_sided(splits: Sequence[Split], numbers: Tensor, starts: np.ndarray, canvas: Canvas) -> _Sides:
    values, rows = [], []
    for side, inputs in (("source", canvas.source), ("target", canvas.target)):
        own = [getattr(one, side) for one in splits]
        steps = assemble(own, starts, inputs.device)
        ends = np.cumsum([len(one.rows) for one in own])
        values.append(interpret(steps, numbers, inputs))
        rows.append(tuple(np.concatenate([np.arange(len(inputs)), len(inputs) + part])
                          for part in np.split(steps.place, ends[:-1])))
    return _Sides(values[0], values[1], rows[0], rows[1])


def _factors(value: Value, places: Sequence[int], sides: _Sides) -> tuple[Tensor, Tensor]:
    """left (n, T, r) and right (n, S, r) of graphs that are taken apart alike."""
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
    """(graphs, own rows, points)."""
    ids = np.stack([rows[place][list(own)] for place in places])
    return values[torch.from_numpy(ids).to(values.device)]


# Graphs one by one


class Scratch:
    """Tensors of a block's shape that are used again and again, and so stay in cache."""

    def __init__(self, canvas: Canvas):
        self._canvas = canvas
        self._free: list[Tensor] = []
        self._lent: list[Tensor] = []

    def take(self, height: int) -> Tensor:
        """(height, S), of any content."""
        sources = self._canvas.source.shape[1]
        whole = self._free.pop() if self._free else self._canvas.source.new_empty(block_height(sources), sources)
        self._lent.append(whole)
        return whole[:height]

    def take_back(self) -> None:
        """All that was lent is free again."""
        self._free += self._lent
        self._lent = []


def block_height(sources: int) -> int:
    """Target units whose connections are painted at a time."""
    return max(1, BLOCK // sources)


def _paint_one(taken: Split, place: int, sides: _Sides, numbers: Sequence, canvas: Canvas,
               scratch: Scratch | None) -> list[Painted]:
    """(1, T, S) per output. `numbers` are those of the graph: Python numbers, which cost no tensor operation each, or
    tensors where a gradient is wanted; then there is no scratch, and nothing is done in place."""
    source = sides.source[sides.source_rows[place]].unbind()
    target = sides.target[sides.target_rows[place]]
    height, targets = block_height(len(source[0])), target.shape[1]
    blocks = []
    for first in range(0, targets, height):
        rows = slice(first, min(first + height, targets))
        if scratch is not None:
            scratch.take_back()
        painted = _paint_block(taken, source, target[:, rows], numbers, [values[rows] for values in canvas.spread],
                               scratch)
        if height >= targets:
            return [values[None] for values in painted]
        blocks.append([values.clone() for values in painted] if scratch is not None else painted)
    return [torch.cat(parts)[None] for parts in zip(*blocks, strict=True)]


def _paint_block(taken: Split, source: Sequence[Tensor], target: Tensor, numbers: Sequence,
                 inputs: Sequence[Tensor], scratch: Scratch | None) -> list[Tensor]:
    """All spread nodes over some target units: target (rows, units)."""
    shape = (target.shape[1], len(source[0]))
    columns = target[:, :, None].unbind()
    values = list(inputs)
    for node in taken.spread:
        out = None if scratch is None else scratch.take(shape[0])
        received = _receive(node, values, source, columns, numbers, out)
        values.append(ACTIVATIONS[node.row.activation](received) if scratch is None
                      else _answer_in_place(node, received))
    return [(values[value.spread] if value.spread is not None else _built(value, source, columns)).expand(shape)
            for value in taken.outputs]


def _receive(node: Spread, values: list[Tensor], source: Sequence[Tensor], columns: Sequence[Tensor],
             numbers: Sequence, out: Tensor | None) -> Tensor:
    """What a node receives: in `out` where there is one and it has the shape of a block."""
    row = node.row
    links = [row.factor * (numbers[link] if link >= 0 else 1.0) for link in row.links]
    sources = [values[place] for place in row.sources]
    if row.aggregation != "sum":
        total = AGGREGATIONS[row.aggregation]([value * link for value, link in zip(sources, links, strict=True)])
        return total if node.start.empty else total + _built(node.start, source, columns)
    total = _built(node.start, source, columns, out)
    for value, link in zip(sources, links, strict=True):
        if out is None:
            total = torch.addcmul(total, value, link) if isinstance(link, Tensor) else total + value * link
        else:
            total = torch.add(total, value, alpha=link, out=out)
    return total


def _built(value: Value, source: Sequence[Tensor], columns: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """A value of one-sided rows, new, of the smallest shape that holds it; columns are target rows (T, 1)."""
    left = [columns[target] for target, _ in value.products]
    right = [source[own] for _, own in value.products]
    if not left:
        if value.source is None:
            assert value.target is not None
            return columns[value.target].clone()
        if value.target is None or value.constant:
            return source[value.source][None].clone()
        return torch.add(source[value.source], columns[value.target], out=out)
    if value.source is not None:
        left, right = [*left, torch.ones_like(left[0])], [*right, source[value.source]]
    if value.target is not None:
        left, right = [*left, columns[value.target]], [*right, torch.ones_like(right[0])]
    return torch.mm(torch.cat(left, 1), torch.stack(right), out=out)


def _answer_in_place(node: Spread, received: Tensor) -> Tensor:
    """activation(received / gain), see GAINS; `received` is changed."""
    activation = node.row.activation
    if activation in WAVES:
        # Most waves are known not to reach neat-python's limit.
        received = received.clamp_(-60, 60) if node.clamped else received
        return received.sin_() if activation == "sin" else received.cos_()
    if activation == "gauss":
        return received.square_().neg_().exp_()
    if activation == "sigmoid":
        return received.sigmoid_()
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
    """(1, T, S) per output of every graph at `places`, with all spread nodes of a level computed at once."""
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
        source = sides.source[sides.source_rows[place]].unbind()
        columns = sides.target[sides.target_rows[place]][:, :, None].unbind()
        painted.append([
            (_built(value, source, columns).expand(shape) if value.spread is None
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
    """What spread rows receive from one-sided rows, for `interpret`: rows of the program, in its order."""

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
        self._source_ids, self._target_ids = torch.from_numpy(source).to(device), torch.from_numpy(target).to(device)

    def __call__(self, first: int, last: int) -> Tensor:
        rows = slice(first, last)
        total = (self._source[self._source_ids[rows, 0]][:, None, :]
                 + self._target[self._target_ids[rows, 0]][:, :, None])
        rank = int(self._rank[rows].max())
        if rank:
            total = torch.baddbmm(total, self._target[self._target_ids[rows, 1 : 1 + rank]].transpose(1, 2),
                                  self._source[self._source_ids[rows, 1 : 1 + rank]])
        return total.flatten(1)
