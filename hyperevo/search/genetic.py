"""A genetic algorithm of evotorch: tournaments, one-point crossover, Gaussian mutation, parents evaluated again."""

from typing import Any, Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, PopulationSettings, begin_around, build_evotorch


class Settings(PopulationSettings):
    """Options of the genetic algorithm."""

    name: Literal["genetic"] = "genetic"
    population: int = Field(60, ge=4, multiple_of=2)
    """Number of genotypes in a generation."""
    start: str = ""
    """Run folder whose champion is in the first population, with genotypes around it, `mutation` wide; without one,
    genes are drawn from -1 to 1. The run keeps a copy of it: the folder is needed once."""
    tournament: int = Field(4, ge=2)
    """Number of genotypes drawn for a tournament; the best of them becomes a parent."""
    mutation: Positive = 0.05
    """Standard deviation of the noise added to every gene of a child."""
    elitist: bool = True
    """true: the next population is the best of parents and children; false: the children alone."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""

    def make(evotorch: Any, problem: Any, start: Any) -> Any:
        operators = [evotorch.operators.OnePointCrossOver(problem, tournament_size=settings.tournament),
                     evotorch.operators.GaussianMutation(problem, stdev=settings.mutation)]
        algorithm = evotorch.algorithms.GeneticAlgorithm(problem, operators=operators, popsize=settings.population,
                                                         elitist=settings.elitist)
        return begin_around(algorithm, start, settings.mutation, seed)

    return build_evotorch(make, encoding, seed, settings)
