"""Genotypes: a tensor (genes,) or a `Graph`; populations of them; and both as tensors and plain data for files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.graph import Graph, Node, Topology
from hyperevo.weights import Factored

Genotype = Tensor | Graph


@dataclass(frozen=True)
class Neighbours:
    """P genotypes around one, whose P × genes numbers are never built.

    centre: (genes,); noise: added to it by every genotype, by parameter and in units of a gene, `Factored` for a
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
    """(plain data, tensors)."""
    if isinstance(genotype, Tensor):
        return {"kind": "genes"}, {"genes": genotype}
    topology = genotype.topology
    plain = {"kind": "graph", "inputs": topology.inputs, "outputs": list(topology.outputs),
             "nodes": [[node.activation, node.aggregation, list(node.sources)] for node in topology.nodes]}
    return plain, {"weights": genotype.weights, "biases": genotype.biases, "responses": genotype.responses}


def unpack_genotype(plain: Any, tensors: Mapping[str, Tensor]) -> Genotype:
    """The genotype that `pack_genotype` took apart."""
    if plain["kind"] == "genes":
        return tensors["genes"]
    nodes = tuple(Node(activation, aggregation, tuple(sources)) for activation, aggregation, sources in plain["nodes"])
    topology = Topology(plain["inputs"], nodes, tuple(plain["outputs"]))
    return Graph(topology, tensors["weights"], tensors["biases"], tensors["responses"])


Packed = tuple[Any, dict[str, Tensor]]
"""Plain data and tensors, as a folder holds them in state.json and tensors.safetensors."""


def read_champion(folder: Path) -> Genotype:
    """Champion's genotype in the folder of a finished run; raises UserError, which names the folder, if it is none or
    damaged."""
    try:
        plain, tensors = read_packed(folder / "champion")
    except OSError as error:
        raise UserError(f"{folder}: is not a finished run: {error.strerror or error}") from error
    return champion_of(plain, tensors, folder)


def champion_of(plain: Any, tensors: Mapping[str, Tensor], folder: Path) -> Genotype:
    """Champion's genotype from the content of its folder; raises UserError, which names the run's, if it is damaged."""
    try:
        genotype = unpack_genotype(plain["genotype"], tensors)
        _check_genes(genotype) if isinstance(genotype, Tensor) else _check_graph(genotype)
        return genotype
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{folder}: holds no champion: {' '.join(str(error).split())}") from error


def read_packed(folder: Path) -> Packed:
    """Plain data and tensors in a folder; raises OSError if they cannot be read, and UserError if they are damaged."""
    try:
        return (json.loads((folder / "state.json").read_text(encoding="utf-8")),
                load_file(folder / "tensors.safetensors"))
    except (ValueError, RecursionError, SafetensorError) as error:
        raise UserError(f"{folder}: is cut short or damaged: {' '.join(str(error).split())}") from error


def _check_genes(genes: Tensor) -> None:
    if genes.dim() != 1 or not genes.is_floating_point() or not torch.isfinite(genes).all():
        raise ValueError(f"genes are finite numbers (genes,), not {genes.dtype} {tuple(genes.shape)}")


def _check_graph(graph: Graph) -> None:
    topology = graph.topology
    numbers = {"weights": (graph.weights, topology.links), "biases": (graph.biases, len(topology.nodes)),
               "responses": (graph.responses, len(topology.nodes))}
    for name, (values, count) in numbers.items():
        if values.shape != (count,) or not torch.isfinite(values).all():
            raise ValueError(f"its graph wants {count} finite {name}")
    for index, node in enumerate(topology.nodes):
        if node.activation not in ACTIVATIONS or node.aggregation not in AGGREGATIONS:
            raise ValueError(f"node {index} has functions {node.activation} and {node.aggregation}")
        if not all(0 <= source < topology.inputs + index for source in node.sources):
            raise ValueError(f"node {index} is computed before one of its sources")
    if not all(0 <= output < len(topology.nodes) for output in topology.outputs):
        raise ValueError("an output is no node")


def stack(genotype: Genotype) -> Tensor | list[Graph]:
    """A population of one."""
    return genotype[None] if isinstance(genotype, Tensor) else [genotype]
