"""Genotypes that hold some parameters in an encoding and the others directly."""

import fnmatch
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import ComponentSettings, nearest
from hyperevo.encodings.direct import DirectEncoding, Settings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Weights


class EncodingSettings(ComponentSettings):
    """Options of every encoding but the direct one."""

    direct: tuple[str, ...] = ()
    """Parameters that are evolved or trained as they are, by name or pattern, such as "*.bias"; the encoding generates
    the others."""
    direct_scale: float = Field(0.05, gt=0)
    """Weight per unit of a direct parameter's gene."""


class PartlyDirect:
    """Genotypes (P, genes): the inner encoding's genes, then every direct parameter."""

    def __init__(self, inner: Any, geometry: dict[str, ParameterGeometry], device: torch.device):
        self.inner, self.settings = inner, inner.settings
        self.device = device
        self.plain = DirectEncoding(Settings(scale=inner.settings.direct_scale), geometry, device)
        self.direct_parameters = self.plain.genes
        self.genes = inner.genes + self.direct_parameters

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) that a gradient search can start from."""
        return torch.cat([self.inner.sample(size, generator), self.plain.sample(size, generator)], 1)

    def express(self, genotypes: Tensor) -> Weights:
        """Genotypes (P, genes) → the weights of P networks."""
        encoded, direct = genotypes.split([self.inner.genes, self.direct_parameters], dim=1)
        return Weights({**self.inner.express(encoded), **self.plain.express(direct)})


def split_geometry(geometry: dict[str, ParameterGeometry], direct: Sequence[str],
                   generates: Callable[[ParameterGeometry], bool]) \
        -> tuple[dict[str, ParameterGeometry], dict[str, ParameterGeometry]]:
    """Split parameters into encoded and direct ones. Direct are those that a pattern names and those of a kind that the
    encoding does not generate. Raises UserError for a pattern without a match, and where nothing is left to encode."""
    for pattern in direct:
        if not fnmatch.filter(geometry, pattern):
            raise UserError(f"encoding.direct: the target has no parameter {pattern!r}; {nearest(pattern, geometry)}")
    plain = {name: place for name, place in geometry.items()
             if not generates(place) or any(fnmatch.fnmatchcase(name, pattern) for pattern in direct)}
    if len(plain) == len(geometry):
        raise UserError("encoding.direct names every parameter of the target; use encoding.name=direct")
    return {name: place for name, place in geometry.items() if name not in plain}, plain
