"""neat-python itself: its config from our settings or an INI file, and replacements for its faulty and slow parts.

neat-python draws from Python's global `random`. `RandomStream` puts another stream in its place for the time of a call.
"""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import neat
from neat.genome import DefaultGenome

from hyperevo.components import nearest
from hyperevo.errors import UserError, shortened, shown, shown_path
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS, OWN_SCALAR_ACTIVATIONS
from hyperevo.reading import read_text
from hyperevo.search._neat_breeding import breed
from hyperevo.search._neat_genomes import Genome, GenomeConfig
from hyperevo.search._neat_ini import MOST_CHARACTERS, read_sections


class Counter:
    """An `itertools.count` whose next value can be read without advancing it."""

    def __init__(self, value: int):
        self.value = value

    def __iter__(self) -> "Counter":
        return self

    def __next__(self) -> int:
        self.value += 1
        return self.value - 1


class RandomStream:
    """A stream of Python's `random` that can stand in for the global one."""

    def __init__(self, seed: int):
        self.state = random.Random(seed).getstate()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Make this stream the global `random` within a `with` block; after it, the global one is as it was."""
        outside = random.getstate()
        random.setstate(self.state)
        try:
            yield
        finally:
            self.state = random.getstate()
            random.setstate(outside)


class Reproduction(neat.DefaultReproduction):
    """neat-python's reproduction, with all children made at once and with spawn counts that always add up: neat-python
    takes at most one child from each species, and then raises an error."""

    def reproduce(self, config: Any, species: Any, pop_size: int, generation: int) -> dict[int, Genome]:
        """The next population: its genomes by key."""
        population = super().reproduce(config, species, pop_size, generation)
        children = [genome for genome in population.values() if genome.parents]
        if children:
            breed(children, config.genome_config)
        return population

    def _adjust_spawn_exact(self, spawn_amounts: list[int], pop_size: int, min_species_size: int) -> list[int]:
        amounts = list(spawn_amounts)
        while sum(amounts) < pop_size:
            amounts[amounts.index(min(amounts))] += 1
        while sum(amounts) > pop_size and max(amounts) > min_species_size:
            amounts[amounts.index(max(amounts))] -= 1
        return amounts


_CONFIG_TYPES = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)


def neat_config(settings: Any, inputs: int, outputs: int, recurrent: bool = False,
                continuous: bool = False) -> neat.Config:
    """neat-python's config for graphs of so many inputs and outputs, from the settings or their INI file; raises
    UserError for an INI file that does not fit. recurrent: True where links may lead back; continuous: True where nodes
    have time constants."""
    if settings.ini is not None:
        return _config_from_ini(settings.ini, inputs, outputs, recurrent, continuous)
    config = _assembled(
        _genome_section(settings, inputs, outputs, recurrent, continuous),
        {"compatibility_threshold": str(settings.compatibility_threshold or 1.0)},
        {"species_fitness_func": "max", "max_stagnation": str(settings.stagnation),
         "species_elitism": str(settings.species_elitism)},
        {"elitism": str(settings.elitism), "survival_threshold": repr(settings.survival),
         "min_species_size": str(settings.minimum_species)})
    config.pop_size, config.fitness_criterion, config.fitness_threshold = settings.population, "max", math.inf
    config.reset_on_extinction, config.no_fitness_termination, config.seed = True, True, None
    config.genome_config.neutral_growth, config.genome_config.continuous = settings.neutral_growth, continuous
    return config


def _assembled(genome: dict[str, str], species: dict[str, str], stagnation: dict[str, str],
               reproduction: dict[str, str]) -> Any:
    """neat-python's config of these sections: its own constructor reads from a path only."""
    config: Any = object.__new__(neat.Config)
    _, config.reproduction_type, config.species_set_type, config.stagnation_type = _CONFIG_TYPES
    config.genome_type = Genome
    config.config_information = None
    config.genome_config = DefaultGenome.parse_config(genome)
    config.species_set_config = neat.DefaultSpeciesSet.parse_config(species)
    config.stagnation_config = neat.DefaultStagnation.parse_config(stagnation)
    config.reproduction_config = neat.DefaultReproduction.parse_config(reproduction)
    _register_own_functions(config.genome_config)
    return config


def _genome_section(settings: Any, inputs: int, outputs: int, recurrent: bool, continuous: bool) -> dict[str, str]:
    values: dict[str, Any] = {
        "num_inputs": inputs, "num_outputs": outputs, "num_hidden": settings.hidden,
        "feed_forward": str(not recurrent).lower(),
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
    shortest, longest = settings.time_constants if continuous else (1.0, 1.0)
    times = ((longest - shortest) / 4, settings.replace_rate, settings.mutate_rate, (longest - shortest) / 10)
    for name, mean, (deviation, replaced, mutated, power), limits in (
            ("weight", 0.0, evolved, (-settings.limit, settings.limit)),
            ("bias", 0.0, evolved, (-settings.limit, settings.limit)),
            ("response", 1.0, (0.0, 0.0, 0.0, 0.0), (1.0, 1.0)),
            ("time_constant", (shortest + longest) / 2, times if continuous else (0.0, 0.0, 0.0, 0.0),
             (shortest, longest))):
        values |= {f"{name}_init_mean": mean, f"{name}_init_stdev": deviation, f"{name}_init_type": "gaussian",
                   f"{name}_replace_rate": replaced, f"{name}_mutate_rate": mutated, f"{name}_mutate_power": power,
                   f"{name}_min_value": limits[0], f"{name}_max_value": limits[1]}
    return {name: str(value) for name, value in values.items()}


def _register_own_functions(config: GenomeConfig) -> None:
    for name, function in OWN_SCALAR_ACTIVATIONS.items():
        config.add_activation(name, function)


def read_ini(path: str) -> str:
    """An INI file's text under a comment that names the file; raises ValueError where it cannot be read."""
    try:
        return f"# {path}\n{read_text(path, MOST_CHARACTERS)}"
    except UserError as error:
        raise ValueError(str(error)) from error


def _config_from_ini(text: str, inputs: int, outputs: int, recurrent: bool, continuous: bool) -> neat.Config:
    head, _, rest = text.partition("\n")
    path, body = (head.removeprefix("# "), rest) if head.startswith("# ") else ("its text", text)
    try:
        sections = read_sections(body, path)
        config = _assembled(*({key: str(value) for key, value in sections[name].model_dump().items()}
                              for name in list(sections)[1:]))
        for key, value in sections["NEAT"].model_dump().items():
            setattr(config, key, value)
        config.genome_config.continuous = continuous
        _check_ini(config, inputs, outputs, recurrent)
    except Exception as error:
        # neat-python raises anything from AssertionError to a bare Exception here.
        raise UserError(f"search.ini: {shown_path(path)}: {shortened(error) or type(error).__name__}") from error
    return config


def _check_ini(config: Any, inputs: int, outputs: int, recurrent: bool) -> None:
    genome = config.genome_config
    for key, value, needed in (("num_inputs", genome.num_inputs, inputs), ("num_outputs", genome.num_outputs, outputs)):
        if value != needed:
            raise ValueError(f"[DefaultGenome] {key} = {value}, but the encoding needs {key} = {needed}")
    if not genome.feed_forward and not recurrent:
        raise ValueError("[DefaultGenome] feed_forward = False, but a CPPN, and a network with encoding.recurrent = "
                         "false, needs feed_forward = True")
    if genome.continuous and genome.time_constant_min_value <= 0:
        raise ValueError(f"[DefaultGenome] time_constant_min_value = {genome.time_constant_min_value}, but networks in "
                         "continuous time need time constants above 0")
    for key, names, known in (("activation_options", genome.activation_options, ACTIVATIONS),
                              ("aggregation_options", genome.aggregation_options, AGGREGATIONS)):
        for name in names:
            if name not in known:
                raise ValueError(f"[DefaultGenome] {key} holds {shown(name)}; {nearest(name, known)}")
