"""Every fitness a run told its search: fitness.bin, one record a round.

A record is the number of networks (uint32, little-endian) and their fitness (float32, little-endian).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor

from hyperevo.errors import UserError
from hyperevo.reading import read_bytes

MOST_BYTES = 2**33
"""Largest log that is read."""


def pack_fitness(fitness: Tensor) -> bytes:
    """Bytes of one record, of fitness (P,)."""
    values = fitness.numpy().astype("<f4")
    return np.uint32(len(values)).astype("<u4").tobytes() + values.tobytes()


def read_fitness(path: Path) -> list[Tensor]:
    """All records, one tensor (P,) a round; raises UserError naming the file where one is damaged or cut short."""
    content, start, records = read_bytes(path, MOST_BYTES), 0, []
    while start < len(content):
        header = np.frombuffer(content, "<u4", 1, start) if start + 4 <= len(content) else [0]
        end = start + 4 + 4 * int(header[0])
        if header[0] == 0 or end > len(content):
            raise UserError(f"{path}: is cut short or damaged at byte {start}")
        records.append(torch.from_numpy(np.frombuffer(content, "<f4", int(header[0]), start + 4).copy()))
        if torch.isnan(records[-1]).any():
            raise UserError(f"{path}: round {len(records)} has fitness that is no number")
        start = end
    return records


class Told(Sequence[Tensor]):
    """All records of a run of so many rounds, one tensor (P,) a round, read when they are first looked at."""

    def __init__(self, path: Path, rounds: int):
        self._path, self._rounds = path, rounds

    @cached_property
    def records(self) -> list[Tensor]:
        """The records; raises UserError naming the file where they are damaged, or not of so many rounds."""
        records = read_fitness(self._path)
        if len(records) != self._rounds:
            raise UserError(f"{self._path}: holds {len(records)} rounds, and the checkpoint is of round {self._rounds}")
        return records

    def __len__(self) -> int:
        return self._rounds

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        return self.records[index]
