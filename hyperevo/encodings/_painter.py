"""Weights of a whole population of CPPNs by the kernel: one launch per parameter, whatever the graphs look like."""

import os
from collections.abc import Mapping
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
    """Layout of a population as the kernel reads it; `needed` is one mask after the other, and `chosen` are the outputs
    of each surface."""

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
        layout, numbers = self._laid_out(table.layout), _numbers(table, self.device)
        return {name: self._paint(table.layout, layout, numbers, surface, place)
                for place, (name, surface) in enumerate(self.surfaces.items())}

    def _laid_out(self, layout: Layout) -> _OnDevice:
        """The layout on the device; that of the last call is kept, for populations that differ in numbers only."""
        last, known = self._last
        if known is None or last is not layout:
            known = _on_device(layout, list(self.surfaces.values()), self.device)
            self._last = layout, known
        return known

    def _paint(self, layout: Layout, own: _OnDevice, numbers: list[Tensor], surface: Surface, place: int) -> Tensor:
        (inputs, across), down, spread = surface.source.shape, surface.target.shape[1], len(surface.spread)
        tile = min(TILE, max(SMALLEST_TILE, 1 << (across * down - 1).bit_length()))
        tiles, most = -(-across * down // tile), inputs + spread + layout.most_nodes
        jobs = tiles * len(layout)
        side_by_side = min(jobs, programs(self.device), max(1, SCRATCH // (most * tile)))
        painted = torch.empty(len(layout), len(surface.values), down * across, device=self.device)
        scratch = torch.empty(side_by_side * most * tile, device=self.device)
        with torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext():
            _kernel()[(side_by_side,)](
                own.starts, own.nodes, own.needed, own.sources, own.outputs, *numbers, surface.source, surface.target,
                surface.spread, own.chosen[place], painted, scratch, across, down, tiles, jobs, most,
                place * len(layout.depths), layout.outputs.shape[1], self.threshold, self.factor, inputs=inputs,
                further=spread, kept=len(surface.values), expressed=bool(surface.expression), tile=tile,
                num_warps=max(1, tile // 256))
        return painted


@cache
def _kernel() -> Any:
    """The kernel; Triton, which must be installed, keeps what it compiles in the user's cache folder."""
    with suppress(UserError):
        os.environ.setdefault("TRITON_CACHE_DIR", str(user_cache() / "triton"))
    from hyperevo.encodings._kernel import paint

    return paint


def _on_device(layout: Layout, surfaces: list[Surface], device: torch.device) -> _OnDevice:
    groups = [surface.values + surface.expression for surface in surfaces]
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
