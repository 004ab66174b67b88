"""Kill runs of every search at random times, and see that they end as if nothing had happened.

    python tests/runs/random_kills.py [KILLS] [--seed N]

A run gets SIGKILL at a random moment; so does, in every third case, the process that takes its folder up. Then the
folder is taken up again and must end with the files of a run that nobody killed, byte for byte, and nothing left over.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from kills import child, config_of, content_of, copy, take_up, warm_up, whole_run
from matplotlib.figure import Figure

from hyperevo.components import component_names


def killed(work, seconds):
    """True where a process that does some work was killed after so many seconds, False where it had ended."""
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def trial(config, folder, draw, seconds, expected):
    """(kills, complaint or None) of one run."""
    copy(Path("/nowhere"), folder)
    kills = killed(lambda: whole_run(config, folder), draw.uniform(0, seconds))
    if draw.random() < 1 / 3 and folder.exists():
        kills += killed(lambda: take_up(config, folder), draw.uniform(0, seconds))
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []
    if code := child(lambda: take_up(config, folder)):
        return kills, f"cannot be taken up, exit code {code}: {left}"
    found = content_of(folder)
    differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return kills, f"differs in {differing} after {left}" if differing else None


def trials(search, wanted, draw, place):
    """(kills, runs, complaints) of as many runs of a search as take so many kills."""
    config, whole = config_of(search), place / "whole"
    warm_up(config)
    begun = time.monotonic()
    assert child(lambda: whole_run(config, whole)) == 0
    seconds, expected = time.monotonic() - begun, content_of(whole)
    kills, runs, complaints = 0, 0, []
    while kills < wanted:
        more, complaint = trial(config, place / "run", draw, seconds, expected)
        kills, runs, complaints = kills + more, runs + 1, complaints + [complaint] * bool(complaint)
    return kills, runs, complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, searches = random.Random(options.seed), component_names("search")
    Figure.savefig = lambda self, path, **_: path.write_bytes(b"Software\0hyperevo")  # drawing takes most of the time
    failed = False
    for at, search in enumerate(searches):
        wanted = options.kills * (at + 1) // len(searches) - options.kills * at // len(searches)
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as name:
            kills, runs, complaints = trials(search, wanted, draw, Path(name))
        print(f"{search}: {kills} kills of {runs} runs, {len(complaints)} complaints", flush=True)
        print("\n".join(complaints[:20]), end="\n" * bool(complaints), flush=True)
        failed = failed or bool(complaints)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
