"""DCT encoding: a low-frequency block of cosine coefficients, transformed back to every weight (Koutník et al. 2010).

    W[n1, n2, …] = Σ_k C[k1, k2, …] Π_a φ_a(k_a, n_a)      φ the orthonormal DCT-II basis of axis a, k_a < K_a

Every parameter is a grid with one axis per coordinate. `axes = "matrix"` gives each weight matrix a 2-D transform over
its rows and columns; `axes = "sheets"` one axis for every coordinate of the two sheets, 4-D for two planes. The result
is `Factored`: the cosine bases are shared by the population and the matrix is never built.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from math import pi, prod, sqrt
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import Positive
from hyperevo.devices import resident
from hyperevo.encodings._partly_direct import EncodingSettings
from hyperevo.genotypes import Genotype, Genotypes, Neighbours, as_genes, stack
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Encoding
from hyperevo.pictures import CoefficientsPicture, Picture
from hyperevo.weights import Factored, Perturbed, Weight, Weights


class Settings(EncodingSettings):
    """Options of the DCT encoding."""

    name: Literal["dct"] = "dct"
    axes: Literal["matrix", "sheets"] = "sheets"
    """Axes of a weight matrix's transform: its rows and columns, or every coordinate of the two sheets."""
    coefficients: tuple[Annotated[int, Field(ge=1)], ...] = (8,)
    """Number of low frequencies along each axis, target axes first; one number serves for all. A shorter axis keeps all
    of its frequencies."""
    scale: Positive = 1.0
    """Factor on the coefficients."""


def basis(size: int, coefficients: int) -> Tensor:
    """Orthonormal DCT-II basis (size, coefficients), float64: φ(k, n) = √((1 + [k > 0]) / N) cos(π (n + ½) k / N)."""
    places = torch.arange(size, dtype=torch.float64)[:, None] + 0.5
    frequencies = torch.arange(coefficients, dtype=torch.float64)[None, :]
    waves = torch.cos(pi / size * places * frequencies)
    return waves * torch.where(frequencies > 0, (2 / size) ** 0.5, (1 / size) ** 0.5)


def _product_basis(sizes: Sequence[int], coefficients: Sequence[int], device: torch.device) -> Tensor:
    """Basis (units, coefficients), float32, over several axes of one side."""
    bases = [basis(size, count) for size, count in zip(sizes, coefficients, strict=True)]
    return reduce(torch.kron, bases, torch.ones(1, 1, dtype=torch.float64)).to(device, torch.float32)


class DctEncoding(Encoding):
    """Genotypes (P, genes) hold every parameter's coefficient block in turn."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.blocks = {name: self._block(name, parameter) for name, parameter in geometry.items()}
        self.genes = sum(prod(target) * prod(source) for target, source in self.blocks.values())
        self._bases = {name: self._factors(name) for name in geometry}

    def _axes(self, parameter: ParameterGeometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.settings.axes == "matrix":
            return (parameter.target.units,), () if parameter.source is None else (parameter.source.units,)
        return parameter.target.sizes, () if parameter.source is None else parameter.source.sizes

    def _block(self, name: str, parameter: ParameterGeometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Numbers of coefficients kept along the target's and the source's axes; raises ValueError where the setting
        does not fit."""
        target, source = self._axes(parameter)
        wanted = self.settings.coefficients
        if len(wanted) == 1:
            wanted = wanted * (len(target) + len(source))
        elif parameter.source is None:
            wanted = wanted[: len(target)]
        if len(wanted) != len(target) + len(source):
            raise ValueError(f"encoding.coefficients: {len(wanted)} numbers, but {name} has {len(target + source)} "
                             f"axes {target + source}")
        kept = [min(count, size) for count, size in zip(wanted, target + source, strict=True)]
        return tuple(kept[: len(target)]), tuple(kept[len(target) :])

    def _factors(self, name: str) -> tuple[Tensor, Tensor]:
        (target_sizes, source_sizes), (target, source) = self._axes(self.geometry[name]), self.blocks[name]
        return (_product_basis(target_sizes, target, self.device), _product_basis(source_sizes, source, self.device))

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from. The bases are orthonormal, so the squares of the
        coefficients and of the weights have one sum."""
        parts = []
        for name, (target, source) in self.blocks.items():
            parameter, count = self.geometry[name], prod(target) * prod(source)
            deviation = parameter.deviation * sqrt(parameter.size / count)
            parts.append(torch.randn(size, count, generator=generator) * deviation)
        return torch.cat(parts, 1) / self.settings.scale

    def coefficients(self, genotypes: Tensor) -> dict[str, Tensor]:
        """Coefficients (P, target coefficients, source coefficients) of each parameter."""
        sizes = [prod(target) * prod(source) for target, source in self.blocks.values()]
        parts = genotypes.split(sizes, dim=1)
        return {name: part.reshape(len(genotypes), prod(target), prod(source))
                for (name, (target, source)), part in zip(self.blocks.items(), parts, strict=True)}

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """Coefficients of every weight matrix."""
        coefficients = self.coefficients(as_genes(stack(genotype)) * self.settings.scale)
        for name, (target, source) in self.blocks.items():
            if source:
                yield CoefficientsPicture(name, coefficients[name][0], target, source)

    def blocks_of_genes(self) -> dict[str, tuple[int, int | None]]:
        """Numbers of target and source coefficients of every matrix, or those of a bias and None."""
        return {name: (prod(target), prod(source) if self.geometry[name].source is not None else None)
                for name, (target, source) in self.blocks.items()}

    def express(self, genotypes: Genotypes) -> Weights:
        """Factored weight matrices and dense biases of P networks from genotypes (P, genes), or from P `Neighbours`,
        whose matrices become `Perturbed`."""
        if isinstance(genotypes, Neighbours):
            return self._express_neighbours(genotypes)
        weights: dict[str, Weight] = {}
        for name, core in self.coefficients(resident(as_genes(genotypes), self.device) * self.settings.scale).items():
            left, right = self._bases[name]
            if self.geometry[name].source is None:
                weights[name] = core[:, :, 0] @ left.T
            else:
                weights[name] = Factored(left, right, core)
        return Weights(weights)

    def _express_neighbours(self, genotypes: Neighbours) -> Weights:
        """The centre's weights, and the noise's factors, each through its basis."""
        centre, scale, values = self.express(genotypes.centre[None]), self.settings.scale, dict[str, Weight]()
        for name, (left, right) in self._bases.items():
            noise, base = genotypes.noise[name], centre[name]
            if isinstance(noise, Factored):
                assert isinstance(base, Factored)
                values[name] = Perturbed(base, _through(left, resident(noise.left, self.device) * scale),
                                         _through(right, resident(noise.right, self.device)))
            else:
                values[name] = centre.tensor(name) + resident(noise, self.device) * scale @ left.T
        return Weights(values)


def _through(basis: Tensor, factors: Tensor) -> Tensor:
    """Factors (P, coefficients, r) as (P, units, r), in one product for all networks."""
    rows = factors.transpose(1, 2).flatten(0, 1) @ basis.T
    return rows.view(len(factors), factors.shape[2], -1).transpose(1, 2)


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> DctEncoding:
    """The encoding for a target's parameters."""
    return DctEncoding(settings, geometry, device)
