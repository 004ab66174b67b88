"""Generator: a genotype is the code of a network, and a model that was trained before turns it into weights.

The model is named by the folder of the run that trained it: a HyperGAN (encoding hypergan), or a decoder of many
networks' weights (task networks, target variational-autoencoder). Codes have a standard normal prior: drawing codes
samples networks, searching codes searches the model's space.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationInfo, field_validator, model_validator
from torch import Tensor

from hyperevo.components import ComponentSettings, Score
from hyperevo.errors import UserError
from hyperevo.generative.networks import split_vectors
from hyperevo.generative.trained import Model, model_of, read_trained
from hyperevo.genotypes import Genotypes, Packed, as_genes, read_packed
from hyperevo.geometry import ParameterGeometry
from hyperevo.parts import Encoding
from hyperevo.weights import Weights

FOLDER = "generator"
"""Folder in which a run keeps the model."""


class GeneratorRun(str):
    """Run folder that a config names, with the model that was trained in it."""

    packed: Packed

    @cached_property
    def model(self) -> Model:
        """The model."""
        return model_of(*self.packed, Path(self))


class Settings(ComponentSettings):
    """Options of the generator."""

    name: Literal["generator"] = "generator"
    run: str
    """Run folder in which a generator of networks was trained. A run keeps a copy of the model: the folder is needed
    once."""
    score: Score | None = None
    """Score to ask the model for, if it was trained with task.condition."""

    @field_validator("run")
    @classmethod
    def _with_its_model(cls, run: str, info: ValidationInfo) -> str:
        if isinstance(run, GeneratorRun):
            return run
        named, own = GeneratorRun(run), info.context["code"].folder if info.context else None
        try:
            named.packed = read_trained(Path(run)) if own is None else read_packed(own / FOLDER)
            named.model  # noqa: B018  a model that is damaged is told here
        except UserError as error:
            raise ValueError(str(error)) from error
        return named

    @model_validator(mode="after")
    def _asked_for_a_score(self) -> "Settings":
        if isinstance(self.run, GeneratorRun) and self.run.model.condition != (self.score is not None):
            raise ValueError(f"score: the model of {self.run} was trained with task.condition, and wants a score"
                             if self.score is None else
                             f"score: the model of {self.run} was trained without task.condition, and takes no score")
        return self

    def kept(self) -> Mapping[str, Packed]:
        """The model, for the run's folder."""
        return {FOLDER: self.run.packed} if isinstance(self.run, GeneratorRun) else {}


class GeneratorEncoding(Encoding):
    """Genotypes (P, genes) are codes."""

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        assert isinstance(settings.run, GeneratorRun)
        self.model = settings.run.model.to(self.device)
        weights = sum(place.size for place in geometry.values())
        if self.model.size != weights:
            raise ValueError(f"encoding.run: the model of {settings.run} generates networks of {self.model.size:,} "
                             f"weights, and the target has {weights:,}")
        if (own := self.model.parameters) and own != {name: place.size for name, place in geometry.items()}:
            raise ValueError(f"encoding.run: the model of {settings.run} generates the parameters {', '.join(own)}, "
                             f"and the target's are {', '.join(geometry)}, or of other sizes")
        self.genes = self.model.codes

    def prior(self, size: int, generator: torch.Generator) -> Tensor:
        """Codes (size, genes) drawn from the prior; their networks are samples of the model."""
        return torch.randn(size, self.genes, generator=generator)

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Codes from the prior, for a gradient to start from."""
        return self.prior(size, generator)

    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from codes (P, genes)."""
        vectors = self.model.networks(as_genes(genotypes).to(self.device), self.settings.score)
        return Weights(split_vectors(vectors, {name: place.shape for name, place in self.geometry.items()}))


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> GeneratorEncoding:
    """The encoding for a target's parameters; raises ValueError for a model of other networks."""
    return GeneratorEncoding(settings, geometry, device)
