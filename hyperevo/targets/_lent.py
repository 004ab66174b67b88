"""A module lent to one thread at a time: while `functional_call` runs, it puts weights into the module itself."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def copied(module: nn.Module) -> nn.Module:
    """Copy of a module, with copies of its tensors. Weights that a hook computed before a call are copied without their
    graph, which `copy.deepcopy` alone refuses."""
    computed = {id(value): value.detach().clone() for part in module.modules() for value in vars(part).values()
                if isinstance(value, Tensor) and not value.is_leaf}
    return copy.deepcopy(module, computed)


class Lent:
    """Copies of a module, as many as are ever in use at once. Nobody runs `original` itself, so that it can be copied
    while others run."""

    def __init__(self, original: nn.Module):
        self.original = original
        # Taking from a list, and giving back to it, cannot be interrupted by another thread.
        self._idle: list[nn.Module] = []

    @contextmanager
    def borrowed(self, device: torch.device) -> Iterator[nn.Module]:
        """Copy on the device that nobody else uses until it is given back."""
        try:
            module = self._idle.pop()
        except IndexError:
            module = copied(self.original)
        try:
            yield module.to(device)
        finally:
            self._idle.append(module)
