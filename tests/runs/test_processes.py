"""Processes that are killed, or start at once on one folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LONG = pytest.mark.skipif(not os.environ.get("HYPEREVO_FUZZ"), reason="takes an hour: HYPEREVO_FUZZ=1 runs it")
HERE = Path(__file__).parent


def ends_well(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=HERE.parents[1], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scenario", ["run", "overwrite", "extend"])
def test_a_run_killed_at_some_file_operations_ends_as_if_nothing_had_happened(scenario):
    ends_well(HERE / "kills.py", "snes", "--points", 5, "--scenario", scenario)


@LONG
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("search", ["snes", "neat", "gradient"])
def test_a_run_killed_at_every_file_operation_ends_as_if_nothing_had_happened(search):
    ends_well(HERE / "kills.py", search)


def test_runs_killed_at_random_times_end_as_if_nothing_had_happened():
    ends_well(HERE / "random_kills.py", 2)


@LONG
@pytest.mark.timeout(14000)
def test_runs_of_all_searches_killed_five_hundred_times_end_as_if_nothing_had_happened():
    ends_well(HERE / "random_kills.py", 500)


def test_of_two_processes_on_one_folder_one_wins_and_one_is_told():
    ends_well(HERE / "pairs.py", 5)


@LONG
@pytest.mark.timeout(1800)
def test_of_two_processes_on_one_folder_one_wins_and_one_is_told_each_of_a_hundred_times():
    ends_well(HERE / "pairs.py", 100)


def test_an_interrupted_run_says_so_and_can_be_opened():
    ends_well("-W", "ignore", HERE / "interrupts.py", 4)


@LONG
@pytest.mark.timeout(1800)
def test_an_interrupted_run_says_so_and_can_be_opened_each_of_a_hundred_times():
    ends_well("-W", "ignore", HERE / "interrupts.py", 100)
