"""Genotypes as tensors and plain data, for checkpoints and champions. A genotype is a tensor (genes,) or a `Graph`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hyperevo.graph import Graph, Node, Topology

Genotype = Tensor | Graph


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


def stack(genotype: Genotype) -> Any:
    """A population of one."""
    return genotype[None] if isinstance(genotype, Tensor) else [genotype]
