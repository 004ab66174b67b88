"""Data sets: find, check, download, read."""

from hyperevo.data._images import ImageData, load_images

__all__ = ["ImageData", "load_images"]
