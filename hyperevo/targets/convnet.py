"""Convolutional network: convolutions with pooling, then a readout. The MNIST network of Ha, Dai & Le (2016), section
4.1, is the default: two layers of 16 channels with 7 × 7 kernels, the second of 7 · 7 · 16 · 16 = 12,544 weights."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from hyperevo.components import ComponentSettings
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet
from hyperevo.weights import Weights, project


class Settings(ComponentSettings):
    """Options of the convolutional network."""

    name: Literal["convnet"] = "convnet"
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 16), min_length=1)
    """Number of output channels of every convolution."""
    kernel: int = Field(7, ge=1, le=1023)
    """Rows and columns of all kernels; only pooling makes feature maps smaller."""
    pool: int = Field(2, ge=1, le=1023)
    """Rows and columns of the max pooling after every convolution."""


class ConvNetTarget(Target):
    """P networks at once: every layer is one convolution for all of them, in as many groups."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        if len(inputs.sizes) < 2:
            raise ValueError(f"target.name: convnet needs images, and the task's inputs are of shape {inputs.shape}")
        self.settings = settings
        self.image = inputs.sizes if len(inputs.sizes) == 3 else (1, *inputs.sizes)
        self.geometry: dict[str, ParameterGeometry] = {}
        self.units = 0
        before, rows, columns = self.image
        self.convolutions = [f"convolution{number}" for number in range(1, len(settings.channels) + 1)]
        for name, after in zip(self.convolutions, settings.channels, strict=True):
            kernel = (before, settings.kernel, settings.kernel)
            self.geometry[f"{name}.weight"] = ParameterGeometry(Sheet((after,)), Sheet(kernel), (after, *kernel))
            self.geometry[f"{name}.bias"] = ParameterGeometry(Sheet((after,)))
            self.units += after * rows * columns
            before, rows, columns = after, rows // settings.pool, columns // settings.pool
        if not rows or not columns:
            raise ValueError(f"target.pool: {len(self.convolutions)} poolings by {settings.pool} leave nothing of "
                             f"{self.image[1]} × {self.image[2]} pixels")
        readout = output_sheet(outputs)
        self.geometry["readout.weight"] = ParameterGeometry(readout, Sheet((before, rows, columns)))
        self.geometry["readout.bias"] = ParameterGeometry(readout)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, pixels), the same for all networks → outputs (P, N, classes), not normalised."""
        population, maps, groups = weights.population, inputs.unflatten(-1, self.image), 1
        for name in self.convolutions:
            kernels, biases = weights.tensor(f"{name}.weight"), weights.tensor(f"{name}.bias")
            kernels = kernels.reshape(-1, *self.geometry[f"{name}.weight"].tensor_shape[1:])
            maps = conv2d(maps, kernels, biases.reshape(-1), padding="same", groups=groups)
            # Pooling is several times as fast, forwards and backwards, where a pixel's channels lie together; and the
            # largest of some ReLUs is the ReLU of the largest.
            together = maps.contiguous(memory_format=torch.channels_last)
            maps, groups = torch.relu_(max_pool2d(together, self.settings.pool).contiguous()), population
        features = maps.unflatten(1, (population, -1)).flatten(2).permute(1, 2, 0)
        values = project(weights["readout.weight"], features)
        return values.add_(weights.tensor("readout.bias")[:, :, None]).transpose(1, 2)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> ConvNetTarget:
    """The target for a task with one image `inputs`, (rows, columns) or (channels, rows, columns)."""
    return ConvNetTarget(settings, inputs, outputs)
