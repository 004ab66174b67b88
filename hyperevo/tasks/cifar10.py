"""CIFAR-10: photographs of ten kinds of things, 32 × 32 in colour."""

from typing import Literal

import torch

from hyperevo.geometry import Sheet
from hyperevo.tasks._images import ImageClassification, ImageSettings, load

INPUTS = (3, 32, 32)
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Settings(ImageSettings):
    """Options of the task."""

    name: Literal["cifar10"] = "cifar10"


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Inputs and number of outputs."""
    return Sheet(INPUTS), len(settings.shown_names(CLASS_NAMES))


def build(settings: Settings, device: torch.device) -> ImageClassification:
    """The task with its data read; raises UserError when the data cannot be had."""
    return load(settings, "cifar10", CLASS_NAMES, device)
