"""HyperGAN encoding (Ratzlaff & Li 2019): genes are the numbers of a generator of networks, and one network's noise.

A mixer turns noise into a code for every layer of the target, and a generator for each layer turns its code into the
layer's weights. Networks that share all numbers but the noise are samples of one distribution; search `adversarial`
trains it, and encoding `generator` takes the trained one by its run's folder.

The paper, its first public code (October 2018) and its last (2020) differ: mixer and generator have ELU or ReLU,
one or two hidden layers, batch normalisation or none, codes of 128 or 64 numbers, linear layers with biases or without.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.devices import resident
from hyperevo.generative.hypergan import Plan
from hyperevo.genotypes import Drawn, Genotypes, as_genes
from hyperevo.geometry import ParameterGeometry, each_weight
from hyperevo.parts import Encoding
from hyperevo.weights import Weights

Units = tuple[PositiveInt, ...]


class Settings(ComponentSettings):
    """Options of the HyperGAN encoding."""

    name: Literal["hypergan"] = "hypergan"
    noise: int = Field(256, ge=1, le=100_000)
    """Numbers of a network's noise, standard normal."""
    layer_code: int = Field(128, ge=1, le=100_000)
    """Numbers of a layer's code: 128 in the paper and the first code, 64 in the last."""
    mixer: Units = (512, 512)
    """Hidden units of the mixer."""
    mixer_activation: Literal["elu", "relu"] = "elu"
    """Function of the mixer's hidden units: ELU in the ICLR text, ReLU in the ICML slides and the first code."""
    mixer_normalisation: bool = False
    """true: the mixer's hidden values are normalised, as in both codes; the paper has no such layer. Statistics are
    those of 64 fixed noises, and not of the networks drawn together."""
    generator: Units = (512, 512)
    """Hidden units of every generator: two layers in the paper and the last code, one, [512], in the first."""
    generator_activation: Literal["elu", "relu"] = "elu"
    """Function of the generators' hidden units."""
    generator_normalisation: bool = False
    """true: the generators' hidden values are normalised, as in both codes."""
    biases: bool = True
    """false: linear layers have no biases, as in the last code."""


class HyperGANEncoding(Encoding):
    """Genotypes (P, genes) hold the mixer's numbers, every generator's, and the noise of the network."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.model = plan(settings).of({name: place.shape for name, place in geometry.items()})
        self.noise, self.genes = settings.noise, self.model.numbers + settings.noise
        self.parts = self.model.mixer.numbers, self.model.numbers - self.model.mixer.numbers

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from: generators whose networks' weights are of a size that
        keeps values in range (Chang, Flokas & Lipson 2020), and noise from the prior."""
        return torch.stack([torch.cat([self._start(generator), torch.randn(self.noise, generator=generator)])
                            for _ in range(size)])

    def _start(self, generator: torch.Generator) -> Tensor:
        parts = [self.model.mixer.start(generator)]
        for chain, layer in zip(self.model.generators, self.model.layers, strict=True):
            places = [self.geometry[name] for name, _ in layer]
            parts.append(chain.start(generator, each_weight(places, lambda place: place.deviation),
                                     each_weight(places, lambda place: place.initial)))
        return torch.cat(parts)

    def drawn(self, shared: Tensor, size: int, generator: torch.Generator) -> Drawn:
        """Networks that share all numbers (genes without the noise), with noise from the prior."""
        return Drawn.from_prior(shared, size, self.noise, generator)

    def codes(self, drawn: Drawn) -> Tensor:
        """Codes (P, layers, length) of networks, differentiable in the shared numbers."""
        return self.model.mixed(drawn.shared, drawn.codes)

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes), each with a generator of its own, or from P that share one.
        """
        if isinstance(genotypes, Drawn):
            shared, noise = (resident(part, self.device) for part in (genotypes.shared, genotypes.codes))
            return Weights(self.model.networks(shared, noise))
        own = [self.model.networks(genes[: -self.noise], genes[None, -self.noise :])
               for genes in resident(as_genes(genotypes), self.device)]
        return Weights({name: torch.cat([network[name] for network in own]) for name in self.geometry})


def plan(settings: Settings) -> Plan:
    """Sizes of the HyperGAN that settings describe."""
    return Plan(settings.noise, settings.layer_code, settings.mixer, settings.mixer_activation,
                settings.mixer_normalisation, settings.generator, settings.generator_activation,
                settings.generator_normalisation, settings.biases)


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> HyperGANEncoding:
    """The encoding for a target's parameters."""
    return HyperGANEncoding(settings, geometry, device)
