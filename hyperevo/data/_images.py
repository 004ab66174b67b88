"""Image data sets: their arrays, and a reader of the IDX format."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from hyperevo.data._files import require
from hyperevo.errors import UserError


@dataclass(frozen=True)
class ImageData:
    """Images (N, H, W) or (N, channels, H, W), uint8, with labels (N,), integers.

    `maximum` is the value of the brightest pixel, `checksum` the sha256 over the sha256 of the data set's files,
    `held_out` the number of training images, the last ones, that are for validation; 0 where that is for others to say.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    maximum: int
    checksum: str
    held_out: int = 0


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes from a gzipped IDX file; raises UserError, which names the file, where it is not one."""
    try:
        with gzip.open(path) as file:
            content = file.read()
        if len(content) < 4 or content[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of unsigned bytes")
        shape = struct.unpack_from(f">{content[3]}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape).copy()
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: is cut short or damaged: {error}") from error


def load_idx_images(name: str, source: ModuleType) -> ImageData:
    """Load a data set of four IDX files in the order of MNIST's; raises UserError where one cannot be had or read."""
    paths = require(name, source)
    train_images, train_labels, test_images, test_labels = (read_idx(path) for path in paths.values())
    checksum = hashlib.sha256("".join(source.FILES.values()).encode()).hexdigest()
    return ImageData(name, train_images, train_labels, test_images, test_labels, 10, 255, checksum)
