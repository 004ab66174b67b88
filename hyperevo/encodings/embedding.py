"""Embedding encoding: a static hypernetwork (Ha, Dai & Le 2016, section 3.1), one small generator for many layers.

Every tile of a weight matrix or kernel has an embedding z of N_z numbers. A generator of two linear layers makes the
tile, N_in input channels by N_out output channels of f × f weights:

    a_i = W_i z + B_i            for every input channel i; W_i (d, N_z), B_i (d,)
    K_i = W_out a_i + B_out      W_out (N_out · f · f, d), shared by all i

A layer with more channels is a grid of tiles; what sticks out over its edge is cut off. Layers with kernels of one size
share a generator: it has d (N_z + 1) N_in + f f N_out (d + 1) genes. A fully connected layer is a kernel of 1 × 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hyperevo.devices import resident
from hyperevo.encodings._partly_direct import EncodingSettings
from hyperevo.genotypes import Genotype, Genotypes, as_genes, stack
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Encoding
from hyperevo.pictures import EmbeddingsPicture, Picture
from hyperevo.weights import Weights


class Settings(EncodingSettings):
    """Options of the embedding encoding."""

    name: Literal["embedding"] = "embedding"
    embedding: int = Field(64, ge=1, le=100_000)
    """N_z, number of values in the embedding of a tile."""
    hidden: int | None = Field(None, ge=1, le=100_000)
    """d, width of the generator; by default N_z, as in the paper."""
    tile: tuple[PositiveInt, PositiveInt] = (16, 16)
    """N_in input channels and N_out output channels of a tile."""
    plain: bool = False
    """true: genes are the generator's numbers themselves, as in the paper; false: they are in units of a typical size
    of their part."""


@dataclass(frozen=True)
class Layer:
    """One generated parameter: its rows and columns of tiles, and the index of its first embedding in its generator."""

    name: str
    rows: int
    columns: int
    first: int


@dataclass(frozen=True)
class Generator:
    """One generator: the kernel's weights (f · f), the layers that share it, and the shape and typical size of each
    part."""

    kernel: int
    layers: tuple[Layer, ...]
    parts: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, float]

    @property
    def genes(self) -> int:
        """Number of genes, embeddings among them."""
        return sum(prod(shape) for shape in self.parts.values())


class EmbeddingEncoding(Encoding):
    """Genotypes (P, genes) hold every generator's embeddings, then W, B, W_out and B_out, in units of a part's typical
    size (except with `plain`), so that one step size suits all of a search that moves genes alike."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.generators = self._plan()
        self.genes = sum(generator.genes for generator in self.generators)

    def _plan(self) -> list[Generator]:
        inputs, outputs = self.settings.tile
        by_kernel: dict[int, list[Layer]] = {}
        for name, parameter in self.geometry.items():
            channels, kernel = _channels(parameter)
            layers = by_kernel.setdefault(kernel, [])
            first = sum(layer.rows * layer.columns for layer in layers)
            layers.append(Layer(name, -(-parameter.target.units // outputs), -(-channels // inputs), first))
        return [self._generator(kernel, tuple(layers)) for kernel, layers in by_kernel.items()]

    def _generator(self, kernel: int, layers: tuple[Layer, ...]) -> Generator:
        """Generator of the layers with one kernel size. Embeddings have size one, and weights the size that the
        narrowest of the layers needs, as in Chang, Flokas & Lipson (2020)."""
        (inputs, outputs), embedding = self.settings.tile, self.settings.embedding
        width = self.settings.hidden or embedding
        tiles = sum(layer.rows * layer.columns for layer in layers)
        deviation = min(self.geometry[layer.name].deviation for layer in layers)
        return Generator(
            kernel, layers,
            {"embeddings": (tiles, embedding), "input weights": (inputs, width, embedding),
             "input biases": (inputs, width), "output weights": (outputs * kernel, width),
             "output biases": (outputs * kernel,)},
            {"embeddings": 1.0, "input weights": 1 / sqrt(embedding), "input biases": 1.0,
             "output weights": deviation / sqrt(width), "output biases": deviation})

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from: normal numbers, biases 0."""
        return torch.cat([torch.randn(size, prod(shape), generator=generator)
                          * (0.0 if "biases" in part else own.sizes[part] if self.settings.plain else 1.0)
                          for own in self.generators for part, shape in own.parts.items()], 1)

    def _parts(self, genotypes: Tensor) -> list[dict[str, Tensor]]:
        """Parts of every generator, (P, *shape) each."""
        counts = [prod(shape) for own in self.generators for shape in own.parts.values()]
        pieces = iter(resident(genotypes, self.device).split(counts, dim=1))
        return [{part: next(pieces).unflatten(1, shape) * (1.0 if self.settings.plain else own.sizes[part])
                 for part, shape in own.parts.items()} for own in self.generators]

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """Embeddings of all tiles, if there are at least three."""
        embeddings = {name: values[0] for name, values in self.embeddings(as_genes(stack(genotype))).items()}
        if sum(values[..., 0].numel() for values in embeddings.values()) >= 3:
            yield EmbeddingsPicture(embeddings)

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes)."""
        return self.generate(self._parts(as_genes(genotypes)))

    def generate(self, every: Sequence[Mapping[str, Tensor]]) -> Weights:
        """Weights of P networks from every generator's parts, (P, *shape) each. All tiles of a generator are made
        together."""
        values: dict[str, Tensor] = {}
        for own, parts in zip(self.generators, every, strict=True):
            tiles = _tiles(parts, self.settings.tile, own.kernel)
            values |= {layer.name: self._assemble(layer, tiles) for layer in own.layers}
        return Weights({name: values[name] for name in self.geometry})

    def _assemble(self, layer: Layer, tiles: Tensor) -> Tensor:
        """Parameter (P, out, in · f · f) from the generator's tiles (P, tiles, N_out, N_in, f · f)."""
        parameter = self.geometry[layer.name]
        channels, _ = _channels(parameter)
        own = tiles[:, layer.first : layer.first + layer.rows * layer.columns]
        grid = own.unflatten(1, (layer.rows, layer.columns)).transpose(2, 3)
        whole = grid.flatten(3, 4).flatten(1, 2)
        return whole[:, : parameter.target.units, :channels].flatten(2)

    def embeddings(self, genotypes: Tensor) -> dict[str, Tensor]:
        """Embeddings (P, rows of tiles, columns of tiles, N_z) by parameter."""
        found: dict[str, Tensor] = {}
        for own, parts in zip(self.generators, self._parts(genotypes), strict=True):
            for layer in own.layers:
                chosen = parts["embeddings"][:, layer.first : layer.first + layer.rows * layer.columns]
                found[layer.name] = chosen.unflatten(1, (layer.rows, layer.columns))
        return found


def _channels(parameter: ParameterGeometry) -> tuple[int, int]:
    """Number of input channels of a parameter, and number of weights in a kernel."""
    assert parameter.source is not None
    if parameter.tensor is None or len(parameter.tensor) < 3:
        return parameter.source.units, 1
    return parameter.tensor[1], prod(parameter.tensor[2:])


def _tiles(parts: Mapping[str, Tensor], tile: tuple[int, int], kernel: int) -> Tensor:
    """Tiles (P, tiles, N_out, N_in, f · f), by two products for the whole population."""
    inputs, outputs = tile
    width = parts["input biases"].shape[2]
    # (P, tiles, N_in · d): W and B of all input channels side by side.
    middle = torch.baddbmm(parts["input biases"].flatten(1)[:, None], parts["embeddings"],
                           parts["input weights"].flatten(1, 2).transpose(1, 2))
    # (P, tiles · N_in, N_out · f · f): one W_out for all of them.
    made = torch.baddbmm(parts["output biases"][:, None], middle.unflatten(2, (inputs, width)).flatten(1, 2),
                         parts["output weights"].transpose(1, 2))
    return made.unflatten(1, (-1, inputs)).unflatten(3, (outputs, kernel)).transpose(2, 3)


def generates(parameter: ParameterGeometry) -> bool:
    """True for weight matrices and kernels; biases and the parameters of normalisations are direct."""
    return parameter.source is not None


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> EmbeddingEncoding:
    """The encoding for a target's weight matrices and kernels."""
    return EmbeddingEncoding(settings, geometry, device)
