"""Fashion-MNIST: articles of clothing, 28 × 28."""

from typing import Literal

import torch

from hyperevo.geometry import Sheet
from hyperevo.tasks._images import ImageClassification, ImageSettings, load

INPUTS = (28, 28)
CLASS_NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class Settings(ImageSettings):
    """Options of the task."""

    name: Literal["fashion"] = "fashion"


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Inputs and number of outputs."""
    return Sheet(INPUTS), len(settings.shown_names(CLASS_NAMES))


def build(settings: Settings, device: torch.device) -> ImageClassification:
    """The task with its data read; raises UserError when the data cannot be had."""
    return load(settings, "fashion", CLASS_NAMES, device)
