"""Many networks of one architecture in one safetensors file, with a table.

The file holds every parameter under its name, (networks, …), and every column of the table under `table.NAME`,
(networks,). One of the columns is `score`. A network as a vector is its parameters one after the other, in the order of
their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.errors import UserError, shortened, shown_path
from hyperevo.tensors import read_tensors

TABLE = "table."
"""Prefix of the table's columns."""


@dataclass(frozen=True)
class Networks:
    """Parameters (N, …) of N networks by name, and the columns (N,) of their table."""

    weights: Mapping[str, Tensor]
    table: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if "score" not in self.table or not self.weights:
            raise ValueError("has no parameters, or no column table.score")
        for name, value in {**self.weights, **self.table}.items():
            if not value.dim() or len(value) != len(self) or not torch.isfinite(value.double()).all():
                raise ValueError(f"{name}: is not of {len(self)} networks, or has values that are no finite numbers")

    def __len__(self) -> int:
        return len(self.table["score"])

    @property
    def vectors(self) -> Tensor:
        """Networks as vectors (N, weights)."""
        return torch.cat([self.weights[name].float().flatten(1) for name in sorted(self.weights)], 1)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter of one network, in the order of names."""
        return {name: tuple(self.weights[name].shape[1:]) for name in sorted(self.weights)}

    def chosen(self, which: Tensor) -> "Networks":
        """Networks by a mask (N,) or by their indices."""
        return Networks({name: value[which] for name, value in self.weights.items()},
                        {name: value[which] for name, value in self.table.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Content of the file."""
        return dict(self.weights) | {f"{TABLE}{name}": value for name, value in self.table.items()}


def split_vectors(vectors: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Parameters (P, …) by name from vectors (P, weights)."""
    names = sorted(shapes)
    parts = vectors.split([prod(shapes[name]) for name in names], 1)
    return {name: part.reshape(len(vectors), *shapes[name]) for name, part in zip(names, parts, strict=True)}


def networks_of(tensors: Mapping[str, Tensor]) -> Networks:
    """Networks from the content of a file; raises ValueError where it is none."""
    return Networks({name: value for name, value in tensors.items() if not name.startswith(TABLE)},
                    {name.removeprefix(TABLE): value for name, value in tensors.items() if name.startswith(TABLE)})


def read_networks(path: str | Path) -> Networks:
    """Networks in a file; raises UserError, which names it, where it is missing, damaged or holds none."""
    tensors = read_tensors(path)
    try:
        return networks_of(tensors)
    except (RuntimeError, TypeError, ValueError) as error:  # RuntimeError: of types that torch does not know
        raise UserError(f"{shown_path(path)}: holds no networks: {shortened(error)}") from error


def join_networks(every: list[Networks]) -> Networks:
    """Networks of several files, one after the other."""
    return Networks({name: torch.cat([own.weights[name] for own in every]) for name in every[0].weights},
                    {name: torch.cat([own.table[name] for own in every]) for name in every[0].table})
