"""Denoising: images with pixels missing in, whole images out (Vincent et al. 2008), on one of the grey data sets."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from hyperevo.data import ImageData, load_images
from hyperevo.tasks._images import Batch, ExampleSettings, ImageTask
from hyperevo.weights import Weights

CLASS_NAMES = ()
"""Outputs are no classes: there is one for every pixel."""


class Settings(ExampleSettings):
    """Options of the task."""

    name: Literal["denoising"] = "denoising"
    data: Literal["mnist", "fashion", "digits"] = "mnist"
    """Whose images."""
    noise: float = Field(0.3, ge=0, lt=1)
    """The share of an image's pixels that are set to 0."""
    fitness: Literal["cross-entropy", "squared-error"] = "cross-entropy"
    """Minus what, by pixel, of the sigmoid of the outputs against the whole image."""


class Denoising(ImageTask):
    """Pixels in [0, 1], each set to 0 with a chance of `noise`, in; one output per pixel, whose sigmoid it is."""

    measure = "variance explained"
    settings: Settings

    def __init__(self, settings: Settings, data: ImageData, device: torch.device | str = "cpu"):
        super().__init__(settings, data, device)
        self.classes = self.inputs.units

    def _prepare(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        images = pixels.to(self.device).float() / self._range
        kept = torch.rand(images.shape, generator=generator) >= self.settings.noise
        return images * kept.to(self.device), images

    def examples_of(self, target: Any, networks: Weights, batch: Batch) -> dict[str, Tensor]:
        """What the first network makes of the images of a batch, for figures: pixels in [0, 1] as it sees them, as it
        restores them, and whole."""
        seen, whole = batch
        return {"seen": seen, "restored": target.forward(networks, seen)[0].sigmoid(), "whole": whole}

    def fitness(self, outputs: Tensor, images: Tensor) -> Tensor:
        """outputs (P, N, pixels), whole images (N, pixels) → (P,), higher is better."""
        if self.settings.fitness == "squared-error":
            return -(outputs.sigmoid() - images).square().mean((1, 2))
        return -binary_cross_entropy_with_logits(outputs, images.expand_as(outputs), reduction="none").mean((1, 2))

    def accuracy(self, outputs: Tensor, images: Tensor) -> Tensor:
        """outputs (P, N, pixels), whole images (N, pixels) → (P,): the share of the images' variance around the mean
        training image that is explained; 1 is perfect, 0 no better than that image, and less is possible."""
        error = (outputs.sigmoid() - images).square().sum((1, 2))
        return 1 - error / (self._mean - images).square().sum()


def build(settings: Settings, device: torch.device) -> Denoising:
    """The task with its data read; raises UserError when the data cannot be had."""
    return Denoising(settings, load_images(settings.data), device)
