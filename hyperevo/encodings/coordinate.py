"""Coordinate encoding: a small fixed MLP reads the places of two units and returns their weight (a CPPN of one shape).

    w = scale · (W3 φ(W2 φ(W1 (x1, y1, x2, y2) + b1) + b2) + b3)        φ(z) = sin(frequency · z) or max(0, z)

Parameters that lie at the same places share one MLP with an output each: with `patterns = ["readout.weight"]` the
readout's ten patterns and the hidden biases come from one MLP over the hidden sheet. Appendix A.1 of Ha, Dai & Le
(2016) is `hidden = [25, 25]`, ReLU, everything but `hidden.weight` direct: 801 genes.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.encodings._partly_direct import EncodingSettings
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Weights


class Settings(EncodingSettings):
    """Options of the coordinate encoding."""

    name: Literal["coordinate"] = "coordinate"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((12, 12), min_length=1)
    """Units in the MLP's hidden layers."""
    activation: Literal["sine", "relu"] = "sine"
    frequency: float = Field(3.0, gt=0)
    """ω in sin(ω z); not used by ReLU."""
    patterns: tuple[str, ...] = ()
    """Weight matrices whose target units have an output each (one readout pattern per class) instead of a place."""
    scale: float = Field(1.0, gt=0)
    """Weight per unit of output."""


@dataclass(frozen=True)
class Generator:
    """One MLP: the places it reads, (S, axes) and (T, axes), and which parameters its outputs paint."""

    source: Tensor
    target: Tensor
    outputs: dict[str, int]
    widths: tuple[int, ...]

    @property
    def genes(self) -> int:
        """Weights and biases of the MLP."""
        return sum((before + 1) * after for before, after in pairwise(self.widths))


class CoordinateEncoding:
    """Genotypes (P, genes) hold every MLP's layers in turn, weights before biases, in units of a layer's usual size."""

    def __init__(self, settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        if unknown := [name for name in settings.patterns if name not in geometry or geometry[name].source is None]:
            raise ValueError(f"encoding.patterns: no weight matrix called {unknown[0]!r} is encoded")
        self.generators = self._plan()
        self.genes = sum(generator.genes for generator in self.generators)

    def _plan(self) -> list[Generator]:
        places: dict[tuple, dict[str, int]] = {}
        for name, parameter in self.geometry.items():
            if name in self.settings.patterns:
                places.setdefault((None, parameter.source), {})[name] = parameter.target.units
            else:
                places.setdefault((parameter.source, parameter.target), {})[name] = 1
        return [self._generator(source, target, outputs) for (source, target), outputs in places.items()]

    def _generator(self, source, target, outputs: dict[str, int]) -> Generator:
        from_places = target.plane.new_zeros(1, 0) if source is None else source.plane
        inputs = from_places.shape[1] + 2
        widths = (inputs, *self.settings.hidden, sum(outputs.values()))
        return Generator(from_places.to(self.device, torch.float32), target.plane.to(self.device, torch.float32),
                         outputs, widths)

    def express(self, genotypes: Tensor) -> Weights:
        """Genotypes (P, genes) → the weights of P networks."""
        genotypes = genotypes.to(self.device)
        values: dict[str, Tensor] = {}
        sizes = [generator.genes for generator in self.generators]
        for generator, genes in zip(self.generators, genotypes.split(sizes, dim=1), strict=True):
            painted = torch.stack([self._paint(generator, network) for network in genes]) * self.settings.scale
            for name, part in zip(generator.outputs, painted.split(list(generator.outputs.values()), 1), strict=True):
                values[name] = part.reshape(len(genotypes), *self.geometry[name].shape)
        return Weights({name: values[name] for name in self.geometry})

    def _layers(self, generator: Generator, genes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """One network's (weights (out, in), biases (out,)) per layer. A gene of size one is a weight of size
        1 / √inputs, so that one step size suits all layers of a search that moves genes alike."""
        layers, start = [], 0
        for before, after in pairwise(generator.widths):
            block = genes[start : start + (before + 1) * after] / sqrt(before)
            layers.append((block[: before * after].view(after, before), block[before * after :]))
            start += (before + 1) * after
        return layers

    def _paint(self, generator: Generator, genes: Tensor) -> Tensor:
        """One network's patterns (outputs, T · S). The first layer is computed on each side's few places only."""
        (weights, biases), *rest = self._layers(generator, genes)
        from_axes = generator.source.shape[1]
        source = weights[:, :from_axes] @ generator.source.T
        target = weights[:, from_axes:] @ generator.target.T + biases[:, None]
        if self.settings.activation == "sine":
            values = self._second_sine_layer(source, target, *rest.pop(0))
            if not rest:
                return values
            values = torch.sin(values.mul_(self.settings.frequency) if not values.requires_grad
                               else values * self.settings.frequency)
        else:
            values = torch.relu(target[:, :, None] + source[:, None, :]).flatten(1)
        for index, (weights, biases) in enumerate(rest):
            values = torch.addmm(biases[:, None], weights, values)
            if index < len(rest) - 1:
                values = self._activate(values)
        return values

    def _activate(self, values: Tensor) -> Tensor:
        return torch.sin(self.settings.frequency * values) if self.settings.activation == "sine" else torch.relu(values)

    def _second_sine_layer(self, source: Tensor, target: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        """W sin(ω (t + s)) + b over all pairs of places, (out, T · S), for t (h, T) and s (h, S).

        sin(t + s) = sin t cos s + cos t sin s has rank two, so the first hidden layer is never built: the second is
        one product of rank 2 h.
        """
        omega = self.settings.frequency
        waves = torch.cat([torch.cos(omega * source), torch.sin(omega * source), torch.ones_like(source[:1])])
        turned = torch.stack([torch.sin(omega * target), torch.cos(omega * target)])
        mixed = (weights[:, None, :, None] * turned).flatten(1, 2)
        constants = biases[:, None, None].expand(-1, 1, target.shape[1])
        return (torch.cat([mixed, constants], 1).transpose(1, 2).flatten(0, 1) @ waves).view(len(weights), -1)


def build(settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device) -> CoordinateEncoding:
    """The encoding for a target's parameters."""
    return CoordinateEncoding(settings, geometry, device)
