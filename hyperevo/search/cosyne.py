"""CoSyNE: cooperative synapse neuroevolution (Gomez, Schmidhuber & Miikkulainen 2008), evotorch's."""

from typing import Any, Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._breeding import BreedingSearch
from hyperevo.search._evotorch import PopulationSettings


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


class CosyneSearch(BreedingSearch):
    """A generation is the best as they are, children of the best quarter, and everybody with genes permuted."""

    def __init__(self, settings: Settings, encoding: Encoding, seed: int):
        super().__init__(settings, settings.mutation, encoding, seed)
        self._own = settings

    def _equip(self, evotorch: Any, problem: Any) -> None:
        own, operators = self._own, evotorch.operators
        self._cross = operators.OnePointCrossOver(problem, tournament_size=own.tournament, cross_over_rate=2.0)
        self._mutate = operators.GaussianMutation(problem, stdev=own.mutation,
                                                  mutation_probability=own.mutation_probability)
        self._permute = operators.CosynePermutation(problem, permute_all=own.permute_all)
        self._join = evotorch.SolutionBatch.cat

    def _asks_parents(self) -> bool:
        return self.generation == 0

    def _breed(self, parents: Any) -> Any:
        quarter = len(parents) // 4
        best = parents.take_best(max(self._own.elites, quarter))
        children = self._mutate(self._cross(best[:quarter]))
        return self._join([best[: self._own.elites], children, self._permute(parents)])

    def _select(self, parents: Any, offspring: Any) -> Any:
        return offspring.take_best(len(parents))


def build(settings: Settings, encoding: Encoding, seed: int) -> CosyneSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    return CosyneSearch(settings, encoding, seed)
