"""evotorch's searches behind ask and tell, in pieces: its distributions, optimizers, operators and single steps.

evotorch's own loop calls the fitness function from inside its step. Here a step is cut in two where the fitness is
wanted: `_draw` makes a population, `_learn` takes its fitness. Draws come from one generator on the device of the
encoding, so that its state, and the tensors in `_memory`, are all that the rest of a search depends on. Given the same
seed and fitness, populations are those of evotorch's loop. Only the files of its searches know evotorch.
"""

import logging
import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.abilities import FixedLength
from hyperevo.components import NotNegative, Positive
from hyperevo.errors import UserError
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import mixed
from hyperevo.search._start import StartSettings, start_genes

log = logging.getLogger(__name__)


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


def import_evotorch() -> Any:
    """evotorch, quiet. Its import takes seconds, so it happens where it is used."""
    os.environ.setdefault("EVOTORCH_VERBOSE_LEVEL", "0")
    import evotorch
    import evotorch.algorithms
    import evotorch.algorithms.functional
    import evotorch.distributions
    import evotorch.operators
    import evotorch.optimizers
    import evotorch.tools
    return evotorch


class EvotorchSearch(Search):
    """Ask for a population (P, genes), tell its fitness (P,), higher is better.

    `_begin`, `_draw`, `_learn`, `_memory` and `_remember` are those of one search.
    """

    def __init__(self, settings: PopulationSettings, encoding: Encoding, seed: int):
        self.settings, self.generation = settings, 0
        self._genes, self._seed = encoding.genes, seed
        # On other devices than these evotorch was never tried.
        self._device = encoding.device if encoding.device.type == "cuda" else CPU
        self._problem: Any = None
        self._population: Tensor | None = None

    @abstractmethod
    def _begin(self, evotorch: Any, problem: Any) -> None:
        """Make what is remembered before the first population. `problem` has the generator of all draws."""

    @abstractmethod
    def _draw(self) -> Tensor:
        """Population (P, genes) to evaluate."""

    @abstractmethod
    def _learn(self, population: Tensor, fitness: Tensor) -> None:
        """Take the fitness (P,), on the device, of the population drawn last."""

    @abstractmethod
    def _memory(self) -> dict[str, Tensor]:
        """Tensors on which later populations depend."""

    @abstractmethod
    def _remember(self, state: Mapping[str, Any]) -> None:
        """Set what `_memory` gave, from a saved state; raises ValueError where a tensor is not like its own."""

    def prepare(self) -> None:
        """Make the first state, unless there is one. Runs do so before they write, so as to fail early; code that only
        inspects a search need not wait for evotorch's import."""
        if self._problem is None:
            self._begin_on(self._device)

    def _begin_on(self, device: torch.device) -> None:
        evotorch = import_evotorch()
        self._device, self._population, self.generation = device, None, 0
        problem = evotorch.Problem("max", solution_length=self._genes, initial_bounds=(-1, 1), seed=self._seed,
                                   dtype=torch.float32, device=device)
        with warnings.catch_warnings(), torch.no_grad():  # evotorch's CMA-ES copies tensors in a way torch warns about
            warnings.filterwarnings("ignore", message="To copy construct from a tensor", category=UserWarning)
            self._begin(evotorch, problem)
        self._problem = problem

    @torch.no_grad()
    def ask(self) -> Tensor:
        """The population to evaluate next, (P, genes); the same until it is told."""
        if self._population is None:
            self.prepare()
            self._drawn_from = self._problem.generator.get_state()
            self._population = self._draw()
        return self._population

    @torch.no_grad()
    def tell(self, fitness: Tensor) -> None:
        """Tell the fitness (P,) of the population asked for last; raises ValueError for another shape."""
        population = self.ask()
        if fitness.shape != (len(population),):
            raise ValueError(f"fitness of shape {tuple(fitness.shape)} for a population of {len(population)}")
        self._learn(population, fitness.detach().to(self._device, torch.float32))
        self._population = None
        self.generation += 1

    def state(self) -> dict[str, Any]:
        """Plain data on which the rest of the search depends. The population is drawn again."""
        self.prepare()
        drawn_from = self._problem.generator.get_state() if self._population is None else self._drawn_from
        return {"generation": self.generation, "device": self._device.type, "generator": drawn_from.clone(),
                **{key: value.clone() for key, value in self._memory().items()}}

    def restore(self, state: dict[str, Any], told: Sequence[Tensor]) -> None:
        """Continue where `state` was taken, bit by bit. Earlier versions drew on the CPU and kept no state: theirs is
        empty, and the fitness `told` leads there."""
        if not state:
            self._begin_on(CPU)
            for fitness in told:
                self.tell(fitness)
            return
        same = state["device"] in ("cpu", self._device.type)
        self._begin_on(CPU if state["device"] == "cpu" else self._device)
        self._remember(state)
        self.generation = state["generation"]
        if same:
            self._problem.generator.set_state(state["generator"])
        else:
            self._problem.generator.manual_seed(mixed(self._seed, self.generation))
            log.warning("search %s: populations were drawn on %s until generation %d; from there on, drawn on %s, they "
                        "are others than there", self.settings.name, state["device"], self.generation, self._device)

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.settings.name}, population {self.settings.population:,}, "
                f"{self._genes:,} genes, generation {self.generation})")


CPU = torch.device("cpu")

class Spread:
    """Mean standard deviation of the genes in the population told last, computed where it is looked at."""

    def __init__(self, value: Tensor):
        self._value: Tensor = value
        self._population: Tensor | None = None

    def follow(self, population: Tensor) -> None:
        """Take another population (P, genes)."""
        self._population = population

    def value(self) -> Tensor:
        """The deviation, a tensor without axes."""
        if self._population is not None:
            self._value, self._population = self._population.std(0).mean(), None
        return self._value


MOST_GENES_OF_A_COVARIANCE = 10_000
"""Most genes that a search with a full covariance takes: more would cost gigabytes and hours."""


def check_genes(encoding: Encoding, covariance: bool = False) -> None:
    """Raise UserError for genotypes that are graphs and, where a search keeps a covariance matrix, for ones too long.
    """
    if not isinstance(encoding, FixedLength) or not encoding.genes:
        raise UserError(f"search.name: encoding {encoding.settings.name!r} has no genotypes of fixed length; "
                        "use search.name=neat")
    if covariance and encoding.genes > MOST_GENES_OF_A_COVARIANCE:
        raise UserError(f"search.name: a covariance of {encoding.genes:,} genes is too large; use search.name=snes, or "
                        "cmaes with separable=true")


def first_centre(settings: GaussianSettings, encoding: Encoding, seed: int) -> Tensor:
    """Centre (genes,) from which a search with a Gaussian starts, on the CPU."""
    noise = torch.randn(encoding.genes, generator=torch.Generator().manual_seed(seed)) * settings.centre
    start = start_genes(settings, encoding)
    if start is None and settings.start == "zero":
        return noise
    if start is None:
        assert isinstance(encoding, FixedLength)
        start = encoding.sample(1, torch.Generator().manual_seed(seed))[0].cpu()
    return noise + start
