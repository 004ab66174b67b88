"""Species and refinements of NEAT as plain data, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from neat.species import Species

from hyperevo.search._neat_genomes import Genome, GenomeConfig, graph_from_genome
from hyperevo.search._neat_refine import Refinement
from hyperevo.search._neat_species import SpeciesSet


def species_state(species: Species) -> dict[str, Any]:
    """A species as numbers and lists, with keys in place of its genomes. Of its fitness until then, stagnation asks for
    the largest alone."""
    return {"key": species.key, "created": species.created, "last_improved": species.last_improved,
            "history": sorted(species.fitness_history)[-1:], "fitness": species.fitness,
            "adjusted_fitness": species.adjusted_fitness, "representative": species.representative.key,
            "members": list(species.members)}


def restore_species(species_set: SpeciesSet, states: Sequence[Mapping[str, Any]],
                    population: Mapping[int, Genome]) -> None:
    """Fill a set with the species of `states`, whose genomes are in the population."""
    species_set.species, species_set.genome_to_species = {}, {}
    for values in states:
        species = Species(values["key"], values["created"])
        species.last_improved, species.fitness_history = values["last_improved"], list(values["history"])
        species.fitness, species.adjusted_fitness = values["fitness"], values["adjusted_fitness"]
        species.update(population[values["representative"]], {key: population[key] for key in values["members"]})
        species_set.species[species.key] = species
        species_set.genome_to_species |= dict.fromkeys(values["members"], species.key)


def refinement_state(refinement: Refinement | None, queue: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The current refinement, if there is one, and the queue of [genome's key, rounds] after it."""
    if refinement is None:
        return {"queue": [], "refined": []}
    return {"queue": [list(item) for item in queue], "refined": [refinement.genome, refinement.rounds_left],
            "centre": refinement.centre, "steps": refinement.steps}


def refinement_from(state: Mapping[str, Any], population: Mapping[int, Genome],
                    config: GenomeConfig) -> Refinement | None:
    """The current refinement of a saved state, of a genome in the population; None where there was none."""
    if not state["refined"]:
        return None
    key, rounds_left = state["refined"]
    graph = graph_from_genome(population[key], config)
    return Refinement(key, graph, rounds_left, state["centre"].clone(), state["steps"].clone())
