"""Denoising: images with pixels missing in, whole images out (Vincent et al. 2008), on one of the grey data sets."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hyperevo.components import load_component
from hyperevo.data import ImageData, load_images
from hyperevo.devices import resident
from hyperevo.geometry import Sheet
from hyperevo.measure import VARIANCE_EXPLAINED
from hyperevo.modules import Standardise
from hyperevo.parts import Batch, Target
from hyperevo.tasks._images import ExampleSettings, ImageTask
from hyperevo.weights import Weights


class Settings(ExampleSettings):
    """Options of the task."""

    name: Literal["denoising"] = "denoising"
    data: Literal["mnist", "fashion", "digits"] = "mnist"
    """Data set of the images."""
    noise: float = Field(0.3, ge=0, lt=1)
    """Chance of every pixel of an image to be set to 0."""
    fitness: Literal["cross-entropy", "squared-error"] = "cross-entropy"
    """Loss per pixel of the sigmoid of the outputs against the whole image; fitness is minus this."""

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return f"fitness (minus {self.fitness.replace('squared-', 'squared ')})"

    def data_set(self) -> str:
        """Name of the data set."""
        return self.data

    def without_data(self) -> "Settings":
        """Options for scikit-learn's digits."""
        validation = load_component("task", "digits").Settings().validation
        return self.model_copy(update={"data": "digits", "validation": validation})


class Denoising(ImageTask):
    """Pixels in [0, 1], each set to 0 with a chance of `noise`, in; outputs whose sigmoids are the whole image's pixels
    out."""

    measure = VARIANCE_EXPLAINED
    settings: Settings

    def __init__(self, settings: Settings, data: ImageData, device: torch.device | str = "cpu"):
        super().__init__(settings, data, device)
        self.outputs = self.inputs.units

    def preprocessing(self) -> Standardise:
        """Bytes of an image to pixels in [0, 1]."""
        return Standardise(self._range)

    def _prepare(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        images = resident(pixels, self.device).float() / self._range
        kept = torch.rand(images.shape, generator=generator) >= self.settings.noise
        return images * resident(kept, self.device), images

    def shown(self, target: Target, networks: Weights, batch: Batch) -> dict[str, Tensor]:
        """Images of a batch for figures, pixels in [0, 1]: as the first network sees them, as it restores them, and
        whole."""
        seen, whole = batch
        return {"seen": seen, "restored": target.forward(networks, seen)[0].sigmoid(), "whole": whole}

    def fitness(self, outputs: Tensor, images: Tensor) -> Tensor:
        """outputs (P, N, pixels), whole images (N, pixels) → (P,), higher is better."""
        if self.settings.fitness == "squared-error":
            return -(outputs.sigmoid() - images).square().mean((1, 2))
        return -binary_cross_entropy_with_logits(outputs, images.expand_as(outputs), reduction="none").mean((1, 2))

    def score(self, outputs: Tensor, images: Tensor) -> Tensor:
        """outputs (P, N, pixels), whole images (N, pixels) → (P,): the share of the images' variance around the mean
        training image that is explained; 1 is perfect, 0 no better than that image, and less is possible."""
        error = (outputs.sigmoid() - images).square().sum((1, 2))
        return 1 - error / (self._mean - images).square().sum()


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    images = load_component("task", settings.data)
    inputs, _ = images.shape(images.Settings())
    return inputs, inputs.units


def build(settings: Settings, device: torch.device) -> Denoising:
    """The task with its data read; raises UserError when the data cannot be had."""
    return Denoising(settings, load_images(settings.data), device)
