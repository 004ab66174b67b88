"""neat-python's genomes: their graphs, and their genes as tensors for checkpoints."""

from collections.abc import Sequence
from functools import lru_cache
from random import choice, random
from typing import Any, NamedTuple

import torch
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from neat.genome import DefaultGenome
from torch import Tensor

from hyperevo.encodings._graph import Graph, Node, Topology
from hyperevo.search._neat_genes import (
    closes_cycle,
    copy_link,
    copy_node,
    cross_links,
    cross_nodes,
    mutate_links,
    mutate_nodes,
)

GenomeConfig = Any
"""neat-python's `DefaultGenomeConfig`; its attributes are made from the config's text, unseen by type checkers."""

MUTATION_ATTEMPTS = 4
"""How often a child is mutated anew where its graph would not stay separable, before it is left a plain crossover."""


class Genome(DefaultGenome):
    """neat-python's genome with neutral growth, where the config asks for it, and a crossover that does not look for
    cycles where there can be none: a child has the links of its fitter parent, in their order, and no others."""

    nodes: dict[int, Any]
    connections: dict[tuple[int, int], Any]

    def configure_crossover(self, genome1: DefaultGenome, genome2: DefaultGenome, config: GenomeConfig) -> None:
        """Matching genes from either parent at random, all others from the fitter one."""
        fitter, other = (genome1, genome2) if genome1.fitness > genome2.fitness else (genome2, genome1)
        for key, gene in fitter.connections.items():
            match = other.connections.get(key)
            matches = match is not None and match.innovation == gene.innovation
            self.connections[key] = cross_links(gene, match) if matches else copy_link(gene)
        for key, node in fitter.nodes.items():
            twin = other.nodes.get(key)
            self.nodes[key] = copy_node(node) if twin is None else cross_nodes(node, twin)

    def mutate(self, config: GenomeConfig) -> None:
        """Mutate; what makes a graph that the config does not accept is undone and tried again, a few times."""
        accepts = getattr(config, "accepts", None)
        if accepts is None:
            self._mutate_once(config)
            return
        connections, nodes = self.connections, self.nodes
        for _ in range(MUTATION_ATTEMPTS):
            self.connections = {key: copy_link(link) for key, link in connections.items()}
            self.nodes = {key: copy_node(node) for key, node in nodes.items()}
            self._mutate_once(config)
            if accepts(structure_of(self, config).topology):
                return
        self.connections, self.nodes = connections, nodes

    def _mutate_once(self, config: GenomeConfig) -> None:
        """neat-python's `mutate`: at most one structural mutation or up to four, then the numbers."""
        chances = (config.node_add_prob, config.node_delete_prob, config.conn_add_prob, config.conn_delete_prob)
        mutations = (self.mutate_add_node, self.mutate_delete_node, self.mutate_add_connection,
                     lambda _: self.mutate_delete_connection())
        if config.single_structural_mutation:
            drawn, reached = random(), 0.0
            for chance, mutation in zip(chances, mutations, strict=True):
                reached += chance
                if drawn < reached / max(1, sum(chances)):
                    mutation(config)
                    break
        else:
            for chance, mutation in zip(chances, mutations, strict=True):
                if random() < chance:
                    mutation(config)
        mutate_links(self.connections.values(), config)
        mutate_nodes(self.nodes.values(), config)

    def mutate_add_connection(self, config: GenomeConfig) -> None:
        """A new link where there is none, not between outputs and closing no cycle; with neutral growth its weight
        is 0."""
        target = choice(list(self.nodes))
        source = choice(list((set(self.nodes) - set(config.output_keys)) | set(config.input_keys)))
        key = (source, target)
        if key in self.connections:
            if config.check_structural_mutation_surer():
                self.connections[key].enabled = True
            return
        if (source in config.output_keys and target in config.output_keys) or (
                config.feed_forward and closes_cycle(self.connections, key)):
            return
        innovation = config.innovation_tracker.get_innovation_number(source, target, "add_connection")
        link = self.create_connection(config, source, target, innovation)
        self.connections[key] = link
        if getattr(config, "neutral_growth", False):
            link.weight = 0.0

    def mutate_add_node(self, config: GenomeConfig) -> None:
        """A new node on a link; with neutral growth the link stays, and the one out of the new node has weight 0."""
        if not getattr(config, "neutral_growth", False) or not self.connections:
            super().mutate_add_node(config)
            return
        enabled = {key: link.enabled for key, link in self.connections.items()}
        super().mutate_add_node(config)
        for key, value in enabled.items():
            self.connections[key].enabled = value
        into, out_of = list(self.connections.values())[-2:]
        into.init_attributes(config)
        into.enabled, out_of.weight = True, 0.0


class Structure(NamedTuple):
    """What a genome's graph is but for its numbers: the topology, and the keys of its nodes and of their links."""

    topology: Topology
    nodes: list[int]
    links: list[tuple[int, int]]


_structures: dict[tuple, Structure] = {}
STRUCTURES_KEPT = 20_000


def structure_of(genome: DefaultGenome, config: GenomeConfig) -> Structure:
    """The structure of a genome's graph; those that were seen lately are not worked out again."""
    shape = (config.num_inputs, config.num_outputs,
             tuple([(key, node.activation, node.aggregation) for key, node in genome.nodes.items()]),
             tuple([key for key, link in genome.connections.items() if link.enabled]))
    known = _structures.get(shape)
    if known is None:
        if len(_structures) >= STRUCTURES_KEPT:
            _structures.clear()
        known = _structures[shape] = _trace(genome, shape[-1], config)
    return known


def _trace(genome: DefaultGenome, enabled: Sequence[tuple[int, int]], config: GenomeConfig) -> Structure:
    """The nodes that some output needs, every source before its use, and the enabled links into each."""
    incoming: dict[int, list[int]] = {}
    for source, target in enabled:
        incoming.setdefault(target, []).append(source)
    inputs = config.num_inputs
    place = {key: index for index, key in enumerate(config.input_keys)}
    rows, nodes, links = [], [], []

    def visit(key: int) -> None:
        sources = incoming.get(key, [])
        for source in sources:
            if source not in place:
                visit(source)
        node = genome.nodes[key]
        place[key] = inputs + len(rows)
        rows.append((node.activation, node.aggregation, tuple([place[source] for source in sources])))
        nodes.append(key)
        links.extend([(source, key) for source in sources])

    for output in config.output_keys:
        if output not in place:
            visit(output)
    topology = _topology(inputs, tuple(rows), tuple([place[key] - inputs for key in config.output_keys]))
    return Structure(topology, nodes, links)


@lru_cache(maxsize=8192)
def _topology(inputs: int, nodes: tuple[tuple[str, str, tuple[int, ...]], ...], outputs: tuple[int, ...]) -> Topology:
    """Equal structures are one object: what is known about a topology is found at once."""
    return Topology(inputs, tuple([_node(*node) for node in nodes]), outputs)


_node = lru_cache(maxsize=65536)(Node)


def graph_from_genome(genome: DefaultGenome, config: GenomeConfig) -> Graph:
    """The CPPN a genome stands for, without disabled links and dead nodes; numbers in float64, as in the genes."""
    return graphs_from_genomes([genome], config)[0]


def graphs_from_genomes(genomes: Sequence[DefaultGenome], config: GenomeConfig) -> list[Graph]:
    """`graph_from_genome` of many; their numbers are views of one tensor, which takes a fraction of the time."""
    topologies, numbers, sizes = [], [], []
    for genome in genomes:
        topology, keys, links = structure_of(genome, config)
        topologies.append(topology)
        connections, nodes = genome.connections, [genome.nodes[key] for key in keys]
        numbers += [connections[key].weight for key in links]
        numbers += [node.bias for node in nodes]
        numbers += [node.response for node in nodes]
        sizes += [len(links), len(keys), len(keys)]
    parts = iter(float64(numbers).split(sizes))
    return [Graph(topology, next(parts), next(parts), next(parts)) for topology in topologies]


def write_back(genome: DefaultGenome, config: GenomeConfig, graph: Graph) -> None:
    """Give a genome's genes the numbers of a graph of its topology."""
    _, nodes, links = structure_of(genome, config)
    for link, weight in zip(links, graph.weights.tolist(), strict=True):
        genome.connections[link].weight = weight
    for key, bias, response in zip(nodes, graph.biases.tolist(), graph.responses.tolist(), strict=True):
        genome.nodes[key].bias, genome.nodes[key].response = bias, response


def float64(values: Sequence[float] | Sequence[list[float]]) -> Tensor:
    """Numbers as genes hold them."""
    return torch.tensor(values, dtype=torch.float64)


def pack_genomes(genomes: Sequence[DefaultGenome], names: list[str]) -> dict[str, Tensor]:
    """Genomes as tensors, in order: what a checkpoint writes in milliseconds. `names` are the words in the genes."""
    word = {name: index for index, name in enumerate(names)}
    nodes = [node for genome in genomes for node in genome.nodes.values()]
    links = [link for genome in genomes for link in genome.connections.values()]
    return {
        "genomes": torch.tensor([[genome.key, len(genome.nodes), len(genome.connections)] for genome in genomes]),
        "node_keys": torch.tensor([[node.key, word[node.activation], word[node.aggregation]] for node in nodes]),
        "node_numbers": float64([[node.bias, node.response, node.time_constant] for node in nodes]),
        "link_keys": torch.tensor([[*link.key, link.innovation, int(link.enabled)] for link in links],
                                  dtype=torch.int64).reshape(-1, 4),
        "link_weights": float64([link.weight for link in links]),
    }


def unpack_genomes(packed: dict[str, Any], names: list[str]) -> list[DefaultGenome]:
    """The genomes that `pack_genomes` took apart."""
    nodes = zip(packed["node_keys"].tolist(), packed["node_numbers"].tolist(), strict=True)
    links = zip(packed["link_keys"].tolist(), packed["link_weights"].tolist(), strict=True)
    genomes = []
    for key, node_count, link_count in packed["genomes"].tolist():
        genome = Genome(key)
        for _ in range(node_count):
            (node_key, activation, aggregation), (bias, response, time_constant) = next(nodes)
            node = DefaultNodeGene(node_key)
            node.bias, node.response, node.time_constant = bias, response, time_constant
            node.activation, node.aggregation = names[activation], names[aggregation]
            genome.nodes[node_key] = node
        for _ in range(link_count):
            (source, target, innovation, enabled), weight = next(links)
            link = DefaultConnectionGene((source, target), innovation=innovation)
            link.weight, link.enabled = weight, bool(enabled)
            genome.connections[link.key] = link
        genomes.append(genome)
    return genomes
