"""Direct encoding: one gene for every weight."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from hyperevo.components import ComponentSettings, Positive
from hyperevo.devices import resident
from hyperevo.genotypes import Genotype, Genotypes, Neighbours, as_genes
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Counts, Encoding
from hyperevo.weights import Factored, Perturbed, Weight, Weights

Start = Callable[[torch.Generator], Mapping[str, Tensor] | None]
"""Function that draws a network's parameters as training begins with them; it gives None where the target has no own
way."""


class Settings(ComponentSettings):
    """Options of the direct encoding."""

    name: Literal["direct"] = "direct"
    scale: Positive = 0.05
    """Weight that a gene of 1 becomes."""


class DirectEncoding(Encoding):
    """Genotypes (P, genes) are the parameters one after the other."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.genes = sum(parameter.size for parameter in geometry.values())
        self.start: Start = lambda generator: None
        """Initial values of the target."""

    def counts(self, genotype: Genotype | None = None) -> Counts:
        """Counts of direct parameters alone: every gene is one."""
        return Counts(0, self.genes, 0)

    def generated(self) -> list[str]:
        """No parameters: all are searched directly."""
        return []

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from: initial values of the target's own, or weights of a
        size that keeps values in range."""
        networks = [network for _ in range(size) if (network := self.start(generator)) is not None]
        if networks:
            rows = [torch.cat([network[name].flatten() for name in self.geometry]) for network in networks]
            return torch.stack(rows) / self.settings.scale
        parts = [torch.randn(size, parameter.size, generator=generator) * parameter.deviation + parameter.initial
                 for parameter in self.geometry.values()]
        return torch.cat(parts, 1) / self.settings.scale

    def blocks_of_genes(self) -> dict[str, tuple[int, int | None]]:
        """Rows and columns of every weight matrix, or the length of a bias and None."""
        return {name: (place.target.units, None if place.source is None else place.source.units)
                for name, place in self.geometry.items()}

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes) or from P `Neighbours`, whose matrices become `Perturbed`."""
        if isinstance(genotypes, Neighbours):
            return self._express_neighbours(genotypes)
        genotypes = as_genes(genotypes)
        values = resident(genotypes, self.device)
        parts = self._split(values if self.settings.scale == 1 else values * self.settings.scale)
        return Weights({name: part.reshape(len(genotypes), *self.geometry[name].shape)
                        for name, part in parts.items()})

    def _split(self, values: Tensor) -> dict[str, Tensor]:
        """Values (…, size) of every parameter from values (…, genes)."""
        sizes = [parameter.size for parameter in self.geometry.values()]
        return dict(zip(self.geometry, values.split(sizes, dim=-1), strict=True))

    def _express_neighbours(self, genotypes: Neighbours) -> Weights:
        scale, values = self.settings.scale, dict[str, Weight]()
        for name, part in self._split(resident(genotypes.centre, self.device) * scale).items():
            noise, base = genotypes.noise[name], part.reshape(self.geometry[name].shape)
            if isinstance(noise, Factored):
                left, right = (resident(factor, self.device) for factor in (noise.left, noise.right))
                values[name] = Perturbed(base, left * scale, right)
            else:
                values[name] = base + resident(noise, self.device) * scale
        return Weights(values)


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> DirectEncoding:
    """The encoding for a target's parameters."""
    return DirectEncoding(settings, geometry, device)
