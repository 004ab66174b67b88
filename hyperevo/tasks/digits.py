"""The 8 × 8 digits that come with scikit-learn, for machines without data or network."""

from typing import Literal

import torch
from pydantic import Field

from hyperevo.geometry import Sheet
from hyperevo.tasks._images import ImageClassification, ImageSettings, load

INPUTS = (8, 8)
CLASS_NAMES = tuple("0123456789")


class Settings(ImageSettings):
    """Options of the task."""

    name: Literal["digits"] = "digits"
    validation: int = Field(300, ge=1)
    """Training images held out to choose the champion."""


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Inputs and number of outputs."""
    return Sheet(INPUTS), len(settings.shown_names(CLASS_NAMES))


def build(settings: Settings, device: torch.device) -> ImageClassification:
    """The task with its data read; raises UserError when the data cannot be had."""
    return load(settings, "digits", CLASS_NAMES, device)
