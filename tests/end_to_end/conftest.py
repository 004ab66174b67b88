"""The command line, called as a user calls it."""

import os
import subprocess
import sys

import pytest


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
