"""A run ends with the round that spends its budget."""

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


def test_a_cut_run_ends_where_its_budget_does(tmp_path):
    run = create_run(load_config("dct-mnist", [*SMALL, "run.evaluations=60"]).config, tmp_path / "run")

    class Cut(Exception):
        pass

    def observe(seen):
        if seen.number == 3:
            raise Cut

    with pytest.raises(Cut):
        execute(run, observe)
    for log in run.logs.values():
        log.close()
    execute(open_run(tmp_path / "run"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["evaluations"] == 60 and result["operations"] > 60 * 40
