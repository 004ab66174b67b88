"""Helpers that environments share: the layout of states in memory, random first states, and Runge-Kutta."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def together(*values: Tensor) -> Tensor:
    """Stack tensors (…) into one (…, values), with each of them contiguous in its memory: arithmetic on contiguous
    numbers is several times as fast as on every fourth number."""
    return torch.stack(values).movedim(0, -1)


def uniform(episodes: int, reaches: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """Uniform random states (episodes, values): value i lies within ±reaches[i]."""
    return torch.empty(episodes, len(reaches)).uniform_(-1, 1, generator=generator) * torch.tensor(reaches)


@cache
def numbers(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The values as a tensor, cached: copying it to a GPU at every step would wait for the step before."""
    return torch.tensor(values, dtype=dtype, device=device)


@cache
def each_number(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    """The values as scalar tensors, cached as in `numbers`."""
    return numbers(values, dtype, device).unbind()


def runge_kutta(derivative: Callable[[Tensor], Tensor], state: Tensor, seconds: float) -> Tensor:
    """The state after one step of the classical fourth-order Runge-Kutta method.

    `derivative` maps a state to its time derivative, in a new tensor at every call: the results are overwritten.
    """
    first = derivative(state)
    second = derivative(torch.add(state, first, alpha=seconds / 2))
    third = derivative(torch.add(state, second, alpha=seconds / 2))
    fourth = derivative(torch.add(state, third, alpha=seconds))
    middle = second.add_(third)
    return torch.add(state, first.add_(fourth).add_(middle, alpha=2), alpha=seconds / 6)
