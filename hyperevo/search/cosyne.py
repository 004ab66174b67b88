"""CoSyNE: cooperative synapse neuroevolution (Gomez, Schmidhuber & Miikkulainen 2008), evotorch's."""

from typing import Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, PopulationSettings, begin_around, build_evotorch


class Settings(PopulationSettings):
    """Options of CoSyNE."""

    name: Literal["cosyne"] = "cosyne"
    population: int = Field(60, ge=4, multiple_of=2)
    """Number of genotypes in a generation."""
    start: str = ""
    """Run folder whose champion is in the first population, with genotypes around it, `mutation` wide; without one,
    genes are drawn from -1 to 1. The run keeps a copy of it: the folder is needed once."""
    tournament: int = Field(4, ge=2)
    """Number of genotypes drawn for a tournament; the best of them becomes a parent."""
    mutation: Positive = 0.3
    """Standard deviation of the noise added to a mutated gene."""
    mutation_probability: float = Field(0.1, gt=0, le=1)
    """Chance of a child's gene to be mutated."""
    elites: int = Field(1, ge=1)
    """Number of the best genotypes that live on unchanged."""
    permute_all: bool = True
    """true: permute every gene among the population; false: only those of unfit genotypes."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""
    return build_evotorch(
        lambda evotorch, problem, start: begin_around(evotorch.algorithms.Cosyne(
            problem, popsize=settings.population, tournament_size=settings.tournament,
            mutation_stdev=settings.mutation, mutation_probability=settings.mutation_probability,
            permute_all=settings.permute_all, num_elites=settings.elites), start, settings.mutation, seed),
        encoding, seed, settings)
