"""Data of a task that the workers on one node share: every node holds it once, and not every worker."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hyperevo.parts import Task
from hyperevo.runs.parcels import read_only

LARGE = 1_000_000
"""Bytes from which on an array is shared."""

Arrays = dict[str, np.ndarray]
"""Large arrays by the attribute that holds them, and their places in its tuple."""


def large_arrays(task: Task) -> Arrays:
    """Large arrays and tensors in a task's attributes, and in tuples there."""
    found: Arrays = {}

    def note(name: str, value: Tensor | np.ndarray) -> Tensor | np.ndarray:
        found[name] = value.numpy() if isinstance(value, Tensor) else value
        return value

    for name, value in vars(task).items():
        _changed(name, value, note)
    return found


def share(task: Task, arrays: Arrays) -> None:
    """Put arrays, which are read-only, in the place of a task's own; those of another shape or type it keeps."""
    def shared(name: str, value: Tensor | np.ndarray) -> Tensor | np.ndarray:
        own, other = value.numpy() if isinstance(value, Tensor) else value, arrays.get(name)
        if other is None or other.shape != own.shape or other.dtype != own.dtype:
            return value
        return read_only(other) if isinstance(value, Tensor) else other

    for name, value in vars(task).items():
        if (now := _changed(name, value, shared)) is not value:
            setattr(task, name, now)


def _changed(name: str, value: object, change: Callable[[str, Tensor | np.ndarray], Tensor | np.ndarray]) -> object:
    """A value with what `change` makes of the large arrays in it."""
    if isinstance(value, tuple) and type(value) is tuple:
        parts = tuple(_changed(f"{name}.{place}", part, change) for place, part in enumerate(value))
        return value if all(part is before for part, before in zip(parts, value, strict=True)) else parts
    if isinstance(value, Tensor):
        plain = value.device.type == "cpu" and value.layout == torch.strided and value.is_contiguous()
        return change(name, value) if plain and value.nbytes >= LARGE and value.dtype != torch.bfloat16 else value
    if isinstance(value, np.ndarray) and value.nbytes >= LARGE and value.dtype != object:
        return change(name, value)
    return value
