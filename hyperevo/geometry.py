"""Coordinates in space of every weight of a network.

Units lie on sheets. A weight joins a unit of the source sheet to a unit of the target sheet, so its place is the pair
of their coordinates; a bias has only a target. Coordinates run from -1 to 1 along every axis of a sheet, whatever its
resolution, so one pattern can be painted at any size.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import pi, prod

import torch
from torch import Tensor, nn

SUBSTRATE = "substrate"
"""Key of no parameter: its target and source are the sheets of outputs and inputs of networks whose hidden nodes an
encoding finds between them."""

NETWORK = "network"
"""Key of no parameter, as SUBSTRATE, of networks that are graphs themselves."""

WITH_OWN_NODES = (SUBSTRATE, NETWORK)
"""Keys under which a target says that its networks bring hidden nodes of their own."""


@dataclass(frozen=True)
class Sheet:
    """A regular grid of units. `sizes` is (rows, columns) for an image, (length,) for a line, (channels, rows, columns)
    for feature maps or the receptive field of a kernel."""

    sizes: tuple[int, ...]

    @property
    def units(self) -> int:
        """Number of units on the sheet."""
        return prod(self.sizes)

    @property
    def shape(self) -> str:
        """Sizes as people write them: 28 × 28."""
        return " × ".join(map(str, self.sizes))

    @cached_property
    def coordinates(self) -> Tensor:
        """Coordinates (units, axes) float64 in [-1, 1], in the memory order of a tensor of shape `sizes`.

        The last two axes are (row, column) = (y, x): rows grow downwards, columns to the right. A single unit along an
        axis is at 0.
        """
        lines = [torch.linspace(-1, 1, size, dtype=torch.float64) if size > 1 else torch.zeros(1, dtype=torch.float64)
                 for size in self.sizes]
        grids = torch.meshgrid(*lines, indexing="ij")
        return torch.stack([grid.reshape(-1) for grid in grids], dim=1)

    @property
    def places(self) -> Tensor:
        """Positions (units, 2 or 3) float64: x and y of every unit, and z where there is a third axis, such as the
        channels of (channels, rows, columns). A line lies along x. Raises ValueError for more than three axes."""
        places = self.coordinates
        if places.shape[1] == 1:
            return torch.cat([places, torch.zeros_like(places)], dim=1)
        if places.shape[1] > 3:
            raise ValueError(f"a sheet of sizes {self.sizes} has more than three axes")
        return places.flip(1)


@dataclass(frozen=True)
class Frame(Sheet):
    """An image observed at one step, as from a camera: no target reads its rows as a sequence of steps."""


@dataclass(frozen=True)
class Ring(Sheet):
    """Units on a circle, the first at its top, the others clockwise. `sizes` is (units,), so that as a grid it is a
    line."""

    radius: float = 1.0

    @cached_property
    def coordinates(self) -> Tensor:
        """Coordinates (units, 2) float64, as those of a sheet: y, downwards, and x."""
        bearings = torch.arange(self.units, dtype=torch.float64) * (2 * pi / self.units)
        return self.radius * torch.stack([-bearings.cos(), bearings.sin()], 1)


@dataclass(frozen=True)
class PlacedLine(Sheet):
    """Units along a line at positions of their own, in [-1, 1]. `sizes` is (units,)."""

    positions: tuple[float, ...] = ()

    @cached_property
    def coordinates(self) -> Tensor:
        """Coordinates (units, 1) float64."""
        return torch.tensor(self.positions, dtype=torch.float64)[:, None]


@dataclass(frozen=True)
class ParameterGeometry:
    """One weight matrix, shape (target units, source units), or one bias, shape (target units,), and its sheets.

    A convolution's kernel is a matrix too: its target units are the output channels, its source units the input
    channels, rows and columns that it reads. `tensor` is its shape in a `state_dict`, where it differs. `initial` is
    the initial value of a parameter without a source.
    """

    target: Sheet
    source: Sheet | None = None
    tensor: tuple[int, ...] | None = None
    initial: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter for one network."""
        return (self.target.units,) if self.source is None else (self.target.units, self.source.units)

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """Shape of the parameter in a `state_dict`."""
        return self.shape if self.tensor is None else self.tensor

    @property
    def deviation(self) -> float:
        """Standard deviation √(2 / inputs) of weights that preserve the variance of values through ReLU (He et al.
        2015); 0 for a parameter without a source."""
        return 0.0 if self.source is None else (2 / self.source.units) ** 0.5

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of the parameter as a grid with one axis per coordinate: target axes first, then source axes."""
        return self.target.sizes if self.source is None else self.target.sizes + self.source.sizes

    @property
    def size(self) -> int:
        """Number of values in the parameter."""
        return prod(self.shape)


def each_weight(places: Iterable[ParameterGeometry], value: Callable[[ParameterGeometry], float]) -> Tensor:
    """A number (weights,) for every weight of some parameters, one parameter after the other: that of its parameter."""
    return torch.cat([torch.full((place.size,), value(place)) for place in places])


def near_square(units: int) -> Sheet:
    """The two-dimensional sheet of `units` units that is closest to a square: 256 → 16 × 16, 10 → 2 × 5."""
    rows = next(rows for rows in range(int(units**0.5), 0, -1) if units % rows == 0)
    return Sheet((rows, units // rows))


def module_geometry(module: nn.Module, inputs: Sheet | None = None) -> dict[str, ParameterGeometry]:
    """Geometry of every parameter of a module, by its name in the `state_dict`. A shared parameter appears once, one
    without elements not at all.

    Units of a linear layer lie on a sheet as near to a square as their count allows; where the layer reads as many
    values as `inputs` has units, its inputs lie on that sheet. Channels of a convolution lie on a line, and gates of a
    recurrent layer on one line each, below each other. Any other parameter is a grid: its first axis is the target's,
    all others are the source's.
    """
    geometry: dict[str, ParameterGeometry] = {}
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            if parameter.numel() == 0:
                continue
            geometry[name] = _place(part, name.removeprefix(f"{prefix}."), tuple(parameter.shape), inputs)
    # Parameters that several parts share are kept under their first name, as `named_parameters` has it.
    return {name: geometry[name] for name, _ in module.named_parameters() if name in geometry}


def _initial(part: nn.Module, name: str) -> float:
    """Initial value of a parameter without a source: 1 for a normalisation's gain, else 0."""
    return 1.0 if name in ("weight", "gain") and "Norm" in type(part).__name__ else 0.0


def _place(part: nn.Module, name: str, shape: tuple[int, ...], inputs: Sheet | None) -> ParameterGeometry:
    # A linear layer may have further parameters: its shape tells what one is.
    if isinstance(part, nn.Linear) and shape in ((part.out_features, part.in_features), (part.out_features,)):
        target = near_square(part.out_features)
        source = inputs if inputs is not None and inputs.units == part.in_features else near_square(part.in_features)
        return ParameterGeometry(target, source if len(shape) == 2 else None)
    units = getattr(part, "hidden_size", None)
    if isinstance(units, int) and len(shape) in (1, 2) and shape[0] % units == 0:
        target = Sheet((shape[0] // units, units)) if shape[0] > units else Sheet((units,))
        return ParameterGeometry(target, Sheet(shape[1:]) if len(shape) > 1 else None)
    if len(shape) < 2 or "Norm" in type(part).__name__:
        return ParameterGeometry(Sheet(shape or (1,)), None, shape, _initial(part, name))
    return ParameterGeometry(Sheet(shape[:1]), Sheet(shape[1:]), shape)
