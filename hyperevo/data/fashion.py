"""Fashion-MNIST: 60,000 + 10,000 articles of clothing, 28 × 28 (Xiao, Rasul & Vollgraf 2017)."""

import sys

from hyperevo.data._images import ImageData, load_idx_images

KIND = "images"
UNPACKED: dict[str, str] = {}
NAME = "Fashion-MNIST"
TITLE = "Fashion-MNIST, 60,000 + 10,000 articles of clothing, 28 × 28"
TERMS = "MIT licence"
FILES = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
MIRRORS = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
           "https://storage.googleapis.com/tensorflow/tf-keras-datasets/")


def load() -> ImageData:
    """The whole data set."""
    return load_idx_images("fashion", sys.modules[__name__])
