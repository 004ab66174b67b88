"""Fitness as neat-python takes it: finite, and in units in which its species can share it."""

import torch
from torch import Tensor

FITNESS_SCALE = 1e6
"""Factor on fitness: neat-python takes its range for at least 1.0 where species share it, and ours is often a tenth."""


def finite(fitness: Tensor) -> Tensor:
    """Fitness (P,) with infinite and undefined values replaced by the lowest finite one."""
    known = torch.isfinite(fitness)
    worst = fitness[known].min() if bool(known.any()) else torch.zeros((), dtype=fitness.dtype)
    return torch.where(known, fitness, worst)


def shared(fitness: Tensor) -> Tensor:
    """Fitness (P,) for neat-python's sharing: scaled up, and without the far tail of failed children, which would make
    all others look alike."""
    best, median = fitness.max(), fitness.median()
    return fitness.clamp(min=float(best - 3 * (best - median))) * FITNESS_SCALE
