"""scikit-learn's digits: 1,797 handwritten digits, 8 × 8, that come with the library.

The last 297 are the test images: the library gives no split of its own.
"""

import hashlib

from hyperevo.data._images import ImageData

KIND = "images"
UNPACKED: dict[str, str] = {}
NAME = "scikit-learn digits"
TITLE = "scikit-learn's digits, 1,500 + 297, 8 × 8, pixels from 0 to 16"
TERMS = "BSD licence, part of scikit-learn"
FILES: dict[str, str] = {}
MIRRORS: tuple[str, ...] = ()

TEST_IMAGES = 297


def load() -> ImageData:
    """The whole data set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images.astype("uint8"), bunch.target.astype("uint8")
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return ImageData("digits", images[:-TEST_IMAGES], labels[:-TEST_IMAGES], images[-TEST_IMAGES:],
                     labels[-TEST_IMAGES:], 10, 16, checksum)
