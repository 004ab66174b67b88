"""neat-python's genomes: their graphs, and their genes as tensors for checkpoints."""

from collections.abc import Sequence
from typing import Any

import torch
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from neat.genome import DefaultGenome
from torch import Tensor

from hyperevo.encodings._graph import Graph, Node, Topology

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
        matching = {gene.innovation: gene for gene in other.connections.values()}
        for key, gene in fitter.connections.items():
            match = matching.get(gene.innovation)
            self.connections[key] = gene.copy() if match is None or match.key != key else gene.crossover(match)
        for key, node in fitter.nodes.items():
            twin = other.nodes.get(key)
            self.nodes[key] = node.copy() if twin is None else node.crossover(twin)

    def mutate(self, config: GenomeConfig) -> None:
        """Mutate; what makes a graph that the config does not accept is undone and tried again, a few times."""
        accepts = getattr(config, "accepts", None)
        if accepts is None:
            super().mutate(config)
            return
        connections, nodes = self.connections, self.nodes
        for _ in range(MUTATION_ATTEMPTS):
            self.connections = {key: link.copy() for key, link in connections.items()}
            self.nodes = {key: node.copy() for key, node in nodes.items()}
            super().mutate(config)
            if accepts(graph_from_genome(self, config).topology):
                return
        self.connections, self.nodes = connections, nodes

    def mutate_add_connection(self, config: GenomeConfig) -> None:
        """A new link; with neutral growth its weight is 0."""
        before = len(self.connections)
        super().mutate_add_connection(config)
        if getattr(config, "neutral_growth", False) and len(self.connections) > before:
            next(reversed(self.connections.values())).weight = 0.0

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


def _live_links(genome: DefaultGenome, config: GenomeConfig) -> dict[int, list[DefaultConnectionGene]]:
    """Enabled links by target, in the genome's order, for the nodes that some output needs."""
    incoming: dict[int, list[DefaultConnectionGene]] = {}
    for gene in genome.connections.values():
        if gene.enabled:
            incoming.setdefault(gene.key[1], []).append(gene)
    live: dict[int, list[DefaultConnectionGene]] = {}
    waiting = list(config.output_keys)
    while waiting:
        node = waiting.pop()
        if node not in live:
            live[node] = incoming.get(node, [])
            waiting.extend(gene.key[0] for gene in live[node] if gene.key[0] >= 0)
    return live


def _in_order(live: dict[int, list[DefaultConnectionGene]]) -> list[int]:
    """Nodes such that every source comes before its use; equal structures in equal order."""
    targets: dict[int, list[int]] = {node: [] for node in live}
    missing: dict[int, int] = {}
    for node, genes in live.items():
        sources = [gene.key[0] for gene in genes if gene.key[0] >= 0]
        missing[node] = len(sources)
        for source in sources:
            targets[source].append(node)
    ready, order = sorted(node for node, count in missing.items() if count == 0), []
    while ready:
        order += ready
        following = []
        for node in ready:
            for target in targets[node]:
                missing[target] -= 1
                if missing[target] == 0:
                    following.append(target)
        ready = sorted(following)
    return order


def genes_in_graph(genome: DefaultGenome, config: GenomeConfig,
                    ) -> tuple[list[DefaultNodeGene], list[list[DefaultConnectionGene]]]:
    """The graph's nodes in order, and the links into each."""
    live = _live_links(genome, config)
    order = _in_order(live)
    return [genome.nodes[key] for key in order], [live[key] for key in order]


def graph_from_genome(genome: DefaultGenome, config: GenomeConfig) -> Graph:
    """The CPPN a genome stands for, without disabled links and dead nodes; numbers in float64, as in the genes."""
    nodes, links = genes_in_graph(genome, config)
    place = {key: index for index, key in enumerate(config.input_keys)}
    place |= {node.key: config.num_inputs + index for index, node in enumerate(nodes)}
    topology = Topology(
        config.num_inputs,
        tuple(Node(node.activation, node.aggregation, tuple(place[gene.key[0]] for gene in incoming))
              for node, incoming in zip(nodes, links, strict=True)),
        tuple(place[key] - config.num_inputs for key in config.output_keys))
    return Graph(topology, float64([gene.weight for incoming in links for gene in incoming]),
                 float64([node.bias for node in nodes]), float64([node.response for node in nodes]))


def write_back(genome: DefaultGenome, config: GenomeConfig, graph: Graph) -> None:
    """Give a genome's genes the numbers of a graph of its topology."""
    nodes, links = genes_in_graph(genome, config)
    for gene, weight in zip((gene for incoming in links for gene in incoming), graph.weights.tolist(), strict=True):
        gene.weight = weight
    for node, bias, response in zip(nodes, graph.biases.tolist(), graph.responses.tolist(), strict=True):
        node.bias, node.response = bias, response


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
