"""XNES: natural evolution strategy with a full covariance (Glasmachers et al. 2010), evotorch's. For few genes."""

from typing import Literal

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, GaussianSettings, build_evotorch


class Settings(GaussianSettings):
    """Options of XNES; a learning rate that is not given is evotorch's default for the number of genes."""

    name: Literal["xnes"] = "xnes"
    learning_rate: Positive | None = None
    """Step of the centre along the natural gradient; by default 1."""
    deviation_learning_rate: Positive | None = None
    """Multiple of evotorch's step of the covariance for the number of genes; by default 1."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""
    return build_evotorch(
        lambda evotorch, problem, centre: evotorch.algorithms.XNES(
            problem, popsize=settings.population, stdev_init=settings.deviation, center_init=centre,
            center_learning_rate=settings.learning_rate, stdev_learning_rate=settings.deviation_learning_rate),
        encoding, seed, settings, covariance=True)
