"""Every fitness a run told its search: fitness.bin, one record a round.

A record is the number of networks (uint32, little-endian) and their fitness (float32, little-endian).
"""

from pathlib import Path

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
