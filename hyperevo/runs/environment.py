"""Environment of a run, recorded beside its results: versions, device, threads and memory."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from hyperevo import __version__
from hyperevo.config import Values
from hyperevo.devices import painting

LIBRARIES = ("torch", "numpy", "neat-python", "evotorch", "scipy", "safetensors")


def forget_peak_memory() -> None:
    """Reset the peak of `peak_memory_gb` to the memory held now, where the system allows it: on Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_gb() -> float:
    """Largest memory that this process has held since the last `forget_peak_memory`, in 10⁹ bytes; 0 where the system
    does not tell."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e9
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def free_memory_gb(device: torch.device) -> float:
    """Memory that a device could still give to this process, in 10⁹ bytes."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return free / 1e9


def keep_freed_memory() -> None:
    """Ask glibc not to hand freed memory back to the system: every new tensor would be paged in anew, which can take
    longer than computing it. Other C libraries are not asked."""
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    trim_threshold, mapped_at_most = -1, -4
    library.mallopt(trim_threshold, 2**31 - 1)
    library.mallopt(mapped_at_most, 0)


def environment(device: torch.device) -> Values:
    """Versions, device, cores and threads, for environment.json."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"hyperevo": __version__, "python": platform.python_version(), "platform": platform.platform(),
            "libraries": {library: version(library) for library in LIBRARIES}, "device": str(device),
            "device_name": name, "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "byte_order": sys.byteorder, "painting": painting(device)}
