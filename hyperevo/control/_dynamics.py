"""What environments share: states in memory, where they start, and Runge-Kutta."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def together(*values: Tensor) -> Tensor:
    """One tensor (…, values). Each value's numbers lie together in memory, where arithmetic on them is several times as
    fast as on every fourth number."""
    return torch.stack(values).movedim(0, -1)


def uniform(episodes: int, reaches: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """(episodes, values), each value between minus its reach and its reach."""
    return torch.empty(episodes, len(reaches)).uniform_(-1, 1, generator=generator) * torch.tensor(reaches)


@cache
def numbers(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The values as a tensor. It is kept, as to copy it to a GPU at every step would wait for the step before."""
    return torch.tensor(values, dtype=dtype, device=device)


@cache
def each_number(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """The same, every value by itself."""
    return numbers(values, dtype, device).unbind()


def runge_kutta(derivative: Callable[[Tensor], Tensor], state: Tensor, seconds: float) -> Tensor:
    """The state after one step of the classical method of fourth order."""
    first = derivative(state)
    second = derivative(torch.add(state, first, alpha=seconds / 2))
    third = derivative(torch.add(state, second, alpha=seconds / 2))
    fourth = derivative(torch.add(state, third, alpha=seconds))
    middle = second.add_(third)
    return torch.add(state, first.add_(fourth).add_(middle, alpha=2), alpha=seconds / 6)
