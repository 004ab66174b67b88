"""Choices that depend on the device, all of them: ask this module, never a device's type.

On the CPU an operation starts in no time, so that networks are taken one by one and what they use stays in cache. On a
GPU starting an operation costs more than most operations themselves, and waiting for one costs most of all: whole
populations go into one operation, and nothing is copied back before the end of a generation.
"""

from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

import torch
from torch import Tensor

MOST_NUMBERS = 2**28
"""Most values, 1 GB, that one operation computes where the target's memory is not reckoned with them."""


def takes_all_at_once(device: torch.device) -> bool:
    """True where a population is best computed by one operation, however large."""
    return device.type != "cpu"


def has_kernel(device: torch.device) -> bool:
    """True where CPPNs are interpreted by a Triton kernel."""
    return device.type == "cuda" and _triton_is_installed()


@cache
def _triton_is_installed() -> bool:
    return find_spec("triton") is not None


def painting(device: torch.device) -> str:
    """Name of the way in which CPPNs paint on a device, for environment.json."""
    if has_kernel(device):
        return f"Triton {version('triton')} kernel"
    return "all graphs together, level by level" if takes_all_at_once(device) else "graph by graph"


def resident(values: Tensor, device: torch.device) -> Tensor:
    """The values on a device. A GPU copies them while the program goes on, unless a gradient is to come back."""
    if device.type == "cuda" and values.device.type == "cpu" and not values.requires_grad:
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def networks_at_once(device: torch.device, numbers: int) -> int:
    """Number of networks, with so many values each, that are computed by one operation: one on the CPU, where a
    network's values stay in cache."""
    return max(1, MOST_NUMBERS // numbers) if takes_all_at_once(device) else 1


class Soon:
    """Answers of a device to a question that is asked again and again, such as whether all episodes are over.

    A GPU is not waited for: its answer is an earlier one, or False as long as there is none. So what goes on must not
    change any result.
    """

    def __init__(self) -> None:
        self._asked: tuple[Tensor, torch.cuda.Event] | None = None

    def __call__(self, answer: Tensor) -> bool:
        """True where the answer (), or the one before on a GPU, is true."""
        if answer.device.type != "cuda":
            return bool(answer)
        if self._asked is not None:
            if not self._asked[1].query():
                return False
            if bool(self._asked[0]):
                return True
        self._asked = torch.empty_like(answer, device="cpu", pin_memory=True), torch.cuda.Event()
        self._asked[0].copy_(answer, non_blocking=True)
        self._asked[1].record()
        return False


def programs(device: torch.device) -> int:
    """Number of programs of a kernel that a device runs at the same time: four a multiprocessor."""
    if device.type != "cuda":
        return 4
    return 4 * torch.cuda.get_device_properties(device).multi_processor_count
