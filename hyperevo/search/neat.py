"""NEAT: neat-python's genomes, reproduction and species behind ask and tell, with refined numbers.

One round of ask and tell is either a NEAT generation (the whole population, phase 0) or a refinement round (phase 1).
After a NEAT generation the champions of the best species are refined in turn: an evolution strategy (separable NES)
moves the weights and biases of one champion for some rounds and writes them back into its genes (Lamarckian). Then
neat-python reproduces and speciates. Evolution finds the graph, the strategy its numbers; there is no gradient, unless
`learn` wants one: then all genomes take steps along it before they are judged, and may keep what they learned.

neat-python draws from Python's global `random`. Here it draws from a stream of this search's own, swapped in for the
time of every call, so nothing outside is disturbed and a restored search continues bit by bit.
"""

import logging
import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Literal

import neat
import numpy as np
import torch
from neat.genome import DefaultGenome
from neat.reporting import ReporterSet
from neat.species import Species
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings, nearest
from hyperevo.encodings._separable import stays_separable
from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.graph import Graph, without_garbage_collection
from hyperevo.randomness import generator_for
from hyperevo.search._neat_genes import NAMES, WORDS, Pool, pairs
from hyperevo.search._neat_genomes import (
    Genome,
    float64,
    gather,
    graph_from_genome,
    graphs_from_genomes,
    pack_genomes,
    settle,
    structures_of,
    unpack_genomes,
    write_back,
)
from hyperevo.search._neat_learn import Learning, LearnSettings
from hyperevo.search._neat_python import (
    Counter,
    RandomStream,
    Reproduction,
    neat_config,
    read_ini,
)
from hyperevo.search._neat_refine import Refinement, RefineSettings, limits_of, step_keys
from hyperevo.search._neat_species import GeneTable, SpeciesSet

logger = logging.getLogger(__name__)

FITNESS_SCALE = 1e6
"""neat-python takes the range of fitness for at least 1.0 where species share it; ours is often a tenth of that."""

SPECIES_STEP = 1.1
"""How much the compatibility threshold moves per generation towards the wished number of species."""

NOISE_STREAM = 0x6E656174
"""Keeps the noise of a round apart from other draws by seed and round."""

NEAT_PHASE, REFINE_PHASE = 0, 1


class Settings(ComponentSettings):
    """Options of the search by NEAT."""

    name: Literal["neat"] = "neat"
    ini: str | None = None
    """A neat-python INI file that is used instead of all values here but `refine` and `learn`. Its text takes the place
    of its path, so that a run needs the file only once."""
    population: int = Field(60, ge=2)
    functions: tuple[str, ...] = ("sin", "gauss", "sigmoid", "tanh", "abs", "identity", "relu", "square", "cos", "step")
    """Activation functions that nodes may have."""
    aggregations: tuple[str, ...] = ("sum",)
    """How nodes may combine what they receive."""

    hidden: int = Field(0, ge=0)
    """Hidden nodes of the seed genomes."""
    hidden_function: str | None = None
    """Activation function of the seeds' hidden nodes; by default drawn for every node."""
    output_function: str | None = "identity"
    """Activation function of all output nodes, kept through evolution; without one, outputs evolve like all nodes."""
    connection: Literal["unconnected", "fs_neat_nohidden", "fs_neat_hidden", "full_nodirect", "full_direct",
                        "partial_nodirect", "partial_direct"] = "full_nodirect"
    """How the seeds are linked, in neat-python's words."""
    connected: float = Field(1.0, ge=0, le=1)
    """The share of links that partial connection makes."""
    locality: Literal["", "x", "xy"] = ""
    """Seeds hold a gaussian of x1 - x2, or two of x1 - x2 and y1 - y2, linked to every output that says where
    connections exist, to which nothing else is (or, without such outputs, to every output that paints weights). The
    biases of the former start at -1, with x alone at -0.9, so that there are connections where x1 = x2, as under the
    paper's step from 0 on."""
    layering: bool = False
    """Seeds hold a gaussian of y1 - y2 + 1/3, linked to every output that paints weights: a band of connections from
    every place to a third of the way up, in which ES-HyperNEAT finds hidden nodes."""
    local_fields: bool = False
    """Seeds hold for every output that paints weights the product of two gaussians, of x1 - x2 and of y1 - y2: a field
    around every unit's own place. `aggregations` must have product."""
    deviation: float = Field(0.3, ge=0)
    """Standard deviation of new weights and biases."""
    limit: float = Field(30.0, gt=0)
    """Largest weight or bias. 2 keeps sin and cos of four places and a bias below the 60 where neat-python clamps their
    argument 5z: beyond, they are no longer separable, and slow."""

    mutate_rate: float = Field(0.05, ge=0, le=1)
    """Chance that a weight or bias is perturbed in a child."""
    mutate_power: float = Field(0.05, ge=0)
    """Standard deviation of that perturbation."""
    replace_rate: float = Field(0.0, ge=0, le=1)
    """Chance that a weight or bias is drawn anew."""
    toggle_rate: float = Field(0.005, ge=0, le=1)
    """Chance that a link is switched on or off at random."""
    function_rate: float = Field(0.005, ge=0, le=1)
    """Chance that a node's activation function is drawn anew."""
    aggregation_rate: float = Field(0.0, ge=0, le=1)
    """Chance that a node's aggregation is drawn anew."""
    add_node: float = Field(0.2, ge=0, le=1)
    delete_node: float = Field(0.1, ge=0, le=1)
    add_link: float = Field(0.4, ge=0, le=1)
    delete_link: float = Field(0.2, ge=0, le=1)
    single_structural_mutation: bool = False
    """At most one of the four above per child."""
    neutral_growth: bool = True
    """New links, and the links out of new nodes, start at weight 0, and a link that gets a node stays: a child that
    grew is as fit as its parent, is preferred to it as the younger one, and refinement finds the new numbers."""

    separable: bool = False
    """Only mutations after which the patterns over all connections stay sums of products of a source and a target
    value, which is much cheaper to express and to run. Waves of both sides may be added up, not nested."""

    compatibility_threshold: float | None = Field(None, gt=0)
    """Genetic distance below which two genomes are one species; by default the one that parts the first population
    into `target_species`."""
    target_species: int = Field(6, ge=0)
    """The threshold moves towards this number of species; 0 keeps it fixed."""
    disjoint_coefficient: float = Field(1.0, ge=0)
    weight_coefficient: float = Field(0.5, ge=0)
    elitism: int = Field(1, ge=0)
    """Best members of every species that live on unchanged."""
    survival: float = Field(0.2, gt=0, le=1)
    """The share of a species that may have children."""
    minimum_species: int = Field(2, ge=1)
    """Members a species has at least."""
    stagnation: int = Field(20, ge=1)
    """Generations without improvement after which a species dies out."""
    species_elitism: int = Field(2, ge=0)
    """This many of the best species never stagnate."""

    refine: RefineSettings = RefineSettings()
    learn: LearnSettings = LearnSettings()

    @field_validator("locality", mode="before")
    @classmethod
    def _once_a_switch(cls, axes: Any) -> Any:
        # Runs that were made when it was on or off can still be read.
        return {False: "", True: "xy"}.get(axes, axes) if isinstance(axes, bool) else axes

    @field_validator("ini")
    @classmethod
    def _text(cls, ini: str | None) -> str | None:
        return ini if ini is None or "\n" in ini else read_ini(ini)

    @field_validator("functions", "aggregations")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = ACTIVATIONS if info.field_name == "functions" else AGGREGATIONS
        if not names:
            raise ValueError("needs at least one name")
        for name in names:
            if name not in known:
                raise ValueError(f"no {info.field_name[:-1]} called {name!r}; {nearest(name, known)}")
        return names

    @field_validator("hidden_function", "output_function")
    @classmethod
    def _known_function(cls, name: str | None) -> str | None:
        if name is not None and name not in ACTIVATIONS:
            raise ValueError(f"no function called {name!r}; {nearest(name, ACTIVATIONS)}")
        return name


class NeatSearch:
    """Ask for graphs, tell their fitness (P,), higher is better. `generation` counts the tells of both phases,
    `neat_generation` those of the whole population."""

    def __init__(self, settings: Settings, input_names: Sequence[str], output_names: Sequence[str], seed: int,
                 matrix_outputs: Sequence[int] | None = None):
        """`matrix_outputs` are the outputs that paint values over all connections; by default, all may."""
        self.settings, self.seed = settings, seed
        self.input_names, self.output_names = list(input_names), list(output_names)
        # neat-python's classes carry no types to speak of.
        self.config: Any = neat_config(settings, len(self.input_names), len(self.output_names))
        self.genome_config: Any = self.config.genome_config
        self._check_locality()
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

    def _check_locality(self) -> None:
        for option in ("locality", "layering"):
            if getattr(self.settings, option) and self.settings.ini is None and "dx" not in self.input_names:
                raise UserError(f"search.{option}: needs the inputs x1 - x2 and y1 - y2; set encoding.delta = true")
        if self.settings.local_fields and "product" not in self.settings.aggregations:
            raise UserError('search.local_fields: needs "product" among search.aggregations')

    # The first population

    def _start_population(self) -> None:
        with self._random.lent():
            self.genome_config.innovation_tracker = self._reproduction.innovation_tracker
            self.population = {genome.key: genome for genome in (self._seed_genome()
                                                                 for _ in range(self.config.pop_size))}
            self._check_seeds(self._settle())
            if self.settings.ini is None and self.settings.compatibility_threshold is None:
                self._threshold = self._threshold_for(self._wished_species or 1)
            self._species.speciate(self.config, self.population, self.neat_generation)
        self._population_changed()

    def _check_seeds(self, pool: Pool) -> None:
        accepts = getattr(self.genome_config, "accepts", None)
        if accepts is not None and not all(accepts(structure.topology)
                                           for structure in structures_of(pool, self.genome_config)):
            raise UserError("search.separable: the seed genomes are not separable; use hidden_function = sin, cos or "
                            "square, output_function = identity, no locality, and no distance among the inputs")

    def _seed_genome(self) -> Genome:
        """A genome as the config wants it. Hidden nodes have the same keys in all seeds, or crossover and genetic
        distance could not align them (neat-python numbers them on)."""
        self.genome_config.node_indexer = Counter(self.genome_config.num_outputs)
        genome = Genome(next(self._reproduction.genome_indexer))
        genome.configure_new(self.genome_config)
        if self.settings.ini is None:
            if self.settings.hidden_function is not None:
                for key in genome.nodes.keys() - set(self.genome_config.output_keys):
                    genome.nodes[key].activation = self.settings.hidden_function
            if self.settings.locality:
                self._add_locality(genome)
            if self.settings.layering:
                self._add_layering(genome)
            if self.settings.local_fields:
                self._add_local_fields(genome)
        return genome

    def _add_locality(self, genome: DefaultGenome) -> None:
        config = self.genome_config
        expressed = [key for key, name in enumerate(self.output_names) if name.endswith(" expressed")]
        # Links drawn at random would drown what the seeds are to begin with.
        for link in [link for link in genome.connections if link[1] in expressed]:
            del genome.connections[link]
        for axis in self.settings.locality:
            gaussian = self._add_node(genome, "gauss", "sum", {self._delta_key(axis): 1.0})
            for output in expressed or self._painting():
                genome.add_connection(config, gaussian, output, 1.0, True)
        for output in expressed:
            genome.nodes[output].bias = -1.0 if len(self.settings.locality) > 1 else -0.9

    def _add_layering(self, genome: DefaultGenome) -> None:
        gaussian = self._add_node(genome, "gauss", "sum", {self._delta_key("y"): 1.0})
        genome.nodes[gaussian].bias = 1 / 3
        for output in self._painting():
            genome.add_connection(self.genome_config, gaussian, output, 1.0, True)

    def _delta_key(self, axis: str) -> int:
        return self.genome_config.input_keys[self.input_names.index(f"d{axis}")]

    def _painting(self) -> list[int]:
        """Outputs that paint weights."""
        return [key for key, name in enumerate(self.output_names)
                if "weight" in name and not name.endswith(" expressed")]

    def _add_local_fields(self, genome: DefaultGenome) -> None:
        # Linked to both places and not to their difference, so that a link's weight can move the field.
        key = dict(zip(self.input_names, self.genome_config.input_keys, strict=True))
        for output, name in enumerate(self.output_names):
            if "weight" in name:
                gaussians = [self._add_node(genome, "gauss", "sum", {key[f"{axis}1"]: 1.0, key[f"{axis}2"]: -1.0})
                             for axis in "xy"]
                field = self._add_node(genome, "identity", "product", dict.fromkeys(gaussians, 1.0))
                genome.add_connection(self.genome_config, field, output, 1.0, True)

    def _add_node(self, genome: DefaultGenome, activation: str, aggregation: str, sources: dict[int, float]) -> int:
        """A new node without bias; its key."""
        node = genome.create_node(self.genome_config, self.genome_config.get_new_node_key(genome.nodes))
        node.activation, node.aggregation, node.bias = activation, aggregation, 0.0
        genome.nodes[node.key] = node
        for source, weight in sources.items():
            genome.add_connection(self.genome_config, source, node.key, weight, True)
        return node.key

    def _settle(self) -> Pool:
        """Put the population into one pool, with all outputs of their function."""
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

    def _threshold_for(self, species: int) -> float:
        """The distance that parts the population into about this many species, from the first genome outwards."""
        genomes = list(self.population.values())
        table = GeneTable(genomes, self.genome_config)
        distances = lru_cache(maxsize=None)(lambda leader: table.distances([genomes[leader]])[0])

        def count(threshold: float) -> int:
            leaders, free = 0, np.ones(len(genomes), dtype=bool)
            while free.any() and leaders <= species:
                leader = int(free.argmax())
                free &= distances(leader) >= threshold
                free[leader] = False
                leaders += 1
            return leaders

        low, high = 0.0, 1.0
        while count(high) > species and high < 1e9:
            low, high = high, high * 2
        for _ in range(20):
            middle = (low + high) / 2
            low, high = (middle, high) if count(middle) > species else (low, middle)
        return high

    # Ask and tell

    @property
    def phase(self) -> int:
        """0 where the whole population is asked for next, 1 where a champion is refined."""
        return NEAT_PHASE if self._refinement is None else REFINE_PHASE

    def ask(self) -> list[Graph]:
        """The graphs whose fitness is wanted next. Asking twice gives the same."""
        if self._refinement is not None:
            return self._refinement.population(self._noise(self._refinement))
        with without_garbage_collection():
            return graphs_from_genomes(list(self.population.values()), self.genome_config)

    def learning(self) -> Learning | None:
        """The steps along the gradient that are to be taken before the next tell; None where there are none."""
        if self._refinement is not None or self.settings.learn.steps == 0:
            return None
        graphs = self.ask()
        return Learning(graphs, [limits_of(graph, self.genome_config) for graph in graphs], self.settings.learn)

    def tell(self, fitness: Tensor, learned: Sequence[Graph] | None = None) -> None:
        """Fitness (P,) of what was asked for, in its order, or of the graphs it `learned` to be; what is not finite
        counts as worst."""
        fitness = fitness.detach().to("cpu", torch.float64)
        expected = self.settings.refine.population if self._refinement is not None else len(self.population)
        if fitness.shape != (expected,):
            raise ValueError(f"fitness has shape {tuple(fitness.shape)}, not ({expected},)")
        fitness = _finite(fitness)
        if self._refinement is not None:
            self._tell_refinement(self._refinement, fitness)
        else:
            self._tell_generation(fitness, learned)
        self.generation += 1

    def candidates(self) -> list[Graph]:
        """Graphs worth validating after a tell: the best of a generation, or the centre of a refinement."""
        return list(self._candidates)

    def statistics(self) -> dict[str, float | int]:
        """What the last tell was about: its phase, the species, sizes of genomes."""
        return dict(self._statistics)

    def species_sizes(self) -> dict[int, int]:
        """Members by species of the generation last told."""
        return dict(self._sizes)

    def _noise(self, refinement: Refinement) -> Tensor:
        """Of the coming round: a function of the seed and the number of tells, so there is no state to keep."""
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
        for genome, value in zip(genomes, _shared(fitness).tolist(), strict=True):
            genome.fitness = value
        self._queue = self._plan_refinement()
        self._next_refinement()

    def _inherit(self, genomes: Sequence[Genome], learned: Sequence[Graph]) -> None:
        for genome, graph in zip(genomes, learned, strict=True):
            write_back(genome, self.genome_config, graph)
        self._packed = None

    def _plan_refinement(self) -> list[list[int]]:
        """[genome, rounds] for the champions of the best species."""
        settings, plan = self.settings.refine, []
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
        self._merge_species()
        self._species.speciate(self.config, self.population, self.neat_generation)
        self._population_changed()

    def _limit_species(self) -> None:
        """Drop the worst species where there are more than the population has room for: neat-python would stop."""
        reproduction = self.config.reproduction_config
        room = max(1, self.config.pop_size // max(reproduction.min_species_size, reproduction.elitism, 1))
        kept = sorted(self._species.species.values(), key=lambda species: max(species.get_fitnesses()), reverse=True)
        for species in kept[room:]:
            del self._species.species[species.key]

    @property
    def _wished_species(self) -> int:
        """0 where the compatibility threshold is fixed, as an INI file's is."""
        return self.settings.target_species if self.settings.ini is None else 0

    def _move_threshold(self) -> None:
        wished, species = self._wished_species, len(self._species.species)
        if wished and species != wished:
            self._threshold *= SPECIES_STEP if species > wished else 1 / SPECIES_STEP

    def _merge_species(self) -> None:
        """Forget species that have come closer to an older one than the threshold; their members are shared out.
        neat-python never merges species, so a rising threshold alone would not lower their number."""
        if not self._wished_species:
            return
        species = sorted(self._species.species)
        leaders = [self._species.species[key].representative for key in species]
        near = GeneTable(leaders, self.genome_config).distances(leaders) < self._threshold
        kept: list[int] = []
        for place, key in enumerate(species):
            if near[kept, place].any():
                del self._species.species[key]
            else:
                kept.append(place)

    def _population_changed(self) -> None:
        """New genes since the last checkpoint; and steps of genes that no genome holds any more are forgotten."""
        self._packed = None
        if not self._steps:
            return
        nodes, links = gather(list(self.population.values()))
        held = {*pairs(links["key"]), *((key, -1) for key in nodes["key"].tolist())}
        self._steps = {key: step for key, step in self._steps.items() if key in held}

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """All that the rest of the search depends on: tensors, numbers, text, lists and dictionaries."""
        if self._packed is None:
            self._packed = pack_genomes(list(self.population.values()))
        version, words, spare = self._random.state
        tracker = self._reproduction.innovation_tracker
        return {
            **self._packed, **self._refinement_state(),
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
            "species": [_species_state(species) for species in self._species.species.values()],
            "step_keys": torch.tensor(list(self._steps), dtype=torch.int64).reshape(-1, 2),
            "step_sizes": float64(list(self._steps.values())),
            "statistics": dict(self._statistics),
            "sizes": [[key, size] for key, size in self._sizes.items()],
        }

    def _refinement_state(self) -> dict[str, Any]:
        if self._refinement is None:
            return {"queue": [], "refined": []}
        return {"queue": [list(item) for item in self._queue],
                "refined": [self._refinement.genome, self._refinement.rounds_left],
                "centre": self._refinement.centre, "steps": self._refinement.steps}

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
        self._restore_species(state["species"])
        keys = [(first, second) for first, second in state["step_keys"].tolist()]
        self._steps = dict(zip(keys, state["step_sizes"].tolist(), strict=True))
        self._statistics = dict(state["statistics"])
        self._sizes = {key: size for key, size in state["sizes"]}
        self._candidates = []
        self._restore_refinement(state)

    def _restore_species(self, states: list[dict[str, Any]]) -> None:
        self._species.species, self._species.genome_to_species = {}, {}
        for values in states:
            species = Species(values["key"], values["created"])
            species.last_improved, species.fitness_history = values["last_improved"], list(values["history"])
            species.fitness, species.adjusted_fitness = values["fitness"], values["adjusted_fitness"]
            species.update(self.population[values["representative"]],
                           {key: self.population[key] for key in values["members"]})
            self._species.species[species.key] = species
            self._species.genome_to_species |= dict.fromkeys(values["members"], species.key)

    def _restore_refinement(self, state: dict[str, Any]) -> None:
        self._queue, self._refinement = [list(item) for item in state["queue"]], None
        if state["refined"]:
            key, rounds_left = state["refined"]
            graph = graph_from_genome(self.population[key], self.genome_config)
            self._refinement = Refinement(key, graph, rounds_left, state["centre"].clone(), state["steps"].clone())


def _species_state(species: Species) -> dict[str, Any]:
    return {"key": species.key, "created": species.created, "last_improved": species.last_improved,
            "history": list(species.fitness_history), "fitness": species.fitness,
            "adjusted_fitness": species.adjusted_fitness, "representative": species.representative.key,
            "members": list(species.members)}


def _finite(fitness: Tensor) -> Tensor:
    """Infinite and undefined values are as low as the lowest finite one."""
    finite = torch.isfinite(fitness)
    worst = fitness[finite].min() if bool(finite.any()) else torch.zeros((), dtype=fitness.dtype)
    return torch.where(finite, fitness, worst)


def _shared(fitness: Tensor) -> Tensor:
    """Fitness as neat-python's sharing can feel it: enlarged, and without the far tail of failed children, which would
    make all the others look alike."""
    best, median = fitness.max(), fitness.median()
    return fitness.clamp(min=float(best - 3 * (best - median))) * FITNESS_SCALE


def build(settings: Settings, encoding: Any, seed: int) -> NeatSearch:
    """The search for a CPPN encoding's graphs."""
    if not hasattr(encoding, "input_names") or not hasattr(encoding, "output_names"):
        raise UserError(f"search.name: neat evolves graphs and needs encoding.name = cppn, "
                        f"not {getattr(getattr(encoding, 'settings', None), 'name', type(encoding).__name__)}")
    return NeatSearch(settings, encoding.input_names, encoding.output_names, seed, _matrix_outputs(encoding))


def _matrix_outputs(encoding: Any) -> list[int] | None:
    """Outputs that paint a weight matrix from the places of both units, not one pattern per target unit."""
    if not hasattr(encoding, "paintings"):
        return None
    return [output for name, painting in encoding.paintings.items()
            if encoding.geometry[name].source is not None and name not in encoding.settings.patterns
            for output in (*painting.values, *painting.expression)]
