"""Kill runs at their file operations, and see that they end as if nothing had happened.

    python tests/runs/kills.py SEARCH [--points N] [--scenario run|overwrite|extend]

A run is cut off before each of its file operations, and in the middle of each row of a log: all of them, or N spread
evenly. Then the same command, or `resume`, takes the folder; it must end with the files of a run that was not cut off,
byte for byte, and nothing may be left over.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from matplotlib.figure import Figure

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.plots import save_run_figures
from hyperevo.runs import create_run, execute, files, finished, open_run

SMALL = ["target.hidden=[[3,3]]", "run.rounds=4", "run.validate_every=2", "run.filmstrip=2", "run.memory_gb=1",
         "search.population=8", "threads=1"]
DIGITS = ["task.name=digits", "task.images=40"]
HYPERGAN = ["encoding={name='hypergan', noise=7, layer_code=5, mixer=[8], generator=[9]}", "search.validated=3",
            "search.discriminator_hidden=[6]", "search.steps_per_round=2"]
OWN = {"neat": "cppn-mnist", "eggroll": "eggroll-mnist"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
KILLED = 137


def config_of(search, seed=0):
    if search == "policy-gradient":
        small = [*SMALL, f"seed={seed}", "task.most_steps=30", "task.validation=4"]
        return load_config("cartpole-policy-gradient", small).config
    if search == "adversarial":
        return load_config("hypergan-mnist", ["target={name='mlp'}", *SMALL, *DIGITS, *HYPERGAN, f"seed={seed}"]).config
    own = [] if search in OWN else [f"search={{name='{search}', population=8}}", "encoding.coefficients=[2]"]
    own += ["search.refine.rounds=5"] if search == "neat" else []
    return load_config(OWN.get(search, "dct-mnist"), [*SMALL, *DIGITS, *own, f"seed={seed}"]).config


def count_operations(folder, last):
    """Count this process's file operations in a folder, and end it before number `last`; returns a counter."""
    counter = [0]

    def step():
        counter[0] += 1
        if counter[0] == last:
            os._exit(KILLED)

    def hook(event, arguments):
        writes = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES)
        if writes and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(str(folder)):
            step()

    def append(log, content, whole=files.AppendLog.append):
        if counter[0] + 1 == last:
            os.write(log._file.fileno(), content[: len(content) // 2])
        step()
        whole(log, content)

    sys.addaudithook(hook)
    files.AppendLog.append = append
    return counter


def child(work):
    """Exit code of some work in a process of its own."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def whole_run(config, folder, changes=None):
    """What the command does: run or resume, then draw."""
    run = create_run(config, folder, overwrite=True) if changes is None else open_run(folder, changes=changes)
    execute(run)
    save_run_figures(folder)


def warm_up(config):
    """Import here what a run needs, so that the processes to come need not."""
    with tempfile.TemporaryDirectory() as place:
        whole_run(config, Path(place) / "run")


def take_up(config, folder, changes=None):
    """What a user does with a folder that a killed process left."""
    if changes is not None:
        whole_run(config, folder, changes)
        return
    try:
        if not finished(folder):
            execute(open_run(folder))
        else:
            from hyperevo.runs.folder import tidy
            tidy(folder)
        save_run_figures(folder)
    except UserError:
        whole_run(config, folder)


def content_of(folder):
    """All files of a folder; of those with times only that they are there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        timed = name.startswith(("timing", "environment")) or "state.json" in name and "checkpoint" in name
        found[name] = path.read_bytes() if path.is_file() and not timed else b""
    result = json.loads(found["result.json"])
    found["result.json"] = {key: value for key, value in result.items() if key not in ("seconds", "peak_memory_gb")}
    return found


def sweep_of(search, scenario, points, place):
    """(operations, points tried, complaints) of one scenario."""
    config, changes = config_of(search), ["run.rounds=6"] if scenario == "extend" else None
    start, whole = place / "start", place / "whole"
    warm_up(config)
    if scenario != "run":
        assert child(lambda: whole_run(config_of(search, int(scenario == "overwrite")), start)) == 0
    copy(start, whole)

    def counted():
        counter = count_operations(whole, 0)
        whole_run(config, whole, changes)
        (place / "count").write_text(str(counter[0]))

    assert child(counted) == 0
    total, expected = int((place / "count").read_text()), content_of(whole)
    chosen = range(1, total + 1) if points is None else sorted({1 + at * (total - 1) // max(points - 1, 1)
                                                                for at in range(points)})
    complaints = [line for number in chosen
                  if (line := cut_off(config, changes, start, place / "cut", number, expected))]
    return total, len(chosen), complaints


def copy(start, folder):
    shutil.rmtree(folder, ignore_errors=True)
    if start.exists():
        shutil.copytree(start, folder)


def cut_off(config, changes, start, folder, number, expected):
    """A complaint about a run that was cut off before operation `number`; None where all is well."""
    copy(start, folder)
    code = child(lambda: (count_operations(folder, number), whole_run(config, folder, changes)))
    if code != KILLED:
        return f"operation {number}: exit code {code} and not {KILLED}"
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []
    if start.exists() and changes is None:  # of the new run there may be nothing yet: the old one may be resumed
        code = child(lambda: whole_run(config, folder))
    else:
        code = child(lambda: take_up(config, folder, changes))
    if code:
        return f"operation {number}: cannot be taken up: {left}"
    found = content_of(folder)
    differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    return f"operation {number}: differs in {differing}" if differing else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search")
    parser.add_argument("--points", type=int)
    parser.add_argument("--scenario", choices=["run", "overwrite", "extend"])
    options = parser.parse_args()
    Figure.savefig = lambda self, path, **_: path.write_bytes(b"Software\0hyperevo")  # drawing takes most of the time
    failed = False
    for scenario in [options.scenario] if options.scenario else ["run", "overwrite", "extend"]:
        with tempfile.TemporaryDirectory() as place:
            total, tried, complaints = sweep_of(options.search, scenario, options.points, Path(place))
        print(f"{options.search}, {scenario}: {tried} of {total} operations, {len(complaints)} complaints", flush=True)
        print("\n".join(complaints[:20]))
        failed = failed or bool(complaints)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
