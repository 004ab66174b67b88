"""Steps of an optimizer by tensor operations in place, which can be captured, tried and taken back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def rate_as_tensor(optimizer: torch.optim.Optimizer, like: Tensor) -> None:
    """Keep the learning rate in a tensor, on the device and in the dtype of `like`, as a captured step reads it."""
    for group in optimizer.param_groups:
        group["lr"] = like.new_tensor(group["lr"])


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, in its tensor where it is in one."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


@contextmanager
def rehearsed(changed: Callable[[], Mapping[str, Tensor]]) -> Iterator[None]:
    """Context of steps that are tried: at its end the tensors that they change are as before, in the same memory; those
    that were made anew, as an optimizer's are in its first step, are 0, as they begin."""
    before = {key: value.detach().clone() for key, value in changed().items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for key, value in changed().items():
                value.copy_(before[key]) if key in before else value.zero_()
