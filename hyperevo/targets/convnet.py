"""Convolutional network: convolutions with pooling, hidden layers if there are any, then a readout.

The MNIST network of Ha, Dai & Le (2016), section 4.1, is the default: two layers of 16 channels with 7 × 7 kernels, the
second of 7 · 7 · 16 · 16 = 12,544 weights.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import conv2d, dropout, max_pool2d

from hyperevo.components import ComponentSettings
from hyperevo.devices import networks_at_once
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet
from hyperevo.randomness import drawing
from hyperevo.weights import Weights, project


class Settings(ComponentSettings):
    """Options of the convolutional network."""

    name: Literal["convnet"] = "convnet"
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 16), min_length=1)
    """Number of output channels of every convolution."""
    kernel: int = Field(7, ge=1, le=1023)
    """Rows and columns of all kernels."""
    padding: Literal["same", "valid"] = "same"
    """Border of zeros around feature maps: same, only pooling makes them smaller; valid, none, so that every
    convolution takes kernel - 1 rows and columns away."""
    pool: int = Field(2, ge=1, le=1023)
    """Rows and columns of the max pooling after every convolution."""
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Units of fully connected hidden layers between the last feature maps and the readout."""
    biases: bool = True
    """false: no layer has biases."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Chance with which a value that a fully connected layer reads is set to 0 while a gradient is followed."""


class ConvNetTarget(Target):
    """P networks at once: every layer is one convolution for all of them, in as many groups."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        if len(inputs.sizes) < 2:
            raise ValueError(f"target.name: convnet needs images, and the task's inputs are of shape {inputs.shape}")
        self.settings, self.drops = settings, settings.dropout > 0
        self.image = inputs.sizes if len(inputs.sizes) == 3 else (1, *inputs.sizes)
        self.geometry: dict[str, ParameterGeometry] = {}
        self.units = 0
        self.convolutions = [f"convolution{number}" for number in range(1, len(settings.channels) + 1)]
        source = self._add_convolutions()
        self.hidden = [f"hidden{number}" for number in range(1, len(settings.hidden) + 1)]
        for name, units in zip(self.hidden, settings.hidden, strict=True):
            source = self._add(name, Sheet((units,)), source)
            self.units += units
        self._add("readout", output_sheet(outputs), source)

    def _add_convolutions(self) -> Sheet:
        """Add the convolutions' parameters: sheet of the last feature maps. Raises ValueError where nothing is left."""
        settings, (before, rows, columns) = self.settings, self.image
        lost = settings.kernel - 1 if settings.padding == "valid" else 0
        for name, after in zip(self.convolutions, settings.channels, strict=True):
            kernel = Sheet((before, settings.kernel, settings.kernel))
            self._add(name, Sheet((after,)), kernel, (after, *kernel.sizes))
            self.units += after * max(rows - lost, 0) * max(columns - lost, 0)
            before, rows, columns = after, (rows - lost) // settings.pool, (columns - lost) // settings.pool
            if rows < 1 or columns < 1:
                own = f" and kernels of {settings.kernel} × {settings.kernel} without a border" if lost else ""
                raise ValueError(f"target.pool: {len(self.convolutions)} poolings by {settings.pool}{own} leave "
                                 f"nothing of {self.image[1]} × {self.image[2]} pixels")
        return Sheet((before, rows, columns))

    def _add(self, name: str, target: Sheet, source: Sheet, tensor: tuple[int, ...] | None = None) -> Sheet:
        """Add one layer's parameters: the sheet of its outputs."""
        self.geometry[f"{name}.weight"] = ParameterGeometry(target, source, tensor)
        if self.settings.biases:
            self.geometry[f"{name}.bias"] = ParameterGeometry(target)
        return target

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, pixels), the same for all networks → outputs (P, N, classes), not normalised."""
        return self._connected(weights, self._features(weights, inputs), 0.0)

    def forward_dropping(self, weights: Weights, inputs: Tensor, draw: int) -> Tensor:
        """Outputs with dropout drawn from the seed `draw`, every network's alike."""
        with drawing(draw, inputs.device):
            return self._connected(weights, self._features(weights, inputs), self.settings.dropout)

    def _features(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Last feature maps (P, values, N), of as many networks together as suits the device."""
        if weights.population == 1:  # a network that is exported takes any number of inputs
            return self._features_together(weights, inputs)
        together = networks_at_once(inputs.device, self.units * len(inputs))
        return torch.cat([self._features_together(weights.networks(slice(first, first + together)), inputs)
                          for first in range(0, weights.population, together)])

    def _features_together(self, weights: Weights, inputs: Tensor) -> Tensor:
        population, maps, groups = weights.population, inputs.unflatten(-1, self.image), 1
        # Pooling is several times as fast, forwards and backwards, where a pixel's channels lie together; one network's
        # maps stay so, and those of several, convolved in groups, do not.
        between = torch.channels_last if population == 1 else torch.contiguous_format
        for name in self.convolutions:
            kernels, biases = weights.tensor(f"{name}.weight"), self._biases(weights, name)
            kernels = kernels.reshape(-1, *self.geometry[f"{name}.weight"].tensor_shape[1:])
            maps = conv2d(maps.contiguous(memory_format=between), kernels,
                          None if biases is None else biases.reshape(-1), groups=groups, padding=self.settings.padding)
            together = max_pool2d(maps.contiguous(memory_format=torch.channels_last), self.settings.pool)
            # The largest of some ReLUs is the ReLU of the largest.
            maps, groups = torch.relu_(together.contiguous(memory_format=between)), population
        return maps.unflatten(1, (population, -1)).flatten(2).permute(1, 2, 0)

    def _connected(self, weights: Weights, values: Tensor, chance: float) -> Tensor:
        """Outputs (P, N, classes) from the last feature maps (P, values, N), with dropout."""
        for name in [*self.hidden, "readout"]:
            if chance:
                values = values * dropout(torch.ones_like(values[0]), chance)
            values, biases = project(weights[f"{name}.weight"], values), self._biases(weights, name)
            values = values if biases is None else values.add_(biases[:, :, None])
            values = values if name == "readout" else torch.relu(values)
        return values.transpose(1, 2)

    def _biases(self, weights: Weights, name: str) -> Tensor | None:
        """Biases (P, out) of one layer; None where it has none."""
        return weights.tensor(f"{name}.bias") if self.settings.biases else None


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> ConvNetTarget:
    """The target for a task with one image `inputs`, (rows, columns) or (channels, rows, columns)."""
    return ConvNetTarget(settings, inputs, outputs)
