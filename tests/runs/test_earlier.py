"""Runs of an earlier version (5287fc3), cut after three of six rounds, open, plot, resume and end as they did there.

`NAME.whole` holds the metrics and the result of the same run, never cut, of that version.
"""

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from hyperevo.plots import save_run_figures
from hyperevo.runs import execute, open_run
from hyperevo.runs.folder import read_run_config

EARLIER = Path(__file__).parent / "earlier"
NAMES = ["neat-digits", "snes-cartpole", "gradient-adding"]


@pytest.fixture(params=NAMES)
def earlier(request, tmp_path):
    return shutil.copytree(EARLIER / request.param, tmp_path / request.param), EARLIER / f"{request.param}.whole"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same(one, other):
    """Whether cells are equal, numbers but for the last bits, which are another processor's."""
    try:
        return math.isclose(float(one), float(other), rel_tol=1e-4, abs_tol=1e-6)
    except ValueError:
        return one == other


def test_it_ends_as_it_did_then(earlier):
    folder, whole = earlier
    result, then = execute(open_run(folder)), json.loads((whole / "result.json").read_text())
    now, before = rows(folder / "metrics.csv"), rows(whole / "metrics.csv")
    assert len(now) == len(before) == 6
    for row, expected in zip(now, before, strict=True):
        assert row.keys() == expected.keys()
        assert [key for key in row if not same(row[key], expected[key])] == []
    # Small matrices are built before they are multiplied, in fewer operations; examples of `adding` were called images.
    timed = {"seconds", "peak_memory_gb", "operations", "examples"}
    assert result["operations"] <= then["operations"]
    assert then.keys() <= result.keys()
    assert [key for key in then if key not in timed and not same(str(result[key]), str(then[key]))] == []


def test_it_is_drawn(earlier):
    folder, _ = earlier
    drawn = {path.name for path in save_run_figures(folder)}
    assert "learning_curves.png" in drawn
    assert {"neat-digits": "cppn_graph.png", "snes-cartpole": "frames.png",
            "gradient-adding": "learning_curves.png"}[folder.name] in drawn


def test_its_config_is_read_as_it_was_written(earlier):
    folder, _ = earlier
    config = read_run_config(folder)
    assert config.name == folder.name and config.run.rounds == 6
