"""Genotypes: a tensor (genes,) or a `Graph`; populations of them; and both as tensors and plain data for files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperevo.errors import UserError, shortened, shown_path
from hyperevo.graph import Graph, Node, Topology, check_topology, numbers_needed
from hyperevo.graph_text import graph_from_text
from hyperevo.reading import as_json, read_bytes
from hyperevo.seal import STATE, TENSORS, break_seal
from hyperevo.tensors import read_tensors
from hyperevo.weights import Factored

Genotype = Tensor | Graph


@dataclass(frozen=True)
class Neighbours:
    """P genotypes around a centre, whose P × genes numbers are never built.

    centre: (genes,); noise: difference of every genotype from it, by parameter and in units of a gene, `Factored` for a
    matrix and a tensor (P, out) for a bias.
    """

    centre: Tensor
    noise: Mapping[str, Factored | Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.noise.values())))

    def __getitem__(self, chosen: slice) -> "Neighbours":
        return Neighbours(self.centre, {name: noise[chosen] for name, noise in self.noise.items()})


@dataclass(frozen=True)
class Drawn:
    """P genotypes of one generator, whose P × genes numbers are never built: they share all numbers but their codes.

    shared: (numbers,), the first genes of every genotype; codes: (P, length), its last ones.
    """

    shared: Tensor
    codes: Tensor

    @staticmethod
    def from_prior(shared: Tensor, size: int, length: int, generator: torch.Generator) -> "Drawn":
        """Genotypes with standard normal codes (size, length)."""
        return Drawn(shared, torch.randn(size, length, generator=generator).to(shared.device))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, chosen: slice) -> "Drawn":
        return Drawn(self.shared, self.codes[chosen])

    def genotype(self, index: int) -> Tensor:
        """One genotype (genes,)."""
        return torch.cat([self.shared, self.codes[index]])


Genotypes = Tensor | Sequence[Graph] | Neighbours | Drawn
"""A population: (P, genes), P graphs, P neighbours of one genotype, or P drawn from one generator."""


def as_genes(genotypes: Genotypes) -> Tensor:
    """Population as (P, genes); raises ValueError for one that is no tensor."""
    if not isinstance(genotypes, Tensor):
        raise ValueError(f"genotypes are a tensor (P, genes) here, not {type(genotypes).__name__}")
    return genotypes


def as_graphs(genotypes: Genotypes) -> list[Graph]:
    """Population as a list of graphs; raises ValueError for genes."""
    if isinstance(genotypes, Tensor | Neighbours | Drawn):
        raise ValueError(f"genotypes are graphs here, not {type(genotypes).__name__}")
    return list(genotypes)


def as_graph(genotype: Genotype) -> Graph:
    """Genotype that is a graph; raises ValueError for genes."""
    if not isinstance(genotype, Graph):
        raise ValueError("a genotype is a graph here, not a tensor of genes")
    return genotype


def first_of(genotypes: Genotypes) -> Genotype:
    """First genotype of a population; raises ValueError for neighbours, none of which is built."""
    if isinstance(genotypes, Neighbours):
        raise ValueError("neighbours of a genotype are never built")
    return genotypes.genotype(0) if isinstance(genotypes, Drawn) else genotypes[0]


def pack_genotype(genotype: Genotype) -> tuple[Any, dict[str, Tensor]]:
    """Plain data and tensors of a genotype, for files."""
    if isinstance(genotype, Tensor):
        return {"kind": "genes"}, {"genes": genotype}
    topology = genotype.topology
    plain = {"kind": "graph", "inputs": topology.inputs, "outputs": list(topology.outputs),
             "nodes": [node.plain() for node in topology.nodes],
             **({"recurrent": True} if topology.recurrent else {})}
    return plain, {"weights": genotype.weights, "biases": genotype.biases, "responses": genotype.responses}


def unpack_genotype(plain: Any, tensors: Mapping[str, Tensor]) -> Genotype:
    """Genotype from the plain data and tensors that `pack_genotype` gave; raises ValueError where they are none."""
    if plain["kind"] == "genes":
        return _numbers(tensors, "genes", None)
    nodes = tuple(Node(activation, aggregation, tuple(sources), *time)
                  for activation, aggregation, sources, *time in plain["nodes"])
    topology = Topology(plain["inputs"], nodes, tuple(plain["outputs"]), plain.get("recurrent", False) is True)
    check_topology(topology)
    return Graph(topology, *(_numbers(tensors, name, needed) for name, needed in numbers_needed(topology).items()))


def _numbers(tensors: Mapping[str, Tensor], name: str, needed: int | None) -> Tensor:
    """Finite numbers of one name, a vector of so many."""
    if name not in tensors:
        raise ValueError(f"there is no tensor {name}")
    found = tensors[name]
    if found.dim() != 1 or needed not in (None, len(found)):
        raise ValueError(f"{name}: is of shape {tuple(found.shape)}, needed are {needed or 'some'} numbers")
    if not found.is_floating_point() or not torch.isfinite(found).all():
        raise ValueError(f"{name}: has values that are no finite numbers")
    return found


Packed = tuple[Any, dict[str, Tensor]]
"""Plain data and tensors, as a folder holds them in state.json and tensors.safetensors."""

MOST_BYTES = 2**32
"""Bytes of a file of genotypes, of which a run may have a whole population."""


def read_champion(run: Path) -> Genotype:
    """Champion's genotype in the folder of a finished run; raises UserError, which names it, if there is none or it is
    damaged."""
    try:
        packed = read_packed(run / "champion")
    except UserError as error:
        raise UserError(f"{shown_path(run)}: is not a finished run: {error}") from error
    return champion_of(*packed, run)


def champion_of(plain: Any, tensors: Mapping[str, Tensor], run: Path) -> Genotype:
    """Champion's genotype from the content of its folder; raises UserError, which names the run's, if it is damaged."""
    try:
        own = plain["genotype"]
        return _checked_genes(tensors["genes"]) if own["kind"] == "genes" else _checked_graph(own, tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{shown_path(run)}: its champion is damaged: {shortened(error)}") from error


def read_packed(folder: Path) -> Packed:
    """Plain data and tensors in a folder; raises UserError, which names the file, if they are missing or damaged."""
    content = read_bytes(folder / STATE, MOST_BYTES)
    values, tensors = as_json(content, folder / STATE), read_tensors(folder / TENSORS)
    break_seal(folder, content, values)
    return values, tensors


def _checked_genes(genes: Tensor) -> Tensor:
    if genes.dim() != 1 or not genes.is_floating_point() or not torch.isfinite(genes).all():
        raise ValueError(f"genes are finite numbers (genes,), and these are {genes.dtype} {tuple(genes.shape)}")
    return genes


def _checked_graph(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Graph:
    numbers = {name: tensors[name].tolist() for name in ("weights", "biases", "responses")}
    return graph_from_text(json.dumps({name: plain[name] for name in ("inputs", "outputs", "nodes", "recurrent")
                                        if name in plain} | numbers))


def stack(genotype: Genotype) -> Tensor | list[Graph]:
    """Population of one: genes (1, genes), or a list of one graph."""
    return genotype[None] if isinstance(genotype, Tensor) else [genotype]
