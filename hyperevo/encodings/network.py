"""Network encoding: a graph is the network, its nodes are the units (Stanley & Miikkulainen 2002).

Nothing is painted: NEAT's genomes are evolved as neat-python evolves them, and the target `network` computes them, all
at once. Genotypes are `Graph` objects of any shapes, usually from the search `neat`; weights, biases and responses are
differentiable, so that genomes can learn, too.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.encodings._table import Table, table_from_graphs
from hyperevo.genotypes import Drawn, Genotype, Genotypes, Neighbours, as_graph, as_graphs
from hyperevo.geometry import NETWORK, ParameterGeometry
from hyperevo.parts import Counts, Encoding
from hyperevo.pictures import GraphPicture, Picture
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of the network encoding."""

    name: Literal["network"] = "network"
    recurrent: bool = False
    """true: links may lead back, and all nodes are updated at once, a step behind their sources."""
    continuous: bool = False
    """true, with recurrent: a network in continuous time (CTRNN), whose nodes follow their sources by time constants of
    their own."""

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if self.continuous and not self.recurrent:
            raise ValueError("continuous = true needs recurrent = true")
        return self


class NetworkEncoding(Encoding):
    """Map from graphs to the parameters of target `network`.

    `input_names` and `output_names` say what a genome must read and write; the search builds its genomes to fit.
    """

    settings: Settings

    finds_nodes = True

    def __init__(self, settings: Settings, place: ParameterGeometry, device: torch.device | str = "cpu"):
        if place.source is None:
            raise ValueError("encoding.name: network needs inputs")
        self.settings, self.device = settings, torch.device(device)
        self.recurrent, self.continuous = settings.recurrent, settings.continuous
        self.geometry = {NETWORK: place}
        self.input_names = [f"input {number + 1}" for number in range(place.source.units)]
        self.output_names = [f"output {number + 1}" for number in range(place.target.units)]

    def express(self, genotypes: Genotypes, dtype: torch.dtype = torch.float32) -> Weights:
        """Parameters of P networks, padded to those of the largest."""
        if isinstance(genotypes, Tensor | Neighbours | Drawn):
            as_graphs(genotypes)  # says that they are not graphs
        return self._padded(table_from_graphs(genotypes), dtype)  # type: ignore[arg-type]

    def _padded(self, table: Table, dtype: torch.dtype) -> Weights:
        layout, population = table.layout, len(table)
        counts, firsts = np.diff(layout.starts), layout.first_links[layout.starts]
        owners = np.repeat(np.arange(population), counts)
        nodes = _Padding(owners, np.arange(len(owners)) - layout.starts[owners], counts, self.device)
        targets = layout.targets
        owned = owners[targets]
        links = _Padding(owned, np.arange(len(targets)) - firsts[owned], np.diff(firsts), self.device)
        depths = {} if self.recurrent else {"node.depth": nodes.integers(layout.depths)}
        times = {"node.time_constant": nodes.numbers(torch.from_numpy(layout.time_constants), dtype)} \
            if self.continuous else {}
        return Weights({
            "node.activation": nodes.integers(layout.activations),
            "node.aggregation": nodes.integers(layout.aggregations), **depths,
            "node.bias": nodes.numbers(table.biases, dtype), "node.response": nodes.numbers(table.responses, dtype),
            **times,
            "link.source": links.integers(layout.sources),
            "link.target": links.integers(targets - layout.starts[owned]),
            "link.weight": links.numbers(table.weights, dtype),
            "output.node": torch.from_numpy(layout.outputs - layout.inputs).to(self.device)})

    def matrix_outputs(self) -> list[int]:
        """Empty: no output paints weights."""
        return []

    def counts(self, genotype: Genotype | None = None) -> Counts:
        """Number of genes of a graph, which are the weights and biases of its network."""
        genes = 0 if genotype is None else as_graph(genotype).genes
        return Counts(genes, 0, genes)

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """The graph, which is the network."""
        yield GraphPicture(as_graph(genotype), self.input_names, self.output_names, network=True)


class _Padding:
    """Places of values, one row of a matrix (P, most) for each owner, the rest of which is filled."""

    def __init__(self, owners: np.ndarray, columns: np.ndarray, counts: np.ndarray, device: torch.device):
        self.shape, self.device = (len(counts), int(counts.max(initial=0))), device
        self.places = owners * self.shape[1] + columns

    def integers(self, values: np.ndarray) -> Tensor:
        """Integers, filled with -1."""
        filled = np.full(self.shape, -1, dtype=np.int64)
        filled.reshape(-1)[self.places] = values
        return torch.from_numpy(filled).to(self.device)

    def numbers(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Numbers, filled with 0; differentiable."""
        filled = torch.zeros(self.shape[0] * self.shape[1], dtype=dtype, device=self.device)
        return filled.index_copy(0, torch.from_numpy(self.places).to(self.device),
                                 values.to(self.device, dtype)).view(self.shape)


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> NetworkEncoding:
    """The encoding for the inputs and outputs of a network whose nodes come with its weights."""
    if list(geometry) != [NETWORK]:
        raise ValueError("encoding.name: network makes nodes of its own and needs target.name = network")
    return NetworkEncoding(settings, geometry[NETWORK], device)
