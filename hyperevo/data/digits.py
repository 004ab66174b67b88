"""scikit-learn's digits: 1,797 handwritten digits, 8 × 8, that come with hyperevo.

They are the test images of the Optical Recognition of Handwritten Digits data set (Alpaydin and Kaynak 1998), as
scikit-learn has them. The last 297 are the test images here: the library gives no split of its own.
"""

import hashlib
from importlib import resources

import numpy as np

from hyperevo.data._images import ImageData

KIND = "images"
UNPACKED: dict[str, str] = {}
NAME = "scikit-learn digits"
TITLE = "scikit-learn's digits, 1,500 + 297, 8 × 8, pixels from 0 to 16"
TERMS = "CC BY 4.0"
FILES: dict[str, str] = {}
MIRRORS: tuple[str, ...] = ()

TEST_IMAGES = 297


def load() -> ImageData:
    """The whole data set."""
    with resources.files("hyperevo.data").joinpath("digits.npz").open("rb") as file, \
            np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return ImageData("digits", images[:-TEST_IMAGES], labels[:-TEST_IMAGES], images[-TEST_IMAGES:],
                     labels[-TEST_IMAGES:], 10, 16, checksum)
