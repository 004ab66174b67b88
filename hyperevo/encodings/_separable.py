"""Split of a graph into parts that depend on one of two units only and parts that are built over all connections.

A node that depends on source coordinates only has one value per source unit; on target coordinates only, one per
target unit. sin(s + t) = sin s cos t + cos s sin t, and a product of a source and a target node, are sums of few
products of such one-sided values. `split` takes a graph apart exactly, without looking at its numbers: one-sided nodes
become rows of two small programs, other nodes stay `Spread` nodes over all connections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperevo.encodings._program import LINEAR, ONE, ZERO, Row, Rows, node_rows
from hyperevo.graph import Graph, Topology, program

SIDES = {"x1": "source", "y1": "source", "z1": "source", "x2": "target", "y2": "target", "z2": "target",
         "one": "constant", "dx": "sum", "dy": "sum", "distance": "spread"}
"""Dependence of the CPPN's inputs on the two units: on one, on the sum of a value of each, or on both in any way."""

AXES = {"x1": {3}, "y1": {2}, "z1": {2}, "x2": {1}, "y2": {0}, "z2": {0}, "one": set(), "dx": {1, 3}, "dy": {0, 2},
        "distance": {0, 1, 2, 3}}
"""Axes along which an input changes, of the matrix's (target rows, target columns, source rows, source columns). A node
has one value per position on its own axes only. Channels are stacked on the axis of the rows."""

SIDE_AXES = {"source": {2, 3}, "target": {0, 1}}

LARGEST_INPUT = {"dx": 2.0, "dy": 2.0, "distance": 2.0 * 2.0**0.5}
"""Largest magnitude of inputs that are not coordinates; that of coordinates is 1."""

WAVES = ("sin", "cos")
WAVE_LIMIT = 12.0
"""Beyond this neat-python clamps the argument 5z of its waves at 60, and their addition formulas do not hold."""

MAXIMUM_RANK = 96
"""Most products of a matrix that is multiplied in factors: with more it is cheaper to build."""

Products = tuple[tuple[int, int], ...]

Bound = Any
"""Largest magnitude of a value: a number in one graph, an array (P,) in several; both take the same operators."""


@dataclass(frozen=True)
class Value:
    """A node's value: source + target + Σ t · s for (t, s) in products, all of them indices of rows of the one-sided
    programs; or `spread`, the index of a spread input or node. A constant has a row on both sides, which counts once.
    """

    source: int | None = None
    target: int | None = None
    products: Products = ()
    spread: int | None = None
    constant: bool = False

    @property
    def empty(self) -> bool:
        """True where it has no part at all, as the input of a node that receives nothing."""
        return self == Value()

    @property
    def side(self) -> str:
        """Kind of the value: constant, source, target, sum, products or spread."""
        if self.spread is not None:
            return "spread"
        if self.constant:
            return "constant"
        if self.products:
            return "products"
        if self.source is not None and self.target is not None:
            return "sum"
        return "source" if self.source is not None else "target"


@dataclass(frozen=True)
class Spread:
    """A node over all connections. `start` is its input from one-sided rows, with its bias; `row` has spread inputs and
    spread nodes as sources. A wave that is not `clamped` never reaches WAVE_LIMIT. `axes` are those of the matrix along
    which it changes."""

    start: Value
    row: Row
    clamped: bool = True
    axes: frozenset[int] = frozenset(range(4))


@dataclass(frozen=True)
class Split:
    """A graph taken apart: one-sided rows and the axes of each (inputs first), spread nodes in the order of evaluation,
    and the values of its outputs."""

    source: Rows
    target: Rows
    source_axes: tuple[frozenset[int], ...]
    target_axes: tuple[frozenset[int], ...]
    spread: tuple[Spread, ...]
    outputs: tuple[Value, ...]


@lru_cache(maxsize=8192)
def split(topology: Topology, names: tuple[str, ...], outputs: tuple[int, ...],
          clamped: frozenset[int] = frozenset(), gains: tuple[tuple[str, float], ...] = ()) -> Split:
    """Take a graph apart for some of its outputs.

    names: of the inputs (see SIDES). clamped: indices of nodes whose waves may be clamped and so do not follow their
    addition formula. gains: factors, by activation, of the aggregated inputs of spread nodes.
    """
    splitter = _Splitter(topology, names, clamped, dict(gains))
    for index, _, offset in program(topology, outputs):
        splitter.add(index, offset)
    values = tuple(splitter.nodes[topology.outputs[output]] for output in outputs)
    inputs = topology.inputs
    return Split(Rows(inputs, tuple(splitter.rows["source"])), Rows(inputs, tuple(splitter.rows["target"])),
                 tuple(splitter.axes["source"]), tuple(splitter.axes["target"]), tuple(splitter.spread), values)


@dataclass
class _Splitter:
    """Takes the nodes of a graph one by one."""

    topology: Topology
    names: tuple[str, ...]
    clamped: frozenset[int]
    gains: dict[str, float]
    nodes: dict[int, Value] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"source": [], "target": []})
    spread: list[Spread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.axes = {side: [frozenset(AXES[name] & own) for name in self.names] for side, own in SIDE_AXES.items()}
        self.spread_inputs = [place for place, name in enumerate(self.names) if SIDES[name] == "spread"]

    def add(self, index: int, offset: int) -> None:
        """Take one node, whose sources were taken before."""
        node = self.topology.nodes[index]
        values = [self._input(source) if source < self.topology.inputs else self.nodes[source - self.topology.inputs]
                  for source in node.sources]
        sides = {value.side for value in values} - {"constant"}
        if sides <= {"source"} or sides <= {"target"}:
            self.nodes[index] = self._one_sided(index, offset, values, sides)
        elif node.aggregation in LINEAR:
            self.nodes[index] = self._sum(index, offset, values)
        elif node.aggregation == "product" and sides <= {"source", "target"}:
            self.nodes[index] = self._product(index, offset, values)
        else:
            self.nodes[index] = self._other(index, offset, values)

    def _input(self, place: int) -> Value:
        side = SIDES[self.names[place]]
        if side == "spread":
            return Value(spread=self.spread_inputs.index(place))
        return Value(source=place if side != "target" else None, target=place if side != "source" else None,
                     constant=side == "constant")

    def _row(self, side: str, row: Row) -> int:
        """Index of a row, which is added unless there is an equal one."""
        rows = self.rows[side]
        if row not in rows:
            rows.append(row)
            self.axes[side].append(frozenset().union(*(self.axes[side][source] for source in row.sources)))
        return self.topology.inputs + rows.index(row)

    def _spread(self, start: Value, row: Row, clamped: bool = True) -> Value:
        axes = self._axes(start).union(*(self._spread_axes(source) for source in row.sources))
        self.spread.append(Spread(start, row, clamped, axes))
        return Value(spread=len(self.spread_inputs) + len(self.spread) - 1)

    def _axes(self, value: Value) -> frozenset[int]:
        rows = [("source", value.source), ("target", None if value.constant else value.target)]
        rows += [pair for target, source in value.products for pair in (("target", target), ("source", source))]
        return frozenset().union(*(self.axes[side][row] for side, row in rows if row is not None))

    def _spread_axes(self, place: int) -> frozenset[int]:
        inputs = self.spread_inputs
        return frozenset(range(4)) if place < len(inputs) else self.spread[place - len(inputs)].axes

    def _one_sided(self, index: int, offset: int, values: list[Value], sides: set[str]) -> Value:
        """A node on one side. A constant is computed on both sides, for it is not known yet which one needs it."""
        answer = {}
        for side in sides or {"source", "target"}:
            sources = tuple(_part(value, side) for value in values)
            first, *second = node_rows(self.topology, index, offset, sources, 0)
            answer[side] = self._row(side, first)
            for row in second:
                answer[side] = self._row(side, replace(row, sources=(answer[side],)))
        return Value(answer.get("source"), answer.get("target"), constant=not sides)

    def _sum(self, index: int, offset: int, values: list[Value]) -> Value:
        node = self.topology.nodes[index]
        factor = 1 / len(values) if node.aggregation == "mean" else 1.0
        spread = [(value.spread, offset + place) for place, value in enumerate(values) if value.spread is not None]
        rank = sum(len(value.products) for value in values)
        if not spread and rank <= MAXIMUM_RANK:
            if node.activation == "identity":
                return self._received(index, offset, values, factor, 1.0)
            if rank == 0 and node.activation == "square":
                return self._square(self._received(index, offset, values, factor, 1.0))
            if rank == 0 and node.activation in WAVES and index not in self.clamped:
                return self._wave(self._received(index, offset, values, factor, 1.0), node.activation)
        gain = self.gains.get(node.activation, 1.0)
        start = self._received(index, offset, values, factor, gain)
        places, links = zip(*spread, strict=True) if spread else ((), ())
        return self._spread(start, Row(node.activation, "sum", places, links, factor=factor * gain),
                            index in self.clamped)

    def _received(self, index: int, offset: int, values: list[Value], factor: float, gain: float) -> Value:
        """The one-sided parts of a weighted sum; the bias is with the source values."""
        parts: dict[str, list[tuple[int, int]]] = {"source": [], "target": []}
        products: list[tuple[int, int]] = []
        for place, value in enumerate(values):
            if value.source is not None:
                parts["source"].append((value.source, offset + place))
            if value.target is not None and not value.constant:
                parts["target"].append((value.target, offset + place))
            products += [(self._scaled(target, offset + place, factor * gain), source)
                         for target, source in value.products]
        source = self._row("source", _weighted(parts["source"], self.topology.links + index, factor * gain, gain))
        target = self._row("target", _weighted(parts["target"], ZERO, factor * gain, gain)) if parts["target"] else None
        return Value(source, target, tuple(products))

    def _scaled(self, target: int, link: int, factor: float) -> int:
        return self._row("target", Row("identity", "sum", (target,), (link,), factor=factor))

    def _wave(self, received: Value, name: str) -> Value:
        """sin(s + t) = cos t sin s + sin t cos s, cos(s + t) = cos t cos s - sin t sin s."""
        assert received.source is not None and received.target is not None
        waves = {(side, wave): self._row(side, Row(wave, "sum", (part,), (ONE,)))
                 for side, part in (("source", received.source), ("target", received.target)) for wave in WAVES}
        if name == "sin":
            return Value(products=((waves["target", "cos"], waves["source", "sin"]),
                                   (waves["target", "sin"], waves["source", "cos"])))
        minus = self._row("target", Row("identity", "sum", (waves["target", "sin"],), (ONE,), factor=-1.0))
        return Value(products=((waves["target", "cos"], waves["source", "cos"]), (minus, waves["source", "sin"])))

    def _square(self, received: Value) -> Value:
        """(s + t)² = s² + t² + 2 t s."""
        assert received.source is not None and received.target is not None
        source = self._row("source", Row("square", "sum", (received.source,), (ONE,)))
        target = self._row("target", Row("square", "sum", (received.target,), (ONE,)))
        double = self._row("target", Row("identity", "sum", (received.target,), (ONE,), factor=2.0))
        return Value(source, target, ((double, received.source),))

    def _product(self, index: int, offset: int, values: list[Value]) -> Value:
        """A product of source values and target values, then the bias and the activation."""
        rows = {}
        for side in ("source", "target"):
            own = [(_part(value, side), offset + place) for place, value in enumerate(values)
                   if value.side == side or value.constant and side == "source"]
            sources, links = zip(*own, strict=True)
            rows[side] = self._row(side, Row("identity", "product", sources, links))
        node, bias = self.topology.nodes[index], self.topology.links + index
        gain = 1.0 if node.activation == "identity" else self.gains.get(node.activation, 1.0)
        double = self._scaled(rows["target"], ONE, gain) if gain != 1.0 else rows["target"]
        start = Value(self._row("source", Row("identity", "sum", (), (), bias, gain=gain)), None,
                      ((double, rows["source"]),))
        return start if node.activation == "identity" else self._spread(start, Row(node.activation, "sum", (), ()))

    def _other(self, index: int, offset: int, values: list[Value]) -> Value:
        """An aggregation that needs every value over all connections."""
        built = tuple(self._built(value) for value in values)
        *before, last = node_rows(self.topology, index, offset, built,
                                  len(self.spread_inputs) + len(self.spread))
        for row in before:
            self._spread(Value(), row)
        gain = self.gains.get(last.activation, 1.0)
        bias = self._row("source", Row("identity", "sum", (), (), last.bias, gain=gain))
        linear = Row(last.activation, last.aggregation, last.sources, last.links, factor=last.factor * gain)
        if last.aggregation != "sum" and gain != 1.0:
            # A gain cannot be multiplied into a product of several links: take the product first.
            linear = Row("identity", last.aggregation, last.sources, last.links)
            between = self._spread(Value(), linear)
            assert between.spread is not None
            linear = Row(last.activation, "sum", (between.spread,), (ONE,), factor=gain)
        return self._spread(Value(bias), linear)

    def _built(self, value: Value) -> int:
        if value.spread is None:
            one = Value(value.source, None if value.constant else value.target, value.products)
            value = self._spread(one, Row("identity", "sum", (), ()))
        assert value.spread is not None
        return value.spread


def _part(value: Value, side: str) -> int:
    part = value.source if side == "source" else value.target
    assert part is not None
    return part


def _weighted(parts: Sequence[tuple[int, int]], bias: int, factor: float, gain: float) -> Row:
    sources, links = zip(*parts, strict=True) if parts else ((), ())
    return Row("identity", "sum", sources, links, bias, factor, gain)


def clamped_nodes(graphs: Sequence[Graph], input_names: Sequence[str], outputs: tuple[int, ...]) \
        -> list[frozenset[int]]:
    """Indices, for every graph, of nodes whose waves may be clamped, by bounds from its numbers; others never are."""
    return [own for _, alike in groupby(graphs, key=lambda graph: id(graph.topology))
            for own in _clamped_alike(list(alike), input_names, outputs)]


def _clamped_alike(graphs: Sequence[Graph], input_names: Sequence[str], outputs: tuple[int, ...]) \
        -> list[frozenset[int]]:
    """Nodes of graphs of one topology whose waves may be clamped; the bounds of all graphs are computed together."""
    steps = program(graphs[0].topology, outputs)
    if not any(node.activation in WAVES for _, node, _ in steps):
        return [frozenset()] * len(graphs)
    weights, biases, responses = (_columns([numbers.detach() for numbers in own]) for own in zip(
        *((graph.weights, graph.biases, graph.responses) for graph in graphs), strict=True))
    inputs = graphs[0].topology.inputs
    largest = dict[int, Bound](enumerate(LARGEST_INPUT.get(name, 1.0) for name in input_names))
    waves, over = [], []
    for index, node, offset in steps:
        sizes = [abs(weights[offset + link]) * largest[source] for link, source in enumerate(node.sources)]
        total = abs(responses[index]) * (prod(sizes) if node.aggregation == "product" else sum(sizes)) \
            + abs(biases[index])
        if node.activation in WAVES:
            waves.append(index)
            over.append(np.logical_not(total <= WAVE_LIMIT))
        largest[inputs + index] = _largest_answer(node.activation, total)
    if not np.any(over):
        return [frozenset()] * len(graphs)
    return [frozenset(np.array(waves)[own].tolist()) for own in np.array(over).reshape(len(waves), -1).T]


def _columns(numbers: Sequence[Tensor]) -> Sequence[Bound]:
    """Numbers by place: those of all graphs as an array, or of one graph as Python's, which are faster alone."""
    return numbers[0].tolist() if len(numbers) == 1 else list(torch.stack(list(numbers)).T.cpu().numpy())


def _largest_answer(activation: str, received: Bound) -> Bound:
    """Largest magnitude of an activation's value for arguments of magnitude up to `received`."""
    if activation in ("identity", "abs", "relu"):
        return received
    if activation == "square":
        return received * received
    bounded = activation in (*WAVES, "gauss", "sigmoid", "tanh", "step", "clamped", "hat")
    return 1.0 if bounded else float("inf")


def stays_separable(topology: Topology, input_names: Sequence[str], outputs: Sequence[int]) -> bool:
    """True where `split` leaves these outputs without a spread node, as long as no wave is clamped."""
    return not split(topology, tuple(input_names), tuple(outputs)).spread
