"""Searches that breed with evotorch's operators: a population of parents, and what is made of it."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hyperevo.parts import Encoding
from hyperevo.randomness import generator_for
from hyperevo.search._evotorch import EvotorchSearch, PopulationSettings, Spread, check_genes
from hyperevo.search._restored import restored
from hyperevo.search._start import start_genes

START_STREAM = 0x73746172
"""Keeps the first population's noise apart from other draws by seed."""


class BreedingSearch(EvotorchSearch):
    """Parents and their fitness are remembered; offspring follow from them and from the generator.

    `_equip`, `_asks_parents`, `_breed` and `_select` are those of one search.
    """

    def __init__(self, settings: PopulationSettings, mutation: float, encoding: Encoding, seed: int):
        """mutation: standard deviation of the noise around a genotype to start from. Raises UserError for genotypes
        that are graphs."""
        check_genes(encoding)
        super().__init__(settings, encoding, seed)
        self._start, self._width = start_genes(settings, encoding), mutation

    @abstractmethod
    def _equip(self, evotorch: Any, problem: Any) -> None:
        """Make the operators."""

    @abstractmethod
    def _asks_parents(self) -> bool:
        """True where the parents are evaluated in this generation, False where their offspring is."""

    @abstractmethod
    def _breed(self, parents: Any) -> Any:
        """Offspring of parents whose fitness is known; both are batches of evotorch's."""

    @abstractmethod
    def _select(self, parents: Any, offspring: Any) -> Any:
        """Next parents, of these and their offspring, whose fitness is known."""

    def _begin(self, evotorch: Any, problem: Any) -> None:
        self._parents = problem.generate_batch(self.settings.population)
        if self._start is not None:
            self._parents.set_values(self._around(self._start))
        self._best, self._spread = self._parents.access_values()[0], Spread(torch.zeros((), device=self._device))
        self._equip(evotorch, problem)

    def _around(self, start: Tensor) -> Tensor:
        """Population (P, genes) of a genotype (genes,) and neighbours of it, on the CPU."""
        noise = torch.randn(self.settings.population, len(start),
                            generator=generator_for(self._seed, 0, START_STREAM)) * self._width
        noise[0] = 0
        return start + noise

    def _draw(self) -> Tensor:
        if self._asks_parents():
            return self._parents.access_values(keep_evals=True)
        self._offspring = self._breed(self._parents)
        return self._offspring.access_values(keep_evals=True)

    def _learn(self, population: Tensor, fitness: Tensor) -> None:
        self._best = population[fitness.argmax()[None]][0]
        self._spread.follow(population)
        if self._asks_parents():
            self._parents.set_evals(fitness)
        else:
            self._offspring.set_evals(fitness)
            self._parents = self._select(self._parents, self._offspring)

    def candidates(self) -> Tensor:
        """Genotype worth validating, (1, genes): the best of the last tell."""
        self.prepare()
        return self._best.clone()[None]

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: the mean deviation of the genes in the last population."""
        self.prepare()
        return {"step_size": float(self._spread.value())}

    def _memory(self) -> dict[str, Tensor]:
        parents = self._parents
        return {"parents": parents.access_values(keep_evals=True), "fitness": parents.access_evals()[:, 0],
                "best": self._best, "spread": self._spread.value()}

    def _remember(self, state: Mapping[str, Any]) -> None:
        own = {key: restored(state, key, like) for key, like in self._memory().items()}
        self._parents.set_values(own["parents"])
        self._parents.set_evals(own["fitness"])
        self._best, self._spread = own["best"], Spread(own["spread"])
