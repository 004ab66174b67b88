"""Genotypes: a tensor (genes,) or a `Graph`; populations of them; and both as tensors and plain data for files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyperevo.graph import Graph, Node, Topology, check_topology, numbers_needed
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


Genotypes = Tensor | Sequence[Graph] | Neighbours
"""A population: (P, genes), P graphs, or P neighbours of one genotype."""


def as_genes(genotypes: Genotypes) -> Tensor:
    """Population as (P, genes); raises ValueError for one of graphs or of neighbours."""
    if not isinstance(genotypes, Tensor):
        raise ValueError(f"genotypes are a tensor (P, genes) here, not {type(genotypes).__name__}")
    return genotypes


def as_graphs(genotypes: Genotypes) -> list[Graph]:
    """Population as a list of graphs; raises ValueError for genes."""
    if isinstance(genotypes, Tensor | Neighbours):
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
    return genotypes[0]


def pack_genotype(genotype: Genotype) -> tuple[Any, dict[str, Tensor]]:
    """Plain data and tensors of a genotype, for files."""
    if isinstance(genotype, Tensor):
        return {"kind": "genes"}, {"genes": genotype}
    topology = genotype.topology
    plain = {"kind": "graph", "inputs": topology.inputs, "outputs": list(topology.outputs),
             "nodes": [[node.activation, node.aggregation, list(node.sources)] for node in topology.nodes]}
    return plain, {"weights": genotype.weights, "biases": genotype.biases, "responses": genotype.responses}


def unpack_genotype(plain: Any, tensors: Mapping[str, Tensor]) -> Genotype:
    """Genotype from the plain data and tensors that `pack_genotype` gave; raises ValueError where they are none."""
    if plain["kind"] == "genes":
        return _numbers(tensors, "genes", None)
    nodes = tuple(Node(activation, aggregation, tuple(sources)) for activation, aggregation, sources in plain["nodes"])
    topology = Topology(plain["inputs"], nodes, tuple(plain["outputs"]))
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


def stack(genotype: Genotype) -> Tensor | list[Graph]:
    """Population of one: genes (1, genes), or a list of one graph."""
    return genotype[None] if isinstance(genotype, Tensor) else [genotype]
