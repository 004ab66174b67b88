"""A genetic algorithm of evotorch: tournaments, one-point crossover, Gaussian mutation, parents evaluated again."""

from typing import Any, Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._breeding import BreedingSearch
from hyperevo.search._evotorch import PopulationSettings


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


class GeneticSearch(BreedingSearch):
    """Parents are evaluated in every other generation, their children in between."""

    def __init__(self, settings: Settings, encoding: Encoding, seed: int):
        super().__init__(settings, settings.mutation, encoding, seed)
        self._tournament, self._mutation, self._elitist = settings.tournament, settings.mutation, settings.elitist

    def _equip(self, evotorch: Any, problem: Any) -> None:
        operators = evotorch.operators
        self._cross = operators.OnePointCrossOver(problem, tournament_size=self._tournament)
        self._mutate = operators.GaussianMutation(problem, stdev=self._mutation)
        self._join = evotorch.SolutionBatch.cat

    def _asks_parents(self) -> bool:
        return self.generation % 2 == 0

    def _breed(self, parents: Any) -> Any:
        return self._mutate(self._cross(parents))

    def _select(self, parents: Any, offspring: Any) -> Any:
        return self._join([parents, offspring]).take_best(len(parents)) if self._elitist else offspring


def build(settings: Settings, encoding: Encoding, seed: int) -> GeneticSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    return GeneticSearch(settings, encoding, seed)
