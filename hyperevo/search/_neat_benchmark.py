"""Speed of NEAT's bookkeeping against neat-python's own, on the same genomes in the same run."""

import copy
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import neat
import torch
from neat.genome import DefaultGenome
from neat.reporting import ReporterSet

from hyperevo.encodings._table import table_from_graphs
from hyperevo.search._neat_python import Counter
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search.neat import NeatSearch, Settings

INPUTS, OUTPUTS = ["x1", "y1", "x2", "y2", "one"], ["weight", "bias"]


def bookkeeping(population: int = 1000, generations: int = 30, seed: int = 0) -> dict[str, Any]:
    """Median seconds of the processor for one generation's tell and ask, and for neat-python's reproduction and
    speciation; their ratio. Apart from these the seconds in which all graphs are made of what ask gives (neat-python's
    networks are made later, too): `graph_seconds` as objects, `table_seconds` as one table.

    A search evolves on random fitness. In its last third, before every tell, the whole state is copied to neat-python's
    own classes, which take the same step from there.
    """
    settings = Settings(population=population, mutate_rate=0.5, neutral_growth=False, refine=RefineSettings(rounds=0))
    search = NeatSearch(settings, INPUTS, OUTPUTS, seed)
    ours, theirs, graphs, tables = [], [], [], []
    for generation in range(generations):
        list(search.ask())
        fitness = torch.rand(population, generator=torch.Generator().manual_seed(generation))
        late = generation >= 2 * generations // 3
        if late:
            theirs.append(_neat_python_generation(search, fitness))
        started = time.process_time()
        search.tell(fitness)
        asked = search.ask()
        if late:
            ours.append(time.process_time() - started)
            graphs.append(_seconds(partial(list, asked)))
            tables.append(_seconds(partial(table_from_graphs, asked)))
        del asked  # or its graphs are given back while the next generation is timed
    nodes, links = zip(*(genome.size() for genome in search.population.values()), strict=True)
    return {"population": population, "generations": generations, "species": len(search.species_sizes()),
            "mean_nodes": statistics.mean(nodes), "mean_links": statistics.mean(links),
            "seconds": statistics.median(ours), "graph_seconds": statistics.median(graphs),
            "table_seconds": statistics.median(tables), "neat_python_seconds": statistics.median(theirs),
            "bookkeeping_ratio_to_neat_python": statistics.median(
                one / other for one, other in zip(ours, theirs, strict=True))}


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _neat_python_generation(search: NeatSearch, fitness: torch.Tensor) -> float:
    """Seconds neat-python's own classes take for one generation from a copy of the search's population."""
    for genome, value in zip(search.population.values(), fitness.tolist(), strict=True):
        genome.fitness = value
    search._limit_species()  # or neat-python refuses; `tell` does the same
    config = copy.copy(search.config)
    config.genome_type, config.genome_config = DefaultGenome, copy.deepcopy(search.genome_config)
    config.genome_config.node_indexer = Counter(search.genome_config.node_indexer.value)
    population = {key: _plain(genome) for key, genome in search.population.items()}
    reporters = ReporterSet()
    species = neat.DefaultSpeciesSet(config.species_set_config, reporters)
    species.indexer = Counter(search._species.indexer.value)
    for key, own in search._species.species.items():
        species.species[key] = copy.copy(own)
        members = {member: population[member] for member in own.members}
        representative = own.representative
        species.species[key].update(members.get(representative.key) or _plain(representative), members)
    stagnation = neat.DefaultStagnation(config.stagnation_config, reporters)
    reproduction: Any = neat.DefaultReproduction(config.reproduction_config, reporters, stagnation)
    # neat-python's own counts may not add up, and then it raises.
    reproduction._adjust_spawn_exact = search._reproduction._adjust_spawn_exact
    reproduction.genome_indexer = Counter(search._reproduction.genome_indexer.value)
    reproduction.innovation_tracker = copy.deepcopy(search._reproduction.innovation_tracker)
    outside = random.getstate()
    random.seed(0)
    started = time.process_time()
    children = reproduction.reproduce(config, species, config.pop_size, search.neat_generation)
    species.speciate(config, children, search.neat_generation + 1)
    spent = time.process_time() - started
    random.setstate(outside)
    return spent


def _plain(genome: DefaultGenome) -> DefaultGenome:
    """The genome as neat-python's own class."""
    plain = DefaultGenome(genome.key)
    twin = copy.copy(genome)  # its genes become objects; the search's stay as they are
    plain.nodes = {key: node.copy() for key, node in twin.nodes.items()}
    plain.connections = {key: link.copy() for key, link in twin.connections.items()}
    plain.fitness = genome.fitness
    return plain
