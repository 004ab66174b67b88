"""ES-HyperNEAT encoding: a graph paints the connections of a network and so says where its hidden nodes are.

(Risi & Stanley 2012.) Inputs lie on one face of the cube, outputs on the opposite one, and a bias, an input that is
always 1, at its centre. Trees (see `_quadtree`) find the hidden nodes that inputs have connections to, then, at each
iteration level, those that the hidden nodes found last have connections to, and last the hidden nodes that outputs have
connections from. Nodes and connections on no path from an input to an output are dropped. Weights are the graph's
output times the maximum weight.

Nodes and connections are found without a gradient; the weights are differentiable in the numbers of the graph. The
genotypes are `Graph` objects of any shapes, usually from the search `neat`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyperevo import devices
from hyperevo.components import Positive
from hyperevo.encodings._painter import KernelCppns
from hyperevo.encodings._program import graph_numbers
from hyperevo.encodings._quadtree import AXES, Cells, Trees, TreeSettings, cppn_input, cppn_inputs, grow
from hyperevo.encodings._queries import Cppns
from hyperevo.encodings._table import TabledGraphs, table_from_graphs, wants_gradient
from hyperevo.genotypes import Genotype, Genotypes, as_graph, as_graphs
from hyperevo.geometry import SUBSTRATE, ParameterGeometry
from hyperevo.graph import Graph, activate
from hyperevo.parts import Counts, Encoding
from hyperevo.pictures import FoundNetworkPicture, GraphPicture, Link, Picture, Place
from hyperevo.weights import Weights

RESOLUTION = 240
"""Number of points along each side of a painting."""


class Settings(TreeSettings):
    """Options of the ES-HyperNEAT encoding."""

    name: Literal["es-hyperneat"] = "es-hyperneat"
    iteration_level: int = Field(1, ge=0, le=32)
    """Number of times that trees of the hidden nodes found last look for further ones; at 0 hidden nodes are not
    connected to each other."""
    maximum_weight: Positive = 3.0
    """Weight that a CPPN output of 1 becomes."""
    bias: bool = True
    """true: networks have a further input that is always 1."""
    bias_everywhere: bool = False
    """true, with bias: every hidden node has a connection from the bias, whatever its tree finds and link expression
    says. Otherwise a seed of locality keeps the bias, which lies at the centre, from all nodes far from it."""
    delta: bool = False
    """true: the CPPN has the differences of the coordinates, x1 - x2 and so on, as further inputs."""
    distance: bool = False
    """true: the CPPN has the distance between the two nodes as a further input."""
    link_expression: bool = False
    """true: a second CPPN output says where a connection exists: where it is above zero. The first output alone decides
    where trees divide and which cells they compare."""

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if self.bias_everywhere and not self.bias:
            raise ValueError("bias_everywhere = true needs bias = true")
        return self


@dataclass(frozen=True)
class Found:
    """Connections of P networks before they are laid out; cells are those of the trees, NaN is no connection.

    inputs (P, inputs and bias, cells) and outputs (P, outputs, cells): from inputs and to outputs. hidden (T, cells):
    from hidden node `cell` (T,) of network `owner` (T,). kept (P, cells): mask of the hidden nodes on a path.
    """

    inputs: Tensor
    outputs: Tensor
    hidden: Tensor
    owner: Tensor
    cell: Tensor
    kept: Tensor


class EsHyperneatEncoding(Encoding):
    """Map from graphs to networks with hidden nodes of their own.

    `input_names` and `output_names` say what a genome must read and write; the search builds its genomes to fit.
    """

    settings: Settings

    finds_nodes = True

    def __init__(self, settings: Settings, place: ParameterGeometry, device: torch.device | str = "cpu"):
        if place.source is None or len(place.source.sizes) >= len(AXES):
            raise ValueError("encoding.name: es-hyperneat needs inputs of at most three axes")
        self.settings, self.device = settings, torch.device(device)
        self.geometry = {SUBSTRATE: place}
        self.inputs = _on_face(place.source.coordinates, -1).to(self.device)
        self.outputs = _on_face(place.target.coordinates, 1).to(self.device)
        self.sources = torch.cat([self.inputs, torch.zeros_like(self.inputs[:1])]) if settings.bias else self.inputs
        axes = AXES[: self.inputs.shape[1]]
        self.cells = Cells(len(axes), settings.maximum_depth)
        self.input_names = [f"{axis}{end}" for end in "12" for axis in axes] + ["one"]
        self.input_names += [f"d{axis}" for axis in axes] if settings.delta else []
        self.input_names += ["distance"] if settings.distance else []
        self.output_names = ["weight", "weight expressed"] if settings.link_expression else ["weight"]

    def express(self, genotypes: Genotypes, dtype: torch.dtype = torch.float32) -> Weights:
        """Weights of P networks, and positions of their hidden nodes."""
        graphs = genotypes if isinstance(genotypes, TabledGraphs) else as_graphs(genotypes)
        weights, nodes = self.connections(graphs, dtype)
        if wants_gradient(graphs):
            weights = self._painted_again(graphs, weights, nodes)
        places = self._places.to(dtype)[nodes.clamp(min=0)]
        places = places.masked_fill(nodes[:, :, None] < 0, torch.nan)
        return Weights({**{name: torch.where(value.isnan(), 0.0, value * self.settings.maximum_weight)
                           for name, value in weights.items()}, "hidden.places": places})

    @torch.no_grad()
    def connections(self, graphs: Sequence[Graph], dtype: torch.dtype = torch.float32) \
            -> tuple[dict[str, Tensor], Tensor]:
        """Values of the CPPN by parameter, NaN where there is no connection, and the cell of every hidden node
        (P, hidden), -1 where a network has fewer than others."""
        cppns = self._cppns(graphs, dtype)
        weights, nodes = self._lay_out(self._discover(cppns))
        if self.settings.bias_everywhere:
            weights["recurrent.bias"] = self._biases(cppns, nodes)
        return weights, nodes

    @cached_property
    def _places(self) -> Tensor:
        """Centres (cells, axes) of all cells, on the device."""
        return self.cells.places.to(self.device)

    # Discovery

    def _discover(self, cppns: Cppns | KernelCppns) -> Found:
        inputs = self._from_ends(cppns, self.sources, outgoing=True)
        outputs = self._from_ends(cppns, self.outputs, outgoing=False)
        hidden, owner, cell, found = self._explore(cppns, connected(inputs).any(1))
        kept = _reaching(connected(hidden), owner, cell, found & connected(outputs).any(1))
        return Found(inputs, outputs, hidden, owner, cell, kept)

    def _cppns(self, graphs: Sequence[Graph], dtype: torch.dtype) -> Cppns | KernelCppns:
        if devices.has_kernel(self.device) and dtype == KernelCppns.dtype:
            return KernelCppns(table_from_graphs(graphs), self.input_names, self.device, len(self.output_names))
        numbers, starts = graph_numbers(graphs)
        return Cppns(graphs, numbers.to(self.device), starts, self.input_names, dtype, len(self.output_names))

    def _from_ends(self, cppns: Cppns | KernelCppns, places: Tensor, outgoing: bool) -> Tensor:
        """Connections (P, places, cells) of inputs or of outputs; their positions are the same in all networks."""
        owner = torch.arange(cppns.population, device=places.device).repeat_interleave(len(places))
        trees = Trees(owner, places.repeat(cppns.population, 1), outgoing)
        return grow(cppns, trees, self.settings).unflatten(0, (-1, len(places)))

    def _explore(self, cppns: Cppns | KernelCppns, found: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Connections from hidden nodes (T, cells), their networks (T,) and cells (T,), and the mask of all nodes found
        (P, cells)."""
        new, parts = found, []
        for _ in range(self.settings.iteration_level):
            owner, cell = new.nonzero().unbind(1)
            trees = Trees(owner, self._places[cell], True)
            parts.append((grow(cppns, trees, self.settings), owner, cell))
            reached = torch.zeros(found.shape, device=found.device)
            reached.index_add_(0, owner, connected(parts[-1][0]).to(reached))
            new = (reached > 0) & ~found
            found = found | new
        none = torch.zeros(0, dtype=torch.long, device=found.device)
        parts.append((torch.zeros(0, len(self.cells), device=found.device), none, none))
        hidden, owner, cell = (torch.cat(own) for own in zip(*parts, strict=True))
        return hidden, owner, cell, found

    # The networks

    def _lay_out(self, found: Found) -> tuple[dict[str, Tensor], Tensor]:
        nodes, place = _numbered(found.kept)
        missing, chosen = nodes < 0, nodes.clamp(min=0)

        def own(values: Tensor, owner: Tensor | slice = slice(None)) -> Tensor:
            """Values (networks, units, hidden) from values (networks, units, cells)."""
            cells = chosen[owner, None].expand(-1, values.shape[1], -1)
            return values.gather(2, cells).masked_fill_(missing[owner, None], torch.nan)

        inputs, outputs = own(found.inputs).transpose(1, 2), own(found.outputs)
        linked = found.kept[found.owner, found.cell]
        owner, cell = found.owner[linked], found.cell[linked]
        recurrent = inputs.new_full((*nodes.shape, nodes.shape[1]), torch.nan)
        recurrent[owner, :, place[owner, cell]] = own(found.hidden[linked, None].to(inputs.dtype), owner)[:, 0]
        weights = {"input.weight": inputs[:, :, : len(self.inputs)].contiguous(), "recurrent.weight": recurrent,
                   "readout.weight": outputs}
        return (weights | {"recurrent.bias": inputs[:, :, -1].contiguous()} if self.settings.bias else weights), nodes

    def _biases(self, cppns: Cppns | KernelCppns, nodes: Tensor) -> Tensor:
        """Values (P, hidden) of the CPPN from the centre to hidden nodes, NaN where a network has fewer than others."""
        owner, place = (nodes >= 0).nonzero().unbind(1)
        targets = self._places[nodes[owner, place]]
        biases = torch.full(nodes.shape, torch.nan, dtype=cppns.dtype, device=self.device)
        if len(owner):
            near = cppn_inputs(cppns.names, torch.zeros_like(targets), targets, 1.0).to(cppns.dtype)
            # A unit's inputs are the whole of them: its only point adds nothing.
            biases[owner, place] = cppns.ask(owner, near, near.new_zeros(len(near), 1))[0, :, 0]
        return biases

    def _painted_again(self, graphs: Sequence[Graph], weights: dict[str, Tensor], nodes: Tensor) -> dict[str, Tensor]:
        """Values of the connections once more, differentiable: every graph is asked for them again."""
        cells = self._places
        masks = {name: ~value.isnan() for name, value in weights.items()}
        painted: dict[str, list[Tensor]] = {name: [] for name in weights}
        for number, graph in enumerate(graphs):
            hidden = cells[nodes[number].clamp(min=0)]
            sheets = {"input.weight": (hidden, self.inputs), "recurrent.weight": (hidden, hidden),
                      "recurrent.bias": (hidden, None), "readout.weight": (self.outputs, hidden)}
            pairs = [_pairs(mask[number], *sheets[name]) for name, mask in masks.items()]
            values, *_ = self.asked(graph, *(torch.cat(ends) for ends in zip(*pairs, strict=True)))
            for name, own in zip(weights, values.split([len(targets) for _, targets in pairs]), strict=True):
                painted[name].append(own.to(weights[name].dtype))
        return {name: value.masked_scatter(masks[name], torch.cat(painted[name])) for name, value in weights.items()}

    def asked(self, graph: Graph, sources: Tensor, targets: Tensor) -> list[Tensor]:
        """Outputs of a graph, (connections,) each, between positions (connections, axes); differentiable in the graph's
        numbers."""
        inputs = [cppn_input(name, sources, targets, 1.0) if name != "distance" else (sources - targets).norm(dim=1)
                  for name in self.input_names]
        answers = activate(graph.to(self.device), inputs, range(len(self.output_names)))
        return [answer.reshape(-1).expand(len(sources)) for answer in answers]

    def matrix_outputs(self) -> None:
        """None: all outputs may paint over all connections."""

    def counts(self, genotype: Genotype | None = None) -> Counts:
        """Number of genes of a graph, and of connections in its network."""
        if genotype is None:
            return Counts(0, 0, 0)
        graph = as_graph(genotype)
        weights, _ = self.connections([graph])
        return Counts(graph.genes, 0, sum(int(connected(value).sum()) for value in weights.values()))

    # Figures

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """The graph and, on a substrate of two axes, the network found in it."""
        graph = as_graph(genotype)
        yield GraphPicture(graph, self.input_names, self.output_names)
        if self.cells.axes == 2:
            yield self.found_network(graph)

    @torch.no_grad()
    def found_network(self, graph: Graph) -> FoundNetworkPicture:
        """Nodes and connections of one network, and the weights painted from one input and from one hidden node."""
        values, cells = self.connections([graph])
        nodes = {"input": self.inputs, "hidden node": self.cells.places[cells[0]], "output": self.outputs,
                 "bias": self.sources[len(self.inputs):]}
        links = self._links(values, nodes)
        return FoundNetworkPicture(links, nodes, {kind: (place, self._painting(graph, place))
                                                  for kind, place in _painters(links, nodes).items()})

    def _links(self, values: Mapping[str, Tensor], nodes: Mapping[str, Tensor]) -> list[Link]:
        """Connections of one network, the weakest first."""
        ends = {"input.weight": ("input", "hidden node"), "recurrent.bias": ("bias", "hidden node"),
                "recurrent.weight": ("hidden node", "hidden node"), "readout.weight": ("hidden node", "output")}
        links: list[Link] = []
        for name, value in values.items():
            sources, targets = (nodes[kind].tolist() for kind in ends[name])
            weights = value[0].reshape(len(targets), len(sources)) * self.settings.maximum_weight
            links += [(tuple(sources[source]), tuple(targets[target]), float(weights[target, source]))
                      for target, source in connected(weights).nonzero().tolist()]
        return sorted(links, key=lambda link: abs(link[2]))

    def _painting(self, graph: Graph, place: Place) -> Tensor:
        """Weights (outputs, RESOLUTION, RESOLUTION) from one position to every other, from the bottom upwards; with
        link expression a second plane is above zero where they are expressed."""
        line = (torch.arange(RESOLUTION, dtype=torch.float64) + 0.5) * 2 / RESOLUTION - 1
        targets = torch.cartesian_prod(line, line).flip(1)
        outputs = self.asked(graph, torch.tensor([place], dtype=torch.float64).expand_as(targets), targets)
        outputs[0] = outputs[0] * self.settings.maximum_weight
        return torch.stack(outputs).reshape(len(outputs), RESOLUTION, RESOLUTION)


def _painters(links: Sequence[Link], nodes: Mapping[str, Tensor]) -> dict[str, Place]:
    """Positions of the input and of the hidden node with the most connections; there may be no hidden node."""
    sources = [source for source, _, _ in links]
    return {kind: max((tuple(place) for place in nodes[kind].tolist()), key=sources.count)
            for kind in ("input", "hidden node") if len(nodes[kind])}


def connected(weights: Tensor) -> Tensor:
    """Mask of the connections."""
    return ~weights.isnan()


def _on_face(coordinates: Tensor, end: float) -> Tensor:
    """Positions (units, axes + 1) of a sheet's units, x first, at the end of one further axis."""
    return torch.cat([coordinates.flip(1), torch.full_like(coordinates[:, :1], end)], 1)


def _reaching(links: Tensor, owner: Tensor, cell: Tensor, reaching: Tensor) -> Tensor:
    """Mask (P, cells) of hidden nodes from which a path leads to one known to be `reaching`; links (T, cells) are those
    of node `cell` (T,) of network `owner` (T,)."""
    while True:
        more = (links & reaching[owner]).any(1) & ~reaching[owner, cell]
        if not bool(more.any()):
            return reaching
        reaching = reaching.index_put((owner[more], cell[more]), more.new_ones(()))


def _numbered(kept: Tensor) -> tuple[Tensor, Tensor]:
    """Cells of every network's nodes (P, hidden), -1 for none, and node index of every cell (P, cells)."""
    place = kept.cumsum(1) - 1
    owner, cell = kept.nonzero().unbind(1)
    nodes = place.new_full((len(kept), int(kept.sum(1).max())), -1)
    nodes[owner, place[owner, cell]] = cell
    return nodes, place


def _pairs(mask: Tensor, targets: Tensor, sources: Tensor | None) -> tuple[Tensor, Tensor]:
    """Source and target positions of the connections in a mask (targets, sources), in its order; without sources, of
    connections from the centre."""
    if sources is None:
        ends = targets[mask]
        return torch.zeros_like(ends), ends
    target, source = mask.nonzero().unbind(1)
    return sources[source], targets[target]


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> EsHyperneatEncoding:
    """The encoding for the sheets that a substrate's networks lie between."""
    if list(geometry) != [SUBSTRATE]:
        raise ValueError("encoding.name: es-hyperneat makes hidden nodes and needs target.name = substrate")
    return EsHyperneatEncoding(settings, geometry[SUBSTRATE], device)
