"""Coordinate encoding: a small fixed MLP reads the positions of two units and returns their weight (a CPPN of one
shape).

    w = scale · (W3 φ(W2 φ(W1 (x1, y1, x2, y2) + b1) + b2) + b3)        φ(z) = sin(frequency · z) or max(0, z)

Parameters at the same positions share one MLP with an output each: with `patterns = ["readout.weight"]` the readout's
ten patterns and the hidden biases come from one MLP over the hidden sheet. Appendix A.1 of Ha, Dai & Le (2016) is
`hidden = [25, 25]`, ReLU, everything but `hidden.weight` direct: 801 genes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo import devices
from hyperevo.components import ParameterNames, Positive
from hyperevo.encodings._partly_direct import EncodingSettings
from hyperevo.genotypes import Genotypes, as_genes
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Encoding
from hyperevo.weights import Factored, Weight, Weights


class Settings(EncodingSettings):
    """Options of the coordinate encoding."""

    name: Literal["coordinate"] = "coordinate"
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((32,), min_length=1)
    """Number of units in every hidden layer of the MLP."""
    activation: Literal["sine", "relu"] = "sine"
    """φ, the function of the MLP's hidden units."""
    frequency: Positive = 5.0
    """Frequency ω of the sine, sin(ω z); ReLU does not use it."""
    patterns: ParameterNames = ()
    """Weight matrices with one output of the MLP per target unit, such as one readout pattern per class, in place of
    the unit's coordinates."""
    scale: Positive = 1.0
    """Weight that an output of 1 becomes."""


@dataclass(frozen=True)
class Generator:
    """One MLP: positions that it reads, (S, axes) and (T, axes), number of its outputs by parameter, and units of its
    layers."""

    source: Tensor
    target: Tensor
    outputs: dict[str, int]
    widths: tuple[int, ...]

    @property
    def genes(self) -> int:
        """Weights and biases of the MLP."""
        return sum((before + 1) * after for before, after in pairwise(self.widths))


class CoordinateEncoding(Encoding):
    """Genotypes (P, genes) hold every MLP's layers in turn, weights before biases, in units of 1 / √inputs of the
    layer."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        if unknown := [name for name in settings.patterns if name not in geometry or geometry[name].source is None]:
            raise ValueError(f"encoding.patterns: no weight matrix called {unknown[0]!r} is encoded")
        self.generators = self._plan()
        self.genes = sum(generator.genes for generator in self.generators)

    def _plan(self) -> list[Generator]:
        places: dict[tuple[Sheet | None, Sheet], dict[str, int]] = {}
        for name, parameter in self.geometry.items():
            if name in self.settings.patterns and parameter.source is not None:
                places.setdefault((None, parameter.source), {})[name] = parameter.target.units
            else:
                places.setdefault((parameter.source, parameter.target), {})[name] = 1
        return [self._generator(source, target, outputs) for (source, target), outputs in places.items()]

    def _generator(self, source: Sheet | None, target: Sheet, outputs: dict[str, int]) -> Generator:
        places = target.places
        from_places = places.new_zeros(1, 0) if source is None else source.places
        widths = (from_places.shape[1] + places.shape[1], *self.settings.hidden, sum(outputs.values()))
        return Generator(from_places.to(self.device, torch.float32), places.to(self.device, torch.float32), outputs,
                         widths)

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from: values keep their size through the layers, biases
        spread the waves or the bends over the sheet, and the outputs have the size of the weights they paint."""
        parts = []
        for own in self.generators:
            gain = sqrt(2) if self.settings.activation == "relu" else 1.0
            painted = max(self.geometry[name].deviation for name in own.outputs) / self.settings.scale
            for layer, (before, after) in enumerate(pairwise(own.widths), start=1):
                last = layer == len(own.widths) - 1
                parts.append(torch.randn(size, before * after, generator=generator) * (painted if last else gain))
                parts.append(torch.randn(size, after, generator=generator) * (0.0 if last else 1.0))
        return torch.cat(parts, 1)

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes); factored where one layer of sines paints them."""
        values: dict[str, Weight] = {}
        parts = devices.resident(as_genes(genotypes), self.device).split([own.genes for own in self.generators], dim=1)
        for generator, genes in zip(self.generators, parts, strict=True):
            patterns = iter(self._paint(generator, genes))
            for name, outputs in generator.outputs.items():
                values[name] = self._parameter(name, [next(patterns) for _ in range(outputs)])
        return Weights({name: values[name] for name in self.geometry})

    def _parameter(self, name: str, patterns: list[Tensor | Factored]) -> Tensor | Factored:
        """One parameter from patterns (P, T, S): one pattern of the parameter's own shape, or one per target unit."""
        parameter, scale = self.geometry[name], self.settings.scale
        first = patterns[0]
        if isinstance(first, Factored) and name not in self.settings.patterns and parameter.source is not None:
            return Factored(first.left * scale, first.right)
        dense = [pattern.dense() if isinstance(pattern, Factored) else pattern for pattern in patterns]
        return torch.stack(dense, 1).reshape(len(first), *parameter.shape) * scale

    def _layers(self, generator: Generator, genes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(weights (P, out, in), biases (P, out)) per layer. A gene of size one is a number of size 1 / √inputs, so
        that one step size suits all layers of a search that moves genes alike."""
        layers, start = [], 0
        for before, after in pairwise(generator.widths):
            block = genes[:, start : start + (before + 1) * after] / sqrt(before)
            layers.append((block[:, : before * after].unflatten(1, (after, before)), block[:, before * after :]))
            start += (before + 1) * after
        return layers

    def _paint(self, generator: Generator, genes: Tensor) -> list[Tensor | Factored]:
        """One pattern (P, T, S) per output. The first layer is computed for source and target units apart."""
        (weights, biases), *rest = self._layers(generator, genes)
        from_axes = generator.source.shape[1]
        source = weights[:, :, :from_axes] @ generator.source.T
        target = weights[:, :, from_axes:] @ generator.target.T + biases[:, :, None]
        if self.settings.activation == "relu":
            if devices.takes_all_at_once(self.device):
                return self._patterns(self._deeper_at_once(
                    lambda some: torch.relu(target[some][..., None] + source[some][:, :, None]), generator, rest),
                    generator)
            values = [self._deeper(torch.relu(t[:, :, None] + s[:, None, :]).flatten(1), layers)
                      for t, s, *layers in zip(target, source, *map(_by_network, rest), strict=True)]
            return self._patterns(values, generator)
        left, right = self._second_sine_layer(source, target, *rest.pop(0))
        if not rest:
            return [Factored(output, right) for output in left.unbind(1)]
        if devices.takes_all_at_once(self.device):
            return self._patterns(self._deeper_at_once(
                lambda some: self._activate(left[some] @ right[some].transpose(1, 2)[:, None]), generator, rest),
                generator)
        values = [self._deeper(self._activate((a.flatten(0, 1) @ b.T).view(len(a), -1)), layers)
                  for a, b, *layers in zip(left, right, *map(_by_network, rest), strict=True)]
        return self._patterns(values, generator)

    def _patterns(self, values: list[Tensor], generator: Generator) -> list[Tensor | Factored]:
        stacked = torch.stack(values).unflatten(2, (len(generator.target), len(generator.source)))
        return list(stacked.unbind(1))

    def _deeper(self, values: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Outputs (outputs, T · S) of one network's remaining layers for values (units, T · S) at all pairs of
        positions."""
        for index, (weights, biases) in enumerate(layers):
            values = torch.addmm(biases[:, None], weights, values)
            if index < len(layers) - 1:
                values = self._activate(values)
        return values

    def _deeper_at_once(self, values: Callable[[slice], Tensor], generator: Generator,
                        layers: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Outputs (outputs, T · S) of every network's remaining layers, in blocks of networks; `values` gives those of
        a block at all pairs of positions, (n, units, T, S)."""
        points, population = len(generator.target) * len(generator.source), len(layers[0][0])
        step = devices.networks_at_once(self.device, points * sum(generator.widths[1:]))
        found: list[Tensor] = []
        for start in range(0, population, step):
            some = slice(start, start + step)
            own = values(some).flatten(2)
            for index, (weights, biases) in enumerate(layers):
                own = torch.baddbmm(biases[some, :, None], weights[some], own)
                own = self._activate(own) if index < len(layers) - 1 else own
            found += own.unbind()
        return found

    def _activate(self, values: Tensor) -> Tensor:
        if self.settings.activation == "relu":
            return torch.relu(values)
        return torch.sin(self.settings.frequency * values)

    def _second_sine_layer(self, source: Tensor, target: Tensor, weights: Tensor, biases: Tensor) \
            -> tuple[Tensor, Tensor]:
        """W sin(ω (t + s)) + b over all pairs of positions, as left (P, out, T, r) and right (P, S, r), r = 2 h + 1.

        sin(t + s) = sin t cos s + cos t sin s, so h sines over T · S pairs are a matrix of rank 2 h that need not be
        built. target: (P, h, T), source: (P, h, S).
        """
        omega = self.settings.frequency
        ones = torch.ones_like(source[:, :1, :1])
        source, target = omega * source, omega * target
        right = torch.cat([source.cos(), source.sin(), ones.expand(-1, 1, source.shape[2])], 1)
        turned = torch.cat([target.sin(), target.cos(), ones.expand(-1, 1, target.shape[2])], 1)
        mixed = torch.cat([weights, weights, biases[:, :, None]], 2)
        return mixed[:, :, None, :] * turned.transpose(1, 2)[:, None], right.transpose(1, 2)


def _by_network(layer: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(*layer, strict=True))


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> CoordinateEncoding:
    """The encoding for a target's parameters."""
    return CoordinateEncoding(settings, geometry, device)
