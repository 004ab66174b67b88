"""PGPE: policy gradients with parameter-based exploration (Sehnke et al. 2010), symmetric sampling, evotorch's."""

from typing import Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import EvotorchSearch, GaussianSettings, build_evotorch


class Settings(GaussianSettings):
    """Options of PGPE."""

    name: Literal["pgpe"] = "pgpe"
    population: int = Field(60, ge=2, multiple_of=2)
    """Number of genotypes in a generation, even: every sample has a mirrored twin."""
    learning_rate: Positive = 0.05
    """Learning rate of the centre."""
    deviation_learning_rate: Positive = 0.1
    """Learning rate of the standard deviations."""
    optimizer: Literal["clipup", "adam"] = "adam"
    """Optimizer that moves the centre."""


def build(settings: Settings, encoding: Encoding, seed: int) -> EvotorchSearch:
    """The search over an encoding's genes."""
    return build_evotorch(
        lambda evotorch, problem, centre: evotorch.algorithms.PGPE(
            problem, popsize=settings.population, stdev_init=settings.deviation, center_init=centre,
            center_learning_rate=settings.learning_rate, stdev_learning_rate=settings.deviation_learning_rate,
            optimizer=settings.optimizer),
        encoding, seed, settings)
