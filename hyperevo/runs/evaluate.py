"""Genotypes → weights → outputs → fitness, a block of networks at a time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def evaluate(encoding: Any, target: Any, genotypes: Any, batch: tuple[Tensor, Tensor],
             measure: Callable[[Tensor, Tensor], Tensor], block: int) -> Tensor:
    """(P,) float32 on the CPU: `measure(outputs, labels)` of every genotype on the same batch.

    Blocks bound memory; they do not change what one network computes with another.
    """
    inputs, labels = batch
    parts = [measure(target.forward(encoding.express(genotypes[start : start + block]), inputs), labels)
             for start in range(0, len(genotypes), block)]
    return torch.cat(parts).float().cpu()
