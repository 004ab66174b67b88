"""Peak memory is a run's own, not that of what the process did before."""

import subprocess
import sys

import pytest

# In a process that has not been told to keep what is freed, as runs tell theirs.
SCRIPT = """
import torch
from hyperevo.runs.environment import forget_peak_memory, peak_memory_gb
large = torch.ones(100_000_000)
high = peak_memory_gb()
del large
forget_peak_memory()
low = peak_memory_gb()
torch.ones(50_000_000)
print(high, low, peak_memory_gb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_peak_memory_can_be_forgotten():
    answer = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    high, low, later = map(float, answer.split())
    assert low < high - 0.3
    assert low + 0.15 < later < high
