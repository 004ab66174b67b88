"""Fixed graph: a CPPN whose graph stays as it is, and whose numbers are the genes.

A graph found by NEAT can be trained by gradient, or moved by any search over numbers. Genotypes (P, genes) hold the
weights of all links and then the biases of all nodes; responses stay those of the graph.
"""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import field_validator
from torch import Tensor

from hyperevo.components import Positive
from hyperevo.encodings._table import repeated_graph
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.encodings.cppn import Settings as CppnSettings
from hyperevo.errors import UserError, shown_path
from hyperevo.genotypes import Genotype, Genotypes, as_genes, pack_genotype, read_champion, stack
from hyperevo.geometry import ParameterGeometry
from hyperevo.graph import Graph
from hyperevo.graph_text import graph_from_text
from hyperevo.kept import kept
from hyperevo.parts import Encoding
from hyperevo.pictures import Picture
from hyperevo.weights import Weights


class Settings(CppnSettings):
    """Options of the fixed graph; those of the CPPN encoding must be the ones the graph evolved with."""

    name: Literal["fixed-graph"] = "fixed-graph"  # type: ignore[assignment]
    graph: str
    """Run folder whose champion is the graph. The resolved config holds the graph itself, so that the folder is needed
    once."""
    start: Literal["evolved", "random"] = "evolved"
    """Numbers that a gradient starts from: the graph's own, equal for a whole population (evolved), or normal ones
    (random)."""
    deviation: Positive = 0.5
    """Standard deviation of the random start."""

    @field_validator("graph")
    @classmethod
    def _text(cls, graph: str) -> str:
        text = graph if graph.startswith("{") else _champion_as_text(Path(graph))
        try:
            graph_from_text(text)
        except ValueError as error:
            raise ValueError(f"is neither a run folder nor a graph: {error}") from error
        return text


def _champion_as_text(run: Path) -> str:
    """Graph of a run's champion as JSON; raises ValueError where there is none."""
    try:
        champion = read_champion(run)
    except UserError as error:
        raise ValueError(str(error)) from error
    if not isinstance(champion, Graph):
        raise ValueError(f"{shown_path(run)}: its champion is not a graph")
    plain, tensors = pack_genotype(champion)
    return json.dumps({"inputs": plain["inputs"], "outputs": plain["outputs"], "nodes": plain["nodes"],
                       **{name: tensors[name].tolist() for name in ("weights", "biases", "responses")}})


class FixedGraphEncoding(Encoding):
    """Map from genotypes (P, genes) to the weights that one graph paints with their numbers."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.painter = CppnEncoding(settings, geometry, device)
        self.graph = graph_from_text(settings.graph)
        for kind, has, needs in (("inputs", self.graph.topology.inputs, len(self.painter.input_names)),
                                 ("outputs", len(self.graph.topology.outputs), len(self.painter.output_names))):
            if has != needs:
                raise ValueError(f"encoding.graph: has {has} {kind}, and the encoding needs {needs}")
        self.genes = self.graph.genes

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from."""
        if self.settings.start == "random":
            return torch.randn(size, self.genes, generator=generator) * self.settings.deviation
        return torch.cat([self.graph.weights, self.graph.biases]).float().expand(size, -1)

    def graphs(self, genotypes: Tensor) -> Sequence[Graph]:
        """The graph with every genotype's numbers."""
        links = self.graph.topology.links
        return repeated_graph(self.graph.topology, genotypes[:, :links], genotypes[:, links:],
                              kept(lambda: self.graph.responses.to(genotypes)))

    def decisions(self, genotypes: Genotypes) -> Hashable:
        """Everything that the painter decides by numbers."""
        return self.painter.decisions(self.graphs(as_genes(genotypes).cpu()))

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """The graph with these numbers, as the CPPN encoding shows it."""
        return self.painter.figures(self.graphs(as_genes(stack(genotype)))[0])

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from genotypes (P, genes)."""
        return self.painter.express(self.graphs(as_genes(genotypes)))


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> FixedGraphEncoding:
    """The encoding for a target's parameters."""
    return FixedGraphEncoding(settings, geometry, device)
