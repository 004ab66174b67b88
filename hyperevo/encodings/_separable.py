"""CPPN values that are never spread over all connections.

Many patterns over all T · S connections need not be built: sin(s + t) = sin s cos t + cos s sin t, and a product of a
source node and a target node, are sums of few products of one-sided values. `separate` evaluates a graph and keeps
them so, exactly; what cannot be kept is built.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from hyperevo.encodings._graph import (
    Graph,
    Node,
    Topology,
    aggregate,
    numbers,
    plus_scaled,
    program,
    responses_of,
    weighted_sum,
)
from hyperevo.functions import ACTIVATIONS


@dataclass(frozen=True)
class Separable:
    """source + target + Σ t · s for (t, s) in products: values over all connections that are not built.

    Source values have shape (…, 1, S) or (…, 1, 1), target values (…, T, 1) or (…, 1, 1).
    """

    source: Tensor | None = None
    target: Tensor | None = None
    products: tuple[tuple[Tensor, Tensor], ...] = ()

    @property
    def rank(self) -> int:
        """How many products of a target and a source value are added up, counting one-sided parts."""
        return len(self.products) + (self.source is not None) + (self.target is not None)

    def to(self, *args, **options) -> "Separable":
        """The value with its tensors moved or cast as by `Tensor.to`."""
        def moved(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.to(*args, **options)

        return Separable(moved(self.source), moved(self.target),
                         tuple((target.to(*args, **options), source.to(*args, **options))
                               for target, source in self.products))

    def scaled(self, factor) -> "Separable":
        """The value times a number or a tensor (P, 1, 1)."""
        return Separable(None if self.source is None else self.source * factor,
                         None if self.target is None else self.target * factor,
                         tuple((target * factor, source) for target, source in self.products))

    def pairs(self) -> list[tuple[Tensor | None, Tensor | None]]:
        """(target, source) factors of every addend; None stands for one."""
        pairs: list[tuple[Tensor | None, Tensor | None]] = list(self.products)
        if self.source is not None:
            pairs.append((None, self.source))
        if self.target is not None:
            pairs.append((self.target, None))
        return pairs

    def dense(self) -> Tensor:
        """The values themselves, of the smallest shape that holds them."""
        if len(self.products) > 2:
            left, right = self.factors(max(target.shape[-2] for target, _ in self.pairs() if target is not None),
                                       max(source.shape[-1] for _, source in self.pairs() if source is not None))
            return left @ right.transpose(-1, -2)
        total = _plus(self.source, self.target)
        for target, source in self.products:
            total = target * source if total is None else torch.addcmul(total, target, source)
        assert total is not None
        return total

    def factors(self, targets: int, sources: int) -> tuple[Tensor, Tensor]:
        """left (…, targets, rank) and right (…, sources, rank) with values = left @ right.T."""
        pairs = self.pairs()
        like = next(part for pair in pairs for part in pair if part is not None)
        one = torch.ones((1, 1), dtype=like.dtype, device=like.device)
        batch = max((part.shape[:-2] for pair in pairs for part in pair if part is not None), key=len)
        left = [(one if pair[0] is None else pair[0]).expand(*batch, targets, 1) for pair in pairs]
        right = [(one if pair[1] is None else pair[1]).expand(*batch, 1, sources) for pair in pairs]
        return torch.cat(left, -1), torch.cat(right, -2).transpose(-1, -2)


Value = Tensor | Separable

MAXIMUM_RANK = 128


def separate(graph: Graph, inputs: Sequence[Value], outputs: Sequence[int]) -> list[Value]:
    """As `activate`, with outputs over all connections left in factors where the graph allows it exactly.

    Inputs may be separable too: x1 - x2 is `Separable(x1, -x2)`. Sums of the same sources are computed together.
    """
    count = graph.topology.inputs
    like = next(value for value in inputs if isinstance(value, Tensor))
    graph = graph.to(like.dtype)
    responses = responses_of(graph.responses)
    values: dict[int, Value] = {}
    for group in _groups(graph.topology, tuple(outputs)):
        sources = [inputs[source] if source < count else values[source - count] for source in group.node.sources]
        for index, received in zip(group.indices, _receive(graph, group, sources, like), strict=True):
            values[index] = received if responses is None else _scaled(received, responses[index])
        _activate_group(group, values, graph.biases)
    return [values[graph.topology.outputs[output]] for output in outputs]


@dataclass(frozen=True)
class _Group:
    """Nodes that are alike in function, aggregation and sources, and where the weights of each begin."""

    node: Node
    indices: tuple[int, ...]
    offsets: tuple[int, ...]


@lru_cache(maxsize=4096)
def _groups(topology: Topology, outputs: tuple[int, ...]) -> tuple[_Group, ...]:
    """The nodes these outputs need, in order of the first of each group: all its sources lie before that."""
    alike: dict[Node, list[tuple[int, int]]] = {}
    for index, node, offset in program(topology, outputs):
        alike.setdefault(node, []).append((index, offset))
    return tuple(_Group(node, *(tuple(column) for column in zip(*places, strict=True)))
                 for node, places in alike.items())


def _receive(graph: Graph, group: _Group, sources: list[Value], like: Tensor) -> list[Value]:
    """What every node of a group aggregates."""
    name, links = group.node.aggregation, len(sources)
    parts = _all_separable(sources)
    if name == "sum" and parts:
        rows = torch.stack([graph.weights[..., start : start + links] for start in group.offsets], dim=-2)
        return _sums(parts, rows)
    weights = numbers(graph.weights)
    return [_aggregate_values(name, sources, weights[start : start + links], like) for start in group.offsets]


def _activate_group(group: _Group, values: dict[int, Value], biases: Tensor) -> None:
    """Replace what the nodes of a group received by what they answer, all at once where they are one-sided alike."""
    received = [values[index] for index in group.indices]
    own = [biases[..., index, None, None] for index in group.indices]
    shifted = [_simplest(_shifted(value, bias)) for value, bias in zip(received, own, strict=True)]
    name = group.node.activation
    rows = [value for value in shifted if isinstance(value, Tensor) and _is_source(value)]
    answers = ACTIVATIONS[name](_rows(rows)).split(1, dim=-2) if len(rows) == len(shifted) \
        else _activate_sums(name, shifted)
    values.update(zip(group.indices, answers, strict=True))


def _activate_sums(name: str, sums: list[Value]) -> Sequence[Value]:
    """Sums of a source and a target value, by their addition formula all at once; others one by one."""
    both = [sides for value in sums if (sides := _both_sides(value)) is not None]
    if name not in ADDITION_FORMULAS or len(both) < len(sums):
        return [_activate_value(name, value) for value in sums]
    answer = _by_formula(name, _rows([source for source, _ in both]), _columns([target for _, target in both]))
    if answer is None:
        return [_activate_value(name, value) for value in sums]
    nothing: list[None] = [None] * len(both)
    sources = nothing if answer.source is None else answer.source.split(1, dim=-2)
    targets = nothing if answer.target is None else answer.target.split(1, dim=-1)
    factors = [list(zip(target.split(1, dim=-1), source.split(1, dim=-2), strict=True))
               for target, source in answer.products]
    return [Separable(source, target, products)
            for source, target, products in zip(sources, targets, zip(*factors, strict=True), strict=True)]


def _both_sides(value: Value) -> tuple[Tensor, Tensor] | None:
    """(source, target) of a plain sum of the two."""
    if isinstance(value, Tensor) or value.products or value.source is None or value.target is None:
        return None
    return value.source, value.target


def _by_formula(name: str, source: Tensor, target: Tensor) -> Separable | None:
    """f(source + target) as a sum of products; None beyond the limit where neat-python clamps the function."""
    formula, limit = ADDITION_FORMULAS[name]
    largest = source.detach().abs().amax() + target.detach().abs().amax()
    return formula(source, target) if float(largest) <= limit else None


def _rows(values: list[Tensor]) -> Tensor:
    """Source values (…, 1, S) one under the other, (…, k, S)."""
    return torch.cat(_alike(values), dim=-2)


def _columns(values: list[Tensor]) -> Tensor:
    """Target values (…, T, 1) side by side, (…, T, k)."""
    return torch.cat(_alike(values), dim=-1)


def _alike(values: list[Tensor]) -> list[Tensor]:
    """Spread to one shape. (`torch.broadcast_tensors` and its kin take longer than the sums computed here.)"""
    shapes = {value.shape for value in values}
    if len(shapes) == 1:
        return values
    batch = max((shape[:-2] for shape in shapes), key=lambda sizes: (len(sizes), sizes))
    height, width = (max(shape[axis] for shape in shapes) for axis in (-2, -1))
    return [value.expand(*batch, height, width) for value in values]


def _sums(parts: list[Separable], weights: Tensor) -> list[Value]:
    """Σ weight · part for every row of weights (…, sums, parts)."""
    count = weights.shape[-2]
    sources: Sequence[Tensor | None] = [None] * count
    targets: Sequence[Tensor | None] = [None] * count
    if rows := {index: part.source for index, part in enumerate(parts) if part.source is not None}:
        sources = (_taken(weights, list(rows)) @ _rows(list(rows.values()))).split(1, dim=-2)
    if columns := {index: part.target for index, part in enumerate(parts) if part.target is not None}:
        turned = _taken(weights, list(columns)).transpose(-1, -2)
        targets = (_columns(list(columns.values())) @ turned).split(1, dim=-1)
    products: list[tuple] = [()] * count
    if owners := [index for index, part in enumerate(parts) for _ in part.products]:
        left = _columns([target for part in parts for target, _ in part.products])
        right = [source for part in parts for _, source in part.products]
        scaled = [left * row for row in _taken(weights, owners).split(1, dim=-2)]
        products = [tuple(zip(row.split(1, dim=-1), right, strict=True)) for row in scaled]
    return [_simplest(Separable(*values)) for values in zip(sources, targets, products, strict=True)]


def _taken(weights: Tensor, columns: list[int]) -> Tensor:
    return weights if columns == list(range(weights.shape[-1])) else weights[..., columns]


SIDES = {"x1": "source", "y1": "source", "x2": "target", "y2": "target", "one": "constant", "dx": "sum", "dy": "sum",
         "distance": "spread"}
"""How the CPPN's inputs depend on the two units: on one, on the sum of a value of each, or on both in any way."""


def stays_separable(topology: Topology, input_names: Sequence[str], outputs: Sequence[int]) -> bool:
    """Whether `separate` leaves these outputs in factors, unless numbers are beyond where the formulas hold."""
    sides = [SIDES[name] for name in input_names]
    known: dict[int, str] = {}
    for index, node, _ in program(topology, tuple(outputs)):
        received = {sides[source] if source < topology.inputs else known[source - topology.inputs]
                    for source in node.sources}
        known[index] = _side_after(node.activation, _side_of_aggregate(node.aggregation, received))
    return "spread" not in known.values()


def _side_of_aggregate(name: str, received: set[str]) -> str:
    received = received - {"constant"}
    if len(received) < 2 and received <= {"source", "target"}:
        return next(iter(received), "constant")
    if "spread" in received or name not in ("sum", "mean", "product"):
        return "spread"
    return "products" if name == "product" or "products" in received else "sum"


def _side_after(activation: str, received: str) -> str:
    if received in ("sum", "products") and activation != "identity":
        return "products" if received == "sum" and activation in ADDITION_FORMULAS else "spread"
    return received


def _plus(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _times(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first * second


def _is_source(value: Tensor) -> bool:
    """Whether a tensor has no value per target unit; a constant counts as a source value."""
    return value.shape[-2] == 1


def _as_separable(value: Value) -> Separable | None:
    """A one-sided tensor as a sum of one addend; None where the tensor is spread over all connections."""
    if isinstance(value, Separable):
        return value
    if _is_source(value):
        return Separable(source=value)
    return Separable(target=value) if value.shape[-1] == 1 else None


def _all_separable(values: Sequence[Value]) -> list[Separable]:
    """The values as separable ones; empty where one of them is spread over all connections."""
    parts = [part for value in values if (part := _as_separable(value)) is not None]
    return parts if len(parts) == len(values) else []


def _simplest(value: Value) -> Value:
    """A tensor where a value is one-sided: it has one part only, or one of them is a constant."""
    if isinstance(value, Tensor) or value.products:
        return value
    if value.source is None or value.target is None or value.source.shape[-1] == 1 or value.target.shape[-2] == 1:
        return value.dense()
    return value


def as_tensor(value: Value) -> Tensor:
    """The values themselves, built where they are not."""
    return value.dense() if isinstance(value, Separable) else value


def _scaled(value: Value, factor) -> Value:
    return value * factor if isinstance(value, Tensor) else value.scaled(factor)


def _shifted(value: Value, bias: Tensor) -> Value:
    """The value plus a bias (…, 1, 1)."""
    if isinstance(value, Tensor):
        return value + bias
    if value.target is not None:
        return replace(value, target=value.target + bias)
    if value.source is not None:
        return replace(value, source=value.source + bias)
    return replace(value, target=bias)


def _aggregate_values(name: str, values: list[Value], weights: Sequence, like: Tensor) -> Value:
    """What one node aggregates, but for sums of separable values: those are `_sums`."""
    parts = _all_separable(values)
    if parts:
        if name == "mean":
            return _simplest(_sum_of(parts, weights).scaled(1 / len(parts)))
        if name == "product":
            product = _product_of([part.scaled(weight) for part, weight in zip(parts, weights, strict=True)])
            if product is not None:
                return _simplest(product)
    if name == "sum" and values:
        return _partly_separable_sum(values, weights)
    return aggregate(name, [as_tensor(value) for value in values], weights, like)


def _sum_of(parts: Sequence[Separable], weights: Sequence) -> Separable:
    source = target = None
    products: list[tuple[Tensor, Tensor]] = []
    for part, weight in zip(parts, weights, strict=True):
        if part.source is not None:
            source = plus_scaled(source, part.source, weight)
        if part.target is not None:
            target = plus_scaled(target, part.target, weight)
        products += [(first * weight, second) for first, second in part.products]
    return Separable(source, target, tuple(products))


def _partly_separable_sum(values: list[Value], weights: Sequence) -> Tensor:
    """A sum with an addend that is spread over all connections."""
    pairs = [(value, _as_separable(value), weight) for value, weight in zip(values, weights, strict=True)]
    built = [(value, weight) for value, part, weight in pairs if part is None]
    others = [(part, weight) for _, part, weight in pairs if part is not None]
    total = weighted_sum([as_tensor(value) for value, _ in built], [weight for _, weight in built])
    if others:
        total = total + _sum_of([part for part, _ in others], [weight for _, weight in others]).dense()
    return total


def _product_of(parts: list[Separable]) -> Separable | None:
    """The product, multiplied out; None where it has too many addends to be worth it."""
    product = parts[0]
    for part in parts[1:]:
        if product.rank * part.rank > MAXIMUM_RANK:
            return None
        pairs = [(_times(first[0], second[0]), _times(first[1], second[1]))
                 for first in product.pairs() for second in part.pairs()]
        source = target = None
        for pair in pairs:
            source = _plus(source, pair[1]) if pair[0] is None else source
            target = _plus(target, pair[0]) if pair[1] is None else target
        product = Separable(source, target, tuple((first, second) for first, second in pairs
                                                  if first is not None and second is not None))
    return product


def _activate_value(name: str, value: Value) -> Value:
    if isinstance(value, Tensor):
        return ACTIVATIONS[name](value)
    if name == "identity":
        return value
    both = _both_sides(value)
    answer = _by_formula(name, *both) if both is not None and name in ADDITION_FORMULAS else None
    return ACTIVATIONS[name](value.dense()) if answer is None else answer


def _sine_of_sum(source: Tensor, target: Tensor) -> Separable:
    source, target = 5 * source, 5 * target
    return Separable(products=((target.sin(), source.cos()), (target.cos(), source.sin())))


def _cosine_of_sum(source: Tensor, target: Tensor) -> Separable:
    source, target = 5 * source, 5 * target
    return Separable(products=((target.cos(), source.cos()), (-target.sin(), source.sin())))


def _square_of_sum(source: Tensor, target: Tensor) -> Separable:
    return Separable(source.square(), target.square(), ((2 * target, source),))


ADDITION_FORMULAS = {"sin": (_sine_of_sum, 12.0), "cos": (_cosine_of_sum, 12.0),
                     "square": (_square_of_sum, float("inf"))}
"""f(source + target) as a sum of products, and up to which size of the sum it holds."""
