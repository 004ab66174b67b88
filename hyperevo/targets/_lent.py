"""A module lent to one thread at a time: while `functional_call` runs, it puts weights into the module itself."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Lent:
    """Copies of a module, as many as are ever in use at once. `original` is one of them."""

    def __init__(self, original: nn.Module):
        self.original = original
        # Taking from a list, and giving back to it, cannot be interrupted by another thread.
        self._idle = [original]

    @contextmanager
    def borrowed(self, device: torch.device) -> Iterator[nn.Module]:
        """Copy on the device that nobody else uses until it is given back."""
        try:
            module = self._idle.pop()
        except IndexError:
            module = copy.deepcopy(self.original)
        try:
            yield module.to(device)
        finally:
            self._idle.append(module)
