"""(being written)"""
import gzip
import os
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageData:
    """Images (N, H, W) uint8, labels (N,) uint8, `maximum` the value of a full pixel, sha256 `checksum` of the files."""
    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int
    maximum: int
    checksum: str

def load_images(name):
    def idx(p):
        b = gzip.open(p).read(); n = b[3]
        return np.frombuffer(b, np.uint8, offset=4 + 4 * n).reshape(np.frombuffer(b, ">u4", n, 4)).copy()
    f = os.environ["HYPEREVO_DATA"] + "/" + name
    return ImageData(name, idx(f+"/train-images-idx3-ubyte.gz"), idx(f+"/train-labels-idx1-ubyte.gz"), idx(f+"/t10k-images-idx3-ubyte.gz"), idx(f+"/t10k-labels-idx1-ubyte.gz"), 10, 255, "")
