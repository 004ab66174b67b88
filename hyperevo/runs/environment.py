"""What a run ran on: kept beside its results."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from hyperevo import __version__

LIBRARIES = ("torch", "numpy", "neat-python", "evotorch", "scipy", "scikit-learn", "safetensors")


def peak_memory_gb() -> float:
    """The most memory this process has held, in 10⁹ bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def environment(device: torch.device) -> dict[str, Any]:
    """Versions, device and threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"hyperevo": __version__, "python": platform.python_version(), "platform": platform.platform(),
            "libraries": {library: version(library) for library in LIBRARIES}, "device": str(device),
            "device_name": name, "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "byte_order": sys.byteorder}
