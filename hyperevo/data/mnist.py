"""MNIST: 60,000 + 10,000 handwritten digits, 28 × 28 (LeCun, Bottou, Bengio & Haffner 1998)."""

import sys

from hyperevo.data._images import ImageData, load_idx_images

KIND = "images"
UNPACKED: dict[str, str] = {}
NAME = "MNIST"
TITLE = "MNIST, 60,000 + 10,000 handwritten digits, 28 × 28"
TERMS = "published for research without a licence text"
FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


def load() -> ImageData:
    """The whole data set."""
    return load_idx_images("mnist", sys.modules[__name__])
