"""Studies in stretches, each of which goes on from the last: those at the paper's size, made tiny."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from hyperevo.compare.studies import read_table, record, record_stretch
from hyperevo.config import load_config

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
TINY = ["search.steps_per_round=2", "run.rounds=3", "run.filmstrip=0", "threads=1"]
STUDIES = {
    "char-ptb-paper": ["layernorm-hyperlstm", ["task.text=text.txt", "task.sequences=3", "task.length=8",
                                               "target.hidden=5"]],
    "cifar10-paper": ["wrn-40-1-hyper-60", ["task.name=digits", "task.images=9", "task.validation=20",
                                            "target.depth=10", "encoding.embedding=3"]],
}


def study(name):
    specification = importlib.util.spec_from_file_location("study", EXPERIMENTS / name / "run.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_study_has_a_config(name):
    for base, overrides in study(name).VARIANTS.values():
        config = load_config(base, overrides).config
        assert config.search.precision == "tf32" and config.search.graph == "auto"


@pytest.mark.parametrize("name", STUDIES)
def test_stretches_end_as_one_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("".join(np.random.default_rng(0).choice(list("abcde \n"), 900)))
    (run, overrides), columns = STUDIES[name], ("name", "seed", "rounds")
    base, own = study(name).VARIANTS[run]
    variants = {run: (base, [*own, *overrides, *TINY])}
    options = Namespace(names=[run], seeds=1, runs=tmp_path / "runs", minutes=0)
    done = [record_stretch(options, variants, tmp_path / "results.csv", columns) for _ in range(4)]
    assert done == [False, False, True, True]
    assert read_table(tmp_path / "results.csv") == {(run, 0): {"name": run, "seed": "0", "rounds": "3"}}
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["round 1", "round 2", "round 3"]
    record(Namespace(names=[run], seeds=1, runs=tmp_path / "whole"), variants, tmp_path / "whole.csv", columns)
    for file in ("metrics.csv", "fitness.bin", "champion/weights.safetensors"):
        one, other = (folder / f"{run}-0" / file for folder in (tmp_path / "runs", tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes(), file
    assert json.loads((tmp_path / "runs" / f"{run}-0" / "result.json").read_text())["rounds"] == 3
