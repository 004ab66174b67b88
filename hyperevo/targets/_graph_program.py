"""Networks of different graphs, computed together: their nodes in an order in which alike ones are one operation.

A `Program` comes from the parameters of the target `network` (see there) by array operations. Values are rows: the
first input of every network, the second of every network and so on, a row of zeros, a row of ones, then all nodes,
those of one depth, aggregation and activation together; a column is an example. Weighted sums of a depth are one
operation for all networks: nodes with fewer links than others read the row of zeros, in last place. So a network
computes the same, to rounding, whatever networks are beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION

ACTIVATION_NAMES, AGGREGATION_NAMES = tuple(ACTIVATIONS), tuple(AGGREGATIONS)
SUMS = tuple(AGGREGATION_NAMES.index(name) for name in ("sum", "mean"))

GAINS = {"sigmoid": 5.0, "tanh": 2.5}
"""Factors of arguments that are multiplied into weights and biases beforehand; where these functions have reached their
ends, a further limit of their argument changes nothing."""

PLAIN: dict[str, Callable[..., Tensor]] = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": partial(torch.clamp, min=0), "abs": torch.abs,
    "square": torch.square}
"""Functions that are one operation, after the factors above."""

PLAIN_ARRAYS: dict[str, Callable[..., object]] = {
    "tanh": np.tanh, "abs": np.absolute, "square": np.square, "identity": np.copyto}
"""Functions that numpy computes faster than torch: its tanh takes a tenth of the time, starting one a third."""

FEW_ARRAY_VALUES = 2**15
"""Number of values from which on torch gathers and multiplies faster than numpy, by several threads."""


ENOUGH_SAVED = 3000
"""Number of values that take numpy longer than another operation takes to start."""


@dataclass(frozen=True)
class Group:
    """Nodes start … stop - 1 of all, alike in depth and in whether they sum; others are alike in aggregation and number
    of links too.

    sources (width · nodes,): rows; the last link of a sum is its bias, from the row of ones. links: index of every
    weight. runs: (activation, start, stop) of nodes alike in activation.
    """

    start: int
    stop: int
    aggregation: str
    width: int
    sources: Tensor
    links: Tensor
    runs: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Structure:
    """Groups of a population in the order of their computation, without numbers.

    nodes (n,): index of every computed node among the parameters' nodes (P · N); factors (n,): gain of its activation,
    divided by the number of links for a mean. outputs (outputs · P,): rows. state (P · N,): row of every node of the
    parameters, that of zeros for nodes that are not computed. rates (n, 1): part of the way to its new value that a
    node of a network in continuous time goes in a step; None elsewhere.
    """

    networks: int
    inputs: int
    groups: tuple[Group, ...]
    nodes: Tensor
    factors: Tensor
    outputs: Tensor
    state: Tensor
    recurrent: bool
    rates: Tensor | None = None
    buffers: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict)
    """Rows to write to, by number of examples and dtype."""
    prepared: dict[int, "Prepared"] = field(default_factory=dict)
    """Operations by the rows they are on, which are among the buffers."""

    @property
    def before(self) -> int:
        """Number of rows before those of the nodes."""
        return self.networks * self.inputs + 2


@dataclass(frozen=True)
class Numbers:
    """Weights (width · nodes, 1), and biases and responses (nodes, 1) of those that do not sum, by group."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor | None, ...]
    responses: tuple[Tensor | None, ...]

    def of(self, group: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Weights, biases and responses of one group."""
        return self.weights[group], self.biases[group], self.responses[group]


def structure_of(weights: Mapping[str, Tensor], inputs: int, step_seconds: float) -> Structure:
    """Structure of P networks from their parameters, of whose numbers only time constants are looked at."""
    recurrent = "node.depth" not in weights
    own = {name: weights[name].cpu().numpy() for name in weights if not name.endswith(("bias", "response", "weight"))}
    networks, most = own["node.activation"].shape
    links = np.flatnonzero(own["link.target"].reshape(-1) >= 0)
    owners = links // max(own["link.target"].shape[1], 1)
    targets = own["link.target"].reshape(-1)[links] + owners * most
    widths = np.bincount(targets, minlength=networks * most)
    # A node that nothing leads to keeps its first value, 0, in a recurrent network.
    computed = (own["node.activation"].reshape(-1) >= 0) & ((widths > 0) | (not recurrent))
    kinds = _kinds(own, widths, recurrent)
    nodes = np.flatnonzero(computed)
    nodes = nodes[np.lexsort(kinds[nodes].T[::-1])]
    rows = np.full(networks * most, networks * inputs)
    rows[nodes] = networks * inputs + 2 + np.arange(len(nodes))
    read = own["link.source"].reshape(-1)[links]
    sources = np.where(read < inputs, read * networks + owners,
                       (rows[np.maximum(read - inputs, 0) + owners * most] if most else read))
    device = weights["node.activation"].device
    gains = np.array([GAINS.get(name, 1.0) for name in ACTIVATION_NAMES])
    means = own["node.aggregation"].reshape(-1)[nodes] == SUMS[1]
    factors = gains[own["node.activation"].reshape(-1)[nodes]] / np.where(means, np.maximum(widths[nodes], 1), 1)
    asked = rows[(own["output.node"] + np.arange(networks)[:, None] * most).T.reshape(-1)]
    groups = _groups(kinds[nodes], _incoming(nodes, targets, widths), sources, links, networks * inputs, device)
    placed = [torch.from_numpy(part).to(device) for part in (nodes, factors, asked, rows)]
    times = weights.get("node.time_constant")
    rates = None if times is None else step_seconds / times.detach().reshape(-1, 1)[placed[0]]
    return Structure(networks, inputs, groups, placed[0], placed[1], placed[2], placed[3], recurrent, rates)


def _kinds(own: Mapping[str, np.ndarray], widths: np.ndarray, recurrent: bool) -> np.ndarray:
    """Kinds (P · N, 5) by which nodes are ordered: depth; 0 for a sum, else aggregation + 1; number of links, 0 for a
    sum; activation; number of links."""
    activations, aggregations = own["node.activation"].reshape(-1), own["node.aggregation"].reshape(-1)
    summed = (aggregations == SUMS[0]) | (aggregations == SUMS[1])
    depths = np.zeros_like(activations) if recurrent else own["node.depth"].reshape(-1)
    return np.stack([depths, np.where(summed, 0, aggregations + 1), np.where(summed, 0, widths), activations,
                     widths], 1)


def _incoming(nodes: np.ndarray, targets: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Links in the order of their targets, and the first link and the number of links of every computed node."""
    order = np.argsort(targets, kind="stable")
    first = np.cumsum(widths) - widths
    return order, first[nodes], widths[nodes]


def _groups(kinds: np.ndarray, incoming: tuple[np.ndarray, np.ndarray, np.ndarray], sources: np.ndarray,
            links: np.ndarray, zero: int, device: torch.device) -> tuple[Group, ...]:
    order, first, widths = incoming
    edges = np.flatnonzero((kinds[1:, :3] != kinds[:-1, :3]).any(1)) + 1
    groups = []
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(kinds)], strict=True) if len(kinds) else ():
        summed, width = bool(kinds[start, 1] == 0), int(widths[start:stop].max())
        place = np.arange(width)[:, None]
        held = place < widths[start:stop]
        chosen = order[np.where(held, first[start:stop] + place, 0)] if len(order) else np.zeros_like(held, dtype=int)
        read = np.where(held, sources[chosen] if len(sources) else 0, zero)
        # Index 0 of the weights is a 0 that nobody searches.
        weights = np.where(held, 1 + (links[chosen] if len(links) else 0), 0)
        if summed:
            read = np.concatenate([read, np.full((1, stop - start), zero + 1)])
        placed = [torch.from_numpy(part.reshape(-1)).to(device) for part in (read, weights)]
        groups.append(Group(start, stop, "sum" if summed else AGGREGATION_NAMES[kinds[start, 1] - 1], width + summed,
                            placed[0], placed[1], _runs(kinds[start:stop, 3], start)))
    return tuple(groups)


def _runs(activations: np.ndarray, before: int) -> tuple[tuple[str, int, int], ...]:
    edges = (np.flatnonzero(activations[1:] != activations[:-1]) + 1).tolist()
    return tuple((ACTIVATION_NAMES[activations[start]], before + start, before + stop)
                 for start, stop in zip([0, *edges], [*edges, len(activations)], strict=True))


def numbers_of(structure: Structure, weights: Mapping[str, Tensor]) -> Numbers:
    """Numbers of a structure's groups; differentiable."""
    links = torch.cat([weights["link.weight"].new_zeros(1), weights["link.weight"].reshape(-1)])
    nodes, factors = structure.nodes, structure.factors.to(links.dtype)
    biases = weights["node.bias"].reshape(-1)[nodes]
    responses = weights["node.response"].reshape(-1)[nodes]
    gains = torch.cat([factors.new_full((stop - start,), GAINS.get(name, 1.0))
                       for group in structure.groups for name, start, stop in group.runs]) if len(nodes) else factors
    found: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
    for group in structure.groups:
        own = slice(group.start, group.stop)
        chosen = links[group.links].view(-1, group.stop - group.start)
        if group.aggregation == "sum":
            scaled = torch.cat([chosen * (responses[own] * factors[own]), (biases[own] * gains[own])[None]])
            found.append((scaled.reshape(-1, 1), None, None))
        else:
            found.append((chosen.reshape(-1, 1), (biases[own] * gains[own])[:, None],
                          (responses[own] * gains[own])[:, None]))
    return Numbers(*(tuple(part) for part in zip(*found, strict=True))) if found else Numbers((), (), ())


def rows_of(structure: Structure, inputs: Tensor, state: Tensor | None = None) -> Tensor:
    """Rows before those of the nodes, from inputs (N, units) or (P, N, units), and room for the nodes; of a recurrent
    network their values before, from `state` (nodes, N) or 0."""
    if inputs.shape[-1] != structure.inputs:
        raise ValueError(f"networks read {structure.inputs} values, not {inputs.shape[-1]}")
    own = inputs.permute(2, 0, 1) if inputs.dim() == 3 else inputs.T[:, None].expand(-1, structure.networks, -1)
    columns = own.shape[-1]
    if _written_once():
        own, zeros = own.reshape(-1, columns), own.new_zeros(1 + len(structure.nodes), columns)
        return torch.cat([own, zeros[:1], own.new_ones(1, columns), zeros[1:] if state is None else state])
    key = columns, own.dtype
    rows = structure.buffers.get(key)
    if rows is None:
        rows = structure.buffers[key] = own.new_zeros(structure.before + len(structure.nodes), columns)
        rows[structure.before - 1] = 1
    rows[: structure.before - 2].view(own.shape).copy_(own)
    if structure.recurrent and state is not None:
        rows[structure.before :] = state
    elif structure.recurrent:
        rows[structure.before :] = 0
    return rows


def _written_once() -> bool:
    """True where no tensor may be overwritten: a gradient is recorded, or the network is exported."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling()


def run(structure: Structure, numbers: Numbers, rows: Tensor) -> Tensor:
    """Rows with the values of all nodes, from those of `rows_of`, which are overwritten where no gradient is wanted."""
    before = structure.before
    if _written_once():
        values = rows if structure.recurrent else rows[:before]
        answers = [values[:before]]
        for index, group in enumerate(structure.groups):
            received = _receive(group, values, *numbers.of(index))
            answers += [PLAIN.get(name, ACTIVATIONS[name])(received[start - group.start : stop - group.start])
                        for name, start, stop in group.runs]
            values = values if structure.recurrent else torch.cat(answers)
        if structure.rates is not None and structure.groups:
            return torch.cat([values[:before], values[before:].lerp(torch.cat(answers[1:]), structure.rates)])
        return torch.cat(answers)
    with np.errstate(all="ignore"):  # as torch computes
        for operation in operations_of(structure, numbers, rows):
            operation()
    return rows


Operation = Callable[[], object]


def operations_of(structure: Structure, numbers: Numbers, rows: Tensor) -> "tuple[Operation, ...]":
    """Operations that compute all nodes in these rows, which `rows_of` gave."""
    prepared = structure.prepared.get(id(rows))
    if prepared is None or prepared.numbers is not numbers:
        prepared = structure.prepared[id(rows)] = _prepare(structure, numbers, rows)
    return prepared.operations


@dataclass(frozen=True)
class Prepared:
    """All operations of a structure with these numbers on certain rows, on tensors made once for many steps."""

    numbers: Numbers
    operations: tuple[Operation, ...]


def _prepare(structure: Structure, numbers: Numbers, rows: Tensor) -> Prepared:
    values = rows[structure.before :]
    answers = torch.empty_like(values) if structure.recurrent else values
    operations: list[Operation] = []
    for index, group in enumerate(structure.groups):
        operations += _group_operations(group, numbers.of(index), rows, answers)
    if structure.rates is not None:
        operations.append(partial(values.lerp_, answers, structure.rates.expand_as(values)))
    elif structure.recurrent:
        operations.append(partial(values.copy_, answers))
    return Prepared(numbers, tuple(operations))


def _group_operations(group: Group, numbers: tuple[Tensor, Tensor | None, Tensor | None], rows: Tensor,
                      answers: Tensor) -> list[Operation]:
    """Operations that compute a group's nodes from the rows."""
    total = rows.new_empty(group.stop - group.start, rows.shape[1])
    if numbers[1] is None:
        operations = _weighted_sum(group, numbers[0], rows, total)
    else:
        operations = [lambda: total.copy_(_receive(group, rows, *numbers))]
    return operations + [_activate(name, total[start - group.start : stop - group.start], answers[start:stop])
                         for name, start, stop in group.runs]


def _weighted_sum(group: Group, weights: Tensor, rows: Tensor, total: Tensor) -> list[Operation]:
    columns = rows.shape[1]
    if is_array(rows) and len(group.sources) * columns < FEW_ARRAY_VALUES:
        return _sums_of_arrays(group, weights.numpy(), rows.numpy(), total.numpy())
    links = rows.new_empty(len(group.sources), columns)
    # One column is gathered four times as fast from flat values.
    read, values = (links.view(-1), rows.view(-1)) if columns == 1 else (links, rows)
    return [partial(torch.index_select, values, 0, group.sources, out=read), partial(links.mul_, weights),
            partial(torch.sum, links.view(group.width, -1), 0, out=total.view(-1))]


def _sums_of_arrays(group: Group, weights: np.ndarray, values: np.ndarray, total: np.ndarray) -> list[Operation]:
    """Sums of the first nodes, which have few links, and of the others. The links of both lie side by side, between the
    biases of the first nodes and those of the others, which stay."""
    nodes, columns, most = len(total), values.shape[1], group.width - 1
    few, first = _first_nodes(group.links.numpy().reshape(most, nodes) > 0, columns)
    factors = weights.reshape(-1, nodes)
    links = np.empty((nodes + few * first + most * (nodes - first), columns), values.dtype)
    links[:first], links[len(links) - nodes + first :] = factors[most, :first, None], factors[most, first:, None]
    read = links[first : len(links) - nodes + first]

    def beside(every: np.ndarray) -> np.ndarray:
        return np.concatenate([every[:few, :first].reshape(-1), every[:most, first:].reshape(-1)])

    chosen = beside(factors)[:, None]
    if columns == 1:  # gathered four times as fast from flat values
        read, values, chosen = read[:, 0], values[:, 0], chosen[:, 0]
    edge = (few + 1) * first
    parts = (links[:edge], few + 1, total[:first]), (links[edge:], most + 1, total[first:])
    # All indices are valid: "wrap" only keeps numpy from looking, and is faster than "clip".
    return [partial(values.take, beside(group.sources.numpy().reshape(-1, nodes)), 0, read, "wrap"),
            partial(np.multiply, read, chosen, read),
            *(partial(np.add.reduce, own.reshape(width, -1), 0, None, result.reshape(-1))
              for own, width, result in parts if len(result))]


def _first_nodes(held: np.ndarray, columns: int) -> tuple[int, int]:
    """Largest number of links of the first nodes, and how many nodes that are, so that most room for links (most,
    nodes) is saved; 0 and 0 where it is not worth another operation."""
    most, nodes = held.shape
    widths = np.maximum.accumulate(held.sum(0)) if nodes * most * columns > ENOUGH_SAVED else np.full(nodes, most)
    saved = np.arange(1, nodes + 1) * (most - widths)
    best = int(saved.argmax())
    return (int(widths[best]), best + 1) if saved[best] * columns > ENOUGH_SAVED else (0, 0)


def _activate(name: str, received: Tensor, result: Tensor) -> Operation:
    if is_array(received) and name in PLAIN_ARRAYS:
        pair = (received.reshape(-1).numpy(), result.view(-1).numpy())
        return partial(PLAIN_ARRAYS[name], *(pair if name != "identity" else pair[::-1]))
    if name in PLAIN:
        return partial(PLAIN[name], received, out=result)
    return lambda: result.copy_(ACTIVATIONS[name](received))


def is_array(values: Tensor) -> bool:
    """True where numpy computes on the same memory."""
    return values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64)


def _receive(group: Group, rows: Tensor, weights: Tensor, biases: Tensor | None, responses: Tensor | None) -> Tensor:
    """Arguments (nodes, columns) of a group's activations."""
    nodes, columns = group.stop - group.start, rows.shape[1]
    if biases is None or responses is None:
        weighted = rows.index_select(0, group.sources) * weights
        return weighted.view(group.width, nodes * columns).sum(0).view(nodes, columns)
    if group.width == 0:
        return (responses * EMPTY_AGGREGATION[group.aggregation] + biases).expand(nodes, columns)
    weighted = (rows.index_select(0, group.sources) * weights).view(group.width, nodes, columns)
    return AGGREGATIONS[group.aggregation](list(weighted)) * responses + biases
