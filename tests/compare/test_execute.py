"""Runs of a comparison are made, reused, resumed and, where a worker dies, taken up by another: with the same bits."""

import os
import signal

import pytest
from cut_off import cut_off_in

from hyperevo.compare.execute import run_all
from hyperevo.compare.plan import plan
from hyperevo.runs import finished

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.validate_every=2", "search.population=8",
         "encoding.coefficients=[2]", "threads=1"]
FILES = ("metrics.csv", "fitness.bin", "champion/weights.safetensors")


def contents(entries):
    return [(entry.folder / file).read_bytes() for entry in entries for file in FILES]


def test_finished_runs_are_reused_and_broken_ones_resumed(tmp_path):
    whole = plan(["dct-mnist"], 2, tmp_path / "whole", [*SMALL, "run.rounds=6"])
    assert run_all(whole) == {} and all(finished(entry.folder) for entry in whole)
    stamps = [(entry.folder / "result.json").stat().st_mtime_ns for entry in whole]
    seen = []
    assert run_all(whole, observe=lambda _: seen.append(1)) == {} and seen == []
    assert stamps == [(entry.folder / "result.json").stat().st_mtime_ns for entry in whole]

    cut = plan(["dct-mnist"], 2, tmp_path / "cut", [*SMALL, "run.rounds=6"])
    calls = []

    def stop(_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(cut, observe=stop)
    assert (cut[0].folder / "checkpoint" / "00000003").is_dir() and not finished(cut[0].folder)
    assert run_all(cut) == {}
    assert contents(cut) == contents(whole)


def test_a_mistake_in_one_run_does_not_stop_the_others(tmp_path):
    entries = plan(["dct-mnist"], 1, tmp_path, [*SMALL, "run.rounds=2"], [("task.images", ["40", "5000"])])
    failed = run_all(entries)
    assert list(failed) == [entries[1].folder] and "task.images" in failed[entries[1].folder]
    assert finished(entries[0].folder)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_whose_worker_is_killed_is_taken_up_by_another(tmp_path, monkeypatch):
    # A worker that need not import evotorch starts sooner.
    overrides = [*SMALL, "search={name='gradient', steps_per_round=2}", "run.rounds=20", "task.images=400"]
    alone = plan(["dct-mnist"], 2, tmp_path / "alone", overrides)
    assert run_all(alone) == {}
    together = plan(["dct-mnist"], 2, tmp_path / "together", overrides)
    marker = tmp_path / "killed"
    cut_off_in(tmp_path, 5, signal.SIGKILL, marker)  # the worker that comes there first
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    assert run_all(together, jobs=2) == {}
    assert marker.exists() and contents(together) == contents(alone)
