"""A run ends with the round that spends its budget."""

import csv
import json

import pytest

from hyperevo.config import load_config
from hyperevo.runs import create_run, execute, open_run

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.validate_every=2", "search.population=12",
         "encoding.coefficients=[2]", "threads=1", "run.rounds=1000"]


@pytest.mark.parametrize(("limit", "rounds"), [("run.evaluations=60", 5), ("run.evaluations=61", 6),
                                               ("run.images=2400", 5), ("run.rounds=3", 3)])
def test_it_ends_when_the_budget_is_spent_and_validates_its_end(limit, rounds, tmp_path):
    result = execute(create_run(load_config("dct-mnist", [*SMALL, limit]).config, tmp_path / "run"))
    assert (result["rounds"], result["evaluations"], result["images"]) == (rounds, 12 * rounds, 480 * rounds)
    last = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert last[0] == str(rounds) and last[9] != ""


def test_seconds_end_a_run_too(tmp_path):
    result = execute(create_run(load_config("dct-mnist", [*SMALL, "run.seconds=0.2"]).config, tmp_path / "run"))
    assert 0.2 <= result["seconds"] < 5 and result["rounds"] < 1000


def test_a_cut_run_ends_where_its_budget_does(tmp_path, run_until):
    run_until(load_config("dct-mnist", [*SMALL, "run.evaluations=60"]).config, tmp_path / "run", 3)
    execute(open_run(tmp_path / "run"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["evaluations"] == 60 and result["operations"] > 60 * 40


def test_a_schedule_ends_with_the_budget_of_evaluations_or_images():
    from hyperevo.runs.compose import compose

    small = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=1000", "threads=1"]
    for limit in ("run.evaluations=100", "run.images=4000"):
        search = compose(load_config("appendix-a1", [*small, "search.population=2", "search.steps_per_round=5",
                                                     limit]).config).search
        assert search.total_steps == 50


def test_a_run_that_a_budget_ends_keeps_frames_on_the_way():
    from hyperevo.runs.writer import filmstrip_rounds

    rounds = filmstrip_rounds(load_config("dct-mnist", ["run.rounds=100000000", "run.seconds=9",
                                                        "run.validate_every=10"]).config)
    assert {10, 20, 30, 50, 80, 110} <= rounds and max(rounds) < 10**8 and all(one % 10 == 0 for one in rounds)
    assert not filmstrip_rounds(load_config("dct-mnist", ["run.seconds=9", "run.filmstrip=0"]).config)


def test_a_schedule_follows_the_clock_where_seconds_end_the_run(tmp_path):
    small = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=100000000", "threads=1"]
    config = load_config("appendix-a1", [*small, "search.steps_per_round=2", "run.seconds=1.5"]).config
    result = execute(create_run(config, tmp_path / "run"))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert result["rounds"] == len(rates) > 5
    # Up to about the height that was asked for, then down to about nothing.
    assert max(rates) == pytest.approx(0.03, rel=0.1) and rates[-1] < 0.003 and rates[0] < 0.01
