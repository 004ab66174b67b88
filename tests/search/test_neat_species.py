"""NEAT's bookkeeping is neat-python's own, only faster: the same distances and species, bit for bit, and the same genes
from the same random numbers."""

import copy
import random

import neat
import numpy as np
import pytest
import torch
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from neat.genome import DefaultGenome
from neat.graphs import creates_cycle
from neat.reporting import ReporterSet

from hyperevo.search import _neat_genes
from hyperevo.search._neat_benchmark import bookkeeping
from hyperevo.search._neat_breeding import MUTATION_ATTEMPTS, Growth, _structural_mutations, breed, closes_cycle
from hyperevo.search._neat_genes import NAMES, NODE_WORDS, cross
from hyperevo.search._neat_genomes import Genome, gather, graph_from_genome, graphs_from_genomes, settle
from hyperevo.search._neat_python import Counter
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search._neat_species import GeneTable, SpeciesSet
from hyperevo.search.neat import NeatSearch, Settings

INPUTS, OUTPUTS = ["x1", "y1", "x2", "y2", "one"], ["weight", "bias"]
SETTINGS = [{}, {"neutral_growth": False, "mutate_rate": 0.5, "replace_rate": 0.1, "function_rate": 0.2},
            {"target_species": 20, "add_node": 0.5, "aggregations": ("sum", "max"), "aggregation_rate": 0.2},
            {"compatibility_threshold": 0.8, "toggle_rate": 0.2, "hidden": 3, "single_structural_mutation": True},
            {"connection": "unconnected", "add_link": 0.3, "neutral_growth": False}]


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


# Genes: numpy draws for all genes at once; the same numbers are given to neat-python's own functions, one by one


class Recorded:
    """A numpy generator that keeps what it drew."""

    def __init__(self):
        self.draws, self.log = np.random.default_rng(0), []

    def __getattr__(self, name):
        def draw(*args, **options):
            self.log.append(getattr(self.draws, name)(*args, **options))
            return self.log[-1]
        return draw


def genes(genome):
    return ([vars(node) for node in genome.nodes.values()], [vars(link) for link in genome.connections.values()])


def opened(pool):
    """The genomes of a pool, as objects."""
    genomes = [Genome(key) for key in range(len(pool.nodes.sizes))]
    settle(genomes, pool)
    return genomes


@pytest.mark.parametrize("options", SETTINGS)
def test_genes_cross_as_neat_pythons(options, monkeypatch):
    *_, search = generations(options, count=8)
    genomes = list(search.population.values())
    first, second = np.random.default_rng(0).integers(len(genomes), size=(2, 200))
    draws = Recorded()
    children = opened(cross(gather(genomes), first, second, draws))
    # bias, response, time constant, activation, aggregation; neat-python has the time constant last
    scripts = {"nodes": zip(*(draws.log[column] for column in (0, 1, 3, 4, 2)), strict=True),
               "connections": zip(*draws.log[5:], strict=True)}
    disabled = 0
    for child, mine, other in zip(children, first, second, strict=True):
        for kind, script in scripts.items():
            own, match = (getattr(genomes[number], kind) for number in (mine, other))
            assert list(getattr(child, kind)) == list(own)
            for key, gene in own.items():
                expected = gene
                if key in match and getattr(match[key], "innovation", 0) == getattr(gene, "innovation", 0):
                    monkeypatch.setattr(neat.genes, "random", iter(next(script)).__next__)
                    expected = gene.crossover(match[key])
                    disabled += kind == "connections" and gene.enabled and not expected.enabled
                assert vars(getattr(child, kind)[key]) == vars(expected)
    assert disabled and all(next(script, None) is None for script in scripts.values())


ODD = {"weight_init_type": "uniform", "weight_replace_rate": 0.3, "bias_replace_rate": 0.2, "bias_init_mean": 2.5,
       "response_mutate_rate": 0.5, "response_mutate_power": 0.4, "response_replace_rate": 0.2,
       "response_max_value": 1.3, "time_constant_mutate_rate": 0.2, "time_constant_replace_rate": 0.3,
       "time_constant_min_value": 0.1, "time_constant_max_value": 5.0,
       "time_constant_mutate_power": 2.0, "time_constant_init_stdev": 0.7, "enabled_rate_to_true_add": 0.4,
       "enabled_rate_to_false_add": 0.1, "enabled_default": "random", "aggregation_mutate_rate": 0.3,
       "aggregation_options": ["sum", "max", "mean"], "activation_default": "cos"}
ATTRIBUTES = {attribute.name: attribute for gene in (DefaultNodeGene, DefaultConnectionGene)
              for attribute in gene._gene_attributes}


def configured(search, changes):
    config = copy.deepcopy(search.genome_config)
    for name, value in changes.items():
        assert hasattr(config, name)
        setattr(config, name, value)
    return config


def scripted(monkeypatch, config, name, log, row):
    """Let neat-python draw for one gene what was drawn for its row; `log` ends with what only some genes need."""
    uniforms = [log[0][row]]
    options = getattr(config, f"{name}_options", ())
    power = getattr(config, f"{name}_mutate_power", None)
    monkeypatch.setattr(neat.attributes, "random", lambda: uniforms.pop() if uniforms else next(log[-1]))
    monkeypatch.setattr(neat.attributes, "uniform", lambda low, high: low + (high - low) * next(log[-1]))
    monkeypatch.setattr(neat.attributes, "choice", lambda given: given[next(log[-1])] if given is options else None)
    monkeypatch.setattr(neat.attributes, "gauss", lambda mean, deviation: mean + deviation * (
        log[1][row] if (mean, deviation) == (0.0, power) else next(log[-1])))


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("changes", [{}, ODD])
@pytest.mark.parametrize("options", SETTINGS[:2])
def test_genes_mutate_as_neat_pythons(options, changes, name, monkeypatch):
    *_, search = generations(options, count=4)
    config = configured(search, changes)
    part = "links" if name in ("weight", "enabled") else "nodes"
    pool = gather(4 * list(search.population.values()))  # so many genes that some mutate at the smallest rate too
    before = getattr(pool, part)[name].copy()
    after, draws = before.copy(), Recorded()
    kind = "switches" if name == "enabled" else "words" if before.dtype == np.int64 else "numbers"
    getattr(_neat_genes, f"_mutate_{kind}")(after, name, config, draws)
    log = draws.log and [*draws.log[:-1], iter(draws.log[-1].tolist())]
    word = NAMES.__getitem__ if kind == "words" else lambda value: value
    for row, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
        if log:
            scripted(monkeypatch, config, name, log, row)
        assert ATTRIBUTES[name].mutate_value(word(old), config) == word(new)
    assert not log or next(log[-1], None) is None
    assert (before != after).any() == (getattr(config, f"{name}_mutate_rate") > 0)


@pytest.mark.parametrize("changes", [{}, ODD, {"weight_init_type": "normal", "enabled_default": "no"}])
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_new_genes_start_as_neat_pythons(changes, name, monkeypatch):
    search = next(generations({}, count=1))
    config, draws = configured(search, changes), Recorded()
    kind = "switches" if name == "enabled" else "words" if name in NODE_WORDS else "numbers"
    made = getattr(_neat_genes, f"new_{kind}")(50, name, config, draws).tolist()
    log = iter(draws.log[-1].tolist() if draws.log else ())
    for value in made:
        scripted(monkeypatch, config, name, [[], log], slice(0))
        monkeypatch.setattr(neat.attributes, "random", log.__next__)
        monkeypatch.setattr(neat.attributes, "gauss", lambda mean, deviation: mean + deviation * next(log))
        assert ATTRIBUTES[name].init_value(config) == (NAMES[value] if kind == "words" else value)


def after(seed, work):
    """What `work` gives with the global stream at a seed, and the next number of the stream."""
    outside = random.getstate()
    random.seed(seed)
    try:
        return work(), random.random()
    finally:
        random.setstate(outside)


class Plain:
    """Draws by which new genes get the first word, the mean and no chance."""

    integers = staticmethod(lambda high, size: np.zeros(size, dtype=np.int64))
    random, standard_normal = np.ones, np.zeros


STRUCTURAL = [{}, {"structural_mutation_surer": "true"}, {"single_structural_mutation": True},
              {"node_add_prob": 0.9, "node_delete_prob": 0.9, "conn_add_prob": 0.9, "conn_delete_prob": 0.9}]


@pytest.mark.parametrize("changes", STRUCTURAL)
@pytest.mark.parametrize("options", [SETTINGS[1], {**SETTINGS[3], "neutral_growth": False},
                                     {"connection": "unconnected", "neutral_growth": False}])
def test_structures_mutate_as_neat_pythons(options, changes, monkeypatch):
    *_, search = generations(options, count=3 if "connection" in options else 8)
    genomes, draws = list(search.population.values()), Recorded()
    wanted = _structural_mutations(len(genomes), configured(search, changes), draws)
    monkeypatch.setattr(neat.attributes, "random", lambda: 1.0)
    monkeypatch.setattr(neat.attributes, "gauss", lambda mean, deviation: mean)
    monkeypatch.setattr(neat.attributes, "choice", lambda options: options[0])
    for number, genome in enumerate(genomes):
        configs = [configured(search, changes) for _ in range(2)]
        for config in configs:
            config.node_indexer = Counter(1000)  # copying a config moves its counter
        child, chances = DefaultGenome(genome.key), iter(draws.log[0][number].flat)
        child.nodes, child.connections = copy.deepcopy((genome.nodes, genome.connections))
        monkeypatch.setattr(neat.genome, "random", chances.__next__)
        growth = Growth(gather([genome]).of(np.array([0])), configs[0])
        ours = after(number, lambda growth=growth, row=wanted[number][None]: growth.grown(row, Plain()))
        theirs = after(number, lambda child=child, config=configs[1]: child.mutate(config))
        assert genes(opened(ours[0])[0]) == genes(child)
        assert ours[1] == theirs[1]
        assert vars(configs[0].innovation_tracker) == vars(configs[1].innovation_tracker)


def features(genome):
    nodes, links = genome.nodes.values(), genome.connections.values()
    return [len(nodes), len(links), sum(link.enabled for link in links), sum(link.weight for link in links),
            sum(link.weight**2 for link in links), sum(node.bias for node in nodes),
            sum(node.bias**2 for node in nodes), *(sum(node.activation == name for node in nodes)
                                                   for name in ("sin", "gauss", "identity"))]


@pytest.mark.parametrize("options", [SETTINGS[1], {**SETTINGS[3], "neutral_growth": False}])
def test_children_are_as_neat_pythons_on_average(options):
    *_, search = generations(options, count=8)
    config, genomes = search.genome_config, list(search.population.values())
    for number, genome in enumerate(genomes):
        genome.fitness = float(number)
    parents = genomes[5], genomes[6]
    figures = []
    for kind, count in ((Genome, 3000), (DefaultGenome, 1500)):
        children = [kind(key) for key in range(count)]
        with search._random.lent():
            for child in children:
                child.configure_crossover(*parents, config)
                child.mutate(config)
            if kind is Genome:
                breed(children, config)
        figures.append(np.array([features(child) for child in children]))
    spread = np.sqrt(sum(own.var(axis=0) / len(own) for own in figures))
    assert (spread[:7] > 0).all()
    assert (np.abs(figures[0].mean(axis=0) - figures[1].mean(axis=0)) <= 4 * spread).all()
    assert np.allclose(*(own[:, :7].std(axis=0) for own in figures), rtol=0.1)


def test_children_that_are_not_accepted_are_tried_again_and_left_a_plain_crossover():
    *_, search = generations(SETTINGS[1], count=8)
    config, parent = search.genome_config, next(iter(search.population.values()))
    graph, asked = graph_from_genome(parent, config), []

    def bred(accepts):
        config.accepts = accepts
        children = [Genome(key) for key in range(40)]
        for child in children:
            child.configure_crossover(parent, parent, config)
        with search._random.lent():
            breed(children, config)
        return graphs_from_genomes(children, config)

    assert all(topology == graph.topology for topology in (
        child.topology for child in bred(lambda topology: bool(asked.append(topology)))))
    assert len(asked) == MUTATION_ATTEMPTS * 40
    small = [len(child.topology.nodes) <= 3 for child in bred(lambda topology: len(topology.nodes) <= 3)]
    assert sum(small) > sum(len(topology.nodes) <= 3 for topology in asked[:40])


def test_genomes_that_were_opened_evolve_as_those_that_were_not():
    for closed, touched in zip(generations(SETTINGS[1]), generations(SETTINGS[1]), strict=True):
        some = list(touched.population.values())[::3]
        assert all(genome.nodes and genome.place is None for genome in some)
        for name, value in closed.state().items():
            other = touched.state()[name]
            assert torch.equal(value.nan_to_num(), other.nan_to_num()) if isinstance(value, torch.Tensor) \
                else value == other


def test_cycles_are_found_as_by_neat_python():
    draw = random.Random(0)
    for _ in range(300):
        links = {(draw.randrange(6), 6 + draw.randrange(3)): None for _ in range(4)}
        links |= {pair: None for _ in range(6) if (pair := (draw.randrange(6), draw.randrange(6)))[0] < pair[1]}
        link = (draw.randrange(9), draw.randrange(9))
        keys = [(source << 32) + target for source, target in links]
        assert closes_cycle(keys, *link) == creates_cycle(list(links), link)


def test_graphs_of_a_population_are_those_of_its_genomes():
    for search in generations(SETTINGS[3]):
        config = search.genome_config
        for graph, genome in zip(search.ask(), search.population.values(), strict=True):
            alone = graph_from_genome(genome, config)
            assert graph.topology == alone.topology and graph.key() == alone.key()
        assert graphs_from_genomes([], config) == []


def test_bookkeeping_is_measured_on_equal_genomes():
    figures = bookkeeping(population=200, generations=9)
    assert all(figures[name] > 0 for name in ("seconds", "graph_seconds", "table_seconds", "neat_python_seconds"))
    assert 0 < figures["bookkeeping_ratio_to_neat_python"] < 0.9
