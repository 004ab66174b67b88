"""Queries of a population's graphs, each at as many points of its own as it needs.

A unit belongs to one graph, and every unit is asked about at the same points around it. An input of the CPPN is a part
that depends on the unit plus a part that depends on the point, so a node's sum over inputs is a sum of two small
tables. Graphs are asked in rounds, one tile of units of each at a time, and all nodes of a kind at once; a graph that
has no more units leaves the rounds. Every operation is elementwise and has the same order for every graph, and tiles
are whole vectors of the processor. The answers of a graph therefore do not depend, to the last bit, on other graphs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperevo.encodings._painting import GAINS, answer_in_place
from hyperevo.encodings._program import ACTIVATION_NAMES, AGGREGATION_NAMES, join_tables, plain_rows
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, EMPTY_AGGREGATION
from hyperevo.graph import Graph

VECTOR = 32
"""Most numbers that an operation takes at a time; the remainder takes another path, with other rounding."""

TILE = 32_768
"""Most points of one graph that are asked at a time: 128 KB in float32 for each node."""

SMALLEST_TILE = 2048
"""Fewest points of one graph that are asked at a time, where it has so many: fewer take hardly less time."""


@dataclass(frozen=True)
class _Group:
    """Nodes start … stop - 1, alike in depth, aggregation, count of sources and activation. `links` are, for each link,
    the sources (nodes,) and the weights (nodes, 1, 1) of all nodes; plain numbers where there is one node only."""

    start: int
    stop: int
    aggregation: str
    activation: str
    links: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True)
class _Steps:
    """The nodes of some graphs in the order in which they are computed, after the inputs where these are laid out.

    before: count of the rows of inputs. owner (nodes,): index of the graph. direct (inputs, nodes): weights of the
    inputs that are summed by unit and by point; biases (nodes,). outputs: the node of each output, by graph.
    """

    before: int
    groups: tuple[_Group, ...]
    owner: Tensor
    direct: Tensor
    biases: Tensor
    outputs: tuple[tuple[int, ...], ...]


class Cppns:
    """CPPNs of P graphs that are asked for their first `outputs` outputs.

    numbers, starts: from `graph_numbers`. names: of the inputs; `distance` is that between (x1, y1, …) and
    (x2, y2, …), all others are sums of a unit's and a point's part.
    """

    def __init__(self, graphs: Sequence[Graph], numbers: Tensor, starts: np.ndarray, names: Sequence[str],
                 dtype: torch.dtype, outputs: int = 1):
        rows, asked = zip(*(plain_rows(graph.topology, tuple(range(outputs))) for graph in graphs), strict=True)
        self.names, self.population, self.dtype, self.outputs = list(names), len(graphs), dtype, outputs
        counts = np.array([len(own.rows) for own in rows])
        firsts = np.cumsum(counts) - counts
        table, widest = join_tables(rows)
        owner = np.repeat(np.arange(len(graphs)), counts)
        sources, links = (part.astype(np.int64) for part in (table[:, 7 : 7 + widest], table[:, 7 + widest :]))
        inner, direct = self._sides(table, sources)
        kinds = np.stack([table[:, 0], table[:, 1], inner.sum(1), table[:, 3], owner], 1).astype(np.int64)
        order = np.lexsort(kinds.T[::-1])
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self._kinds = kinds[order]
        self._kept: dict[bytes, _Steps] = {}
        self._asked = place[firsts[:, None] + np.array(asked) - len(self.names)]
        # Inputs are below zero: -1 - input.
        inside = sources >= len(self.names)
        sources[inside] = place[(sources - len(self.names) + firsts[owner, None])[inside]]
        sources[~inside] = -1 - sources[~inside]
        self._set_numbers(table, numbers, links, starts[owner], direct, sources, dtype)
        self._justify(sources, inner, order)

    def _sides(self, table: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Masks (nodes, widest) of the links summed up point by point, and of those summed beforehand, by unit and by
        point."""
        used = np.arange(sources.shape[1]) < table[:, 2, None]
        summed = np.array([name == "sum" for name in AGGREGATION_NAMES])[table[:, 1].astype(int)]
        added = np.array([name != "distance" for name in self.names])
        direct = used & summed[:, None] & (sources < len(self.names))
        direct[direct] = added[sources[direct]]
        inner = used & ~direct
        self._laid_out = bool((inner & (sources < len(self.names))).any())
        return inner, direct

    def _set_numbers(self, table: np.ndarray, numbers: Tensor, links: np.ndarray, starts: np.ndarray,
                     direct: np.ndarray, sources: np.ndarray, dtype: torch.dtype) -> None:
        """Set links (nodes, widest), the direct ones of them (nodes, inputs), and biases (nodes,), before the nodes are
        put in order."""
        gains = np.array([dict(GAINS).get(name, 1.0) for name in ACTIVATION_NAMES])[table[:, 3].astype(int)]
        gains[np.array([name != "sum" for name in AGGREGATION_NAMES])[table[:, 1].astype(int)]] = 1.0
        biases = table[:, 4].astype(np.int64)
        own = numbers.detach().to(dtype)
        device = own.device
        places = torch.from_numpy(np.where(links >= 0, links + starts[:, None], links) + 2).to(device)
        factors = torch.from_numpy(table[:, 5] * gains).to(device, dtype)
        self._links = own[places] * factors[:, None]
        places = torch.from_numpy(np.where(biases >= 0, biases + starts, biases) + 2).to(device)
        self._biases = own[places] * torch.from_numpy(table[:, 6] * gains).to(device, dtype)
        chosen = torch.from_numpy(np.where(direct, -1 - sources, len(self.names))).to(device)
        spread = self._links.new_zeros(len(table), len(self.names) + 1).scatter_add(1, chosen, self._links)
        self._direct = spread[:, :-1]

    def _justify(self, sources: np.ndarray, inner: np.ndarray, order: np.ndarray) -> None:
        """Put the nodes in order, with their inner links first and each link contiguous over all nodes."""
        first = np.argsort(~inner, axis=1, kind="stable")
        chosen = torch.from_numpy(first).to(self._links.device)
        ordered = torch.from_numpy(order).to(self._links.device)
        self._sources = np.ascontiguousarray(np.take_along_axis(sources, first, 1)[order].T)
        self._links = self._links.gather(1, chosen)[ordered].T.contiguous()
        self._direct, self._biases = self._direct[ordered].T.contiguous(), self._biases[ordered]

    def ask(self, owner: Tensor, near: Tensor, far: Tensor) -> Tensor:
        """Answers (outputs, units, points) of the graphs `owner` (units,), in ascending order, to inputs near (inputs,
        units) + far (inputs, points)."""
        counts = np.bincount(owner.cpu().numpy(), minlength=self.population)
        firsts = np.cumsum(counts) - counts
        tile = _tile(counts, far.shape[1])
        answers = near.new_empty(self.outputs, len(owner), far.shape[1])
        for start in range(0, int(counts.max(initial=0)), tile):
            active = np.flatnonzero(counts > start)
            # A graph's last tile is filled up with its last unit.
            units = np.minimum(firsts[active, None] + np.arange(start, start + tile),
                               firsts[active, None] + counts[active, None] - 1)
            key = active.tobytes()
            if key not in self._kept:
                self._kept[key] = self._steps(active)
            steps = self._kept[key]
            values = self._answer(steps, near[:, torch.from_numpy(units).to(near.device)], far)
            for rows, first, count in zip(steps.outputs, firsts[active], counts[active], strict=True):
                stop = min(start + tile, count)
                for answer, row in zip(answers, rows, strict=True):
                    answer[first + start : first + stop] = values[row, : stop - start]
        return answers

    def _steps(self, active: np.ndarray) -> _Steps:
        """The nodes of the active graphs, in order."""
        number = np.full(self.population, -1)
        number[active] = np.arange(len(active))
        chosen = np.flatnonzero(number[self._kinds[:, 4]] >= 0)
        before = len(active) * len(self.names) if self._laid_out else 0
        place = np.zeros(len(self._kinds), dtype=np.int64)
        place[chosen] = before + np.arange(len(chosen))
        kinds, sources = self._kinds[chosen], self._sources[:, chosen]
        owner = number[kinds[:, 4]]
        sources = np.where(sources >= 0, place[np.maximum(sources, 0)], owner * len(self.names) - 1 - sources)
        index = torch.from_numpy(chosen).to(self._links.device)
        outputs = tuple(map(tuple, place[self._asked[active]].tolist()))
        return _Steps(before, _groups(kinds, before, sources, self._links[:, index]), torch.from_numpy(owner).to(index),
                      self._direct[:, index], self._biases[index], outputs)

    def _answer(self, steps: _Steps, near: Tensor, far: Tensor) -> Tensor:
        """Values (inputs that are laid out, then nodes; units, points) for near (inputs, graphs, units)."""
        graphs, nodes = near.shape[1], len(steps.owner)
        values = near.new_empty(steps.before + nodes, near.shape[2], far.shape[1])
        if steps.before:
            self._lay_out(values[: steps.before].unflatten(0, (graphs, -1)), near, far)
        by_unit = near.new_zeros(nodes, near.shape[2])
        by_point = steps.biases[:, None].expand(-1, far.shape[1])
        for unit, point, links in zip(near, far, steps.direct, strict=True):
            by_unit = by_unit + unit[steps.owner] * links[:, None]
            by_point = by_point + point * links[:, None]
        torch.add(by_unit[:, :, None], by_point[:, None, :], out=values[steps.before :])
        for group in steps.groups:
            received = values[group.start : group.stop]
            if group.aggregation == "sum":
                _add_links(received, values, group)
                answer = answer_in_place(group.activation, received)
            else:
                answer = ACTIVATIONS[group.activation](received + _aggregated(values, group))
            if answer is not received:
                received.copy_(answer)
        return values

    def _lay_out(self, values: Tensor, near: Tensor, far: Tensor) -> None:
        """Write every input in full into values (graphs, inputs, units, points)."""
        for place, name in enumerate(self.names):
            if name != "distance":
                torch.add(near[place, :, :, None], far[place], out=values[:, place])
        if "distance" in self.names:
            pairs = [(self.names.index(name), self.names.index(f"{name[0]}2"))
                     for name in self.names if name.endswith("1")]
            squares = torch.stack([(values[:, source] - values[:, target]).square() for source, target in pairs])
            torch.sqrt(squares.sum(0), out=values[:, self.names.index("distance")])


def _tile(counts: np.ndarray, points: int) -> int:
    """Units of a graph that are asked at a time: half the mean count over graphs, within limits, in whole vectors."""
    whole = VECTOR // math.gcd(points, VECTOR)
    mean = counts.sum() / max(1, np.count_nonzero(counts))
    units = min(max(mean / 2, SMALLEST_TILE / points), max(1, TILE / points), counts.max(initial=1))
    return math.ceil(units / whole) * whole


def _groups(kinds: np.ndarray, before: int, sources: np.ndarray, links: Tensor) -> tuple[_Group, ...]:
    """Groups of alike nodes, from ordered kinds (nodes, 5), sources and links (widest, nodes)."""
    edges = [0, *(np.flatnonzero((kinds[1:, :4] != kinds[:-1, :4]).any(1)) + 1).tolist(), len(kinds)]
    places = torch.from_numpy(sources).to(links.device)
    groups = []
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        _, aggregation, width, activation, _ = kinds[start].tolist()
        own: list[tuple[Tensor, Tensor]] = [(places[link, start:stop], links[link, start:stop, None, None])
                                            for link in range(width)]
        if stop - start == 1 and AGGREGATION_NAMES[aggregation] == "sum":
            own = list(zip(sources[:width, start].tolist(), links[:width, start].tolist(), strict=True))
        groups.append(_Group(before + start, before + stop, AGGREGATION_NAMES[aggregation],
                             ACTIVATION_NAMES[activation], tuple(own)))
    return tuple(groups)


def _add_links(received: Tensor, values: Tensor, group: _Group) -> None:
    """Add Σ link · source to received (nodes, units, points), one link of all nodes after the other."""
    for source, link in group.links:
        if isinstance(source, Tensor):
            received.addcmul_(values.index_select(0, source), link)
        else:
            received[0].add_(values[source], alpha=link)


def _aggregated(values: Tensor, group: _Group) -> Tensor:
    if not group.links:
        return values.new_full((), EMPTY_AGGREGATION[group.aggregation])
    return AGGREGATIONS[group.aggregation]([values.index_select(0, source) * link for source, link in group.links])
