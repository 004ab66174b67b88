"""CMA-ES: covariance matrix adaptation (Hansen & Ostermeier 2001), evotorch's. `separable` for many genes."""

from typing import Literal

from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, GaussianSettings, build_evotorch


class Settings(GaussianSettings):
    """Options of CMA-ES."""

    name: Literal["cmaes"] = "cmaes"
    separable: bool = False
    """true: adapt the diagonal of the covariance only, for many genes."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""
    return build_evotorch(
        lambda evotorch, problem, centre: evotorch.algorithms.CMAES(
            problem, popsize=settings.population, stdev_init=settings.deviation, center_init=centre,
            separable=settings.separable),
        encoding, seed, settings, covariance=not settings.separable)
