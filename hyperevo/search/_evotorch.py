"""evotorch's searches behind ask and tell. This is the only file that knows evotorch.

evotorch calls the fitness function from inside its step. Here the step runs in a thread of its own that hands out a
population and waits for its fitness: one of the two threads always waits for the other, so the order of events, and
every bit, is the same as without threads. A search is restored by telling a new one the recorded fitness again: its
steps depend on nothing else.
"""

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.abilities import FixedLength
from hyperevo.components import NotNegative, Positive
from hyperevo.errors import UserError
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import generator_for
from hyperevo.search._start import StartSettings, start_genes


class PopulationSettings(StartSettings):
    """Options that all searches share."""

    population: int = Field(60, ge=2)
    """Number of genotypes in a generation."""

    def numbers_held(self, genes: int) -> int:
        """The population, twice: as it is and in the making."""
        return 2 * self.population * genes


class GaussianSettings(PopulationSettings):
    """Options that all searches with a Gaussian share."""

    words = ("zero", "sample")
    deviation: Positive = 0.1
    """Standard deviation of the first population around its centre."""
    start: str = "zero"
    """First centre: zero, all genes 0; sample, a sample of the genotypes that a gradient search starts from; or a run
    folder, whose champion it is. The run keeps a copy of that: the folder is needed once."""
    centre: NotNegative = 0.0
    """Standard deviation of noise added to the first centre; needed where the start is a stationary point, as zero is
    for layered encodings."""


class _Closed(Exception):
    """Raised to end the thread of a search that is no longer used."""


def import_evotorch() -> Any:
    """evotorch, quiet. Its import takes seconds, so it happens where it is used."""
    os.environ.setdefault("EVOTORCH_VERBOSE_LEVEL", "0")
    import evotorch
    import evotorch.algorithms
    import evotorch.operators
    return evotorch


Make = Callable[[Any, Any, Any], Any]


class EvotorchSearch(Search):
    """Ask for a population (P, genes), tell its fitness (P,), higher is better."""

    def __init__(self, settings: PopulationSettings, make: Make, start: Tensor | None, genes: int, seed: int):
        """`make(evotorch, problem, start)` returns the algorithm; start: (genes,) a centre or a genotype to start from.
        """
        self.settings, self.generation = settings, 0
        self._make, self._start, self._genes, self._seed = make, start, genes, seed
        self._population: Tensor | None = None

    def prepare(self) -> None:
        """Make the algorithm, unless it exists, and return its population. Runs do so before they write, so as to fail
        early; code that only inspects a search need not wait for evotorch's import."""
        self.ask()

    def _begin(self) -> Tensor:
        evotorch = import_evotorch()
        self._told: SimpleQueue[Tensor | None] = SimpleQueue()
        self._asked: SimpleQueue[Tensor | Exception] = SimpleQueue()
        problem = evotorch.Problem("max", self._hand_out, solution_length=self._genes, initial_bounds=(-1, 1),
                                   vectorized=True, seed=self._seed, dtype=torch.float32)
        with warnings.catch_warnings():  # evotorch's CMA-ES copies tensors in a way torch warns about
            warnings.filterwarnings("ignore", message="To copy construct from a tensor", category=UserWarning)
            self._algorithm = self._make(evotorch, problem, self._start)
        self._last = torch.empty(0, self._genes)
        self._best = 0
        ends = (self._algorithm, self._asked)
        threading.Thread(target=_step_until_closed, args=ends, daemon=True).start()
        return self._receive()

    def _hand_out(self, population: Any) -> Tensor:
        """The fitness function that evotorch calls, in its thread."""
        self._asked.put(population.clone().as_subclass(Tensor))
        return _next_fitness(self._told)

    def _receive(self) -> Tensor:
        population = self._asked.get()
        if isinstance(population, Exception):
            raise population
        return population

    def ask(self) -> Tensor:
        """The population to evaluate next, (P, genes); the same until it is told."""
        if self._population is None:
            self._population = self._begin()
        return self._population

    def tell(self, fitness: Tensor) -> None:
        """Tell the fitness (P,) of the population asked for last; raises ValueError for another shape."""
        population = self.ask()
        if fitness.shape != (len(population),):
            raise ValueError(f"fitness of shape {tuple(fitness.shape)} for a population of {len(population)}")
        fitness = fitness.detach().to("cpu", torch.float32)
        self._last, self._best = population, int(fitness.argmax())
        self._told.put(fitness)
        self._population = self._receive()
        self.generation += 1

    def candidates(self) -> Tensor:
        """Genotypes worth validating (C, genes): the centre where the search has one, else the best of the last tell.
        """
        if "center" in self._algorithm.status:
            return self._algorithm.status["center"].clone().as_subclass(Tensor)[None]
        return self._last[self._best : self._best + 1]

    def statistics(self) -> dict[str, float]:
        """Numbers for the metrics of the last generation."""
        spread = self._algorithm.status["stdev"] if "stdev" in self._algorithm.status else self._last.std(0)
        return {"step_size": float(torch.as_tensor(spread).mean())}

    def state(self) -> dict[str, Any]:
        """An empty state: the recorded fitness is all that a restored search needs."""
        return {}

    def restore(self, state: dict[str, Any], told: Sequence[Tensor]) -> None:
        """Restore a new search of the same settings by telling it the recorded fitness `told`, one tensor (P,) a tell.
        """
        for fitness in told:
            self.tell(fitness)

    def close(self) -> None:
        """End the search's thread."""
        if self._population is not None:
            self._told.put(None)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.settings.name}, population {self.settings.population:,}, "
                f"{self._genes:,} genes, generation {self.generation})")


def _next_fitness(told: SimpleQueue[Tensor | None]) -> Tensor:
    fitness = told.get()
    if fitness is None:
        raise _Closed
    return fitness


def _step_until_closed(algorithm: Any, asked: SimpleQueue[Tensor | Exception]) -> None:
    try:
        with torch.no_grad():
            while True:
                algorithm.step()
    except _Closed:
        pass
    except Exception as error:  # handed to the thread that asks, which raises it
        asked.put(error)


MOST_GENES_OF_A_COVARIANCE = 10_000
"""Most genes that a search with a full covariance takes: more would cost gigabytes and hours."""


def build_evotorch(make: Make, encoding: Encoding, seed: int, settings: PopulationSettings,
                   covariance: bool = False) -> EvotorchSearch:
    """Build a search over an encoding's genes; `covariance` says that it keeps a full covariance matrix. Raises
    UserError for genotypes that are graphs, and for ones too long for such a matrix."""
    if not isinstance(encoding, FixedLength) or not encoding.genes:
        raise UserError(f"search.name: encoding {encoding.settings.name!r} has no genotypes of fixed length; "
                        "use search.name=neat")
    if covariance and encoding.genes > MOST_GENES_OF_A_COVARIANCE:
        raise UserError(f"search.name: a covariance of {encoding.genes:,} genes is too large; use search.name=snes, or "
                        "cmaes with separable=true")
    start = start_genes(settings, encoding)
    if isinstance(settings, GaussianSettings):
        start = _first_centre(encoding, start, seed, settings)
    return EvotorchSearch(settings, make, start, encoding.genes, seed)


def _first_centre(encoding: FixedLength, start: Tensor | None, seed: int, settings: GaussianSettings) -> Tensor:
    noise = torch.randn(encoding.genes, generator=torch.Generator().manual_seed(seed)) * settings.centre
    if start is None and settings.start == "zero":
        return noise
    return noise + (encoding.sample(1, torch.Generator().manual_seed(seed))[0].cpu() if start is None else start)


def begin_around(algorithm: Any, start: Tensor | None, deviation: float, seed: int) -> Any:
    """An algorithm whose first population is a genotype (genes,) and neighbours of it; as it was if there is none."""
    if start is not None:
        size = len(algorithm.population)
        noise = torch.randn(size, len(start), generator=generator_for(seed, 0, START_STREAM)) * deviation
        noise[0] = 0
        algorithm.population.set_values(start + noise)
    return algorithm


START_STREAM = 0x73746172
"""Keeps the first population's noise apart from other draws by seed."""
