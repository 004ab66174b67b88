"""neat-python's genomes: their genes in pools, their graphs, and their genes as tensors for checkpoints."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from neat.genome import DefaultGenome
from torch import Tensor

from hyperevo.graph import Graph, Node, Topology
from hyperevo.search._neat_genes import (
    NAMES,
    NODE_NUMBERS,
    NODE_WORDS,
    WORDS,
    Genes,
    Pool,
    ends,
    join,
    link_columns,
    link_key,
    node_columns,
    objects,
)

GenomeConfig = Any
"""neat-python's `DefaultGenomeConfig`; its attributes are made from the config's text, unseen by type checkers."""


class Genome(DefaultGenome):
    """neat-python's genome, whose genes lie in a pool of many genomes. The first access to `nodes` or `connections`
    turns them into neat-python's objects; a new genome has none. Crossover is only noted here; `breed` makes all
    children at once."""

    nodes: dict[int, Any]
    connections: dict[tuple[int, int], Any]
    place: tuple[Pool, int] | None = None
    """The pool and this genome's index in it; None where the genes are objects."""
    parents: tuple["Genome", "Genome"] | None = None
    """Parents of a child that is not made yet, the fitter one first."""

    def __init__(self, key: int):
        self.key, self.fitness = key, None

    def __getattr__(self, name: str) -> Any:
        if name not in ("nodes", "connections"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        self.nodes, self.connections = objects(*self.place) if self.place is not None else ({}, {})
        self.place = None
        return self.nodes if name == "nodes" else self.connections

    def configure_crossover(self, genome1: DefaultGenome, genome2: DefaultGenome, config: GenomeConfig) -> None:
        """Note the parents."""
        self.parents = (genome1, genome2) if genome1.fitness > genome2.fitness else (genome2, genome1)

    def mutate(self, config: GenomeConfig) -> None:
        """Do nothing: `breed` mutates."""


def gather(genomes: Sequence[Any]) -> Pool:
    """A pool of these genomes, in order: the one they lie in, or a copy."""
    places: list[Any] = [genome.place if isinstance(genome, Genome) else None for genome in genomes]
    if None in places or not places:
        loose = [genome for genome, place in zip(genomes, places, strict=True) if place is None]
        own, count = _pool_of_objects(loose), iter(range(len(loose)))
        places = [place or (own, next(count)) for place in places]
        if not places:
            return own
    holders, own_rows = [place[0] for place in places], [place[1] for place in places]
    first = holders[0]
    if holders.count(first) == len(holders):  # by identity, which is quick
        every = own_rows == list(range(len(first.nodes.sizes)))
        return first if every else first.of(np.array(own_rows, dtype=np.int64))
    rows, numbers = np.array(own_rows, dtype=np.int64), np.array(list(map(id, holders)))
    pools = list(dict(zip(numbers.tolist(), holders, strict=True)).values())
    held = [np.flatnonzero(numbers == id(pool)) for pool in pools]
    joined = join([pool.of(rows[own]) for pool, own in zip(pools, held, strict=True)])
    return joined.of(np.argsort(np.concatenate(held)))


def settle(genomes: Sequence[Genome], pool: Pool) -> None:
    """Move genomes into a pool that holds their genes in the same order."""
    for number, genome in enumerate(genomes):
        if genome.place is None:
            # Others have no objects. To ask an object for its dictionary makes one, which takes longer than all else.
            genome.__dict__.pop("nodes", None)
            genome.__dict__.pop("connections", None)
        genome.place, genome.parents = (pool, number), None


def _pool_of_objects(genomes: Sequence[DefaultGenome]) -> Pool:
    nodes, links = [genome.nodes for genome in genomes], [genome.connections for genome in genomes]
    return Pool(Genes(_sizes(nodes), node_columns([node for own in nodes for node in own.values()])),
                Genes(_sizes(links), link_columns([link for own in links for link in own.values()])))


def _sizes(parts: Sequence[Any]) -> np.ndarray:
    return np.array([len(part) for part in parts], dtype=np.int64)


class Structure(NamedTuple):
    """A genome's graph without its numbers: the topology, and the indices of the genome's nodes and enabled links that
    are in it."""

    topology: Topology
    nodes: tuple[int, ...]
    links: tuple[int, ...]


_FUNCTIONS = [(activation, aggregation) for activation in NAMES for aggregation in NAMES]
"""Pairs by index: activation · len(NAMES) + aggregation, both indices into NAMES."""

_structures: dict[tuple[Any, ...], Structure] = {}
STRUCTURES_KEPT = 20_000


def structures_of(pool: Pool, config: GenomeConfig) -> list[Structure]:
    """Structures of all genomes' graphs; recent ones are cached."""
    nodes, links = pool.nodes, pool.links.where(pool.links["enabled"])
    functions = nodes["activation"] * len(NAMES) + nodes["aggregation"]
    times = nodes["time_constant"] if is_continuous(config) else np.ones(len(nodes))
    sources, targets = places_of_links(nodes, links, config)
    words, pairs = functions.astype(np.int32).tobytes(), link_key(sources, targets).tobytes()
    constants, each_kind = times.tobytes(), list(zip(functions.tolist(), times.tolist(), strict=True))
    each_source, each_target = sources.tolist(), targets.tolist()
    structures = []
    for (node, node_end), (link, link_end) in zip(_slices(nodes), _slices(links), strict=True):
        shape = (config.num_inputs, config.num_outputs, config.feed_forward, words[4 * node : 4 * node_end],
                 constants[8 * node : 8 * node_end], pairs[8 * link : 8 * link_end])
        known = _structures.get(shape)
        if known is None:
            if len(_structures) >= STRUCTURES_KEPT:
                _structures.clear()
            trace = _trace if config.feed_forward else _trace_recurrent
            known = _structures[shape] = trace(*shape[:2], each_kind[node:node_end], each_source[link:link_end],
                                                each_target[link:link_end])
        structures.append(known)
    return structures


def is_continuous(config: GenomeConfig) -> bool:
    """True for networks in continuous time, whose nodes have time constants; neat-python's config does not say it."""
    return bool(vars(config).get("continuous", False))


Kind = tuple[int, float]
"""Index of a node's pair of functions, and its time constant."""


def _slices(genes: Genes) -> list[tuple[int, int]]:
    """Start and end of every genome's genes."""
    return list(zip(genes.starts.tolist(), (genes.starts + genes.sizes).tolist(), strict=True))


def places_of_links(nodes: Genes, links: Genes, config: GenomeConfig) -> tuple[np.ndarray, np.ndarray]:
    """Indices of links' sources, among the inputs and then the nodes of the genome, and of targets, among its nodes.
    The keys of inputs are -1, -2 …"""
    (sources, targets), starts = ends(links["key"]), nodes.starts[links.owners]
    inner = config.num_inputs + nodes.find(links.owners, sources) - starts
    return np.where(sources < 0, -1 - sources, inner), nodes.find(links.owners, targets) - starts


def _trace(inputs: int, outputs: int, kinds: list[Kind], sources: list[int], targets: list[int]) -> Structure:
    """Structure of the nodes that some output needs, with every source before its use, and of the links into them. The
    first nodes are the outputs, as neat-python makes them."""
    incoming: list[list[int]] = [[] for _ in kinds]
    for number, target in enumerate(targets):
        incoming[target].append(number)
    place = [*range(inputs), *[-1] * len(kinds)]
    made: list[Node] = []
    nodes: list[int] = []
    links: list[int] = []
    waiting = [*range(outputs - 1, -1, -1)]
    while waiting:
        node = waiting[-1]
        own = incoming[node]
        places = tuple([place[sources[number]] for number in own])
        if -1 in places:
            waiting += [sources[number] - inputs for number in reversed(own) if place[sources[number]] < 0]
            continue
        waiting.pop()
        if place[inputs + node] < 0:
            place[inputs + node] = inputs + len(made)
            made.append(_node(kinds[node], places))
            nodes.append(node)
            links += own
    topology = _topology(inputs, made, tuple([at - inputs for at in place[inputs : inputs + outputs]]))
    return Structure(topology, tuple(nodes), tuple(links))


def _trace_recurrent(inputs: int, outputs: int, kinds: list[Kind], sources: list[int],
                     targets: list[int]) -> Structure:
    """Structure of the nodes that some output needs, in the genome's order, and of the links into them."""
    incoming: list[list[int]] = [[] for _ in kinds]
    for number, target in enumerate(targets):
        incoming[target].append(number)
    needed, waiting = set(range(outputs)), [*range(outputs)]
    while waiting:
        for number in incoming[waiting.pop()]:
            source = sources[number] - inputs
            if source >= 0 and source not in needed:
                needed.add(source)
                waiting.append(source)
    nodes = sorted(needed)
    place = {**{number: number for number in range(inputs)},
             **{inputs + node: inputs + number for number, node in enumerate(nodes)}}
    made = [_node(kinds[node], tuple([place[sources[number]] for number in incoming[node]])) for node in nodes]
    return Structure(_topology(inputs, made, tuple(range(outputs)), True), tuple(nodes),
                     tuple([number for node in nodes for number in incoming[node]]))


@lru_cache(maxsize=65536)
def _node(kind: Kind, sources: tuple[int, ...]) -> Node:
    """One object for all equal nodes."""
    function, time_constant = kind
    return Node(*_FUNCTIONS[function], sources, time_constant)


_topologies: dict[tuple[Any, ...], Topology] = {}
TOPOLOGIES_KEPT = 8192


def _topology(inputs: int, nodes: list[Node], outputs: tuple[int, ...], recurrent: bool = False) -> Topology:
    """One object for all equal topologies, so that caches by topology find it at once. It is known by the objects of
    its nodes, which it keeps alive."""
    key = inputs, outputs, recurrent, *map(id, nodes)
    known = _topologies.get(key)
    if known is None:
        if len(_topologies) >= TOPOLOGIES_KEPT:
            _topologies.clear()
        known = _topologies[key] = Topology(inputs, tuple(nodes), outputs, recurrent)
    return known


def graph_from_genome(genome: DefaultGenome, config: GenomeConfig) -> Graph:
    """The CPPN that a genome encodes, without disabled links and dead nodes; numbers in float64, as in the genes."""
    return graphs_from_genomes([genome], config)[0]


def graphs_from_genomes(genomes: Sequence[DefaultGenome], config: GenomeConfig) -> list[Graph]:
    """CPPNs of many genomes, see `graph_from_genome`; their numbers are views of few tensors, which is much quicker."""
    return graphs_from_pool(gather(genomes), config)


def graphs_from_pool(pool: Pool, config: GenomeConfig) -> list[Graph]:
    """CPPNs of a pool's genomes."""
    structures = structures_of(pool, config)
    topologies, nodes, links = zip(*structures, strict=True) if structures else ((), (), ())
    weights, = _parts(pool.links.where(pool.links["enabled"]), links, "weight")
    biases, responses = _parts(pool.nodes, nodes, "bias", "response")
    return [Graph(*parts) for parts in zip(topologies, weights, biases, responses, strict=True)]


def _parts(genes: Genes, own: Sequence[tuple[int, ...]], *names: str) -> list[Sequence[Tensor]]:
    """Attributes of each genome's own genes, by their indices in the genome."""
    sizes = _sizes(own)
    rows = np.fromiter(chain.from_iterable(own), np.int64, sizes.sum()) + np.repeat(genes.starts, sizes)
    return [torch.from_numpy(genes[name][rows]).split(sizes.tolist()) for name in names]


def genes_in_graph(genome: DefaultGenome, config: GenomeConfig) -> tuple[list[Any], list[Any]]:
    """Nodes and links of a genome that are in its graph, in the graph's order."""
    _, nodes, links = structures_of(gather([genome]), config)[0]
    own = list(genome.nodes.values())
    enabled = [link for link in genome.connections.values() if link.enabled]
    return [own[place] for place in nodes], [enabled[place] for place in links]


def write_back(genome: DefaultGenome, config: GenomeConfig, graph: Graph) -> None:
    """Write the numbers of a graph into the genes of a genome with the same topology."""
    nodes, links = genes_in_graph(genome, config)
    for link, weight in zip(links, graph.weights.tolist(), strict=True):
        link.weight = weight
    for node, bias, response in zip(nodes, graph.biases.tolist(), graph.responses.tolist(), strict=True):
        node.bias, node.response = bias, response


def fill_genome(genome: Any, graph: Graph, config: GenomeConfig, innovation: int = 1) -> Any:
    """Give a new genome of neat-python's the genes of a CPPN: outputs have keys from 0 on, other nodes those after, and
    links the innovation numbers from `innovation` on. Returns it; raises ValueError where two outputs are one node."""
    topology = graph.topology
    if len(set(topology.outputs)) < len(topology.outputs):
        raise ValueError("two outputs of a graph are one node, which no genome can say")
    hidden = [place for place in range(len(topology.nodes)) if place not in topology.outputs]
    node_keys = {place: key for key, place in enumerate([*topology.outputs, *hidden])}
    keys = [*range(-1, -1 - topology.inputs, -1), *[node_keys[place] for place in range(len(topology.nodes))]]
    genome.nodes = {key: _node_gene(graph, place, key, config) for place, key in node_keys.items()}
    genome.connections = {}
    weights = iter(graph.weights.tolist())
    for key, node in zip(keys[topology.inputs :], topology.nodes, strict=True):
        for source in node.sources:
            link = config.connection_gene_type((keys[source], key), innovation=innovation + len(genome.connections))
            link.weight, link.enabled = next(weights), True
            genome.connections[link.key] = link
    return genome


def _node_gene(graph: Graph, place: int, key: int, config: GenomeConfig) -> Any:
    node, gene = graph.topology.nodes[place], config.node_gene_type(key)
    gene.activation, gene.aggregation, gene.time_constant = node.activation, node.aggregation, node.time_constant
    gene.bias, gene.response = float(graph.biases[place]), float(graph.responses[place])
    return gene


def float64(values: Sequence[float] | Sequence[list[float]]) -> Tensor:
    """Numbers as a float64 tensor, the precision of genes."""
    return torch.tensor(values, dtype=torch.float64)


PACKED = ("genomes", "node_keys", "node_numbers", "link_keys", "link_weights")
"""Names of the tensors that genomes are packed into."""


def pack_genomes(genomes: Sequence[DefaultGenome]) -> dict[str, Tensor]:
    """Genomes as a few tensors, in order, which a checkpoint writes in milliseconds. Activations and aggregations are
    indices into `NAMES`."""
    nodes, links = gather(genomes)
    keys = np.array([genome.key for genome in genomes])
    columns = {
        "genomes": [keys, nodes.sizes, links.sizes],
        "node_keys": [nodes[name] for name in ("key", *NODE_WORDS)],
        "node_numbers": [nodes[name] for name in NODE_NUMBERS],
        "link_keys": [*ends(links["key"]), links["innovation"], links["enabled"]],
    }
    packed = {name: torch.from_numpy(np.stack(own, axis=1)) for name, own in columns.items()}
    return {**packed, "link_weights": torch.from_numpy(links["weight"].copy())}


def unpack_genomes(packed: dict[str, Any], names: list[str]) -> list[Genome]:
    """Genomes from the tensors of `pack_genomes`, in which activations and aggregations are indices into `names`."""
    keys, node_sizes, link_sizes = packed["genomes"].numpy().T
    key, *words = packed["node_keys"].numpy().T
    source, target, innovation, enabled = packed["link_keys"].numpy().T
    word = np.array([WORDS[name] for name in names])
    nodes = {"key": key.copy(), **dict(zip(NODE_NUMBERS, packed["node_numbers"].numpy().T.copy(), strict=True)),
             **dict(zip(NODE_WORDS, word[words], strict=True))}
    links = {"key": link_key(source, target), "innovation": innovation.copy(),
             "weight": packed["link_weights"].numpy().copy(), "enabled": enabled.astype(bool)}
    genomes = [Genome(key) for key in keys.tolist()]
    settle(genomes, Pool(Genes(node_sizes.copy(), nodes), Genes(link_sizes.copy(), links)))
    return genomes
