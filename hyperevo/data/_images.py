"""Image data sets: their arrays, and a reader of the IDX format."""

import gzip
import hashlib
import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from hyperevo.data._files import LARGEST, require
from hyperevo.errors import UserError, shown
from hyperevo.reading import read_bytes

MOST_PACKED = 2**26
"""Bytes of a gzipped IDX file; the largest of Fashion-MNIST has 26,421,880."""


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
    content = read_bytes(path, MOST_PACKED)
    try:
        with gzip.open(io.BytesIO(content)) as file:
            return _read_idx(file)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: is cut short or damaged: {error}") from error


def _read_idx(file: gzip.GzipFile) -> np.ndarray:
    kind = file.read(4)
    if len(kind) < 4 or kind[:3] != b"\0\0\x08":
        raise ValueError("not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{kind[3]}I", file.read(4 * kind[3]))
    size = math.prod(shape)
    if size > LARGEST:
        raise ValueError(f"holds {shown(size)} values, where at most {LARGEST} are read")
    values = file.read(size + 1)  # no more than that: it may be packed a thousandfold
    if len(values) != size:
        raise ValueError(f"holds {'more' if len(values) > size else 'less'} than the {size:,} values it tells of")
    return np.frombuffer(values, np.uint8).reshape(shape).copy()


def load_idx_images(name: str, source: ModuleType) -> ImageData:
    """Load a data set of four IDX files in the order of MNIST's; raises UserError where one cannot be had or read."""
    paths = require(name, source)
    train_images, train_labels, test_images, test_labels = (read_idx(path) for path in paths.values())
    checksum = hashlib.sha256("".join(source.FILES.values()).encode()).hexdigest()
    return ImageData(name, train_images, train_labels, test_images, test_labels, 10, 255, checksum)
