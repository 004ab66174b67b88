"""NEAT: neat-python's genomes, reproduction and species behind ask and tell, with refined numbers.

One round of ask and tell is either a NEAT generation (the whole population, phase 0) or a refinement round (phase 1).
After a NEAT generation the champions of the best species are refined in turn: an evolution strategy (separable NES)
moves the weights and biases of one champion for some rounds and writes them back into its genes (Lamarckian). Then
neat-python reproduces and speciates. Evolution finds the graph, the strategy its numbers, without a gradient. With
`learn` all genomes also take steps along the gradient before they are judged, and may keep what they learned.

neat-python draws from Python's global `random`. Here it draws from a stream of this search's own, swapped in for the
time of every call, so nothing outside is disturbed and a restored search continues bit by bit.
"""

import logging
import math
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import neat
import torch
from neat.reporting import ReporterSet
from torch import Tensor

from hyperevo.abilities import MayRecur, PaintsGraphs
from hyperevo.encodings._separable import stays_separable
from hyperevo.encodings._table import TabledGraphs
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotypes, as_graphs
from hyperevo.graph import Graph, without_garbage_collection
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import generator_for
from hyperevo.search._neat_fitness import finite, shared
from hyperevo.search._neat_genes import NAMES, WORDS, Pool, pairs
from hyperevo.search._neat_genomes import (
    Genome,
    float64,
    gather,
    graph_from_genome,
    pack_genomes,
    settle,
    unpack_genomes,
    write_back,
)
from hyperevo.search._neat_learn import Learning
from hyperevo.search._neat_python import Counter, RandomStream, Reproduction, neat_config
from hyperevo.search._neat_refine import Refinement, limits_of, step_keys
from hyperevo.search._neat_seeds import check_seed_options, check_separable, seed_genome
from hyperevo.search._neat_settings import Settings
from hyperevo.search._neat_species import SpeciesSet, threshold_between
from hyperevo.search._neat_start import started_population
from hyperevo.search._neat_state import refinement_from, refinement_state, restore_species, species_state
from hyperevo.search._neat_table import tabled_graphs
from hyperevo.search._start import RunStart

logger = logging.getLogger(__name__)

SPECIES_STEP = 1.1
"""Factor by which the compatibility threshold moves per generation, towards the wished number of species."""

NOISE_STREAM = 0x6E656174
"""Random stream of the noise of a round, apart from other draws of the same seed and round."""

NEAT_PHASE, REFINE_PHASE = 0, 1


class NeatSearch(Search):
    """Ask for graphs, tell their fitness (P,), higher is better. `generation` counts the tells of both phases,
    `neat_generation` those of the whole population."""

    def __init__(self, settings: Settings, input_names: Sequence[str], output_names: Sequence[str], seed: int,
                 matrix_outputs: Sequence[int] | None = None, recurrent: bool = False,
                 continuous: bool = False):
        """matrix_outputs: indices of the outputs that paint values over all connections; by default all may. recurrent:
        True where links may lead back; continuous: True where nodes have time constants."""
        self.settings, self.seed = settings, seed
        self.input_names, self.output_names = list(input_names), list(output_names)
        # neat-python's classes carry no types to speak of.
        self.config: Any = neat_config(settings, len(self.input_names), len(self.output_names), recurrent, continuous)
        self.genome_config: Any = self.config.genome_config
        check_seed_options(settings, self.input_names)
        if settings.separable and settings.ini is None:
            matrices = tuple(range(len(output_names)) if matrix_outputs is None else matrix_outputs)
            self.genome_config.accepts = partial(stays_separable, input_names=self.input_names, outputs=matrices)
        self._random = RandomStream(seed)
        reporters = ReporterSet()
        stagnation = neat.DefaultStagnation(self.config.stagnation_config, reporters)
        self._reproduction: Any = Reproduction(self.config.reproduction_config, reporters, stagnation)
        self._reproduction.genome_indexer = Counter(1)
        self._species: Any = SpeciesSet(self.config.species_set_config, reporters)
        self._species.indexer = Counter(1)
        self.generation = self.neat_generation = 0
        self._steps: dict[tuple[int, int], float] = {}
        self._queue: list[list[int]] = []
        self._refinement: Refinement | None = None
        self._candidates: list[Graph] = []
        self._statistics: dict[str, float | int] = {}
        self._sizes: dict[int, int] = {}
        self._packed: dict[str, Tensor] | None = None
        self._start_population()

    # The first population

    def _start_population(self) -> None:
        with self._random.lent():
            self.genome_config.innovation_tracker = self._reproduction.innovation_tracker
            self.population = {genome.key: genome for genome in self._first_genomes()}
            check_separable(self._settle(), self.genome_config)
            if self.settings.ini is None and self.settings.compatibility_threshold is None:
                self._threshold = threshold_between(list(self.population.values()), self.genome_config,
                                                    self._wished_species or 1)
            self._species.speciate(self.config, self.population, self.neat_generation)
        self._population_changed()

    def _first_genomes(self) -> list[Genome]:
        keys, size = iter(self._reproduction.genome_indexer), self.config.pop_size
        if isinstance(self.settings.start, RunStart):
            return started_population(self.settings.start, keys, self.genome_config, size)
        return [seed_genome(key, self.settings, self.genome_config, self.input_names, self.output_names)
                for key in islice(keys, size)]

    def _settle(self) -> Pool:
        """Put the population into one pool, and give all outputs the output function, if one is set."""
        genomes = list(self.population.values())
        pool = gather(genomes)
        if self.settings.ini is None and self.settings.output_function is not None:
            # Where this is the pool they were in already, it changes nothing.
            nodes = pool.nodes
            outputs = (nodes["key"] >= 0) & (nodes["key"] < self.genome_config.num_outputs)
            nodes["activation"][outputs] = WORDS[self.settings.output_function]
            nodes["aggregation"][outputs] = WORDS["sum"]
        settle(genomes, pool)
        return pool

    # Ask and tell

    @property
    def phase(self) -> int:
        """Phase of the next ask: 0 for the whole population, 1 for the refinement of a champion."""
        return NEAT_PHASE if self._refinement is None else REFINE_PHASE

    def ask(self) -> TabledGraphs:
        """Graphs whose fitness is wanted next; asking twice gives the same graphs."""
        if self._refinement is not None:
            return self._refinement.population(self._noise(self._refinement))
        return tabled_graphs(list(self.population.values()), self.genome_config)

    @property
    def teaches(self) -> bool:
        """True where genomes learn along the gradient."""
        return self.settings.learn.steps > 0

    def lessons(self) -> Learning | None:
        """Steps along the gradient to be taken before the next tell; None where there are none."""
        if self._refinement is not None or self.settings.learn.steps == 0:
            return None
        graphs = self.ask()
        return Learning(graphs, [limits_of(graph, self.genome_config) for graph in graphs], self.settings.learn)

    def tell(self, fitness: Tensor) -> None:
        """Take the fitness (P,) of the graphs asked for, in their order; values that are not finite count as worst.
        Raises ValueError for another number of values."""
        self._tell(fitness, None)

    def tell_learned(self, fitness: Tensor, learned: Genotypes) -> None:
        """Take the fitness (P,) of the learned graphs, in the order of the genomes asked for."""
        self._tell(fitness, as_graphs(learned))

    def _tell(self, fitness: Tensor, learned: Sequence[Graph] | None) -> None:
        fitness = fitness.detach().to("cpu", torch.float64)
        expected = self.settings.refine.population if self._refinement is not None else len(self.population)
        if fitness.shape != (expected,):
            raise ValueError(f"fitness has shape {tuple(fitness.shape)}, not ({expected},)")
        fitness = finite(fitness)
        if self._refinement is not None:
            self._tell_refinement(self._refinement, fitness)
        else:
            self._tell_generation(fitness, learned)
        self.generation += 1

    def candidates(self) -> list[Graph]:
        """Graphs worth validating after a tell: the best of a generation, or the centre of a refinement."""
        return list(self._candidates)

    def statistics(self) -> dict[str, float | int]:
        """Numbers about the last tell for metrics.csv: its phase, the species, sizes of genomes."""
        return dict(self._statistics)

    def species_sizes(self) -> dict[int, int]:
        """Number of members, by species, of the generation last told."""
        return dict(self._sizes)

    def _noise(self, refinement: Refinement) -> Tensor:
        """Noise (refine.population, numbers) of the coming round: a function of the seed and the number of tells, so
        that no state is kept."""
        generator = generator_for(self.seed, self.generation, NOISE_STREAM)
        return torch.randn(self.settings.refine.population, len(refinement.centre), generator=generator,
                           dtype=torch.float64)

    def _tell_generation(self, fitness: Tensor, learned: Sequence[Graph] | None) -> None:
        genomes = list(self.population.values())
        best = int(fitness.argmax())
        self._candidates = [graph_from_genome(genomes[best], self.genome_config) if learned is None else learned[best]]
        if learned is not None and self.settings.learn.inherit:
            self._inherit(genomes, learned)
        self._sizes = {key: len(species.members) for key, species in sorted(self._species.species.items())}
        self._statistics = self._describe(genomes, self._candidates[0])
        for genome, value in zip(genomes, shared(fitness).tolist(), strict=True):
            genome.fitness = value
        self._queue = self._plan_refinement()
        self._next_refinement()

    def _inherit(self, genomes: Sequence[Genome], learned: Sequence[Graph]) -> None:
        for genome, graph in zip(genomes, learned, strict=True):
            write_back(genome, self.genome_config, graph)
        self._packed = None

    def _plan_refinement(self) -> list[list[int]]:
        """Pairs [genome, rounds] for the champions of the best species."""
        settings = self.settings.refine
        plan: list[list[int]] = []
        if settings.rounds == 0:
            return plan
        champions = [max(species.members.values(), key=lambda genome: (genome.fitness, genome.key))
                     for _, species in sorted(self._species.species.items())]
        champions.sort(key=lambda genome: (genome.fitness, genome.key), reverse=True)
        for place, genome in enumerate(champions[: settings.champions]):
            rounds = round(settings.rounds * settings.share**place)
            if rounds > 0:
                plan.append([genome.key, rounds])
        return plan

    def _next_refinement(self) -> None:
        """Start on the next champion; after the last, the next generation."""
        self._refinement = None
        if not self._queue:
            self._reproduce()
            return
        key, rounds = self._queue.pop(0)
        graph = graph_from_genome(self.population[key], self.genome_config)
        steps = [self._steps.get(gene, self.settings.refine.step)
                 for gene in step_keys(self.population[key], self.genome_config)]
        self._refinement = Refinement(key, graph, rounds, torch.cat([graph.weights, graph.biases]), float64(steps))

    def _tell_refinement(self, refinement: Refinement, fitness: Tensor) -> None:
        refinement.tell(self._noise(refinement), fitness, self.settings.refine,
                        limits_of(refinement.graph, self.genome_config))
        centre = refinement.at(refinement.centre)
        self._candidates = [centre]
        self._statistics = {**self._statistics, "phase": REFINE_PHASE, "nodes": len(centre.topology.nodes),
                            "links": centre.topology.links, "step": float(refinement.steps.mean())}
        if refinement.rounds_left == 0:
            genome = self.population[refinement.genome]
            write_back(genome, self.genome_config, centre)
            if self.settings.refine.keep_steps:
                self._steps |= zip(step_keys(genome, self.genome_config), refinement.steps.tolist(), strict=True)
            self._packed = None
            self._next_refinement()

    def _describe(self, genomes: list[Genome], best: Graph) -> dict[str, float | int]:
        nodes, links = gather(genomes)
        return {"phase": NEAT_PHASE, "neat_generation": self.neat_generation, "species": len(self._sizes),
                "largest_species": max(self._sizes.values()),
                "mean_nodes": len(nodes) / len(genomes), "mean_links": int(links["enabled"].sum()) / len(genomes),
                "nodes": len(best.topology.nodes), "links": best.topology.links, "step": 0.0}

    # Reproduction

    @property
    def _threshold(self) -> float:
        return self.config.species_set_config.compatibility_threshold

    @_threshold.setter
    def _threshold(self, value: float) -> None:
        self.config.species_set_config.compatibility_threshold = value

    def _reproduce(self) -> None:
        with without_garbage_collection():
            self._next_generation()

    def _next_generation(self) -> None:
        self._limit_species()
        with self._random.lent():
            self.population = self._reproduction.reproduce(self.config, self._species, self.config.pop_size,
                                                           self.neat_generation)
        self._reproduction.ancestors.clear()
        self.neat_generation += 1
        if not self.population:
            logger.warning("all species died out in NEAT generation %d; a new population starts",
                           self.neat_generation)
            self._steps.clear()
            self._start_population()
            return
        self._settle()
        self._move_threshold()
        if self._wished_species:
            self._species.merge(self.genome_config)
        self._species.speciate(self.config, self.population, self.neat_generation)
        self._population_changed()

    def _limit_species(self) -> None:
        """Drop the worst species where there are more than the population has room for: neat-python would stop."""
        reproduction = self.config.reproduction_config
        room = max(1, self.config.pop_size // max(reproduction.min_species_size, reproduction.elitism, 1))
        self._species.keep_best(room)

    @property
    def _wished_species(self) -> int:
        """Number of species that is aimed at; 0 where the compatibility threshold is fixed, as with an INI file."""
        return self.settings.target_species if self.settings.ini is None else 0

    def _move_threshold(self) -> None:
        wished, species = self._wished_species, len(self._species.species)
        if wished and species != wished:
            self._threshold *= SPECIES_STEP if species > wished else 1 / SPECIES_STEP

    def _population_changed(self) -> None:
        """Forget the packed genes of the last checkpoint, and the step sizes of genes that no genome holds any more."""
        self._packed = None
        if not self._steps:
            return
        nodes, links = gather(list(self.population.values()))
        held = {*pairs(links["key"]), *((key, -1) for key in nodes["key"].tolist())}
        self._steps = {key: step for key, step in self._steps.items() if key in held}

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """Plain data on which the rest of the search depends: tensors, numbers, text, lists and dictionaries."""
        if self._packed is None:
            self._packed = pack_genomes(list(self.population.values()))
        version, words, spare = self._random.state
        tracker = self._reproduction.innovation_tracker
        return {
            **self._packed, **refinement_state(self._refinement, self._queue),
            "names": list(NAMES),
            "fitness": float64([math.nan if genome.fitness is None else genome.fitness
                                 for genome in self.population.values()]),
            "random": {"version": version, "words": list(words), "spare": spare},
            "generation": self.generation, "neat_generation": self.neat_generation, "threshold": self._threshold,
            "next_node": self.genome_config.node_indexer.value,
            "next_genome": self._reproduction.genome_indexer.value,
            "next_species": self._species.indexer.value,
            "innovation": tracker.global_counter,
            "innovations": [[*key, number] for key, number in tracker.generation_innovations.items()],
            "species": [species_state(species) for species in self._species.species.values()],
            "step_keys": torch.tensor(list(self._steps), dtype=torch.int64).reshape(-1, 2),
            "step_sizes": float64(list(self._steps.values())),
            "statistics": dict(self._statistics),
            "sizes": [[key, size] for key, size in self._sizes.items()],
        }

    def restore(self, state: dict[str, Any], told: Sequence[Tensor] = ()) -> None:
        """Continue where `state` was taken, bit by bit; the fitness `told` so far is not needed."""
        genomes = unpack_genomes(state, state["names"])
        self._packed = None
        self.population = {genome.key: genome for genome in genomes}
        for genome, fitness in zip(genomes, state["fitness"].tolist(), strict=True):
            genome.fitness = None if math.isnan(fitness) else fitness
        stream = state["random"]
        self._random.state = (stream["version"], tuple(stream["words"]), stream["spare"])
        self.generation, self.neat_generation = state["generation"], state["neat_generation"]
        self._threshold = state["threshold"]
        self.genome_config.node_indexer = Counter(state["next_node"])
        self._reproduction.genome_indexer = Counter(state["next_genome"])
        self._species.indexer = Counter(state["next_species"])
        tracker = self._reproduction.innovation_tracker
        tracker.global_counter = state["innovation"]
        tracker.generation_innovations = {tuple(key): number for *key, number in state["innovations"]}
        self.genome_config.innovation_tracker = tracker
        restore_species(self._species, state["species"], self.population)
        keys = [(first, second) for first, second in state["step_keys"].tolist()]
        self._steps = dict(zip(keys, state["step_sizes"].tolist(), strict=True))
        self._statistics = dict(state["statistics"])
        self._sizes = {key: size for key, size in state["sizes"]}
        self._candidates = []
        self._queue = [list(item) for item in state["queue"]]
        self._refinement = refinement_from(state, self.population, self.genome_config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(population {len(self.population):,}, generation {self.generation})"


def build(settings: Settings, encoding: Encoding, seed: int) -> NeatSearch:
    """The search over an encoding's graphs; raises UserError for encodings of other genotypes."""
    if not isinstance(encoding, PaintsGraphs):
        raise UserError("search.name: neat evolves graphs and needs encoding.name = cppn or network, "
                        f"not {encoding.settings.name}")
    outputs = encoding.matrix_outputs()
    if settings.separable and outputs == []:
        raise UserError(f"search.separable: encoding {encoding.settings.name} paints no patterns")
    recurrent, continuous = (encoding.recurrent, encoding.continuous) if isinstance(encoding, MayRecur) \
        else (False, False)
    return NeatSearch(settings, encoding.input_names, encoding.output_names, seed, outputs, recurrent, continuous)
