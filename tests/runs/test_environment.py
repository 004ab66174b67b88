"""Peak memory is a run's own, not that of what the process did before."""

import sys

import pytest
import torch

from hyperevo.runs.environment import forget_peak_memory, peak_memory_gb


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_peak_memory_can_be_forgotten():
    large = torch.ones(100_000_000)
    high = peak_memory_gb()
    del large
    forget_peak_memory()
    low = peak_memory_gb()
    assert low < high - 0.3
    torch.ones(50_000_000)
    assert low + 0.15 < peak_memory_gb() < high
