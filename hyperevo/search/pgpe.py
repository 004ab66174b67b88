"""PGPE: policy gradients with parameter-based exploration (Sehnke et al. 2010), symmetric sampling, evotorch's."""

from typing import Literal

from pydantic import Field

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import GaussianSettings, check_genes
from hyperevo.search._gaussian import GaussianSearch, Recipe

LARGEST_CHANGE = 0.2
"""Largest change of a standard deviation in one step, as a share of it; evotorch's default."""


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


def build(settings: Settings, encoding: Encoding, seed: int) -> GaussianSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    check_genes(encoding)
    recipe = Recipe("SymmetricSeparableGaussian", "centered", settings.learning_rate, settings.deviation_learning_rate,
                    settings.optimizer, LARGEST_CHANGE,
                    {"divide_mu_grad_by": "num_directions", "divide_sigma_grad_by": "num_directions"})
    return GaussianSearch(settings, recipe, encoding, seed)
