"""Repeat a small comparison in one process, and see that memory, open files and threads stay as they were.

    python tests/runs/soak.py FILE.csv [--minutes M] [--warm-up W]

Each loop is `compare` of three encodings on digits as typed, in a new folder that is removed afterwards; its runs,
tables, figures and report are all written. After each loop a row goes to FILE.csv: seconds, loops, memory in MB, open
files, threads, child processes. Memory is the process's own, in swap too; pages of libraries, which the system drops
and reads again as it likes, are in resident_mb. The medians of the first and the last quarter after the warm-up may
differ by 2 % in memory, and not at all in the others.
"""

import argparse
import contextlib
import csv
import gc
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hyperevo import cli

COMMAND = ["hyperevo", "compare", "dct-mnist", "cppn-mnist", "direct-mnist", "task.name=digits", "task.images=40",
           "target.hidden=[[3,3]]", "run.rounds=6", "run.validate_every=2", "run.memory_gb=1", "threads=1",
           "--seeds", "2"]
HEAD = ("seconds", "loop", "resident_mb", "memory_mb", "open_files", "threads", "children")
TOLERANCE = 0.02


def compare_once(out):
    """One comparison; AssertionError where it fails."""
    sys.argv = [*COMMAND, "--out", str(out)]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            cli.main()
    except SystemExit as end:
        assert not end.code, printed.getvalue()
    assert (out / "report.html").is_file()


def measure(process, begun, loop):
    gc.collect()
    held = process.memory_full_info()
    own = held.rss - held.shared + held.swap if psutil.LINUX else held.uss
    return (round(time.monotonic() - begun, 1), loop, round(held.rss / 1e6, 2), round(own / 1e6, 2),
            process.num_fds(), process.num_threads(), len(process.children()))


def soak(file, minutes):
    """Loops for so many minutes; returns the rows."""
    process, begun, rows = psutil.Process(), time.monotonic(), []
    with file.open("w", newline="") as opened, tempfile.TemporaryDirectory() as place:
        writer = csv.writer(opened)
        writer.writerow(HEAD)
        while time.monotonic() - begun < 60 * minutes:
            with tempfile.TemporaryDirectory(dir=place) as name:
                compare_once(Path(name) / "out")
            rows.append(measure(process, begun, len(rows) + 1))
            writer.writerow(rows[-1])
            opened.flush()
    return rows


def grown(rows, warm_up):
    """Complaints on what is more at the end than after the warm-up."""
    kept = [row for row in rows if row[0] >= 60 * warm_up]
    quarter = len(kept) // 4
    assert quarter, f"{len(kept)} loops after the warm-up are too few"
    complaints = []
    for at, name in enumerate(HEAD[3:], 3):
        first, last = (statistics.median(row[at] for row in part) for part in (kept[:quarter], kept[-quarter:]))
        print(f"{name}: {first} in the first quarter, {last} in the last")
        if last > first * (1 + (TOLERANCE if name == "memory_mb" else 0)):
            complaints.append(f"{name} grew from {first} to {last}")
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--warm-up", type=float, default=10)
    options = parser.parse_args()
    rows = soak(options.file, options.minutes)
    complaints = grown(rows, options.warm_up)
    print(f"{len(rows)} loops in {rows[-1][0] / 60:.1f} minutes, {len(complaints)} complaints")
    print("\n".join(complaints))
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
