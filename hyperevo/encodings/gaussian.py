"""Gaussian encoding: genes are the mean and the deviation of every weight, and the noise of one network.

    weight = mean + exp(logarithm) · noise

Networks that share all numbers but the noise are samples of one distribution. Search `adversarial` without a
discriminator and with `divergence` trains it by the evidence lower bound: Bayes by backprop (Blundell et al. 2015).
"""

from collections.abc import Mapping
from math import log
from typing import Literal

import torch
from torch import Tensor

from hyperevo.components import ComponentSettings, Positive
from hyperevo.devices import resident
from hyperevo.genotypes import Drawn, Genotypes, as_genes
from hyperevo.geometry import ParameterGeometry, each_weight
from hyperevo.parts import Encoding
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of the Gaussian encoding."""

    name: Literal["gaussian"] = "gaussian"
    spread: Positive = 0.1
    """Deviation of every weight as training begins, in units of a typical size of its parameter's weights."""
    prior: Positive = 1.0
    """Deviation of the weights' prior, around 0, in the same units."""


class GaussianEncoding(Encoding):
    """Genotypes (P, genes) hold the logarithms of all deviations, all means, and the noise of the network."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.noise = sum(place.size for place in geometry.values())
        self.parts, self.genes = (self.noise, self.noise), 3 * self.noise
        # Biases have no size of their own.
        self._sizes = each_weight(geometry.values(), lambda place: place.deviation or 0.1)
        self._initial = each_weight(geometry.values(), lambda place: place.initial)

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from: means as direct weights begin, and noise."""
        spread = each_weight(self.geometry.values(), lambda place: place.deviation)
        means = torch.randn(size, self.noise, generator=generator) * spread + self._initial
        logarithms = (self._sizes.log() + log(self.settings.spread)).expand(size, -1)
        return torch.cat([logarithms, means, torch.randn(size, self.noise, generator=generator)], 1)

    def drawn(self, shared: Tensor, size: int, generator: torch.Generator) -> Drawn:
        """Networks of one distribution (its logarithms and means), with standard normal noise."""
        return Drawn.from_prior(shared, size, self.noise, generator)

    def codes(self, drawn: Drawn) -> Tensor:
        """Noise of the networks as the code of one layer, (P, 1, weights)."""
        return drawn.codes[:, None]

    def divergence(self, shared: Tensor) -> Tensor:
        """Kullback-Leibler divergence () of the distribution from the weights' prior, in nats."""
        logarithms, means = shared.split(self.noise)
        prior = resident(self._sizes * self.settings.prior, self.device)
        variances = (2 * logarithms).exp() / prior.square()
        return ((variances + ((means - resident(self._initial, self.device)) / prior).square() - 1) / 2
                - logarithms + prior.log()).sum()

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes), or from P that share a distribution."""
        if isinstance(genotypes, Drawn):
            shared, noise = (resident(part, self.device) for part in (genotypes.shared, genotypes.codes))
            logarithms, means = shared.split(self.noise)
        else:
            logarithms, means, noise = resident(as_genes(genotypes), self.device).split(self.noise, 1)
        parts = (means + logarithms.exp() * noise).split([place.size for place in self.geometry.values()], 1)
        return Weights({name: part.unflatten(1, place.shape)
                        for (name, place), part in zip(self.geometry.items(), parts, strict=True)})


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> GaussianEncoding:
    """The encoding for a target's parameters."""
    return GaussianEncoding(settings, geometry, device)
