"""Policy gradient: P networks, each with a start of its own, learn from episodes whose actions were drawn, all at once.

    surrogate_p = 1/N Σ_episodes Σ_t A_t log π(a_t | s_t)        A_t = G_t - b_t        G_t = r_t + discount · G_{t+1}

The baseline b_t is the mean G_t of the network's N episodes, with 0 for those that are over (REINFORCE, Williams 1992).
With a `ratio` the surrogate is that of PPO (Schulman et al. 2017), min(q A, clip(q, 1 ± ratio) A), where q is the
choice's likelihood now over the one that it was drawn with, and an experience serves for several steps, its epochs.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyperevo.abilities import Experience
from hyperevo.components import Positive
from hyperevo.parts import Encoding, Search
from hyperevo.search import gradient
from hyperevo.search._start import StartSettings


class Settings(StartSettings):
    """Options of the policy gradient."""

    name: Literal["policy-gradient"] = "policy-gradient"
    population: int = Field(1, ge=1)
    """Number of genotypes trained side by side, each from a start of its own, in episodes with the same first states.
    """
    start: str = ""
    """Run folder whose champion all genotypes start from; by default each starts from a sample of its own. The run
    keeps a copy of it: the folder is needed once."""
    learning_rate: Positive = 0.03
    """Learning rate of Adam."""
    clip: Positive | None = None
    """Largest norm of one genotype's gradient, to which longer ones are scaled down; by default gradients are not
    limited."""
    discount: float = Field(0.99, gt=0, le=1)
    """Factor by which a reward counts less with every step that it lies ahead."""
    ratio: Positive | None = None
    """PPO's clip: largest change of a choice's likelihood that is rewarded, such as 0.2; by default there is none."""
    epochs: int = Field(1, ge=1, le=1000)
    """Steps along the gradient for one experience; several need a ratio."""
    steps_per_round: int = Field(1, ge=1, le=100_000)
    """Number of experiences in a round; every round ends with an entry in metrics.csv and a checkpoint."""

    def numbers_held(self, genes: int) -> int:
        """Genotypes, their best, their gradients and Adam's two moments."""
        return 5 * self.population * genes

    @model_validator(mode="after")
    def _epochs_need_a_ratio(self) -> "Settings":
        if self.epochs > 1 and self.ratio is None:
            raise ValueError("epochs above 1 need a ratio: without PPO's clip a second step has no bound")
        return self


class PolicyGradientSearch(Search):
    """Ask for genotypes (P, genes), tell their surrogate (P,) with its graph. `generation` counts steps."""

    def __init__(self, settings: Settings, ascent: gradient.GradientSearch):
        self.settings, self._ascent = settings, ascent
        self.steps_per_round, self.epochs = settings.steps_per_round, settings.epochs

    @property
    def generation(self) -> int:  # type: ignore[override]
        """Number of steps so far."""
        return self._ascent.generation

    def surrogate(self, likelihoods: Tensor, before: Tensor, experience: Experience) -> Tensor:
        """Values (P,) whose gradient is followed, from logarithms (P, T, N) of the likelihoods now, with their graph,
        and as the choices were drawn."""
        weights = advantages(experience.rewards, self.settings.discount) * experience.counted
        if self.settings.ratio is None:
            terms = likelihoods * weights
        else:
            quotient = (likelihoods - before).exp()
            clipped = quotient.clamp(1 - self.settings.ratio, 1 + self.settings.ratio)
            terms = torch.minimum(quotient * weights, clipped * weights)
        return terms.sum((1, 2)) / experience.rewards.shape[2]

    def ask(self) -> Tensor:
        """Genotypes (P, genes), a leaf that requires a gradient."""
        return self._ascent.ask()

    def tell(self, fitness: Tensor) -> None:
        """Take the surrogate (P,) with its graph, and one step along its gradient."""
        self._ascent.tell(fitness)

    def candidates(self) -> Tensor:
        """All genotypes (P, genes), which are to be validated."""
        return self._ascent.candidates()

    def validated(self, scores: Tensor) -> None:
        """Take the validation scores (P,): every member of the population keeps its own best genotype."""
        self._ascent.validated(scores)

    def selected(self) -> Tensor:
        """Best genotype of every member by validation score, (P, genes)."""
        return self._ascent.selected()

    def statistics(self) -> dict[str, float]:
        """Mean norm of the last gradients."""
        return {"gradient_norm": self._ascent.statistics()["gradient_norm"]}

    def state(self) -> dict[str, Any]:
        """Genotypes, the best of every member, and Adam's moments."""
        return self._ascent.state()

    def restore(self, state: dict[str, Any], told: Sequence[Tensor] = ()) -> None:
        """Continue where `state` was taken, bit by bit; the fitness `told` so far is not needed."""
        self._ascent.restore(state, told)


def advantages(rewards: Tensor, discount: float) -> Tensor:
    """Discounted return (P, T, N) from every step on, less its mean over a network's N episodes at that step."""
    ahead, returns = torch.zeros_like(rewards[:, 0]), torch.empty_like(rewards)
    for step in reversed(range(rewards.shape[1])):
        ahead = torch.add(rewards[:, step], ahead, alpha=discount)
        returns[:, step] = ahead
    return returns - returns.mean(2, keepdim=True)


def build(settings: Settings, encoding: Encoding, seed: int) -> PolicyGradientSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    own = gradient.Settings(population=settings.population, learning_rate=settings.learning_rate, clip=settings.clip,
                            start=settings.start)
    return PolicyGradientSearch(settings, gradient.build(own, encoding, seed))
