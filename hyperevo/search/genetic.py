"""A genetic algorithm of evotorch: tournaments, one-point crossover, Gaussian mutation, parents evaluated again."""

from typing import Any, Literal

from pydantic import Field

from hyperevo.components import ComponentSettings
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, build_evotorch


class Settings(ComponentSettings):
    """Options of the genetic algorithm."""

    name: Literal["genetic"] = "genetic"
    population: int = Field(60, ge=4, multiple_of=2)
    """Number of genotypes in a generation."""
    tournament: int = Field(4, ge=2)
    """Number of genotypes drawn for a tournament; the best of them becomes a parent."""
    mutation: float = Field(0.05, gt=0)
    """Standard deviation of the noise added to every gene of a child."""
    elitist: bool = True
    """true: the next population is the best of parents and children; false: the children alone."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""

    def make(evotorch: Any, problem: Any, _: Any) -> Any:
        operators = [evotorch.operators.OnePointCrossOver(problem, tournament_size=settings.tournament),
                     evotorch.operators.GaussianMutation(problem, stdev=settings.mutation)]
        return evotorch.algorithms.GeneticAlgorithm(problem, operators=operators, popsize=settings.population,
                                                    elitist=settings.elitist)

    return build_evotorch(make, encoding, seed)
