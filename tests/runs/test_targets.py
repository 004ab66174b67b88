"""Whole runs of every target; the champion they leave is a plain state_dict of the network that was scored."""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import load_file

from hyperevo.config import load_config
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose

MODULE = """
from torch import nn
def network(channels):
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(16 * channels, 10))
"""


def small_config(tmp_path, target):
    (tmp_path / "mine.py").write_text(MODULE)
    described = {"convnet": "{name='convnet', channels=[3, 4], kernel=3}", "recurrent": "{name='recurrent', hidden=12}",
                 "module": f"{{name='module', module='{tmp_path}/mine.py:network', arguments={{channels=4}}}}"}
    return load_config("dct-mnist", ["task.name=digits", "task.images=60", f"target={described[target]}",
                                     "encoding.coefficients=[3]", "search.population=12", "run.rounds=6",
                                     "run.validate_every=2", "threads=1"]).config


@pytest.mark.parametrize("target", ["convnet", "recurrent", "module"])
def test_run_resumes_to_the_same_champion(target, tmp_path, run_until):
    config = small_config(tmp_path, target)
    whole = execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 3)
    resumed = execute(open_run(tmp_path / "cut"))
    assert resumed["test_accuracy"] == whole["test_accuracy"]
    files = [(tmp_path / name / "champion" / "weights.safetensors").read_bytes() for name in ("whole", "cut")]
    assert files[0] == files[1]


def test_champion_of_a_module_loads_into_it_and_answers_the_same(tmp_path):
    config = small_config(tmp_path, "module")
    result = execute(create_run(config, tmp_path / "run"))
    specification = importlib.util.spec_from_file_location("mine", tmp_path / "mine.py")
    mine = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(mine)
    module = mine.network(channels=4).eval()
    module.load_state_dict(load_file(tmp_path / "run" / "champion" / "weights.safetensors"), strict=True)
    images, labels = compose(config).task.test()
    with torch.no_grad():
        right = (module(images.view(-1, 1, 8, 8)).argmax(1) == labels).float().mean().item()
    assert right == pytest.approx(json.loads((tmp_path / "run" / "result.json").read_text())["test_accuracy"], abs=1e-6)
    assert right == pytest.approx(result["test_accuracy"], abs=1e-6)
