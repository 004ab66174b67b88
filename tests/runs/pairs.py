"""Start two commands at once on one folder, again and again.

    python tests/runs/pairs.py [PAIRS]

One of each pair wins and its run ends as it would alone; the other is told in one line, with exit code 2. Without --out
both win, in folders of their own.
"""

import os
import sys
import tempfile
import threading
import traceback
from pathlib import Path

# Imported before processes are forked, which need not wait for it then.
import hyperevo.compare.execute
import hyperevo.compare.report
import hyperevo.terminal  # noqa: F401
from hyperevo import cli

CONFIG = """threads = 1
name = "c"
[task]
name = "digits"
images = 40
[target]
name = "mlp"
hidden = [[2, 2]]
[encoding]
name = "direct"
[search]
name = "snes"
population = 8
[run]
rounds = 40
validate_every = 10
memory_gb = 1.0
filmstrip = 2
"""
RUN, RESUME = ["run", "./c.toml", "--no-figures"], ["resume", "r", "--no-figures"]
COMPARE = ["compare", "./c.toml", "run.rounds=20", "--seeds", "1", "--out", "cmp"]
KINDS = {"run, run": (RUN, RUN), "run, run --out": ([*RUN, "--out", "r"], [*RUN, "--out", "r"]),
         "run, resume": ([*RUN, "--out", "r"], RESUME), "resume, resume": (RESUME, RESUME),
         "compare, compare": (COMPARE, COMPARE)}


def start(arguments, log, begin=None):
    """Process of a command whose output goes to a file, which begins when the pipe `begin` is closed."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if begin is not None:
            os.close(begin[1])
            os.read(begin[0], 1)
        sys.argv = ["hyperevo", *arguments]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def at_once(first, second):
    """[(exit code, output)] of two commands."""
    begin = os.pipe()
    pids = [start(arguments, Path(f"{at}.txt"), begin) for at, arguments in enumerate((first, second))]
    os.close(begin[0])
    os.close(begin[1])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return [(code, Path(f"{at}.txt").read_text()) for at, code in enumerate(codes)]


def alone(arguments):
    code = os.waitstatus_to_exitcode(os.waitpid(start(arguments, Path("alone.txt")), 0)[1])
    assert code == 0, Path("alone.txt").read_text()


def half_done():
    """A run of half as many rounds, in r."""
    alone([*RUN, "--out", "r", "run.rounds=20"])
    text = Path("r/config.toml").read_text()
    assert "rounds = 20" in text


def complaint(kind, ended, expected):
    """What went wrong with a pair; None where nothing did."""
    for code, text in ended:
        if "Traceback" in text or code not in (0, 2) or (code == 2 and text.count("error:") != 1):
            return f"exit code {code}: {text[-500:]}"
    losers = [text for code, text in ended if code == 2]
    if kind == "run, run":
        folders = [Path("runs/c"), Path("runs/c-2")]
        if losers or any(metrics(folder) != expected for folder in folders):
            return f"not two whole runs: {ended}"
        return None
    if len(losers) == 2 or (not losers and "finished" not in ended[0][1] + ended[1][1]):
        return f"{len(losers)} losers: {ended}"
    if kind != "compare, compare" and metrics(Path("r")) != expected:
        return "the winner's rows are not those of a run alone"
    return None


def metrics(folder):
    return (folder / "metrics.csv").read_bytes()


def pair(kind, place):
    """One pair in a new folder; returns a complaint or None."""
    place.mkdir()
    os.chdir(place)
    Path("c.toml").write_text(CONFIG)
    first, second = KINDS[kind]
    if kind == "resume, resume":
        half_done()
        first, second = ([*arguments, "run.rounds=40"] for arguments in (first, second))
    ended = at_once(first, second)
    return complaint(kind, ended, EXPECTED[0])


EXPECTED = [b""]


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.chdir(place)
        Path("c.toml").write_text(CONFIG)
        alone([*RUN, "--out", "whole"])
        EXPECTED[0] = metrics(Path("whole"))
        kinds = [list(KINDS)[at % len(KINDS)] for at in range(pairs)]
        complaints = [f"{kind}: {line}" for at, kind in enumerate(kinds) if (line := pair(kind, place / str(at)))]
        os.chdir("/")
    assert threading.active_count() == 1
    print("\n".join(complaints))
    print(f"{pairs} pairs, {len(complaints)} complaints")
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
