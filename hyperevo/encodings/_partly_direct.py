"""Some parameters written down by an encoding, the others directly, in one genotype."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hyperevo.components import ComponentSettings, nearest
from hyperevo.encodings.direct import DirectEncoding, Settings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Weights


class EncodingSettings(ComponentSettings):
    """What every encoding but the direct one can be told."""

    direct: tuple[str, ...] = ()
    """Parameters that are evolved or trained as they are; the encoding generates the others."""


class PartlyDirect:
    """Genotypes (P, genes): the inner encoding's genes, then every direct parameter."""

    def __init__(self, inner: Any, geometry: dict[str, ParameterGeometry], device: torch.device):
        self.inner, self.settings = inner, inner.settings
        self._direct = DirectEncoding(Settings(), geometry, device)
        self.direct_parameters = self._direct.genes
        self.genes = inner.genes + self.direct_parameters

    def express(self, genotypes: Tensor) -> Weights:
        """Genotypes (P, genes) → the weights of P networks."""
        encoded, direct = genotypes.split([self.inner.genes, self.direct_parameters], dim=1)
        return Weights({**self.inner.express(encoded), **self._direct.express(direct)})


def split_geometry(geometry: dict[str, ParameterGeometry], direct: Sequence[str]) \
        -> tuple[dict[str, ParameterGeometry], dict[str, ParameterGeometry]]:
    """(encoded, direct) parameters; raises UserError for a name the target does not have."""
    for name in direct:
        if name not in geometry:
            raise UserError(f"encoding.direct: the target has no parameter {name!r}; {nearest(name, geometry)}")
    if len(set(direct)) == len(geometry):
        raise UserError("encoding.direct names every parameter of the target; use encoding.name=direct")
    return ({name: place for name, place in geometry.items() if name not in direct},
            {name: place for name, place in geometry.items() if name in direct})
