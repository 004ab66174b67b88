"""Wide residual network for colour images (Zagoruyko & Komodakis 2016): 40-1 and 40-2 are those of Ha, Dai & Le (2016).

A 3 × 3 convolution, then three groups, conv2 to conv4, of (depth - 4) / 6 blocks each with 16, 32 and 64 times `width`
channels; the second and third group halve rows and columns. A block is norm, ReLU, convolution, norm, ReLU,
convolution, added to what came in (through a 1 × 1 convolution where the channels change). The first block of all has
no norm of its own at its start: so the parameters add up to the 563,898 of the paper's 40-1.
"""

from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from hyperevo.components import ComponentSettings
from hyperevo.geometry import Sheet
from hyperevo.parts import output_units
from hyperevo.targets.module import ModuleTarget


class Settings(ComponentSettings):
    """Options of the wide residual network."""

    name: Literal["wide-resnet"] = "wide-resnet"
    depth: int = Field(40, ge=10, le=1204)
    """Number of layers, 6 n + 4 for n blocks in each of the three groups."""
    width: int = Field(1, ge=1, le=64)
    """Factor on the 16, 32 and 64 channels of the three groups."""

    @field_validator("depth")
    @classmethod
    def _whole_blocks(cls, depth: int) -> int:
        if (depth - 4) % 6:
            raise ValueError("is not 6 n + 4")
        return depth


class Block(nn.Module):
    """Two 3 × 3 convolutions with a shortcut around them."""

    def __init__(self, before: int, after: int, stride: int, first: bool):
        super().__init__()
        self.norm1 = nn.Identity() if first else nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(inplace=True))
        self.kernel1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.Sequential(nn.BatchNorm2d(after), nn.ReLU(inplace=True))
        self.kernel2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.shortcut = None if before == after else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, rows, columns) → (N, after, rows / stride, columns / stride)."""
        ready = self.norm1(maps)
        past = maps if self.shortcut is None else self.shortcut(ready)
        return past + self.kernel2(self.norm2(self.kernel1(ready)))


class WideResNet(nn.Module):
    """The network as an ordinary module."""

    def __init__(self, depth: int, width: int, channels: int, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        before = 16
        for number, (factor, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=2):
            after = factor * width
            blocks = []
            for place in range((depth - 4) // 6):
                blocks.append(Block(before, after, 1 if place else stride, first=number == 2 and place == 0))
                before = after
            self.add_module(f"conv{number}", nn.Sequential(*blocks))
        self.norm = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(inplace=True))
        self.readout = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, rows, columns) → (N, classes)."""
        maps = self.get_submodule("conv4")(self.get_submodule("conv3")(self.get_submodule("conv2")(self.conv1(images))))
        return self.readout(self.norm(maps).mean((2, 3)))


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> ModuleTarget:
    """The target for a task with images, (rows, columns) or (channels, rows, columns)."""
    if len(inputs.sizes) < 2:
        raise ValueError(f"target.name: wide-resnet needs images, and the task's inputs are of shape {inputs.shape}")
    shape = inputs.sizes if len(inputs.sizes) == 3 else (1, *inputs.sizes)
    with torch.random.fork_rng(devices=[]):
        module = WideResNet(settings.depth, settings.width, shape[0], output_units(outputs))
    return ModuleTarget(module, shape)
