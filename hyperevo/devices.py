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
    """The values on a device. A GPU copies them while the program goes on."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def programs(device: torch.device) -> int:
    """Number of programs of a kernel that a device runs at the same time: four a multiprocessor."""
    if device.type != "cuda":
        return 4
    return 4 * torch.cuda.get_device_properties(device).multi_processor_count
