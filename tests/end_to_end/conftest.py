"""The command line, called as a user calls it."""

import os
import signal
import subprocess
import sys

import pytest
from cut_off import cut_off_in


@pytest.fixture
def hyperevo(tmp_path):
    """Run the command line in an empty folder, with an empty home and no data."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HYPEREVO_", "XDG_"))}
    environment |= {"HOME": str(tmp_path / "home"), "HYPEREVO_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "120"}

    def call(*arguments, check=None, **extra):
        done = subprocess.run([sys.executable, "-m", "hyperevo", *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True, env={**environment, **extra}, timeout=200)
        assert "Traceback" not in done.stderr, done.stderr
        if check is not None:
            assert done.returncode == check, done.stderr
        return done

    call.environment = environment
    return call


@pytest.fixture
def cut_off(hyperevo, tmp_path):
    """Run the command line, and have it send itself a signal just before a round's checkpoint gets its name."""
    place = tmp_path / "cut off"
    place.mkdir()

    def call(*arguments, round=4, signum=signal.SIGKILL):
        cut_off_in(place, round, signum)
        done = subprocess.run([sys.executable, "-m", "hyperevo", *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True, env={**hyperevo.environment, "PYTHONPATH": str(place)}, timeout=200)
        assert done.returncode == (-signum if signum == signal.SIGKILL else 128 + signum), done.stderr
        return done

    return call
