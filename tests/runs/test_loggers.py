"""Loggers get every round's numbers; a run ends when patience does, and both go on over a resume."""

import math

import pytest
import torch

import hyperevo as he
from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.loggers import Logger, logger_names, make_logger
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.own_files import remove_run
from hyperevo.runs.rounds import spent
from hyperevo.runs.schemas import METRICS, read_log

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "search.population=6", "run.rounds=6",
         "run.validate_every=2", "threads=1"]


class Kept(Logger):
    """Keeps what it gets."""

    def __init__(self):
        self.begun, self.rounds, self.ended = [], [], []

    def begin(self, settings, round_):
        self.begun.append((settings, round_))

    def log(self, round_, values):
        self.rounds.append((round_, values))

    def end(self, result):
        self.ended.append(result)


def test_a_logger_of_ones_own_gets_what_metrics_csv_has(tmp_path):
    own = Kept()
    result = he.run("dct-mnist", task={"name": "digits", "images": 40}, target={"hidden": [[3, 3]]},
                    search={"population": 6}, run={"rounds": 6, "validate_every": 2}, out=tmp_path / "run",
                    loggers=[own])
    [(settings, before)] = own.begun
    assert settings["search.population"] == 6 and settings["task.name"] == "digits" and before == 0
    rows = read_log(tmp_path / "run" / "metrics.csv", METRICS)
    assert [number for number, _ in own.rounds] == [int(row["round"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    for (_, values), row in zip(own.rounds, rows, strict=True):
        told = {name: float(row[name]) for name in values if name != "seconds"}
        assert {name: value for name, value in values.items() if name != "seconds"} == pytest.approx(told)
        assert ("validation_accuracy" in values) == bool(row["validation_accuracy"])
    assert own.ended == [result]


def test_it_is_ended_without_a_result_where_the_run_fails(tmp_path):
    own, run = Kept(), create_run(load_config("dct-mnist", SMALL).config, tmp_path / "run")

    def fail(round_):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        execute(run, fail, [own])
    assert own.ended == [None] and len(own.rounds) == 1


def test_tensorboard_has_every_round_once_also_after_a_resume(tmp_path, run_until):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = load_config("dct-mnist", [*SMALL, "run.log=tensorboard"]).config
    run_until(config, tmp_path / "run", 3)
    execute(open_run(tmp_path / "run"))
    events = EventAccumulator(str(tmp_path / "run" / "log"), purge_orphaned_data=True).Reload()
    best = [(event.step, event.value) for event in events.Scalars("best")]
    rows = read_log(tmp_path / "run" / "metrics.csv", METRICS)
    assert [step for step, _ in best] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in best] == pytest.approx([float(row["best"]) for row in rows], rel=1e-5)
    assert len(events.Scalars("test_accuracy")) == 1
    (tmp_path / "run" / "mine").mkdir()
    remove_run(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name != "run.lock"] == ["mine"]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_every_round(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    execute(create_run(load_config("dct-mnist", [*SMALL, "run.log=mlflow"]).config, tmp_path / "run"))
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'run' / 'log' / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("hyperevo").experiment_id])
    assert [own.step for own in client.get_metric_history(run.info.run_id, "best")] == [1, 2, 3, 4, 5, 6]
    assert run.data.params["search.population"] == "6" and run.info.status == "FINISHED"


def test_weights_and_biases_are_written_offline(tmp_path):
    pytest.importorskip("wandb")
    execute(create_run(load_config("dct-mnist", [*SMALL, "run.log=wandb"]).config, tmp_path / "run"))
    assert list((tmp_path / "run" / "log" / "wandb").glob("offline-run-*/*.wandb"))


def test_a_package_that_is_missing_is_named_with_its_extra_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in logger_names():
        with pytest.raises(UserError, match=rf"run.log: '{name}' needs the package .*pip install 'hyperevo\[{name}\]'"):
            create_run(load_config("dct-mnist", [*SMALL, f"run.log={name}"]).config, tmp_path / "run")
        with pytest.raises(UserError, match="is not installed"):
            make_logger(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_folder_has_nowhere_to_log(monkeypatch):
    pytest.importorskip("tensorboard")
    with pytest.raises(UserError, match="run.log: tensorboard writes into the run's folder"):
        he.run("dct-mnist", task={"name": "digits", "images": 40}, target={"hidden": [[3, 3]]},
               search={"population": 6}, run={"rounds": 2, "log": "tensorboard"})


def test_the_setting_names_the_loggers_there_are():
    with pytest.raises(UserError, match="'mlflow', 'tensorboard' or 'wandb'"):
        load_config("dct-mnist", ["run.log=tensorbord"])
    assert logger_names() == ["mlflow", "tensorboard", "wandb"]


# Patience


def test_patience_ends_a_run_that_finds_nothing_better_and_a_resume_goes_on(tmp_path, monkeypatch):
    config = load_config("dct-mnist", [*SMALL, "run.rounds=40", "run.patience=4", "run.validate_every=1"]).config
    run = create_run(config, tmp_path / "run")
    monkeypatch.setattr(type(run.parts.task), "score",
                        lambda self, outputs, wanted: torch.full((len(outputs),), 0.25))
    result = execute(run)
    assert result["champion_round"] == 1 and result["rounds"] == 5
    longer = open_run(tmp_path / "run", changes=["run.patience=7"])
    assert spent(longer) < 1
    assert execute(longer)["rounds"] == 8


def test_patience_counts_from_the_champion(tmp_path):
    config = load_config("dct-mnist", [*SMALL, "run.rounds=300", "run.patience=6"]).config
    result = execute(create_run(config, tmp_path / "run"))
    assert result["rounds"] == result["champion_round"] + 6 < 300
    rows = read_log(tmp_path / "run" / "metrics.csv", METRICS)
    scores = [float(row["champion_accuracy"]) for row in rows if row["champion_accuracy"]]
    assert scores == sorted(scores) and not math.isnan(scores[-1])
    assert scores[-6:] == [scores[-1]] * 6
