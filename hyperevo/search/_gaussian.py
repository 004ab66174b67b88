"""Searches with one of evotorch's Gaussians: draw around a centre, follow the gradient of fitness in its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, GaussianSettings, first_centre
from hyperevo.search._restored import restored, restored_optimizer


@dataclass(frozen=True)
class Recipe:
    """One search with a Gaussian, in evotorch's terms.

    distribution: class in `evotorch.distributions`, with further options. ranking: shape that fitness is given. rate,
    deviation_rate: steps of the centre and of the standard deviations. optimizer: moves the centre, in place of plain
    steps. largest_change: of a standard deviation in one step, as a share of it.
    """

    distribution: Literal["ExpSeparableGaussian", "ExpGaussian", "SymmetricSeparableGaussian"]
    ranking: Literal["nes", "centered"]
    rate: float
    deviation_rate: float
    optimizer: Literal["adam", "clipup"] | None = None
    largest_change: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class GaussianSearch(EvotorchSearch):
    """A Gaussian is drawn from, and its centre and deviations follow the gradient of the expected fitness."""

    def __init__(self, settings: GaussianSettings, recipe: Recipe, encoding: Encoding, seed: int):
        super().__init__(settings, encoding, seed)
        self._deviation, self._recipe = settings.deviation, recipe
        self._centre = first_centre(settings, encoding, seed)

    def _begin(self, evotorch: Any, problem: Any) -> None:
        recipe, centre = self._recipe, self._centre.to(self._device)
        self._evotorch, self._generator = evotorch, problem.generator
        self._distribution = vars(evotorch.distributions)[recipe.distribution](
            {"mu": centre, "sigma": torch.full_like(centre, self._deviation), **recipe.options})
        self._optimizer = None
        if recipe.optimizer == "adam":
            self._optimizer = evotorch.optimizers.Adam(solution_length=self._genes, dtype=torch.float32,
                                                       device=self._device, stepsize=recipe.rate)
        elif recipe.optimizer == "clipup":
            self._optimizer = ClipUp(evotorch.algorithms.functional, centre, recipe.rate)

    def _draw(self) -> Tensor:
        population = torch.empty(self.settings.population, self._genes, device=self._device)
        return self._distribution.sample(out=population, generator=self._generator)

    def _learn(self, population: Tensor, fitness: Tensor) -> None:
        recipe, before = self._recipe, self._distribution
        gradients = before.compute_gradients(population, fitness, objective_sense="max", ranking_method=recipe.ranking)
        rates = {"sigma": recipe.deviation_rate} | ({} if self._optimizer else {"mu": recipe.rate})
        self._distribution = before.update_parameters(
            gradients, learning_rates=rates, optimizers={"mu": self._optimizer} if self._optimizer else {})
        if recipe.largest_change is not None:
            self._distribution = self._distribution.modified_copy(sigma=self._evotorch.tools.modify_tensor(
                before.sigma, self._distribution.sigma, max_change=recipe.largest_change))

    def candidates(self) -> Tensor:
        """Genotype worth validating, (1, genes): the centre."""
        self.prepare()
        return self._distribution.mu.clone()[None]

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: the mean of the deviations."""
        self.prepare()
        return {"step_size": float(self._distribution.sigma.mean())}

    def _parameters(self) -> dict[str, Tensor]:
        return {key: value for key, value in self._distribution.parameters.items() if isinstance(value, Tensor)}

    def _memory(self) -> dict[str, Tensor]:
        return self._parameters() | {f"optimizer.{key}": value for key, value in self._moments().items()}

    def _moments(self) -> dict[str, Tensor]:
        if isinstance(self._optimizer, ClipUp):
            return {"velocity": self._optimizer.state.velocity}
        if self._optimizer is None:
            return {}
        adam = self._optimizer.contained_optimizer
        return dict(adam.state[adam.param_groups[0]["params"][0]])

    def _remember(self, state: Mapping[str, Any]) -> None:
        own = {key: restored(state, key, like) for key, like in self._parameters().items()}
        self._distribution = self._distribution.modified_copy(**own)
        if isinstance(self._optimizer, ClipUp):
            velocity = restored(state, "optimizer.velocity", self._optimizer.state.velocity)
            self._optimizer.state = self._optimizer.state._replace(velocity=velocity)
        elif self._optimizer is not None:
            adam = self._optimizer.contained_optimizer
            moved = adam.param_groups[0]["params"][0]
            adam.state[moved] = restored_optimizer(state, adam, moved)


class ClipUp:
    """evotorch's ClipUp (Toklu et al. 2020) as its distributions call an optimizer. It is the functional one, which
    never waits for the device."""

    def __init__(self, functional: Any, like: Tensor, rate: float):
        self._tell = functional.clipup_tell
        self.state = functional.clipup(center_init=torch.zeros_like(like), center_learning_rate=rate)

    def ascent(self, gradient: Tensor) -> Tensor:
        """Step along a gradient."""
        self.state = self._tell(self.state, follow_grad=gradient)
        return self.state.velocity
