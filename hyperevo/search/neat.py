"""NEAT: neat-python's genomes, reproduction and species behind ask and tell, with refined numbers.

One round of ask and tell is either a NEAT generation (the whole population, phase 0) or a refinement round (phase 1).
After a NEAT generation the champions of the best species are refined in turn: an evolution strategy (separable NES)
moves the weights and biases of one champion for some rounds and writes them back into its genes (Lamarckian). Then
neat-python reproduces and speciates. Evolution finds the graph, the strategy its numbers; there is no gradient.

neat-python draws from Python's global `random`. Here it draws from a stream of this search's own, swapped in for the
time of every call, so nothing outside is disturbed and a restored search continues bit by bit.
"""

import logging
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import neat
import torch
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from neat.genome import DefaultGenome
from neat.reporting import ReporterSet
from neat.species import Species
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings, nearest
from hyperevo.encodings._graph import Graph, Node, Topology, stays_separable
from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, OWN_SCALAR_ACTIVATIONS

_GenomeConfig = Any
"""neat-python's `DefaultGenomeConfig`; its attributes are made from the config's text, unseen by type checkers."""

logger = logging.getLogger(__name__)

FITNESS_SCALE = 1e6
"""neat-python takes the range of fitness for at least 1.0 where species share it; ours is often a tenth of that."""

SPECIES_STEP = 1.1
"""How much the compatibility threshold moves per generation towards the wished number of species."""

MUTATION_ATTEMPTS = 4
"""How often a child is mutated anew where its graph would not stay separable, before it is left a plain crossover."""

NOISE_STREAM = 0x6E656174
"""Keeps the noise of a round apart from other draws by seed and round."""

NEAT_PHASE, REFINE_PHASE = 0, 1


class RefineSettings(ComponentSettings):
    """Options of the evolution strategy that refines champions between NEAT generations."""

    rounds: int = Field(40, ge=0)
    """Rounds on the best species' champion after every NEAT generation; 0 is plain NEAT."""
    population: int = Field(60, ge=2)
    """Perturbed copies of the champion per round."""
    champions: int = Field(1, ge=1)
    """How many species' champions are refined, best first."""
    share: float = Field(0.5, gt=0, le=1)
    """Every further champion gets this share of the rounds of the one before."""
    step: float = Field(0.1, gt=0)
    """Standard deviation of the perturbation of a gene that was never refined."""
    learning_rate: float = Field(1.0, gt=0)
    """Of the champion's numbers."""
    step_learning_rate: float | None = Field(None, ge=0)
    """Of the standard deviations; by default separable NES's (3 + ln n) / (5 √n) for n genes."""


class Settings(ComponentSettings):
    """Options of the search by NEAT."""

    name: Literal["neat"] = "neat"
    ini: str | None = None
    """A neat-python INI file that is used instead of all values here but `refine`."""
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
    locality: bool = False
    """Seeds hold two gaussians of x1 - x2 and y1 - y2, linked to every output that says where connections exist (or,
    without such outputs, to every output that paints weights); the biases of the former start at -1."""
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


class _Counter:
    """`itertools.count` that can be read without being moved."""

    def __init__(self, value: int):
        self.value = value

    def __iter__(self) -> "_Counter":
        return self

    def __next__(self) -> int:
        self.value += 1
        return self.value - 1


class _RandomStream:
    """A stream of Python's `random` that lends itself as the global one."""

    def __init__(self, seed: int):
        self.state = random.Random(seed).getstate()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Within: the global `random` is this stream. After: it is as it was."""
        outside = random.getstate()
        random.setstate(self.state)
        try:
            yield
        finally:
            self.state = random.getstate()
            random.setstate(outside)


class _Genome(DefaultGenome):
    """neat-python's genome with neutral growth, where the config asks for it, and a crossover that does not look for
    cycles where there can be none: a child has the links of its fitter parent, in their order, and no others."""

    nodes: dict[int, Any]
    connections: dict[tuple[int, int], Any]

    def configure_crossover(self, genome1: DefaultGenome, genome2: DefaultGenome, config: _GenomeConfig) -> None:
        """Matching genes from either parent at random, all others from the fitter one."""
        fitter, other = (genome1, genome2) if genome1.fitness > genome2.fitness else (genome2, genome1)
        matching = {gene.innovation: gene for gene in other.connections.values()}
        for key, gene in fitter.connections.items():
            match = matching.get(gene.innovation)
            self.connections[key] = gene.copy() if match is None or match.key != key else gene.crossover(match)
        for key, node in fitter.nodes.items():
            twin = other.nodes.get(key)
            self.nodes[key] = node.copy() if twin is None else node.crossover(twin)

    def mutate(self, config: _GenomeConfig) -> None:
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

    def mutate_add_connection(self, config: _GenomeConfig) -> None:
        """A new link; with neutral growth its weight is 0."""
        before = len(self.connections)
        super().mutate_add_connection(config)
        if getattr(config, "neutral_growth", False) and len(self.connections) > before:
            next(reversed(self.connections.values())).weight = 0.0

    def mutate_add_node(self, config: _GenomeConfig) -> None:
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


class _Reproduction(neat.DefaultReproduction):
    """neat-python's reproduction with spawn counts that always add up: its own takes at most one child from each
    species before it gives up with an error."""

    def _adjust_spawn_exact(self, spawn_amounts: list[int], pop_size: int, min_species_size: int) -> list[int]:
        amounts = list(spawn_amounts)
        while sum(amounts) < pop_size:
            amounts[amounts.index(min(amounts))] += 1
        while sum(amounts) > pop_size and max(amounts) > min_species_size:
            amounts[amounts.index(max(amounts))] -= 1
        return amounts


# --- neat-python's config --------------------------------------------------------------------------------------------

_CONFIG_TYPES = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)


def neat_config(settings: Settings, inputs: int, outputs: int) -> neat.Config:
    """neat-python's config for a CPPN of so many inputs and outputs, from the settings or their INI file."""
    if settings.ini is not None:
        return _config_from_ini(settings.ini, inputs, outputs)
    config: Any = object.__new__(neat.Config)
    _, config.reproduction_type, config.species_set_type, config.stagnation_type = _CONFIG_TYPES
    config.genome_type = _Genome
    config.config_information = None
    config.pop_size, config.fitness_criterion, config.fitness_threshold = settings.population, "max", math.inf
    config.reset_on_extinction, config.no_fitness_termination, config.seed = True, True, None
    config.genome_config = DefaultGenome.parse_config(_genome_section(settings, inputs, outputs))
    config.species_set_config = neat.DefaultSpeciesSet.parse_config(
        {"compatibility_threshold": str(settings.compatibility_threshold or 1.0)})
    config.stagnation_config = neat.DefaultStagnation.parse_config(
        {"species_fitness_func": "max", "max_stagnation": str(settings.stagnation),
         "species_elitism": str(settings.species_elitism)})
    config.reproduction_config = neat.DefaultReproduction.parse_config(
        {"elitism": str(settings.elitism), "survival_threshold": repr(settings.survival),
         "min_species_size": str(settings.minimum_species)})
    config.genome_config.neutral_growth = settings.neutral_growth
    _register_own_functions(config.genome_config)
    return config


def _genome_section(settings: Settings, inputs: int, outputs: int) -> dict[str, str]:
    values: dict[str, Any] = {
        "num_inputs": inputs, "num_outputs": outputs, "num_hidden": settings.hidden, "feed_forward": "true",
        "initial_connection": f"{settings.connection} {settings.connected}" if "partial" in settings.connection
        else settings.connection,
        "compatibility_disjoint_coefficient": settings.disjoint_coefficient,
        "compatibility_weight_coefficient": settings.weight_coefficient,
        "node_add_prob": settings.add_node, "node_delete_prob": settings.delete_node,
        "conn_add_prob": settings.add_link, "conn_delete_prob": settings.delete_link,
        "single_structural_mutation": str(settings.single_structural_mutation).lower(),
        "structural_mutation_surer": "default",
        "activation_default": "random", "activation_options": " ".join(settings.functions),
        "activation_mutate_rate": settings.function_rate,
        "aggregation_default": settings.aggregations[0], "aggregation_options": " ".join(settings.aggregations),
        "aggregation_mutate_rate": settings.aggregation_rate,
        "enabled_default": "true", "enabled_mutate_rate": settings.toggle_rate,
    }
    evolved = (settings.deviation, settings.replace_rate, settings.mutate_rate, settings.mutate_power)
    for name, mean, (deviation, replaced, mutated, power), limits in (
            ("weight", 0.0, evolved, (-settings.limit, settings.limit)),
            ("bias", 0.0, evolved, (-settings.limit, settings.limit)),
            ("response", 1.0, (0.0, 0.0, 0.0, 0.0), (1.0, 1.0))):
        values |= {f"{name}_init_mean": mean, f"{name}_init_stdev": deviation, f"{name}_init_type": "gaussian",
                   f"{name}_replace_rate": replaced, f"{name}_mutate_rate": mutated, f"{name}_mutate_power": power,
                   f"{name}_min_value": limits[0], f"{name}_max_value": limits[1]}
    return {name: str(value) for name, value in values.items()}


def _register_own_functions(config: _GenomeConfig) -> None:
    for name, function in OWN_SCALAR_ACTIVATIONS.items():
        config.add_activation(name, function)


def _config_from_ini(path: str, inputs: int, outputs: int) -> neat.Config:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config: Any = neat.Config(*_CONFIG_TYPES, path)
        config.genome_type = _Genome
        _check_ini(config, inputs, outputs)
        config.stagnation_type(config.stagnation_config, ReporterSet())
    except Exception as error:
        # neat-python raises anything from AssertionError to a bare Exception here.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"search.ini: {path}: {reason}") from error
    return config


def _check_ini(config: Any, inputs: int, outputs: int) -> None:
    genome = config.genome_config
    _register_own_functions(genome)
    for key, value, needed in (("num_inputs", genome.num_inputs, inputs), ("num_outputs", genome.num_outputs, outputs)):
        if value != needed:
            raise ValueError(f"{key} = {value}, but the encoding needs {key} = {needed}")
    if not genome.feed_forward:
        raise ValueError("feed_forward = False, but a CPPN needs feed_forward = True")
    if config.pop_size < 2:
        raise ValueError(f"pop_size = {config.pop_size}, but at least 2 are needed")
    for key, names, known in (("activation_options", genome.activation_options, ACTIVATIONS),
                              ("aggregation_options", genome.aggregation_options, AGGREGATIONS)):
        for name in names:
            if name not in known:
                raise ValueError(f"{key} holds {name!r}; {nearest(name, known)}")
    if isinstance(genome.single_structural_mutation, str):
        # Left out, neat-python takes its own default, the text "false", for true.
        genome.single_structural_mutation = False


# --- genomes and graphs ----------------------------------------------------------------------------------------------


def _live_links(genome: DefaultGenome, config: _GenomeConfig) -> dict[int, list[DefaultConnectionGene]]:
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


def _genes_in_graph(genome: DefaultGenome, config: _GenomeConfig,
                    ) -> tuple[list[DefaultNodeGene], list[list[DefaultConnectionGene]]]:
    """The graph's nodes in order, and the links into each."""
    live = _live_links(genome, config)
    order = _in_order(live)
    return [genome.nodes[key] for key in order], [live[key] for key in order]


def graph_from_genome(genome: DefaultGenome, config: _GenomeConfig) -> Graph:
    """The CPPN a genome stands for, without disabled links and dead nodes; numbers in float64, as in the genes."""
    nodes, links = _genes_in_graph(genome, config)
    place = {key: index for index, key in enumerate(config.input_keys)}
    place |= {node.key: config.num_inputs + index for index, node in enumerate(nodes)}
    topology = Topology(
        config.num_inputs,
        tuple(Node(node.activation, node.aggregation, tuple(place[gene.key[0]] for gene in incoming))
              for node, incoming in zip(nodes, links, strict=True)),
        tuple(place[key] - config.num_inputs for key in config.output_keys))
    return Graph(topology, _float64([gene.weight for incoming in links for gene in incoming]),
                 _float64([node.bias for node in nodes]), _float64([node.response for node in nodes]))


def write_back(genome: DefaultGenome, config: _GenomeConfig, graph: Graph) -> None:
    """Give a genome's genes the numbers of a graph of its topology."""
    nodes, links = _genes_in_graph(genome, config)
    for gene, weight in zip((gene for incoming in links for gene in incoming), graph.weights.tolist(), strict=True):
        gene.weight = weight
    for node, bias, response in zip(nodes, graph.biases.tolist(), graph.responses.tolist(), strict=True):
        node.bias, node.response = bias, response


def _float64(values: Sequence[float] | Sequence[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- genomes as tensors, for checkpoints -----------------------------------------------------------------------------


def _pack(genomes: Sequence[DefaultGenome], names: list[str]) -> dict[str, Tensor]:
    """Genomes as tensors, in order: what a checkpoint writes in milliseconds. `names` are the words in the genes."""
    word = {name: index for index, name in enumerate(names)}
    nodes = [node for genome in genomes for node in genome.nodes.values()]
    links = [link for genome in genomes for link in genome.connections.values()]
    return {
        "genomes": torch.tensor([[genome.key, len(genome.nodes), len(genome.connections)] for genome in genomes]),
        "node_keys": torch.tensor([[node.key, word[node.activation], word[node.aggregation]] for node in nodes]),
        "node_numbers": _float64([[node.bias, node.response, node.time_constant] for node in nodes]),
        "link_keys": torch.tensor([[*link.key, link.innovation, int(link.enabled)] for link in links],
                                  dtype=torch.int64).reshape(-1, 4),
        "link_weights": _float64([link.weight for link in links]),
    }


def _unpack(packed: dict[str, Any], names: list[str]) -> list[DefaultGenome]:
    nodes = zip(packed["node_keys"].tolist(), packed["node_numbers"].tolist(), strict=True)
    links = zip(packed["link_keys"].tolist(), packed["link_weights"].tolist(), strict=True)
    genomes = []
    for key, node_count, link_count in packed["genomes"].tolist():
        genome = _Genome(key)
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


# --- refinement ------------------------------------------------------------------------------------------------------


def _step_keys(genome: DefaultGenome, config: _GenomeConfig) -> list[tuple[int, int]]:
    """One key per number that is refined: a link's (source, target), a node's (key, -1)."""
    nodes, links = _genes_in_graph(genome, config)
    return [gene.key for incoming in links for gene in incoming] + [(node.key, -1) for node in nodes]


def _limits(graph: Graph, config: _GenomeConfig) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of every refined number."""
    links, nodes = graph.weights.numel(), graph.biases.numel()
    return (_float64([config.weight_min_value] * links + [config.bias_min_value] * nodes),
            _float64([config.weight_max_value] * links + [config.bias_max_value] * nodes))


def _utilities(size: int) -> Tensor:
    """NES's rank weights, best first; they sum to zero."""
    raw = (math.log(size / 2 + 1) - torch.arange(1, size + 1, dtype=torch.float64).log()).clamp(min=0)
    return raw / raw.sum() - 1 / size


@dataclass
class _Refinement:
    """Separable NES on the numbers of one graph: `centre` and `steps` hold its weights, then its biases."""

    genome: int
    graph: Graph
    rounds_left: int
    centre: Tensor
    steps: Tensor

    def population(self, noise: Tensor) -> list[Graph]:
        """The perturbed graphs of one round."""
        return [self.at(numbers) for numbers in self.centre + self.steps * noise]

    def at(self, numbers: Tensor) -> Graph:
        """The graph with these numbers."""
        links = self.graph.topology.links
        return Graph(self.graph.topology, numbers[:links], numbers[links:], self.graph.responses)

    def tell(self, noise: Tensor, fitness: Tensor, settings: RefineSettings, limits: tuple[Tensor, Tensor]) -> None:
        """Move the centre and the steps towards what was fit."""
        order = torch.argsort(fitness, descending=True, stable=True)
        utilities = torch.empty(len(noise), dtype=torch.float64)
        utilities[order] = _utilities(len(noise))
        size = len(self.centre)
        rate = settings.step_learning_rate
        rate = (3 + math.log(size)) / (5 * math.sqrt(size)) if rate is None else rate
        move = (utilities[:, None] * noise).sum(0)
        growth = (utilities[:, None] * (noise.square() - 1)).sum(0)
        self.centre = (self.centre + settings.learning_rate * self.steps * move).clamp(*limits)
        self.steps = self.steps * torch.exp(rate / 2 * growth)
        self.rounds_left -= 1


# --- the search ------------------------------------------------------------------------------------------------------


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
        self._random = _RandomStream(seed)
        reporters = ReporterSet()
        stagnation = neat.DefaultStagnation(self.config.stagnation_config, reporters)
        self._reproduction: Any = _Reproduction(self.config.reproduction_config, reporters, stagnation)
        self._reproduction.genome_indexer = _Counter(1)
        self._species: Any = neat.DefaultSpeciesSet(self.config.species_set_config, reporters)
        self._species.indexer = _Counter(1)
        self.generation = self.neat_generation = 0
        self._steps: dict[tuple[int, int], float] = {}
        self._queue: list[list[int]] = []
        self._refinement: _Refinement | None = None
        self._candidates: list[Graph] = []
        self._statistics: dict[str, float | int] = {}
        self._sizes: dict[int, int] = {}
        self._packed: dict[str, Tensor] | None = None
        self._start_population()

    def _check_locality(self) -> None:
        if self.settings.locality and self.settings.ini is None and "dx" not in self.input_names:
            raise UserError("search.locality: needs the inputs x1 - x2 and y1 - y2; set encoding.delta = true")

    # The first population

    def _start_population(self) -> None:
        with self._random.lent():
            self.genome_config.innovation_tracker = self._reproduction.innovation_tracker
            self.population = {genome.key: genome for genome in (self._seed_genome()
                                                                 for _ in range(self.config.pop_size))}
            if self.settings.ini is None and self.settings.compatibility_threshold is None:
                self._threshold = self._threshold_for(self._wished_species or 1)
            self._species.speciate(self.config, self.population, self.neat_generation)
        self._population_changed()

    def _seed_genome(self) -> DefaultGenome:
        """A genome as the config wants it. Hidden nodes have the same keys in all seeds, or crossover and genetic
        distance could not align them (neat-python numbers them on)."""
        self.genome_config.node_indexer = _Counter(self.genome_config.num_outputs)
        genome = _Genome(next(self._reproduction.genome_indexer))
        genome.configure_new(self.genome_config)
        if self.settings.ini is None:
            if self.settings.hidden_function is not None:
                for key in genome.nodes.keys() - set(self.genome_config.output_keys):
                    genome.nodes[key].activation = self.settings.hidden_function
            if self.settings.locality:
                self._add_locality(genome)
            self._fix_outputs(genome)
        accepts = getattr(self.genome_config, "accepts", None)
        if accepts is not None and not accepts(graph_from_genome(genome, self.genome_config).topology):
            raise UserError("search.separable: the seed genomes are not separable; use hidden_function = sin, cos or "
                            "square, output_function = identity, no locality, and no distance among the inputs")
        return genome

    def _add_locality(self, genome: DefaultGenome) -> None:
        config, deltas = self.genome_config, (self.input_names.index("dx"), self.input_names.index("dy"))
        expressed = [key for key, name in enumerate(self.output_names) if name.endswith(" expressed")]
        outputs = expressed or [key for key, name in enumerate(self.output_names) if "weight" in name]
        for delta in deltas:
            node = genome.create_node(config, config.get_new_node_key(genome.nodes))
            node.activation, node.aggregation, node.bias = "gauss", "sum", 0.0
            genome.nodes[node.key] = node
            genome.add_connection(config, config.input_keys[delta], node.key, 1.0, True)
            for output in outputs:
                genome.add_connection(config, node.key, output, 1.0, True)
        for output in expressed:
            genome.nodes[output].bias = -1.0

    def _fix_outputs(self, genome: DefaultGenome) -> None:
        if self.settings.ini is None and self.settings.output_function is not None:
            for key in self.genome_config.output_keys:
                genome.nodes[key].activation = self.settings.output_function
                genome.nodes[key].aggregation = "sum"

    def _threshold_for(self, species: int) -> float:
        """The distance that parts the population into about this many species, from the first genome outwards."""
        genomes = list(self.population.values())
        known: dict[tuple[int, int], float] = {}

        def count(threshold: float) -> int:
            leaders: list[DefaultGenome] = []
            for genome in genomes:
                for leader in leaders:
                    pair = (leader.key, genome.key)
                    if pair not in known:
                        known[pair] = leader.distance(genome, self.genome_config)
                    if known[pair] < threshold:
                        break
                else:
                    leaders.append(genome)
            return len(leaders)

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
        return [graph_from_genome(genome, self.genome_config) for genome in self.population.values()]

    def tell(self, fitness: Tensor) -> None:
        """Fitness (P,) of what was asked for, in its order; what is not finite counts as worst."""
        fitness = fitness.detach().to("cpu", torch.float64)
        expected = self.settings.refine.population if self._refinement is not None else len(self.population)
        if fitness.shape != (expected,):
            raise ValueError(f"fitness has shape {tuple(fitness.shape)}, not ({expected},)")
        fitness = _finite(fitness)
        if self._refinement is not None:
            self._tell_refinement(self._refinement, fitness)
        else:
            self._tell_generation(fitness)
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

    def _noise(self, refinement: _Refinement) -> Tensor:
        """Of the coming round: a function of the seed and the number of tells, so there is no state to keep."""
        generator = torch.Generator().manual_seed(((self.seed * 1_000_003 + self.generation) ^ NOISE_STREAM) % 2**63)
        return torch.randn(self.settings.refine.population, len(refinement.centre), generator=generator,
                           dtype=torch.float64)

    def _tell_generation(self, fitness: Tensor) -> None:
        genomes = list(self.population.values())
        best = int(fitness.argmax())
        self._candidates = [graph_from_genome(genomes[best], self.genome_config)]
        self._sizes = {key: len(species.members) for key, species in sorted(self._species.species.items())}
        self._statistics = self._describe(NEAT_PHASE, genomes, self._candidates[0])
        for genome, value in zip(genomes, _shared(fitness).tolist(), strict=True):
            genome.fitness = value
        self._queue = self._plan_refinement()
        self._next_refinement()

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
                 for gene in _step_keys(self.population[key], self.genome_config)]
        self._refinement = _Refinement(key, graph, rounds, torch.cat([graph.weights, graph.biases]), _float64(steps))

    def _tell_refinement(self, refinement: _Refinement, fitness: Tensor) -> None:
        refinement.tell(self._noise(refinement), fitness, self.settings.refine,
                        _limits(refinement.graph, self.genome_config))
        centre = refinement.at(refinement.centre)
        self._candidates = [centre]
        self._statistics = {**self._statistics, "phase": REFINE_PHASE, "nodes": len(centre.topology.nodes),
                            "links": centre.topology.links, "step": float(refinement.steps.mean())}
        if refinement.rounds_left == 0:
            genome = self.population[refinement.genome]
            write_back(genome, self.genome_config, centre)
            self._steps |= zip(_step_keys(genome, self.genome_config), refinement.steps.tolist(), strict=True)
            self._packed = None
            self._next_refinement()

    def _describe(self, phase: int, genomes: list[DefaultGenome], best: Graph) -> dict[str, float | int]:
        sizes = [genome.size() for genome in genomes]
        return {"phase": phase, "neat_generation": self.neat_generation, "species": len(self._sizes),
                "largest_species": max(self._sizes.values()),
                "mean_nodes": sum(nodes for nodes, _ in sizes) / len(sizes),
                "mean_links": sum(links for _, links in sizes) / len(sizes),
                "nodes": len(best.topology.nodes), "links": best.topology.links, "step": 0.0}

    # Reproduction

    @property
    def _threshold(self) -> float:
        return self.config.species_set_config.compatibility_threshold

    @_threshold.setter
    def _threshold(self, value: float) -> None:
        self.config.species_set_config.compatibility_threshold = value

    def _reproduce(self) -> None:
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
        for genome in self.population.values():
            self._fix_outputs(genome)
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
        kept: list[Species] = []
        for _, species in sorted(self._species.species.items()):
            if self._wished_species and any(
                    older.representative.distance(species.representative, self.genome_config) < self._threshold
                    for older in kept):
                del self._species.species[species.key]
            else:
                kept.append(species)

    def _population_changed(self) -> None:
        """New genes since the last checkpoint; and steps of genes that no genome holds any more are forgotten."""
        self._packed = None
        held = {key for genome in self.population.values() for key in genome.connections}
        held |= {(key, -1) for genome in self.population.values() for key in genome.nodes}
        self._steps = {key: step for key, step in self._steps.items() if key in held}

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """All that the rest of the search depends on: tensors, numbers, text, lists and dictionaries."""
        names = [*ACTIVATIONS, *AGGREGATIONS]
        if self._packed is None:
            self._packed = _pack(list(self.population.values()), names)
        version, words, spare = self._random.state
        tracker = self._reproduction.innovation_tracker
        return {
            **self._packed, **self._refinement_state(),
            "names": names,
            "fitness": _float64([math.nan if genome.fitness is None else genome.fitness
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
            "step_sizes": _float64(list(self._steps.values())),
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
        genomes = _unpack(state, state["names"])
        self._packed = None
        self.population = {genome.key: genome for genome in genomes}
        for genome, fitness in zip(genomes, state["fitness"].tolist(), strict=True):
            genome.fitness = None if math.isnan(fitness) else fitness
        stream = state["random"]
        self._random.state = (stream["version"], tuple(stream["words"]), stream["spare"])
        self.generation, self.neat_generation = state["generation"], state["neat_generation"]
        self._threshold = state["threshold"]
        self.genome_config.node_indexer = _Counter(state["next_node"])
        self._reproduction.genome_indexer = _Counter(state["next_genome"])
        self._species.indexer = _Counter(state["next_species"])
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
            self._refinement = _Refinement(key, graph, rounds_left, state["centre"].clone(), state["steps"].clone())


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
