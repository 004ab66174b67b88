"""Modes of somebody else's module: evaluation or training, with the statistics that it keeps or those of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

POWER_ITERATIONS = 15
"""Power iterations of spectral norm for a network that was not seen before: as many as torch begins with."""


def _statistics(module: nn.Module) -> Iterator[tuple[nn.Module, Any, str, float]]:
    """Parts that keep statistics: the part, and what decides how they are taken anew, as a holder, its attribute and
    the value of that."""
    for part in module.modules():
        own = dict(part.named_buffers(recurse=False))
        if "running_mean" in own and hasattr(part, "momentum"):
            yield part, part, "momentum", 1.0  # these inputs alone decide
        if isinstance(part, _SpectralNorm) and own:
            yield part, part, "n_power_iterations", POWER_ITERATIONS
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                yield part, hook, "n_power_iterations", POWER_ITERATIONS


@contextmanager
def mode(module: nn.Module, by_batch: bool, training: bool) -> Iterator[None]:
    """Context in which a module is in training mode or not, and its normalisations use the batch's statistics, or, if
    not `by_batch`, those that they keep."""
    parts = list(_statistics(module))
    before = [getattr(holder, name) for _, holder, name, _ in parts]
    if training:
        module.train()
    for part, holder, name, value in parts:
        part.train(by_batch)
        setattr(holder, name, value)
    try:
        yield
    finally:
        if training:
            module.eval()
        for (part, holder, name, _), value in zip(parts, before, strict=True):
            part.eval()
            setattr(holder, name, value)


@contextmanager
def normalising_in_full(module: nn.Module) -> Iterator[None]:
    """Context in which normalisations with statistics take inputs in the precision of these. Under `vmap` torch's take
    no half-precision inputs beside statistics in float32, as autocast gives them."""
    parts = [part for part in module.modules() if "running_mean" in dict(part.named_buffers(recurse=False))]
    hooks = [part.register_forward_pre_hook(_in_full) for part in parts if torch.is_autocast_enabled("cpu")
             or torch.is_autocast_enabled("cuda")]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _in_full(part: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].to(part.running_mean.dtype), *inputs[1:])
