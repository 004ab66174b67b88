"""CMA-ES: covariance matrix adaptation (Hansen & Ostermeier 2001), evotorch's. `separable` for many genes."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, GaussianSettings, Spread, check_genes, first_centre
from hyperevo.search._restored import restored


class Settings(GaussianSettings):
    """Options of CMA-ES."""

    name: Literal["cmaes"] = "cmaes"
    separable: bool = False
    """true: adapt the diagonal of the covariance only, for many genes."""


class CmaesSearch(EvotorchSearch):
    """Steps of evotorch's CMA-ES, one by one."""

    def __init__(self, settings: Settings, encoding: Encoding, seed: int):
        super().__init__(settings, encoding, seed)
        self._deviation, self._separable = settings.deviation, settings.separable
        self._centre = first_centre(settings, encoding, seed)

    def _begin(self, evotorch: Any, problem: Any) -> None:
        self._steps = evotorch.algorithms.CMAES(
            problem, popsize=self.settings.population, stdev_init=self._deviation,
            center_init=self._centre.to(self._device), separable=self._separable)
        self._steps.p_sigma = self._steps.p_c = torch.zeros_like(self._steps.m)
        self._spread = Spread(torch.zeros((), device=self._device))

    def _draw(self) -> Tensor:
        self._local, self._shaped, population = self._steps.sample_distribution()
        return population

    def _learn(self, population: Tensor, fitness: Tensor) -> None:
        steps, local, shaped = self._steps, self._local, self._shaped
        self._spread.follow(population)
        weights = torch.empty_like(fitness)
        weights[fitness.argsort(descending=True)] = steps.weights
        local_step, shaped_step = steps.update_m(local, shaped, weights)
        steps.update_p_sigma(local_step)
        steps.update_sigma()
        grows = self._path_is_short()
        steps.update_p_c(shaped_step, grows)
        steps.update_C(local, shaped, weights, grows)
        if (self.generation + 1) % steps.decompose_C_freq == 0:
            steps.decompose_C()

    def _path_is_short(self) -> Tensor:
        """h_σ of Hansen's tutorial: 0 where the path of the step size is so long that the covariance's has to wait."""
        steps = self._steps
        squared = torch.norm(steps.p_sigma).pow(2.0) / (1 - (1 - steps.c_sigma) ** (2 * self.generation + 1))
        return (squared / self._genes - 1 < 1 + 4.0 / (self._genes + 1)).to(torch.float32)

    def candidates(self) -> Tensor:
        """Genotype worth validating, (1, genes): the centre."""
        self.prepare()
        return self._steps.m.clone()[None]

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: the mean deviation of the genes in the last population."""
        self.prepare()
        return {"step_size": float(self._spread.value())}

    def _memory(self) -> dict[str, Tensor]:
        steps = self._steps
        return {"centre": steps.m, "step_size": steps.sigma, "covariance": steps.C, "factor": steps.A,
                "step_path": steps.p_sigma, "path": steps.p_c, "spread": self._spread.value()}

    def _remember(self, state: Mapping[str, Any]) -> None:
        own = {key: restored(state, key, like) for key, like in self._memory().items()}
        steps = self._steps
        steps.m, steps.sigma, steps.C, steps.A = (own[key] for key in ("centre", "step_size", "covariance", "factor"))
        steps.p_sigma, steps.p_c, self._spread = own["step_path"], own["path"], Spread(own["spread"])


def build(settings: Settings, encoding: Encoding, seed: int) -> CmaesSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs, or too long."""
    check_genes(encoding, covariance=not settings.separable)
    return CmaesSearch(settings, encoding, seed)
