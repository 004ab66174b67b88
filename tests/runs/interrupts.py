"""Interrupt a run by SIGINT at a random moment, again and again.

    python tests/runs/interrupts.py [INTERRUPTIONS] [CONFIG]

Each ends with exit code 130 and one line, within about a second, and its folder, if there is one by then, opens at its
last checkpoint. Of five, three are interrupted within their rounds, one in what comes before, with all modules
imported, and one anywhere from Python's first lines on.
"""

import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from pairs import start

import hyperevo.terminal  # before processes are forked, which need not wait for it then
from hyperevo.runs import open_run
from hyperevo.runs.checkpoint import checkpoints
from hyperevo.search._evotorch import import_evotorch

OVERRIDES = ["run.rounds=1000000", "run.validate_every=5", "--no-figures", "--out", "r"]
UP = "import runpy, sys; sys.argv[0] = 'hyperevo'; print('up', flush=True); " \
     "runpy.run_module('hyperevo', run_name='__main__')"
LONGEST = 120
"""Seconds that anything may take."""


def begun(arguments, log):
    """Process of its own, when Python has begun."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", UP, *arguments], stdout=subprocess.PIPE, stderr=file,
                                   env={**os.environ, "PYTHONPATH": str(Path(hyperevo.__file__).parents[1])})
    assert process.stdout.readline() == b"up\n"
    return process


def ended(pid):
    """Exit code of a process, and the seconds until it ended; it is killed where that takes too long."""
    since = time.monotonic()
    while time.monotonic() - since < LONGEST:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - since
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), LONGEST


def wait_for(path):
    """Wait until there is such a file or folder."""
    since = time.monotonic()
    while not path.exists():
        assert time.monotonic() - since < LONGEST, path
        time.sleep(0.01)


def interruption(place, config, at, chance):
    """Complaint or None, seconds until the end, and the round of the last checkpoint (-1 for no folder yet)."""
    place.mkdir()
    os.chdir(place)
    arguments, log = ["run", config, *OVERRIDES], place / "log.txt"
    process = begun(arguments, log) if at % 5 == 4 else None
    pid = process.pid if process else start(arguments, log)
    if at % 5 < 3:
        wait_for(place / "r" / "checkpoint" / "00000001")
    delay = chance.uniform(*((0, 2), (0, 2), (0, 2), (0, 3), (0.3, 12))[at % 5])
    time.sleep(delay)
    os.kill(pid, signal.SIGINT)
    code, seconds = ended(pid)
    if process:
        process.stdout.close()
        process.returncode = code
    text = log.read_text()
    last = text.strip().splitlines()[-1] if text.strip() else ""
    found = checkpoints(place / "r")
    if code != 130 or not last.startswith("Stopped") or "Traceback" in text or "ignored" in text:
        return f"after {delay:.2f} s exit code {code}: {text[-1500:]}", seconds, -1
    if not found:
        return None, seconds, -1
    said = re.match(r"Stopped after round (\d+)\. Go on with: python -m hyperevo resume r$", last)
    run = open_run(place / "r")
    run.close()
    if said and int(said[1]) != run.round:
        return f"{last!r}, and the checkpoint is of round {run.round}", seconds, run.round
    return None, seconds, run.round


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    config = sys.argv[2] if len(sys.argv) > 2 else "direct-mnist"
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # of a shell's job in the background it is ignored
    import_evotorch()
    chance, complaints, seconds, rounds = random.Random(0), [], [], []
    with tempfile.TemporaryDirectory() as name:
        for at in range(number):
            complaint, took, round_ = interruption(Path(name) / str(at), config, at, chance)
            if complaint:
                complaints.append(complaint)
                print(f"{at}: {complaint}", flush=True)
            seconds.append(took)
            rounds.append(round_)
            print(f"\r{at + 1} of {number}", end="", file=sys.stderr, flush=True)
        os.chdir("/")
    print(f"\n{number} interruptions of {config}, {len(complaints)} complaints; {sum(at < 0 for at in rounds)} before "
          f"the folder, {sum(at > 0 for at in rounds)} after a round, the latest {max(rounds)}; answered in "
          f"{statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s (longest)")
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
