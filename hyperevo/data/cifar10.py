"""CIFAR-10: 60,000 photographs of ten kinds of things, 32 × 32 in colour (Krizhevsky 2009), in its binary version.

It is read from the official archive or from its unpacked files. A test file that holds only the first images is
accepted, and the data set's name then says so.
"""

import hashlib
import io
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np

from hyperevo.data._files import LARGEST, available, require
from hyperevo.data._images import ImageData
from hyperevo.errors import UserError
from hyperevo.reading import read_bytes

KIND = "images"
NAME = "CIFAR-10"
TITLE = "CIFAR-10, 50,000 + 10,000 colour photographs, 32 × 32"
TERMS = "published without a licence text; cite the technical report"
FILES = {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}
MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)

FOLDER = "cifar-10-batches-bin"
TEST_FILE = f"{FOLDER}/test_batch.bin"
UNPACKED = {
    f"{FOLDER}/data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    f"{FOLDER}/data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    f"{FOLDER}/data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    f"{FOLDER}/data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    f"{FOLDER}/data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
}
"""The training files inside the archive. The test file is checked by its first thousand images."""

FIRST_TEST_IMAGES = 1000
FIRST_TEST_SHA256 = "8314c96d7cd65618193bab23acdd5d4c4af15bf6dd00a1781d55beedf3be1ef5"
MOST_IMAGES = 10_000
"""Images in a file."""

RECORD = 1 + 3 * 32 * 32
"""Bytes of an image: its label, then 1,024 red, 1,024 green and 1,024 blue values."""


def load() -> ImageData:
    """The whole data set, images (N, 3, 32, 32); raises UserError where a file is wrong or cannot be had."""
    source = sys.modules[__name__]
    paths = require("cifar10", source)
    unpacked = available("cifar10", source) is UNPACKED
    contents = _read_unpacked(paths) if unpacked else _read_archive(*paths.values())
    test = contents.pop(TEST_FILE)
    if hashlib.sha256(test[: FIRST_TEST_IMAGES * RECORD]).hexdigest() != FIRST_TEST_SHA256 or len(test) % RECORD:
        raise UserError(f"cifar10/{TEST_FILE}: is damaged or not the published file")
    train_images, train_labels = _images(b"".join(contents[file] for file in UNPACKED))
    test_images, test_labels = _images(test)
    sums = "".join(UNPACKED.values()) + hashlib.sha256(test).hexdigest()
    name = "cifar10" if len(test_images) == 10_000 else f"cifar10 (first {len(test_images):,} test images)"
    return ImageData(name, train_images, train_labels, test_images, test_labels, 10, 255,
                     hashlib.sha256(sums.encode()).hexdigest())


def _read_unpacked(paths: dict[str, Path]) -> dict[str, bytes]:
    test = next(iter(paths.values())).parent / Path(TEST_FILE).name
    return {file: read_bytes(path, MOST_IMAGES * RECORD) for file, path in {**paths, TEST_FILE: test}.items()}


def _read_archive(archive: Path) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(read_bytes(archive, LARGEST))) as members:
            for file in (*UNPACKED, TEST_FILE):
                member = members.extractfile(file)
                contents[file] = member.read(MOST_IMAGES * RECORD + 1) if member else b""
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{archive}: is cut short or damaged: {error}") from error
    return contents


def _images(records: bytes) -> tuple[np.ndarray, np.ndarray]:
    rows = np.frombuffer(records, np.uint8).reshape(-1, RECORD)
    return rows[:, 1:].reshape(-1, 3, 32, 32).copy(), rows[:, 0].copy()
