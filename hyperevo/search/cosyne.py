"""CoSyNE: cooperative synapse neuroevolution (Gomez, Schmidhuber & Miikkulainen 2008), evotorch's."""

from typing import Literal

from pydantic import Field

from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, begin_around, build_evotorch
from hyperevo.search._start import StartSettings


class Settings(StartSettings):
    """Options of CoSyNE."""

    name: Literal["cosyne"] = "cosyne"
    population: int = Field(60, ge=4, multiple_of=2)
    """Genotypes in a generation."""
    start: str = ""
    """Run folder whose champion is in the first population, with genotypes around it, `mutation` wide; without one,
    genes are drawn from -1 to 1. The run keeps a copy of it: the folder is needed once."""
    tournament: int = Field(4, ge=2)
    """Genotypes drawn for a tournament, whose best becomes a parent."""
    mutation: float = Field(0.3, gt=0)
    """Standard deviation of the noise added to a mutated gene."""
    mutation_probability: float = Field(0.1, gt=0, le=1)
    """Chance of a child's gene to be mutated."""
    elites: int = Field(1, ge=1)
    """Best genotypes that live on unchanged."""
    permute_all: bool = True
    """Permute every gene among the population, not only those of unfit genotypes."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""
    return build_evotorch(
        lambda evotorch, problem, start: begin_around(evotorch.algorithms.Cosyne(
            problem, popsize=settings.population, tournament_size=settings.tournament,
            mutation_stdev=settings.mutation, mutation_probability=settings.mutation_probability,
            permute_all=settings.permute_all, num_elites=settings.elites), start, settings.mutation, seed),
        encoding, seed, settings)
