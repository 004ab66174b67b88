"""Networks of hyperevo as neat-python's own, and back: its genomes, and the JSON of its `neat.export`.

    genome, config = to_genome(hyperevo.load("runs/xor").genotype, "config-feedforward")
    network = neat.nn.FeedForwardNetwork.create(genome, config)
    graph = to_graph(genome, config)
    Path("network.json").write_text(to_json(graph, "config-feedforward"))
    graph = from_json(Path("network.json").read_text())

Nothing here is a pickle.
"""

from copy import copy
from typing import Any, Literal

import neat
import torch
from neat.export import export_network_json
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hyperevo.errors import UserError, shortened
from hyperevo.genotypes import Genotype, as_graph
from hyperevo.graph import Graph, Node, Topology, check_topology
from hyperevo.search._neat_genomes import fill_genome, graph_from_genome
from hyperevo.search._neat_python import neat_config
from hyperevo.search._neat_settings import Settings


def to_genome(genotype: Genotype, ini: str, key: int = 1) -> tuple[Any, Any]:
    """neat-python's genome of a graph, and its config of an INI file; raises UserError where the two do not fit."""
    graph = as_graph(genotype)
    try:
        settings = Settings(ini=ini)
    except ValidationError as error:
        raise UserError(f"ini: {shortened(error.errors()[0]['msg'].removeprefix('Value error, '))}") from error
    config: Any = neat_config(settings, graph.topology.inputs, len(graph.topology.outputs), True)
    config.genome_type = neat.DefaultGenome
    return fill_genome(neat.DefaultGenome(key), graph, config.genome_config), config


def to_graph(genome: Any, config: Any, continuous: bool = False) -> Graph:
    """Graph of neat-python's genome: the nodes that its outputs need, and the enabled links into them, and time
    constants for a network in continuous time; raises UserError for a function that hyperevo does not have."""
    own = copy(config.genome_config)
    own.continuous = continuous
    try:
        return graph_from_genome(genome, own)
    except KeyError as error:
        raise UserError(f"genome {genome.key}: no function called {error}") from error


def to_json(genotype: Genotype, ini: str, continuous: bool = False) -> str:
    """Network of a graph in the JSON of `neat.export.export_network_json`; of one in continuous time, if `continuous`.
    """
    genome, config = to_genome(genotype, ini)
    recurrent = as_graph(genotype).topology.recurrent
    kind = neat.ctrnn.CTRNN if continuous else neat.nn.RecurrentNetwork if recurrent else neat.nn.FeedForwardNetwork
    return export_network_json(kind.create(genome, config))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _Function(_Part):
    name: str


class _Node(_Part):
    id: int
    type: Literal["input", "hidden", "output"]
    activation: _Function
    aggregation: _Function
    bias: float
    response: float
    time_constant: float = Field(1.0, gt=0)


class _Link(_Part):
    source: int = Field(alias="from")
    target: int = Field(alias="to")
    weight: float
    enabled: bool = True


class _Ends(_Part):
    input_keys: list[int]
    output_keys: list[int]


class _Network(_Part):
    network_type: Literal["feedforward", "recurrent", "ctrnn"]
    topology: _Ends
    nodes: list[_Node]
    connections: list[_Link]


def from_json(text: str) -> Graph:
    """Graph of a network in the JSON of `neat.export.export_network_json`; raises UserError where it is none."""
    try:
        own = _Network.model_validate_json(text)
        return _graph(own)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(f"{'.'.join(map(str, problem['loc']))}: {shortened(problem['msg'])}") from error
    except (ValueError, KeyError) as error:
        raise UserError(f"is no network: {shortened(error)}") from error


def _graph(own: _Network) -> Graph:
    recurrent, ends = own.network_type != "feedforward", own.topology
    nodes = {node.id: node for node in own.nodes if node.type != "input"}
    if recurrent:  # whose nodes without links stay at 0, and are left out
        idle = {*ends.output_keys, *(link.source for link in own.connections)} - {*nodes, *ends.input_keys}
        function = _Function(name="sum")
        nodes |= {key: _Node(id=key, type="hidden", activation=_Function(name="identity"), aggregation=function, bias=0,
                             response=1) for key in sorted(idle)}
    incoming: dict[int, list[_Link]] = {key: [] for key in nodes}
    for link in own.connections:
        if link.enabled:
            incoming[link.target].append(link)
    order = list(nodes) if recurrent else _sorted(incoming, set(ends.input_keys))
    place = {key: number for number, key in enumerate([*ends.input_keys, *order])}
    made = tuple(Node(nodes[key].activation.name, nodes[key].aggregation.name,
                      tuple(place[link.source] for link in incoming[key]), nodes[key].time_constant) for key in order)
    outputs = tuple(place[key] - len(ends.input_keys) for key in ends.output_keys)
    topology = Topology(len(ends.input_keys), made, outputs, recurrent)
    check_topology(topology)
    numbers = ([link.weight for key in order for link in incoming[key]], [nodes[key].bias for key in order],
               [nodes[key].response for key in order])
    return Graph(topology, *(torch.tensor(row, dtype=torch.float64) for row in numbers))


def _sorted(incoming: dict[int, list[_Link]], known: set[int]) -> list[int]:
    """Nodes in an order in which every source comes before its use; raises ValueError where there is none."""
    order: list[int] = []
    waiting = dict(incoming)
    while waiting:
        ready = [key for key, links in waiting.items() if all(link.source in known for link in links)]
        if not ready:
            raise ValueError("a feed-forward network has a cycle, or a link from no node")
        order += ready
        known = known | set(ready)
        waiting = {key: links for key, links in waiting.items() if key not in known}
    return order
