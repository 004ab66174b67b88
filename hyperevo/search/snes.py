"""SNES: separable natural evolution strategy (Schaul, Glasmachers & Schmidhuber 2011), evotorch's."""

import math
from typing import Literal

from hyperevo.components import Positive
from hyperevo.parts import Encoding
from hyperevo.search._evotorch import GaussianSettings, check_genes
from hyperevo.search._gaussian import GaussianSearch, Recipe


class Settings(GaussianSettings):
    """Options of SNES; a learning rate that is not given is evotorch's default for the number of genes."""

    name: Literal["snes"] = "snes"
    learning_rate: Positive | None = None
    """Step of the centre along the natural gradient; by default 1."""
    deviation_learning_rate: Positive | None = None
    """Multiple of evotorch's step of the standard deviations for the number of genes; by default 1."""


def build(settings: Settings, encoding: Encoding, seed: int) -> GaussianSearch:
    """The search over an encoding's genes; raises UserError for genotypes that are graphs."""
    check_genes(encoding)
    rate = 0.2 * (3 + math.log(encoding.genes)) / math.sqrt(encoding.genes)
    recipe = Recipe("ExpSeparableGaussian", "nes", settings.learning_rate or 1.0,
                    rate * (settings.deviation_learning_rate or 1.0))
    return GaussianSearch(settings, recipe, encoding, seed)
