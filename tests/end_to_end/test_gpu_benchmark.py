"""What is run first where there is a GPU runs here, small: every part reports, and none fails."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_every_part_reports(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    interpreted = {"TRITON_INTERPRET": "1"} if find_spec("triton") else {}
    arguments = ["--quick", "--device", "cpu", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, str(BENCHMARK), *arguments],
                          env={**os.environ, **home, **interpreted, "PYTHONPATH": str(BENCHMARK.parents[1])},
                          capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results) == ["machine", "kernel", "population", "generation", "rounds", "resume", "configs", "steps",
                             "tensorneat"]
    assert results["kernel"]["agrees"] and results["resume"]["agrees"] and results["configs"]["agree"] == ["dct-mnist"]
    assert not interpreted or "kernel" in results["kernel"]["way"]
    assert [row["population"] for row in results["population"]["microseconds_a_network"]] == [2, 4]
    assert "failed" not in json.dumps(results["configs"])
    assert (tmp_path / "out" / "table.md").read_text() == done.stdout
