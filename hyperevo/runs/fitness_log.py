"""Every fitness a run told its search: fitness.bin, one record a round.

A record is the number of networks (uint32, little-endian) and their fitness (float32, little-endian).
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hyperevo.errors import UserError


def pack_fitness(fitness: Tensor) -> bytes:
    """Bytes of one record, of fitness (P,)."""
    values = fitness.numpy().astype("<f4")
    return np.uint32(len(values)).astype("<u4").tobytes() + values.tobytes()


def read_fitness(path: Path) -> list[Tensor]:
    """All records, one tensor (P,) a round; raises UserError naming the file where the last is cut short."""
    content, start, records = path.read_bytes(), 0, []
    while start < len(content):
        header = np.frombuffer(content, "<u4", 1, start) if start + 4 <= len(content) else [0]
        end = start + 4 + 4 * int(header[0])
        if header[0] == 0 or end > len(content):
            raise UserError(f"{path}: is cut short or damaged at byte {start}")
        records.append(torch.from_numpy(np.frombuffer(content, "<f4", int(header[0]), start + 4).copy()))
        start = end
    return records
