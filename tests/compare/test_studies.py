"""Studies keep their tables, and read their curves from the runs' own files."""

import math

import pytest

from hyperevo.compare.studies import add_rows, along_and_after, champions_along, read_table, success_rounds
from hyperevo.runs import finished


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "mine-0"
    folder.mkdir()
    (folder / "metrics.csv").write_text("round,evaluations,champion_accuracy,loss\n1,10,0.5,2.0\n2,20,0.75,1.0\n")
    (folder / "result.json").write_text("{}")
    return folder


def test_rows_replace_those_of_their_name_and_seed_and_keep_the_others(tmp_path):
    table, columns = tmp_path / "results.csv", ("name", "seed", "seconds")
    add_rows(table, columns, {("b", 0): {"name": "b", "seed": 0, "seconds": 3.0, "folder": "elsewhere"}})
    add_rows(table, columns, {("a", 1): {"name": "a", "seed": 1, "seconds": 2.0}})
    add_rows(table, columns, {("b", 0): {"name": "b", "seed": 0, "seconds": 4.0}})
    assert table.read_text() == "name,seed,seconds\na,1,2.0\nb,0,4.0\n"
    assert read_table(table)["b", 0] == {"name": "b", "seed": "0", "seconds": "4.0"}
    assert read_table(tmp_path / "missing.csv") == {}


def test_curves_are_those_of_finished_runs_by_the_names_that_people_read(tmp_path, run_folder):
    assert finished(run_folder)
    table = tmp_path / "results.csv"
    add_rows(table, ("name", "seed", "test"), {(name, seed): {"name": name, "seed": seed, "test": 0.25}
                                               for name, seed in (("mine", 0), ("mine", 1), ("other", 0))})
    curves, tests = along_and_after(table, tmp_path, {"mine": "Mine"}, lambda row: float(row["loss"]), "test")
    [(steps, losses)] = curves["Mine"]
    assert steps.tolist() == [10, 20] and losses.tolist() == [2, 1]
    assert tests == {"Mine": [0.25]} and list(curves) == ["Mine"]


def test_a_champion_stays_where_it_is_until_the_last_round(run_folder):
    rounds, accuracies = champions_along(run_folder, 9)
    assert rounds.tolist() == [1, 2, 9] and accuracies.tolist() == [0.5, 0.75, 0.75]


def test_a_seed_whose_champion_errs_has_not_solved_its_task():
    rows = [{"name": "a", "validation_accuracy": "1.0", "champion_round": "7"},
            {"name": "a", "validation_accuracy": "0.99", "champion_round": "3"}]
    assert success_rounds(rows) == {"a": [7, math.inf]}
