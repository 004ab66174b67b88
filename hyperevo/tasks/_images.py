"""Image classification shared by the tasks that differ only in their data set.

Every generation is scored on the same fresh training images, drawn from (seed, generation) alone, so a resumed run
and runs of different encodings see the same images. The last 5,000 training images choose the champion; the test
images are looked at once, at the end.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from hyperevo.components import ComponentSettings
from hyperevo.data import ImageData, load_images
from hyperevo.geometry import Sheet

Batch = tuple[Tensor, Tensor]


class ImageSettings(ComponentSettings):
    """Options of an image classification task."""

    fitness: Literal["cross-entropy", "accuracy"] = "cross-entropy"
    images: int = Field(500, ge=1)
    """Fresh training images per generation."""
    validation: int = Field(5000, ge=1)
    """Training images held out to choose the champion."""
    scale_outputs: float = Field(0.0, ge=0)
    """Above zero: before the cross-entropy every network's outputs are scaled to this standard deviation over the
    batch, so that fitness feels which class leads, not how large the weights are. Accuracy is the same either way."""


class ImageClassification:
    """Images in, class out. Inputs are pixels in [0, 1] with the mean training image taken away."""

    def __init__(self, settings: ImageSettings, data: ImageData, device: torch.device | str = "cpu"):
        held_out = len(data.train_images) - settings.validation
        if held_out < settings.images:
            raise ValueError(f"task.images: {settings.images} a generation and task.validation {settings.validation} "
                             f"are more than the {len(data.train_images)} training images of {data.name}")
        self.settings, self.data_name, self.checksum = settings, data.name, data.checksum
        self.device = torch.device(device)
        height, width = data.train_images.shape[1:]
        self.inputs, self.classes = Sheet((height, width)), data.classes
        pixels = torch.from_numpy(data.train_images).reshape(len(data.train_images), -1)
        labels = torch.from_numpy(data.train_labels).long()
        self._train = pixels[:held_out].to(self.device), labels[:held_out].to(self.device)
        self._range = float(data.maximum)
        self._mean = self._train[0].double().mean(0).float() / self._range
        self.validation = self._prepare(pixels[held_out:], labels[held_out:])
        self._test = data.test_images, data.test_labels

    def _prepare(self, pixels: Tensor, labels: Tensor) -> Batch:
        return pixels.to(self.device).float() / self._range - self._mean, labels.to(self.device)

    def batch(self, seed: int, generation: int) -> Batch:
        """Fresh training images (N, pixels) and labels (N,) of one generation."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + generation) % 2**63)
        chosen = torch.randint(len(self._train[0]), (self.settings.images,), generator=generator).to(self.device)
        return self._prepare(self._train[0][chosen], self._train[1][chosen])

    def test(self) -> Batch:
        """All test images and labels; for the end of a run."""
        images, labels = self._test
        return self._prepare(torch.from_numpy(images).reshape(len(images), -1), torch.from_numpy(labels).long())

    def fitness(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, classes), labels (N,) → (P,), higher is better: minus the mean cross-entropy, or accuracy."""
        if self.settings.fitness == "accuracy":
            return self.accuracy(outputs, labels)
        if self.settings.scale_outputs:
            spread = outputs.std(dim=(1, 2), keepdim=True).clamp(min=1e-6)
            outputs = outputs * (self.settings.scale_outputs / spread)
        population, images, _ = outputs.shape
        losses = cross_entropy(outputs.flatten(0, 1), labels.repeat(population), reduction="none")
        return -losses.view(population, images).mean(1)

    def accuracy(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, classes), labels (N,) → (P,): the share of images whose largest output is their class."""
        return (outputs.argmax(2) == labels).float().mean(1)


def load(settings: ImageSettings, name: str, device: torch.device | str) -> ImageClassification:
    """The task on the data set called `name`; raises UserError when the data cannot be had."""
    return ImageClassification(settings, load_images(name), device)
