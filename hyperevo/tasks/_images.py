"""Tasks on images: the images of every generation, and classification, shared by tasks that differ in their data set
only.

Every generation is scored on the same fresh training images, drawn from (seed, generation) alone, so a resumed run and
runs of different encodings see the same images. The last 5,000 training images choose the champion; the test images are
looked at once, at the end.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import NotNegative, TaskSettings, load_component
from hyperevo.data import ImageData, load_images
from hyperevo.devices import resident
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY
from hyperevo.modules import Standardise
from hyperevo.parts import Batch, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._classes import ACCURACY_HAS_NO_GRADIENT, accuracy, minus_cross_entropy
from hyperevo.tasks._draws import Draws, Sampling

HELD_OUT_STREAM = 0x68656C64
"""Seed of everything drawn for validation and test images, equal in every run."""


class SamplingSettings(TaskSettings):
    """Options of the images of a generation."""

    images: int = Field(500, ge=1, le=10_000_000)
    """Number of training images per generation."""
    sampling: Sampling = "fresh"
    """Images drawn anew for every generation (fresh), or all training images in turn, in a new order every epoch
    (epochs), where an incomplete last batch is left out."""
    pad: int = Field(0, ge=0, le=1000)
    """Width in pixels of an empty border around training images, from which a part of their own size is cropped at
    random."""
    flip: bool = False
    """true: mirror every training image with a chance of one half."""

    def held_out(self, data: ImageData) -> int:
        """Number of training images, the last ones, that choose the champion."""
        return data.held_out


class ExampleSettings(SamplingSettings):
    """Options of the images that a task shows."""

    validation: int = Field(5000, ge=1)
    """Number of training images held out to choose the champion."""

    def held_out(self, data: ImageData) -> int:
        """Number of training images, the last ones, that choose the champion."""
        return self.validation

    def without_data(self) -> TaskSettings:
        """Options for scikit-learn's digits: those given here that every image task has."""
        digits = load_component("task", "digits").Settings
        return digits(**{key: value for key, value in self.model_dump(exclude_unset=True).items()
                         if key in digits.model_fields and key not in ("name", "validation")})


class ClassificationSettings(SamplingSettings):
    """Options of the classification of images."""

    fitness: Literal["cross-entropy", "accuracy"] = "cross-entropy"
    """Fitness on the images of a generation: minus the mean cross-entropy, or the share that is classified
    correctly."""
    scale_outputs: NotNegative = 0.0
    """Standard deviation over the batch to which every network's outputs are scaled before the cross-entropy, so that
    fitness measures which class leads and not the size of the weights; 0 leaves them as they are. Accuracy is equal
    either way."""
    shuffle_pixels: int | None = Field(None, ge=0)
    """Seed of one permutation of the pixels, equal for all images; by default none. The task stays equal for a network
    that does not know where a pixel is, and changes for one whose weights depend on it."""

    def input_order(self, units: int) -> Tensor | None:
        """Index (units,) of the pixel that every input of a network reads; None where pixels are not shuffled."""
        if self.shuffle_pixels is None:
            return None
        return torch.randperm(units, generator=torch.Generator().manual_seed(self.shuffle_pixels))

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        if self.fitness == "accuracy":
            return "fitness (accuracy)"
        return "fitness (minus cross-entropy)"

    def fitness_remark(self) -> str:
        """Scale of the outputs before the cross-entropy; empty where they are not scaled."""
        return f"outputs scaled to a deviation of {self.scale_outputs:g}" if self.scale_outputs else ""


class ImageSettings(ExampleSettings, ClassificationSettings):
    """Options of an image classification task."""

    classes: int | None = Field(None, ge=2, le=1000)
    """Number of classes, the first ones, whose images are shown; by default all."""
    training: int | None = Field(None, ge=1, le=10_000_000)
    """Number of training images, the first ones; by default all. Those held out are not among them, and stay."""

    def shown_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of the classes that are shown; raises ValueError where there are fewer than asked for."""
        if self.classes is not None and self.classes > len(names):
            raise ValueError(f"task.classes: {self.classes} are more than the {len(names)} classes of {self.name}")
        return tuple(names[: self.classes])

    def chosen(self, data: ImageData) -> ImageData:
        """Images of the classes that are shown, with as many training images as are wanted; raises ValueError where
        there are fewer."""
        if self.classes is not None:
            training, test = (labels < self.classes for labels in (data.train_labels, data.test_labels))
            data = replace(data, train_images=data.train_images[training], train_labels=data.train_labels[training],
                           test_images=data.test_images[test], test_labels=data.test_labels[test], classes=self.classes)
        there = len(data.train_images) - self.held_out(data)
        if self.training is None:
            return data
        if self.training > there:
            raise ValueError(f"task.training: {self.training} and task.validation {self.held_out(data)} are more than "
                             f"the {len(data.train_images)} training images of {data.name}")
        kept = np.r_[: self.training, there : len(data.train_images)]
        return replace(data, train_images=data.train_images[kept], train_labels=data.train_labels[kept])


class ImageTask(Task):
    """Batches of images and wanted outputs; every task defines its `_prepare`, `fitness` and `score`."""

    settings: SamplingSettings
    measure = ACCURACY
    examples = "images"

    def __init__(self, settings: SamplingSettings, data: ImageData, device: torch.device | str = "cpu"):
        validation = settings.held_out(data)
        held_out = len(data.train_images) - validation
        if held_out < settings.images:
            raise ValueError(f"task.images: {settings.images} a generation and task.validation {validation} "
                             f"are more than the {len(data.train_images)} training images of {data.name}")
        self.settings, self.data_name, self.checksum = settings, data.name, data.checksum
        self._draws = Draws(held_out, settings.images, settings.sampling)
        self.device = torch.device(device)
        self.inputs, self.outputs = Sheet(data.train_images.shape[1:]), data.classes
        pixels = torch.from_numpy(data.train_images).reshape(len(data.train_images), -1)
        labels = torch.from_numpy(data.train_labels).long()
        self._train = pixels[:held_out].to(self.device), labels[:held_out].to(self.device)
        self._range = float(data.maximum)
        self._mean, self._spread = self._statistics()
        self.validation = self._prepare(pixels[held_out:], labels[held_out:], _held_out())
        self._test = data.test_images, data.test_labels

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean (pixels,) to be subtracted from pixels in [0, 1], and deviation, () or (pixels,), to divide them by."""
        images = self._train[0]
        if len(self.inputs.sizes) < 3:
            return images.double().mean(0).float() / self._range, torch.ones((), device=self.device)
        channels = images.unflatten(1, (self.inputs.sizes[0], -1)).unbind(1)
        shares = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in channels]).double()
        shares, values = shares / shares.sum(1, keepdim=True), torch.arange(256, device=images.device) / self._range
        means = shares @ values.double()
        spreads = (shares @ values.double().square() - means.square()).sqrt()
        repeats = self.inputs.units // self.inputs.sizes[0]
        return means.float().repeat_interleave(repeats), spreads.float().repeat_interleave(repeats)

    def _prepare(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        """Inputs (N, pixels) and wanted outputs of images (N, pixels) and labels (N,); random parts are drawn from the
        generator."""
        raise NotImplementedError

    def batch(self, seed: int, generation: int) -> Batch:
        """Training images (N, pixels) of one generation and their wanted outputs: a function of the seed and the
        generation."""
        generator = generator_for(seed, generation)
        chosen = self._draws.indices(seed, generation, generator)
        chosen = resident(chosen, self.device)
        return self._prepare(self._augmented(self._train[0][chosen], generator), self._train[1][chosen], generator)

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return self._draws.per_epoch

    def _augmented(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, pixels) moved and mirrored, all at once."""
        pad, (rows, columns), count = self.settings.pad, self.inputs.sizes[-2:], len(pixels)
        if not pad and not self.settings.flip:
            return pixels
        images = torch.nn.functional.pad(pixels.reshape(count, -1, rows, columns), [pad] * 4)
        places = torch.randint(2 * pad + 1, (2, count, 1), generator=generator)
        down, right = places[0] + torch.arange(rows), places[1] + torch.arange(columns)
        if self.settings.flip:
            mirrored = torch.rand(count, 1, generator=generator) < 0.5
            right = torch.where(mirrored, right.flip(1), right)
        numbers, channels = torch.arange(count)[:, None, None, None], torch.arange(images.shape[1])[:, None, None]
        chosen = (numbers, channels, down[:, None, :, None], right[:, None, None, :])
        return images[tuple(resident(index, self.device) for index in chosen)].flatten(1)

    def batch_size(self) -> int:
        """Number of images in a generation."""
        return self.settings.images

    def calibration(self, examples: int) -> Batch:
        """The first training images, at most `examples`, and their wanted outputs, for networks that fit running
        statistics or a readout."""
        pixels, labels = (part[:examples] for part in self._train)
        return self._prepare(pixels, labels, _held_out())

    def test(self) -> Batch:
        """All test images and their wanted outputs; for the end of a run."""
        images, labels = self._test
        return self._prepare(torch.from_numpy(images).reshape(len(images), -1), torch.from_numpy(labels).long(),
                             _held_out())


def _held_out() -> torch.Generator:
    return torch.Generator().manual_seed(HELD_OUT_STREAM)


class ImageClassification(ImageTask):
    """Images in, class out. Inputs are pixels in [0, 1] with the mean training image taken away; colour images have the
    mean of every channel taken away and are divided by its standard deviation."""

    settings: ClassificationSettings

    def __init__(self, settings: ClassificationSettings, data: ImageData, class_names: Sequence[str],
                 device: torch.device | str = "cpu"):
        super().__init__(settings, data, device)
        self.class_names = tuple(class_names)
        if settings.fitness == "accuracy":
            self.without_gradient = ACCURACY_HAS_NO_GRADIENT

    def preprocessing(self) -> Standardise:
        """Bytes of an image to a network's inputs."""
        return Standardise(self._range, self._mean, self._spread, self._places)

    def _prepare(self, pixels: Tensor, labels: Tensor, generator: torch.Generator) -> Batch:
        inputs = (resident(pixels, self.device).float() / self._range - self._mean) / self._spread
        return inputs if self._places is None else inputs[:, self._places], resident(labels, self.device)

    @cached_property
    def _places(self) -> Tensor | None:
        """Index (pixels,) of the pixel that every input reads, on the device; None where pixels are not shuffled."""
        places = self.settings.input_order(self.inputs.units)
        return None if places is None else places.to(self.device)

    def fitness(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, classes), labels (N,) → (P,), higher is better: minus the mean cross-entropy, or accuracy."""
        if self.settings.fitness == "accuracy":
            return self.score(outputs, labels)
        return minus_cross_entropy(outputs, labels, self.settings.scale_outputs)

    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, classes), labels (N,) → (P,): the share of images whose largest output is their class."""
        return accuracy(outputs, labels)


def load(settings: ImageSettings, name: str, class_names: Sequence[str], device: torch.device | str) \
        -> ImageClassification:
    """The task on the data set called `name`; raises UserError when the data cannot be had."""
    shown = settings.shown_names(class_names)
    return ImageClassification(settings, settings.chosen(load_images(name)), shown, device)
