"""Genotypes that hold some parameters in an encoding and the others directly."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from hyperevo.abilities import FixedLength, TakesNeighbours
from hyperevo.components import ComponentSettings, ParameterNames, Positive, nearest
from hyperevo.encodings.direct import DirectEncoding, Settings
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, Genotypes, Neighbours, as_genes
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Counts, Encoding
from hyperevo.pictures import Picture
from hyperevo.weights import Weights


class EncodingSettings(ComponentSettings):
    """Options of every encoding but the direct one."""

    direct: ParameterNames = ()
    """Parameters that are evolved or trained as they are, by name or pattern, such as "*.bias"; the encoding generates
    the others."""
    direct_scale: Positive = 0.05
    """Weight per unit of a direct parameter's gene."""


class PartlyDirect(Encoding):
    """Genotypes (P, genes): the inner encoding's genes, then every direct parameter."""

    def __init__(self, inner: Encoding, geometry: Mapping[str, ParameterGeometry], device: torch.device):
        assert isinstance(inner, FixedLength) and isinstance(inner.settings, EncodingSettings)
        self.inner, self.sampled, self.settings, self.device = inner, inner, inner.settings, device
        self.plain = DirectEncoding(Settings(scale=inner.settings.direct_scale), geometry, device)
        self.geometry = {**inner.geometry, **geometry}
        self.genes = inner.genes + self.plain.genes

    def counts(self, genotype: Genotype | None = None) -> Counts:
        """The inner encoding's, and the direct parameters."""
        own = self.inner.counts()
        return Counts(own.encoded_genes, own.direct_parameters + self.plain.genes, own.generated_weights)

    def generated(self) -> list[str]:
        """Parameters that come out of the inner encoding."""
        return self.inner.generated()

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """The inner encoding's."""
        assert isinstance(genotype, Tensor)
        return self.inner.figures(genotype[: self.inner.genes])

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) that a gradient search can start from."""
        return torch.cat([self.sampled.sample(size, generator), self.plain.sample(size, generator)], 1)

    def express(self, genotypes: Genotypes) -> Weights:
        """Genotypes (P, genes) → the weights of P networks."""
        encoded, direct = as_genes(genotypes).split([self.inner.genes, self.plain.genes], dim=1)
        return Weights({**self.inner.express(encoded), **self.plain.express(direct)})

    def __repr__(self) -> str:
        return f"{self.inner!r} and {self.plain.genes:,} direct parameters"


class PartlyDirectMatrices(PartlyDirect):
    """Partly direct genotypes of an inner encoding that expresses `Neighbours`, as the direct parameters do."""

    def blocks_of_genes(self) -> dict[str, tuple[int, int | None]]:
        """Shapes of the inner encoding's genes, then of the direct parameters."""
        assert isinstance(self.inner, TakesNeighbours)
        return {**self.inner.blocks_of_genes(), **self.plain.blocks_of_genes()}

    def express(self, genotypes: Genotypes) -> Weights:
        """Genotypes (P, genes), or P `Neighbours` → the weights of P networks."""
        if not isinstance(genotypes, Neighbours):
            return super().express(genotypes)
        centres = genotypes.centre.split([self.inner.genes, self.plain.genes])
        parts = [encoding.express(Neighbours(centre, {name: genotypes.noise[name] for name in encoding.geometry}))
                 for encoding, centre in zip((self.inner, self.plain), centres, strict=True)]
        return Weights({**parts[0], **parts[1]})


def split_geometry(geometry: Mapping[str, ParameterGeometry], direct: Sequence[str],
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
