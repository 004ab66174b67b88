"""HyperGAN (Ratzlaff & Li 2019): a mixer turns noise into one code a layer, and a generator of its own turns each code
into the layer's weights.

    codes = mixer(noise)        weights of layer i = generator_i(code i)

A layer is all parameters of a target with one prefix, such as a kernel and its biases. All numbers lie one after the
other in one tensor: the mixer's, then every generator's. Statistics of normalised values are those of REFERENCES fixed
noises, so that no network depends on what else is drawn with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from math import prod, sqrt

import torch
from torch import Tensor
from torch.nn.functional import elu, linear

ACTIVATIONS = {"elu": elu, "relu": torch.relu}

REFERENCES = 64
"""Number of noises whose values are the statistics of normalisation."""

REFERENCE_SEED = 0x72656665
"""Seed of these noises, equal in every run."""

EPSILON = 1e-5
"""Addend to variances, as torch's batch normalisation has it."""


@dataclass(frozen=True)
class Chain:
    """Perceptron as one vector of numbers: for every layer its matrix (out, in), its biases and, of hidden layers that
    are normalised, their gains and offsets."""

    sizes: tuple[int, ...]
    activation: str
    normalised: bool
    biases: bool

    @cached_property
    def parts(self) -> list[tuple[int, ...]]:
        """Shape of every part, in order."""
        shapes: list[tuple[int, ...]] = []
        for layer, (source, target) in enumerate(pairwise(self.sizes)):
            hidden = layer < len(self.sizes) - 2
            shapes += [(target, source), *[(target,)] * (int(self.biases) + 2 * int(self.normalised and hidden))]
        return shapes

    @property
    def numbers(self) -> int:
        """Count of all numbers."""
        return sum(self.sizes_of_parts)

    @cached_property
    def sizes_of_parts(self) -> list[int]:
        """Number of values of every part, in order."""
        return [prod(shape) for shape in self.parts]

    def outputs(self, parts: Iterable[Tensor], inputs: Tensor, references: int) -> Tensor:
        """Outputs (N, out) of inputs (N, in), the last `references` of which give the statistics; `parts` are flat."""
        pieces, values = iter(parts), inputs
        for layer, (source, target) in enumerate(pairwise(self.sizes)):
            matrix = next(pieces).view(target, source)
            values = linear(values, matrix, next(pieces) if self.biases else None)
            if layer == len(self.sizes) - 2:
                return values
            if self.normalised:
                variance, mean = torch.var_mean(values[-references:], 0, correction=0)
                values = (values - mean) * (variance + EPSILON).rsqrt() * next(pieces) + next(pieces)
            values = ACTIVATIONS[self.activation](values)
        return values

    def start(self, generator: torch.Generator, spread: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        """Numbers for a gradient to start from: hidden layers keep the variance of values; outputs begin around
        `offset` (out,), by default 0, with a deviation of `spread` (out,), by default 1."""
        parts: list[Tensor] = []
        for layer, (source, target) in enumerate(pairwise(self.sizes)):
            matrix = torch.randn(target, source, generator=generator)
            if layer == len(self.sizes) - 2:
                own = torch.ones(target) if spread is None else spread
                biases = torch.zeros(target) if offset is None else offset
                return torch.cat([*parts, (matrix * own[:, None] / sqrt(source)).flatten(),
                                  *([biases] if self.biases else [])])
            parts.append((matrix * sqrt(2 / source)).flatten())
            parts += [torch.zeros(target)] if self.biases else []
            parts += [torch.ones(target), torch.zeros(target)] if self.normalised else []
        return torch.cat(parts)


@dataclass(frozen=True)
class HyperGAN:
    """Mixer, generators, and the parameters (name, shape of one network's) of every layer, in order."""

    mixer: Chain
    generators: tuple[Chain, ...]
    layers: tuple[tuple[tuple[str, tuple[int, ...]], ...], ...]

    @property
    def noise(self) -> int:
        """Length of the noise, a network's code."""
        return self.mixer.sizes[0]

    @property
    def sizes(self) -> dict[str, int]:
        """Number of values of every parameter by name."""
        return {name: prod(shape) for layer in self.layers for name, shape in layer}

    @property
    def numbers(self) -> int:
        """Count of the numbers of mixer and generators."""
        return self.mixer.numbers + sum(generator.numbers for generator in self.generators)

    @property
    def _references(self) -> int:
        return REFERENCES if self.mixer.normalised or self.generators[0].normalised else 0

    def mixed(self, numbers: Tensor, noise: Tensor) -> Tensor:
        """Codes (P, layers, length) of noises (P, noise); of the numbers, the mixer's are enough."""
        parts = numbers[: self.mixer.numbers].split(self.mixer.sizes_of_parts)
        return self._mixed(parts, noise)[: len(noise)]

    def _mixed(self, parts: Iterable[Tensor], noise: Tensor) -> Tensor:
        """Codes of noises, then of the references."""
        references = self._references
        if references:
            generator = torch.Generator().manual_seed(REFERENCE_SEED)
            noise = torch.cat([noise, torch.randn(references, self.noise, generator=generator).to(noise)])
        return self.mixer.outputs(parts, noise, references).unflatten(1, (len(self.generators), -1))

    def networks(self, numbers: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Parameters (P, …) by name from numbers and noises (P, noise)."""
        # Split once: the gradient of every split is as long as what was split.
        chains = self.mixer, *self.generators
        parts = iter(numbers.split([size for chain in chains for size in chain.sizes_of_parts]))
        codes = self._mixed(islice(parts, len(self.mixer.parts)), noise)
        weights: dict[str, Tensor] = {}
        for index, (generator, layer) in enumerate(zip(self.generators, self.layers, strict=True)):
            own = islice(parts, len(generator.parts))
            values = generator.outputs(own, codes[:, index], self._references)[: len(noise)]
            pieces = values.split([prod(shape) for _, shape in layer], 1)
            weights |= {name: piece.unflatten(1, shape) for (name, shape), piece in zip(layer, pieces, strict=True)}
        return weights


@dataclass(frozen=True)
class Plan:
    """Sizes of a HyperGAN: lengths of noise and codes, hidden units and functions of mixer and generators, whether
    their values are normalised, and whether their layers have biases."""

    noise: int
    code: int
    mixer: Sequence[int]
    mixer_activation: str
    mixer_normalised: bool
    generator: Sequence[int]
    generator_activation: str
    generator_normalised: bool
    biases: bool

    def of(self, shapes: Mapping[str, tuple[int, ...]]) -> HyperGAN:
        """HyperGAN for the parameters of a target, by name and shape of one network's, in the order of their names."""
        layers: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
        for name in sorted(shapes, key=lambda name: (name.rpartition(".")[0], name)):
            layers.setdefault(name.rpartition(".")[0], []).append((name, tuple(shapes[name])))
        generators = tuple(
            Chain((self.code, *self.generator, sum(prod(shape) for _, shape in layer)), self.generator_activation,
                  self.generator_normalised, self.biases) for layer in layers.values())
        mixer = Chain((self.noise, *self.mixer, len(layers) * self.code), self.mixer_activation, self.mixer_normalised,
                      self.biases)
        return HyperGAN(mixer, generators, tuple(tuple(layer) for layer in layers.values()))
