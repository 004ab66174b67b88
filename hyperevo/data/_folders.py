"""A user's own images: PNG or JPEG files in one folder a class."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from hyperevo.errors import UserError, shortened, shown, shown_path
from hyperevo.reading import read_bytes

SUFFIXES = (".png", ".jpg", ".jpeg")

MOST_BYTES = 2**28
"""Bytes of an image's file."""


@dataclass(frozen=True)
class FolderImages:
    """Images (N, rows, columns) or (N, 3, rows, columns), uint8, with the index (N,) of their class; by class and name.

    `checksum` is the sha256 over the names and contents of all files.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    checksum: str


def read_image_folder(path: str, size: tuple[int, int], colour: bool, classes: Sequence[str] = ()) -> FolderImages:
    """Images below a folder, resized to (rows, columns); raises UserError, which names file or folder, for whatever is
    wrong with them. Hidden files are passed over.

    classes: the names that its folders may have; by default any, at least two.
    """
    names = _class_names(Path(path), classes)
    files = [(name, file) for name in names for file in _image_files(Path(path) / name)]
    images, checksum = [], hashlib.sha256()
    for name, file in files:
        content = read_bytes(file, MOST_BYTES)
        checksum.update(f"{name}/{file.name} {len(content)} ".encode() + content)
        images.append(_pixels(content, file, size, colour))
    known = list(classes or names)
    labels = np.array([known.index(name) for name, _ in files])
    return FolderImages(np.stack(images), labels, tuple(known), checksum.hexdigest())


def class_folders(path: str) -> tuple[str, ...]:
    """Names of the classes that an image folder holds, sorted; raises UserError where these are fewer than two."""
    return tuple(_class_names(Path(path), ()))


def _class_names(path: Path, classes: Sequence[str]) -> list[str]:
    try:
        names = sorted(own.name for own in path.iterdir() if own.is_dir() and not own.name.startswith("."))
    except (OSError, ValueError) as error:  # ValueError: names that no folder can have
        raise UserError(f"{shown_path(path)}: cannot be read: {shortened(error)}") from error
    if not names:
        raise UserError(f"{shown_path(path)}: holds no folders; images lie in one folder a class")
    if not classes and len(names) < 2:
        raise UserError(f"{shown_path(path)}: holds one class only, {shown(names[0])}; classes are two at least")
    for name in names:
        if classes and name not in classes:
            raise UserError(f"{shown_path(path)}: class {shown(name)} is not among the training images': "
                            f"{shortened(', '.join(classes))}")
    return names


def _image_files(folder: Path) -> list[Path]:
    files = sorted((own for own in folder.iterdir() if not own.name.startswith(".")), key=lambda own: own.name)
    for file in files:
        if file.suffix.lower() not in SUFFIXES or not file.is_file():
            raise UserError(f"{shown_path(file)}: is not a PNG or JPEG file")
    if not files:
        raise UserError(f"{shown_path(folder)}: holds no images")
    return files


def _pixels(content: bytes, file: Path, size: tuple[int, int], colour: bool) -> np.ndarray:
    """Pixels (rows, columns) or (3, rows, columns) of an image that lies as its camera was held."""
    from PIL import Image, ImageOps  # Pillow takes long to import, and no other data are pictures in files

    rows, columns = size
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = ImageOps.exif_transpose(Image.open(BytesIO(content), formats=("PNG", "JPEG")))
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off above 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert("RGB" if colour else "L").resize((columns, rows), Image.Resampling.BILINEAR)
    except Exception as error:  # Pillow raises anything at a damaged file
        raise UserError(f"{shown_path(file)}: is no image, or cut short or damaged: {shortened(error)}") from error
    pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if colour else pixels
