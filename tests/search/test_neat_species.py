"""NEAT's bookkeeping is neat-python's own, only faster: the same distances, species and genes, bit for bit."""

import copy
import random

import neat
import numpy as np
import pytest
import torch
from neat.genome import DefaultGenome
from neat.graphs import creates_cycle
from neat.reporting import ReporterSet

from hyperevo.search._neat_benchmark import bookkeeping
from hyperevo.search._neat_genes import (
    closes_cycle,
    copy_link,
    copy_node,
    cross_links,
    cross_nodes,
    mutate_links,
    mutate_nodes,
)
from hyperevo.search._neat_genomes import Genome, graph_from_genome, graphs_from_genomes
from hyperevo.search._neat_python import Counter
from hyperevo.search._neat_species import GeneTable, SpeciesSet
from hyperevo.search.neat import NeatSearch, RefineSettings, Settings

INPUTS, OUTPUTS = ["x1", "y1", "x2", "y2", "one"], ["weight", "bias"]
SETTINGS = [{}, {"neutral_growth": False, "mutate_rate": 0.5, "replace_rate": 0.1, "function_rate": 0.2},
            {"target_species": 20, "add_node": 0.5, "aggregations": ("sum", "max"), "aggregation_rate": 0.2},
            {"compatibility_threshold": 0.8, "toggle_rate": 0.2, "hidden": 3, "single_structural_mutation": True}]


def generations(options, count=12, population=60):
    """A search after each of some generations on a made-up fitness."""
    search = NeatSearch(Settings(population=population, refine=RefineSettings(rounds=0), **options), INPUTS, OUTPUTS, 1)
    for generation in range(count):
        search.ask()
        search.tell(torch.rand(population, generator=torch.Generator().manual_seed(generation)))
        yield search


@pytest.mark.parametrize("options", SETTINGS)
def test_distances_are_neat_pythons(options):
    for search in generations(options):
        genomes = list(search.population.values())
        table = GeneTable(genomes, search.genome_config)
        some = genomes[::7]
        expected = [[genome.distance(other, search.genome_config) for other in genomes] for genome in some]
        assert np.array_equal(table.distances(some), expected)


@pytest.mark.parametrize("options", SETTINGS)
def test_species_are_neat_pythons(options):
    draw = random.Random(0)
    for search in generations(options):
        ours, theirs = (kind(search.config.species_set_config, ReporterSet())
                        for kind in (SpeciesSet, neat.DefaultSpeciesSet))
        for species in (ours, theirs):
            species.species = copy.deepcopy(search._species.species)
            species.indexer = Counter(search._species.indexer.value)
        population = copy.deepcopy(search.population)
        for genome in population.values():
            for link in genome.connections.values():
                link.weight += draw.gauss(0, 0.3) if draw.random() < 0.5 else 0.0
        for species in (ours, theirs):
            species.speciate(search.config, population, search.neat_generation)
        assert ours.genome_to_species == theirs.genome_to_species
        for key, own in theirs.species.items():
            assert ours.species[key].representative is own.representative
            assert list(ours.species[key].members) == list(own.members)


def genes(genome):
    return ([vars(node) for node in genome.nodes.values()], [vars(link) for link in genome.connections.values()])


def after(seed, work):
    """What `work` gives with the global stream at a seed, and the next number of the stream."""
    outside = random.getstate()
    random.seed(seed)
    try:
        return work(), random.random()
    finally:
        random.setstate(outside)


@pytest.mark.parametrize("options", SETTINGS)
def test_genes_cross_and_mutate_as_neat_pythons(options):
    *_, search = generations(options, count=8)
    config = search.genome_config
    genomes = list(search.population.values())
    for seed, (first, second) in enumerate(zip(genomes, genomes[1:], strict=False)):
        for key in first.connections.keys() & second.connections.keys():
            pair = first.connections[key], second.connections[key]
            assert vars(copy_link(pair[0])) == vars(pair[0])
            if pair[0].innovation == pair[1].innovation:
                assert after(seed, lambda pair=pair: vars(cross_links(*pair))) \
                    == after(seed, lambda pair=pair: vars(pair[0].crossover(pair[1])))
        for key in first.nodes.keys() & second.nodes.keys():
            pair = first.nodes[key], second.nodes[key]
            assert vars(copy_node(pair[0])) == vars(pair[0])
            assert after(seed, lambda pair=pair: vars(cross_nodes(*pair))) \
                == after(seed, lambda pair=pair: vars(pair[0].crossover(pair[1])))
        mine, other = copy.deepcopy(first), copy.deepcopy(first)

        def ours(mine=mine):
            mutate_links(mine.connections.values(), config)
            mutate_nodes(mine.nodes.values(), config)
            return genes(mine)

        def theirs(other=other):
            for gene in (*other.connections.values(), *other.nodes.values()):
                gene.mutate(config)
            return genes(other)

        assert after(seed, ours) == after(seed, theirs)


@pytest.mark.parametrize("options", SETTINGS[1:2] + [{**SETTINGS[3], "neutral_growth": False}])
def test_children_mutate_as_neat_pythons(options):
    *_, search = generations(options, count=8)
    for seed, genome in enumerate(search.population.values()):
        mutated = []
        for kind in (Genome, DefaultGenome):
            config = copy.deepcopy(search.genome_config)
            config.node_indexer = Counter(1000)  # copying a config moves its counter
            child = kind(genome.key)
            child.nodes, child.connections = copy.deepcopy((genome.nodes, genome.connections))
            mutated.append(after(seed, lambda child=child, config=config: (child.mutate(config), genes(child))[1]))
        assert mutated[0] == mutated[1]


def test_cycles_are_found_as_by_neat_python():
    draw = random.Random(0)
    for _ in range(300):
        links = {(draw.randrange(6), 6 + draw.randrange(3)): None for _ in range(4)}
        links |= {pair: None for _ in range(6) if (pair := (draw.randrange(6), draw.randrange(6)))[0] < pair[1]}
        link = (draw.randrange(9), draw.randrange(9))
        assert closes_cycle(links, link) == creates_cycle(list(links), link)


def test_graphs_of_a_population_are_those_of_its_genomes():
    for search in generations(SETTINGS[3]):
        config = search.genome_config
        for graph, genome in zip(search.ask(), search.population.values(), strict=True):
            alone = graph_from_genome(genome, config)
            assert graph.topology == alone.topology and graph.key() == alone.key()
        assert graphs_from_genomes([], config) == []


def test_bookkeeping_is_measured_on_equal_genomes():
    figures = bookkeeping(population=200, generations=9)
    assert figures["seconds"] > 0 and figures["neat_python_seconds"] > 0
    assert 0 < figures["bookkeeping_ratio_to_neat_python"] < 0.9
