"""Direct encoding: one gene for every weight."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of the direct encoding."""

    name: Literal["direct"] = "direct"
    scale: float = Field(0.05, gt=0)
    """Weight per unit of gene."""


class DirectEncoding:
    """Genotypes (P, genes) are the parameters one after the other."""

    def __init__(self, settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.genes = sum(parameter.size for parameter in geometry.values())

    def express(self, genotypes: Tensor) -> Weights:
        """Genotypes (P, genes) → the weights of P networks."""
        parts = (genotypes.to(self.device) * self.settings.scale).split(
            [parameter.size for parameter in self.geometry.values()], dim=1)
        return Weights({name: part.reshape(len(genotypes), *parameter.shape)
                        for (name, parameter), part in zip(self.geometry.items(), parts, strict=True)})


def build(settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device) -> DirectEncoding:
    """The encoding for a target's parameters."""
    return DirectEncoding(settings, geometry, device)
