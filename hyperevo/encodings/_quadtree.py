"""Quadtrees that find the connections of a node on the substrate (Risi & Stanley 2012).

A tree belongs to one position a and one CPPN, which it asks for w(a, c) at the centre c of every cell, or for w(c, a)
where it finds incoming connections. Its root is the substrate, a cube from -1 to 1 of 2 or more axes, and a cell is
divided into 2^axes parts. Division goes on to the initial depth, and from there to the maximum depth under cells whose
parts have a variance above the division threshold. Extraction descends again from the root, through cells whose leaves
have a variance above the variance threshold; any other cell that it reaches becomes a connection where it lies in a
band:

    max over axes of min(|w(c) - w(c - e)|, |w(c) - w(c + e)|) > band threshold,   e: the cell's size along the axis

With link expression, extraction makes a connection only where a second output of the CPPN is above 0 for a and c.

Trees of a whole population are grown together, level by level. A `Block` is one query of the CPPNs: first all levels
down to the initial depth, then one level at a time under all cells that are divided further. It has a border of one
cell, so that every cell's neighbours are in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyperevo.components import ComponentSettings, NotNegative
from hyperevo.devices import networks_at_once, resident
from hyperevo.encodings._painter import KernelCppns
from hyperevo.encodings._queries import Cppns

AXES = "xyzw"

POINTS = 131_072
"""Most points of the trees that are grown at a time on the CPU, unless one tree has more."""

SIDE_BY_SIDE = 32
"""Values of a point that a GPU holds at a time, about."""


class TreeSettings(ComponentSettings):
    """Options of the trees; the names and defaults are the paper's."""

    initial_depth: int = Field(2, ge=1, le=7)
    """Divisions that every tree has; n of them make a grid of 2^n cells along each axis."""
    maximum_depth: int = Field(3, ge=1, le=7)
    """Divisions that a tree has at most."""
    division_threshold: NotNegative = 0.03
    """Variance of a cell's parts above which they are divided further."""
    variance_threshold: NotNegative = 0.03
    """Variance of a cell's leaves above which connections are looked for inside it."""
    band_threshold: NotNegative = 0.3
    """Difference to the neighbouring cells above which a cell becomes a connection."""

    @model_validator(mode="after")
    def _depths_in_order(self) -> "TreeSettings":
        if self.maximum_depth < self.initial_depth:
            raise ValueError(f"maximum_depth {self.maximum_depth} is less than initial_depth {self.initial_depth}")
        return self


@dataclass(frozen=True)
class Trees:
    """Trees in the order of their CPPNs: `owner` (T,), the CPPN's index, and `places` (T, axes), the positions a.
    `outgoing` trees find connections from these positions, others to them."""

    owner: Tensor
    places: Tensor
    outgoing: bool

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, chosen: slice) -> "Trees":
        return Trees(self.owner[chosen], self.places[chosen], self.outgoing)


@dataclass(frozen=True)
class Cells:
    """All cells that trees of one depth may have: those of one division first, then those of two, …; each level in the
    order of a grid over the axes."""

    axes: int
    depth: int

    def __len__(self) -> int:
        return self.first(self.depth + 1)

    def first(self, level: int) -> int:
        """Index of the first cell of `level` divisions."""
        return sum(2 ** (self.axes * above) for above in range(1, level))

    @cached_property
    def places(self) -> Tensor:
        """Centres (cells, axes) float64 of the cells."""
        levels = [torch.arange(-1 + 2.0**-level, 1, 2.0 ** (1 - level), dtype=torch.float64)
                  for level in range(1, self.depth + 1)]
        return torch.cat([torch.cartesian_prod(*[line] * self.axes) for line in levels])


@dataclass(frozen=True)
class Block:
    """Some levels of cells under units. A unit is a whole tree, or a cell of the block before.

    tree (U,): index of a unit's tree. cell (U, axes): index of a unit among the 2^level cells along each axis; parent
    (U,): index of that cell among all finest cells of the block before. values: by level, (U, 2^n + 2, …) with the
    border. expressed, only with link expression: by level, (U, 2^n, …), true where the second output is above 0.
    """

    level: int
    tree: Tensor
    cell: Tensor
    parent: Tensor
    values: tuple[Tensor, ...]
    expressed: tuple[Tensor, ...] = ()


def grow(cppns: Cppns | KernelCppns, trees: Trees, settings: TreeSettings) -> Tensor:
    """Weights (trees, cells) of the connections to every cell, or from it, NaN where there is none."""
    cells = Cells(trees.places.shape[1], settings.maximum_depth)
    points = len(_border_grid(cells.axes, settings.initial_depth))
    step = max(1, POINTS // points, networks_at_once(trees.places.device, SIDE_BY_SIDE * points))
    parts = [_grow(cppns, trees[start : start + step], settings, cells) for start in range(0, len(trees), step)]
    return torch.cat(parts) if parts else trees.places.new_empty(0, len(cells))


def _grow(cppns: Cppns | KernelCppns, trees: Trees, settings: TreeSettings, cells: Cells) -> Tensor:
    blocks = list(_divide(cppns, trees, settings))
    variances = _variances(blocks, cells.axes)
    weights = blocks[0].values[0].new_full((len(trees), len(cells)), torch.nan)
    # Extraction goes on below these: at first, below all roots.
    descended = torch.ones((len(trees), *[1] * cells.axes), dtype=torch.bool, device=weights.device)
    for block, varying in zip(blocks, variances, strict=True):
        descended = descended.view(-1)[block.parent].view(-1, *[1] * cells.axes)
        for level, (values, variance) in enumerate(zip(block.values, varying, strict=True)):
            reached = _repeat(descended)
            descended = reached & (variance > settings.variance_threshold)
            found = reached & ~descended & (_banded(values) > settings.band_threshold)
            if block.expressed:
                found &= block.expressed[level]
            _write(weights, cells, block, _inside(values), found)
    return weights


# Division


def _divide(cppns: Cppns | KernelCppns, trees: Trees, settings: TreeSettings) -> Iterator[Block]:
    """Yield the blocks of trees, that of the whole trees first."""
    axes, device = trees.places.shape[1], trees.places.device
    tree = torch.arange(len(trees), device=device)
    cell = torch.zeros(len(trees), axes, dtype=torch.long, device=device)
    level, levels, parent = 0, settings.initial_depth, tree
    while len(tree):
        answers = _ask(cppns, trees, tree, cell, level, levels)
        values = tuple(answer[0] for answer in answers)
        yield Block(level, tree, cell, parent, values,
                    tuple(_inside(answer[1]) > 0 for answer in answers) if cppns.outputs > 1 else ())
        level += levels
        if level == settings.maximum_depth:
            return
        finest = _inside(values[-1])
        _, mean, spread = _merge(1.0, finest, torch.zeros_like(finest))
        divided = _repeat(spread / 2**axes > settings.division_threshold)
        parent = divided.flatten().nonzero().squeeze(1)
        unit, *place = divided.nonzero().unbind(1)
        tree, cell = tree[unit], cell[unit] * 2**levels + torch.stack(place, 1)
        levels = 1


def _ask(cppns: Cppns | KernelCppns, trees: Trees, tree: Tensor, cell: Tensor, level: int, levels: int) \
        -> tuple[Tensor, ...]:
    """The CPPN's outputs for cells of some levels under units, with a border: by level, (outputs, U, 2^n + 2, …)."""
    axes, half = cell.shape[1], 2.0**-level
    own = trees.places[tree]
    centre = ((2 * cell + 1) * half - 1).to(own)
    around = resident((_border_grid(axes, levels) * half).to(own.dtype), own.device)
    ends = {"1": (own, torch.zeros_like(around)), "2": (centre, around)}
    if not trees.outgoing:
        ends = {"1": ends["2"], "2": ends["1"]}
    near, far = (cppn_inputs(cppns.names, ends["1"][part], ends["2"][part], float(part == 0)) for part in (0, 1))
    answers = cppns.ask(trees.owner[tree], near.to(cppns.dtype), far.to(cppns.dtype))
    sizes = [2**n + 2 for n in range(1, levels + 1)]
    parts = answers.split([size**axes for size in sizes], 2)
    return tuple(part.unflatten(2, [size] * axes) for part, size in zip(parts, sizes, strict=True))


def cppn_inputs(names: Sequence[str], source: Tensor, target: Tensor, one: float) -> Tensor:
    """All inputs (inputs, n) of a CPPN, each as `cppn_input` gives it."""
    return torch.stack([cppn_input(name, source, target, one) for name in names])


def cppn_input(name: str, source: Tensor, target: Tensor, one: float) -> Tensor:
    """A CPPN's input (n,) for sources and targets (n, axes); for parts of these, the input's part, where `one` is that
    of the constant input. A distance has no parts: its value here is not used."""
    if name in ("one", "distance"):
        return torch.full_like(source[:, 0], one)
    axis = AXES.index(name[-1] if name.startswith("d") else name[0])
    if name.startswith("d"):
        return source[:, axis] - target[:, axis]
    return (source if name.endswith("1") else target)[:, axis]


@lru_cache(maxsize=64)
def _border_grid(axes: int, levels: int) -> Tensor:
    """Centres (points, axes) float64 of a unit's cells of 1 to `levels` divisions and of the cells that border on them,
    where the unit is the cube from -1 to 1."""
    lines = [torch.arange(-1 - 2.0**-level, 1 + 2.0 ** (1 - level), 2.0 ** (1 - level), dtype=torch.float64)
             for level in range(1, levels + 1)]
    return torch.cat([torch.cartesian_prod(*[line] * axes) for line in lines])


# Variance of the leaves under every cell


def _variances(blocks: Sequence[Block], axes: int) -> list[list[Tensor]]:
    """Variance, by block and level, of the leaves under every cell; 0 for a leaf."""
    variances: list[list[Tensor]] = []
    below: tuple[Tensor, tuple[Tensor, ...]] | None = None
    for block in reversed(blocks):
        finest = _inside(block.values[-1])
        statistics: tuple[Any, ...] = (1.0, finest, torch.zeros_like(finest))  # the count is a number at first
        if below is not None:
            statistics = _with_divided(finest, *below)
        own = []
        for _ in block.values:
            count, _, spread = statistics
            own.append(spread / count)
            statistics = _merge(*statistics)
        variances.append(own[::-1])
        count, mean, spread = statistics
        below = block.parent, (torch.as_tensor(count).to(mean).expand_as(mean), mean, spread)
    return variances[::-1]


def _with_divided(finest: Tensor, parent: Tensor, divided: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Count of leaves, their mean and their sum of squared deviations, for cells of which some were divided."""
    whole = [torch.ones_like(finest), finest.clone(), torch.zeros_like(finest)]
    for all_cells, own in zip(whole, divided, strict=True):
        all_cells.view(-1)[parent] = own.flatten()
    return tuple(whole)


def _merge(count: float | Tensor, mean: Tensor, spread: Tensor) -> tuple[float | Tensor, Tensor, Tensor]:
    """Count, mean and sum of squared deviations for cells twice as large (Chan, Golub & LeVeque 1983): no two large
    numbers are subtracted."""
    means, spreads = _corners(mean), _corners(spread)
    if isinstance(count, float):
        total: float | Tensor = count * len(means)
        middle = _sum(means) / len(means)
        return total, middle, _sum(spreads) + _sum([(own - middle).square_() for own in means]) * count
    counts = _corners(count)
    total = _sum(counts)
    middle = _sum([own * many for own, many in zip(means, counts, strict=True)]) / total
    apart = _sum([(own - middle).square_() * many for own, many in zip(means, counts, strict=True)])
    return total, middle, _sum(spreads) + apart


def _corners(values: Tensor) -> list[Tensor]:
    """The 2^axes parts of all larger cells, (U, n, …) → (U, n / 2, …) each."""
    halves = (slice(0, None, 2), slice(1, None, 2))
    return [values[(slice(None), *corner)] for corner in product(halves, repeat=values.dim() - 1)]


def _sum(values: Sequence[Tensor]) -> Tensor:
    total = values[0] + values[1]
    for value in values[2:]:
        total += value
    return total


# Extraction


def _inside(values: Tensor) -> Tensor:
    """Cells without their border."""
    return values[(slice(None), *[slice(1, -1)] * (values.dim() - 1))]


def _banded(values: Tensor) -> Tensor:
    """Band of every cell, the left side of the inequality above: (U, n + 2, …) → (U, n, …)."""
    whole, inner = slice(None), slice(1, -1)
    apart = []
    for axis in range(1, values.dim()):
        line = values[tuple(whole if other in (0, axis) else inner for other in range(values.dim()))]
        size = line.shape[axis]
        steps = (line.narrow(axis, 1, size - 1) - line.narrow(axis, 0, size - 1)).abs_()
        apart.append(torch.minimum(steps.narrow(axis, 0, size - 2), steps.narrow(axis, 1, size - 2)))
    largest = apart[0]
    for other in apart[1:]:
        largest = torch.maximum(largest, other)
    return largest


def _repeat(cells: Tensor) -> Tensor:
    """Repeat the value of every cell for its parts: (U, n, …) → (U, 2 n, …)."""
    for axis in range(1, cells.dim()):
        cells = cells.repeat_interleave(2, axis)
    return cells


def _write(weights: Tensor, cells: Cells, block: Block, values: Tensor, found: Tensor) -> None:
    """Write the values of the cells found in one level of a block into weights (trees, cells)."""
    size = values.shape[1]
    level = block.level + size.bit_length() - 1
    first, last = cells.first(level), cells.first(level + 1)
    if block.level == 0:
        weights[:, first:last] = torch.where(found, values, torch.nan).flatten(1)
        return
    unit, *place = found.nonzero().unbind(1)
    cell = block.cell[unit] * size + torch.stack(place, 1)
    index = torch.zeros_like(unit)
    for along in cell.unbind(1):
        index = index * 2**level + along
    weights[block.tree[unit], first + index] = values[found]
