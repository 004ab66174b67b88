"""Gradient search: P genotypes, each with a start of its own, follow the gradient of their own loss, all at once.

    loss_p = -fitness_p + generated_decay / 2 · Σ w²        w the weights that the encoding generates

`ask` gives the genotypes as one leaf tensor, `tell` takes their fitness with its graph and takes one step. All
optimisers here treat every number alike, so P genotypes in one tensor learn what each would learn alone. On a CUDA
device the optimiser keeps all that changes between steps in tensors, so that a step can be captured as a CUDA graph.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyperevo.abilities import FixedLength, Loss
from hyperevo.components import NotNegative, Positive
from hyperevo.errors import UserError
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import generator_for
from hyperevo.search._in_place import rate_as_tensor, rehearsed, set_rate
from hyperevo.search._restored import restored, restored_optimizer
from hyperevo.search._start import StartSettings, start_genes


class Settings(StartSettings):
    """Options of the gradient search."""

    name: Literal["gradient"] = "gradient"
    population: int = Field(1, ge=1)
    """Number of genotypes trained side by side, each from a start of its own. They see the same images."""
    start: str = ""
    """Run folder whose champion all genotypes start from; by default each starts from a sample of its own. The run
    keeps a copy of it: the folder is needed once."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimizer of the genes; sgd has Nesterov's momentum."""
    learning_rate: Positive = 1e-3
    """Learning rate; the largest one of the schedules one-cycle and cosine, the first one of steps."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of the optimizer sgd; others do not use it."""
    schedule: Literal["constant", "one-cycle", "cosine", "steps"] = "constant"
    """Course of the learning rate: constant; one-cycle, up in the first 30 % of all steps and then down to 0, both as a
    cosine; cosine, down to 0; steps, as the key `steps` gives it."""
    steps: tuple[tuple[int, NotNegative], ...] = ()
    """Pairs [step, learning rate from that step on] of the schedule steps, in order."""
    clip: Positive | None = None
    """Largest norm of one genotype's gradient, to which longer ones are scaled down; by default gradients are not
    limited."""
    weight_decay: NotNegative = 0.0
    """Weight decay of the genes, as a part of the gradient; with adamw it is apart from the gradient."""
    generated_decay: NotNegative = 0.0
    """Weight decay of the weights that an encoding generates, or of the weight matrices and kernels of the direct
    encoding."""
    steps_per_round: int = Field(50, ge=1, le=100_000)
    """Number of steps in a round; every round ends with an entry in metrics.csv and a checkpoint."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Precision of products: bfloat16 is faster on some devices; tf32 rounds the factors of float32 products on a GPU,
    and has no effect elsewhere. Genes stay float32."""
    compile: bool = False
    """true: torch.compile joins small operations; the first step then takes long."""
    graph: Literal["auto", "on", "off"] = "auto"
    """Steps as CUDA graphs, launched as one: auto, on a CUDA device where a step can be captured; on, a run that cannot
    is refused; off, one operation after the other."""

    def numbers_held(self, genes: int) -> int:
        """Genotypes, their best, their gradients and an optimiser's two moments."""
        return 5 * self.population * genes

    @model_validator(mode="after")
    def _steps_belong_to_their_schedule(self) -> "Settings":
        if (self.schedule == "steps") != bool(self.steps):
            raise ValueError('steps and schedule = "steps" need each other')
        if list(self.steps) != sorted(self.steps):
            raise ValueError("steps are not in order")
        return self


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda genes, settings, **options: torch.optim.Adam(
        genes, settings.learning_rate, weight_decay=settings.weight_decay, fused=True, **options),
    "adamw": lambda genes, settings, **options: torch.optim.AdamW(
        genes, settings.learning_rate, weight_decay=settings.weight_decay, fused=True, **options),
    "sgd": lambda genes, settings, **options: torch.optim.SGD(
        genes, settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay, fused=True, **options),
}

CAPTURABLE: dict[str, dict[str, bool]] = {"adam": {"capturable": True}, "adamw": {"capturable": True}, "sgd": {}}
"""Options with which an optimiser reads learning rate and count of steps from tensors."""

WARM_UP = 0.3
"""Share of a one-cycle schedule in which the learning rate rises, from a 25th of its maximum."""


class GradientSearch(Search):
    """Ask for genotypes (P, genes), tell their fitness (P,) with its graph. `generation` counts steps."""

    def __init__(self, settings: Settings, start: Tensor, capturable: bool | None = None):
        """capturable: the learning rate and the optimiser's count of steps are tensors; by default, on a CUDA device.
        """
        self.settings, self.generation, self.total_steps = settings, 0, 0
        self.steps_per_round = settings.steps_per_round
        self._genes = start.clone().requires_grad_()
        self._optimizer = self._make_optimizer(start.is_cuda if capturable is None else capturable)
        self._best = start.clone()
        self._best_accuracies = torch.full((len(start),), -math.inf)
        self._norms = start.new_zeros(len(start))

    def _make_optimizer(self, capturable: bool) -> torch.optim.Optimizer:
        name = self.settings.optimizer
        optimizer = OPTIMIZERS[name]([self._genes], self.settings, **(CAPTURABLE[name] if capturable else {}))
        if capturable:
            rate_as_tensor(optimizer, self._genes)
        return optimizer

    @property
    def evaluations_per_round(self) -> int:
        """Number of networks that are shown a batch in every round: all genotypes at every step."""
        return len(self._genes) * self.settings.steps_per_round

    def plan(self, rounds: Callable[[int], int]) -> None:
        """Learn the length of the run: schedules end with it."""
        self.total_steps = rounds(self.evaluations_per_round) * self.settings.steps_per_round

    def loss(self) -> Loss:
        """Options of the loss, from the settings."""
        settings = self.settings
        return Loss(settings.generated_decay, settings.precision, settings.compile, settings.graph)

    def ask(self) -> Tensor:
        """Genotypes (P, genes), a leaf that requires a gradient."""
        return self._genes

    def learning_rate(self) -> float:
        """Learning rate of the coming step."""
        settings = self.settings
        share = min(self.generation / max(self.total_steps, 1), 1.0)
        if settings.schedule == "steps":
            return ([settings.learning_rate] + [rate for step, rate in settings.steps if step <= self.generation])[-1]
        if settings.schedule == "cosine":
            return settings.learning_rate * (1 + math.cos(math.pi * share)) / 2
        if settings.schedule == "one-cycle" and share < WARM_UP:
            return settings.learning_rate * (1 + (1 / 25 - 1) * (1 + math.cos(math.pi * share / WARM_UP)) / 2)
        if settings.schedule == "one-cycle":
            return settings.learning_rate * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))) / 2
        return settings.learning_rate

    def tell(self, fitness: Tensor) -> None:
        """Take the fitness (P,) of the genotypes, higher is better, with its graph, and one step along its gradient;
        raises ValueError for another number of values."""
        self.begin_step()
        self.step(fitness)
        self.end_step()

    def begin_step(self) -> None:
        """Give the optimiser the learning rate of the coming step."""
        set_rate(self._optimizer, self.learning_rate())

    def step(self, fitness: Tensor) -> None:
        """Take the step along the gradient of the fitness (P,); raises ValueError for another number of values."""
        if fitness.shape != (len(self._genes),):
            raise ValueError(f"fitness of shape {tuple(fitness.shape)} for a population of {len(self._genes)}")
        self._optimizer.zero_grad(set_to_none=True)
        (-fitness.sum()).backward()
        gradient = self._genes.grad
        assert gradient is not None
        self._norms.copy_(gradient.norm(dim=1))
        if self.settings.clip is not None:
            gradient.mul_((self.settings.clip / self._norms.clamp(min=self.settings.clip))[:, None])
        self._optimizer.step()

    def end_step(self) -> None:
        """Count the step."""
        self.generation += 1

    def rehearsal(self) -> AbstractContextManager[None]:
        """Context of steps that are tried: at its end genes and optimiser are as before."""
        return rehearsed(self._changed)

    def _changed(self) -> dict[str, Tensor]:
        """Tensors that a step changes: the genes, the norms of their gradients and the optimiser's own, which its first
        step makes."""
        own = self._optimizer.state[self._genes].items()
        return {"genes": self._genes, "norms": self._norms,
                **{f"optimizer.{key}": value for key, value in own if isinstance(value, Tensor)}}

    def candidates(self) -> Tensor:
        """All genotypes (P, genes), which are to be validated."""
        return self._genes.detach().clone()

    def validated(self, scores: Tensor) -> None:
        """Take the validation scores (P,) of the candidates: every member of the population keeps its own best
        genotype."""
        better = scores > self._best_accuracies
        self._best[better] = self._genes.detach()[better]
        self._best_accuracies = torch.where(better, scores, self._best_accuracies)

    def selected(self) -> Tensor:
        """Best genotype of every member by validation score, (P, genes)."""
        return self._best.clone()

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: the learning rate and the mean norm of the last gradients."""
        return {"learning_rate": self.learning_rate(), "gradient_norm": float(self._norms.mean())}

    def state(self) -> dict[str, Any]:
        """Plain data on which the rest of the search depends: tensors and the step."""
        changed = {key: value.detach().clone() for key, value in self._changed().items()}
        return {"generation": self.generation, "best": self._best.clone(),
                "best_accuracies": self._best_accuracies.clone(), **changed}

    def restore(self, state: dict[str, Any], told: Sequence[Tensor] = ()) -> None:
        """Continue where `state` was taken, bit by bit; the fitness `told` so far is not needed."""
        self.generation = state["generation"]
        with torch.no_grad():
            self._genes.copy_(restored(state, "genes", self._genes))
        self._best = restored(state, "best", self._best)
        self._best_accuracies = restored(state, "best_accuracies", self._best_accuracies)
        self._norms = restored(state, "norms", self._norms)
        self._optimizer.state[self._genes] = restored_optimizer(state, self._optimizer, self._genes.detach())

    def __repr__(self) -> str:
        population, genes = self._genes.shape
        return f"{type(self).__name__}(population {population:,}, {genes:,} genes, step {self.generation})"


def build(settings: Settings, encoding: Encoding, seed: int) -> GradientSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    if not isinstance(encoding, FixedLength) or not encoding.genes:
        raise UserError(f"search.name: the genotypes of encoding {encoding.settings.name!r} are graphs; a gradient "
                        "needs a fixed one: set encoding.graph")
    champion = start_genes(settings, encoding)
    if champion is not None:
        return GradientSearch(settings, champion.repeat(settings.population, 1).to(encoding.device))
    generators = [generator_for(seed, place) for place in range(settings.population)]
    start = torch.cat([encoding.sample(1, generator) for generator in generators])
    return GradientSearch(settings, start.to(encoding.device))
