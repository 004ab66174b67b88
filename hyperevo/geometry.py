"""Where every weight of a network sits in space.

Units lie on sheets. A weight joins a unit of the source sheet to a unit of the target sheet, so its place is the pair
of their coordinates; a bias has only a target. Coordinates run from -1 to 1 along every axis of a sheet, whatever its
resolution, so one pattern can be painted at any size.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sheet:
    """A regular grid of units. `sizes` is (rows, columns) for an image, (length,) for a line."""

    sizes: tuple[int, ...]

    @property
    def units(self) -> int:
        """How many units lie on the sheet."""
        return prod(self.sizes)

    @cached_property
    def coordinates(self) -> Tensor:
        """(units, axes) float64, in the order in which a tensor of shape `sizes` lies in memory.

        The last two axes are (row, column) = (y, x), both growing as the image is read: rows downwards, columns to
        the right. An axis of one unit sits at 0.
        """
        lines = [torch.linspace(-1, 1, size, dtype=torch.float64) if size > 1 else torch.zeros(1, dtype=torch.float64)
                 for size in self.sizes]
        grids = torch.meshgrid(*lines, indexing="ij")
        return torch.stack([grid.reshape(-1) for grid in grids], dim=1)

    @property
    def plane(self) -> Tensor:
        """(units, 2) float64: x and y of every unit. A line lies along x; further axes are refused."""
        places = self.coordinates
        if places.shape[1] == 1:
            return torch.cat([places, torch.zeros_like(places)], dim=1)
        if places.shape[1] == 2:
            return places.flip(1)
        raise ValueError(f"a sheet of sizes {self.sizes} has no place on a plane")


@dataclass(frozen=True)
class ParameterGeometry:
    """One weight matrix, shape (target units, source units), or one bias, shape (target units,), and its sheets."""

    target: Sheet
    source: Sheet | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter for one network."""
        return (self.target.units,) if self.source is None else (self.target.units, self.source.units)

    @property
    def grid(self) -> tuple[int, ...]:
        """The parameter as an n-dimensional grid with one axis per coordinate: target axes first, then source axes."""
        return self.target.sizes if self.source is None else self.target.sizes + self.source.sizes

    @property
    def size(self) -> int:
        """How many numbers the parameter holds."""
        return prod(self.shape)


def near_square(units: int) -> Sheet:
    """The sheet of two axes for `units` units whose rows and columns differ least: 256 → 16 × 16, 10 → 2 × 5."""
    rows = next(rows for rows in range(int(units**0.5), 0, -1) if units % rows == 0)
    return Sheet((rows, units // rows))
