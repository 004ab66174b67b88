"""A user's own images: PNG or JPEG files in one folder a class, which lends it its name."""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import PositiveInt

from hyperevo.data import FolderImages, ImageData, class_folders, read_image_folder
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.tasks._draws import split
from hyperevo.tasks._images import ClassificationSettings, ImageClassification
from hyperevo.tasks._own_data import OwnDataSettings


class Settings(OwnDataSettings, ClassificationSettings):
    """Options of the task; its paths are folders that hold a folder a class."""

    name: Literal["image-folder"] = "image-folder"
    size: tuple[PositiveInt, PositiveInt] = (28, 28)
    """Rows and columns to which every image is resized, whatever its shape."""
    colour: bool = False
    """true: red, green and blue, (3, rows, columns); false: grey, (rows, columns)."""

    def folder(self) -> str:
        """Path of the training images; raises UserError where it is missing."""
        if not self.path:
            raise UserError("task.path: is missing: the folder that holds a folder of images for every class")
        return self.path

    def data_set(self) -> str:
        """Name of the folder."""
        return Path(self.path).name or self.name


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Inputs and number of outputs; no image is read."""
    return Sheet((3, *settings.size) if settings.colour else settings.size), len(class_folders(settings.folder()))


def build(settings: Settings, device: torch.device) -> ImageClassification:
    """The task with its images read; raises UserError where they cannot be, or are too few."""
    found = read_image_folder(settings.folder(), settings.size, settings.colour)
    return ImageClassification(settings, _data(settings, found), found.class_names, device)


def _data(settings: Settings, found: FolderImages) -> ImageData:
    """Images of training, then those of validation, and those of test, each from a folder of its own or drawn."""
    validation, test = (0.0 if isinstance(part, str) else part for part in (settings.validation, settings.test))
    drawn = [(found.images[own.numpy()], found.labels[own.numpy()])
             for own in split(len(found.labels), (validation, test), settings.split, settings.path)]
    checksums = [found.checksum]
    for place, part in enumerate((settings.validation, settings.test), start=1):
        if isinstance(part, str):
            other = read_image_folder(part, settings.size, settings.colour, found.class_names)
            drawn[place] = other.images, other.labels
            checksums.append(other.checksum)
    images, labels = (np.concatenate(own) for own in zip(*drawn[:2], strict=True))
    checksum = checksums[0] if len(checksums) == 1 else hashlib.sha256(" ".join(checksums).encode()).hexdigest()
    return ImageData(settings.data_set(), images, labels, *drawn[2], len(found.class_names), 255, checksum,
                     len(drawn[1][1]))
