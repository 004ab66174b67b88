"""Worker processes end with the run, however it ends."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

LONG = ["task={name='gymnasium', environment='Pendulum-v1', workers=2}", "search.population=24", "run.rounds=100000",
        "run.until=0"]


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_run(hyperevo, tmp_path, how):
    process = subprocess.Popen([sys.executable, "-m", "hyperevo", "run", "cartpole-dct", *LONG, "--out", "run"],
                               cwd=tmp_path, env=hyperevo.environment, start_new_session=True, text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        metrics = tmp_path / "run" / "metrics.csv"
        wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 2)
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        # Ctrl-C reaches every process of a terminal; a killed run has no time to tell anyone.
        (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
        errors = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in errors
    if how == signal.SIGINT:
        assert "Go on with: python -m hyperevo resume run" in errors
    assert psutil.wait_procs(workers, timeout=30)[1] == []
