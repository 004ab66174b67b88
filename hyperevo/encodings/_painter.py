"""Answers of a whole population of CPPNs by the kernel, in one launch whatever the graphs look like: weights of a
parameter, or a row of points for every unit that asks."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hyperevo.cache import user_cache
from hyperevo.devices import programs, resident
from hyperevo.encodings._table import Layout, Table
from hyperevo.errors import UserError

TILE = 1024
"""Most points that a program takes at a time."""

SMALLEST_TILE = 64

SCRATCH = 2**26
"""Most numbers in the scratch memory of all programs, 256 MB."""

ALIGNED = 4
"""Columns of 32-bit numbers start at multiples of so many, 16 bytes: a kernel is compiled anew for others."""


@dataclass(frozen=True)
class Surface:
    """Points (down, across) of one parameter, and what is painted there.

    The inputs of the CPPN at a point are source (inputs, across) + target (inputs, down), then spread (further inputs,
    down, across). values: outputs that paint, whose weights lie below each other; expression: as many outputs that say
    where, or none.
    """

    source: Tensor
    target: Tensor
    spread: Tensor
    values: tuple[int, ...]
    expression: tuple[int, ...]


class _OnDevice(NamedTuple):
    """Layout of a population as the kernel reads it. By group of outputs, `chosen` are the outputs, and `needed` is one
    mask of nodes after the other."""

    starts: Tensor
    nodes: Tensor
    sources: Tensor
    outputs: Tensor
    chosen: list[Tensor]
    needed: Tensor


class Painter:
    """Paints parameters of whole populations, float32, without a gradient."""

    def __init__(self, surfaces: Mapping[str, Surface], threshold: float, factor: float, device: torch.device):
        """threshold, factor: a weight is the part of an output's magnitude beyond the threshold, times the factor."""
        self.surfaces, self.threshold, self.factor, self.device = surfaces, threshold, factor, device
        self._last: tuple[Layout | None, _OnDevice | None] = (None, None)

    def paint(self, table: Table) -> dict[str, Tensor]:
        """Weights (P, values, points) by parameter."""
        own, numbers = self._laid_out(table.layout), _numbers(table, self.device)
        return {name: _launch(table.layout, own, numbers, surface, place, (self.threshold, self.factor))
                for place, (name, surface) in enumerate(self.surfaces.items())}

    def _laid_out(self, layout: Layout) -> _OnDevice:
        """The layout on the device; that of the last call is kept, for populations that differ in numbers only."""
        last, known = self._last
        if known is None or last is not layout:
            groups = [surface.values + surface.expression for surface in self.surfaces.values()]
            known = _on_device(layout, groups, self.device)
            self._last = layout, known
        return known


class KernelCppns:
    """CPPNs of P graphs that the kernel asks for their first `outputs` outputs, float32: see `_queries.Cppns`.

    names: of the inputs; `distance`, which is the last, is that between (x1, y1, …) and (x2, y2, …).
    """

    dtype = torch.float32

    def __init__(self, table: Table, names: Sequence[str], device: torch.device, outputs: int = 1):
        self.population, self.names, self.outputs = len(table), list(names), outputs
        self._layout, self._numbers = table.layout, _numbers(table, device)
        self._group = tuple(range(outputs))
        self._own = _on_device(table.layout, [self._group], device)
        self._pairs = [(self.names.index(name), self.names.index(f"{name[0]}2")) for name in self.names
                       if name.endswith("1")] if "distance" in self.names else []

    def ask(self, owner: Tensor, near: Tensor, far: Tensor) -> Tensor:
        """Answers (outputs, units, points) of the graphs `owner` (units,) to inputs near (inputs, units) + far (inputs,
        points)."""
        parts = [near[place, :, None] + far[place] for pair in self._pairs for place in pair]
        squares = [(one - other).square() for one, other in zip(parts[::2], parts[1::2], strict=True)]
        spread = torch.stack(squares).sum(0).sqrt()[None] if squares else near.new_empty(0, near.shape[1], far.shape[1])
        added = len(self.names) - len(spread)
        surface = Surface(far[:added].contiguous(), near[:added].contiguous(), spread, self._group, ())
        return _launch(self._layout, self._own, self._numbers, surface, 0, (0.0, 1.0),
                       owner.to(torch.int32)).transpose(0, 1)


def _launch(layout: Layout, own: _OnDevice, numbers: list[Tensor], surface: Surface, place: int,
            rule: tuple[float, float], owners: Tensor | None = None) -> Tensor:
    """Weights (P, values, points) of the surface at an index, by the rule of threshold and factor; with owners, the
    graphs of the surface's rows, (rows, values, across)."""
    (inputs, across), down, further = surface.source.shape, surface.target.shape[1], len(surface.spread)
    device = surface.source.device
    items, points = (len(layout), down * across) if owners is None else (down, across)
    tile = min(TILE, max(SMALLEST_TILE, 1 << (points - 1).bit_length()))
    tiles, most = -(-points // tile), inputs + further + layout.most_nodes
    side_by_side = max(1, min(tiles * items, programs(device), SCRATCH // (most * tile)))
    painted = torch.empty(items, len(surface.values), points, device=device)
    scratch = torch.empty(side_by_side * most * tile, device=device)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        _kernel()[(side_by_side,)](
            own.starts, own.nodes, own.needed, own.sources, own.outputs, *numbers, surface.source, surface.target,
            surface.spread, own.chosen[place], own.starts if owners is None else owners, painted, scratch, across, down,
            tiles, tiles * items, most, place * len(layout.depths), layout.outputs.shape[1], *rule, inputs=inputs,
            further=further, kept=len(surface.values), expressed=bool(surface.expression),
            by_row=owners is not None, tile=tile, num_warps=max(1, tile // 256))
    return painted


@cache
def _kernel() -> Any:
    """The kernel; Triton, which must be installed, keeps what it compiles in the user's cache folder."""
    with suppress(UserError):
        os.environ.setdefault("TRITON_CACHE_DIR", str(user_cache() / "triton"))
    from hyperevo.encodings._kernel import paint

    return paint


def _on_device(layout: Layout, groups: list[tuple[int, ...]], device: torch.device) -> _OnDevice:
    rows = np.stack([layout.activations, layout.aggregations, layout.first_links[:-1], layout.first_links[1:]], 1)
    starts, nodes, sources, outputs, *chosen = _columns(
        [layout.starts, rows, layout.sources, layout.outputs, *(np.array(group) for group in groups)], device)
    needed = resident(torch.from_numpy(layout.needed(groups).astype(np.int8)), device)
    return _OnDevice(starts, nodes, sources, outputs, chosen, needed)


def _columns(columns: list[np.ndarray], device: torch.device) -> list[Tensor]:
    """Columns of integers, flat, by one copy."""
    padded = [_aligned(column.size) for column in columns]
    whole = np.zeros(sum(padded), dtype=np.int32)
    starts = np.cumsum([0, *padded[:-1]])
    for start, column in zip(starts, columns, strict=True):
        whole[start : start + column.size] = column.reshape(-1)
    return list(resident(torch.from_numpy(whole), device).split(padded))


def _numbers(table: Table, device: torch.device) -> list[Tensor]:
    """Weights, biases and responses, float32, by one copy."""
    parts = [table.weights, table.biases, table.responses]
    padded = [part.new_zeros(_aligned(len(part)) - len(part)) for part in parts]
    whole = torch.cat([piece for pair in zip(parts, padded, strict=True) for piece in pair]).detach()
    return list(resident(whole.to(torch.float32), device).split([_aligned(len(part)) for part in parts]))


def _aligned(size: int) -> int:
    """The size, rounded up, and at least one step."""
    return max(ALIGNED, -(-size // ALIGNED) * ALIGNED)
