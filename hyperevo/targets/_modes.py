"""Modes of somebody else's module: evaluation or training, with the statistics that it keeps or those of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
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
