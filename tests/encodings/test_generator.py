"""A trained model is an encoding by its run's folder: it decodes as the target that was trained does, is kept by the
runs that use it, and is refused in one line where it is damaged or does not fit."""

import shutil

import pytest
import torch

from hyperevo.abilities import HasPrior
from hyperevo.config import check_config, load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.generator import Settings
from hyperevo.errors import UserError
from hyperevo.generative.networks import read_networks, split_vectors
from hyperevo.geometry import Sheet
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import shaped_target
from hyperevo.runs.opened import OpenedRun
from hyperevo.targets import mlp
from hyperevo.weights import Weights

MLP = mlp.build(mlp.Settings(hidden=((3, 4),)), Sheet((10,)), 10)
"""Perceptrons of the shape that the model was trained on."""


def encoding_of(run, **options):
    settings = Settings.model_validate({"run": str(run), **options})
    return build_encoding(settings, MLP.geometry, torch.device("cpu"))


def test_it_decodes_as_the_target_that_was_trained(generator_run):
    encoding, opened = encoding_of(generator_run), OpenedRun(generator_run)
    assert isinstance(encoding, HasPrior) and encoding.genes == 3
    codes = encoding.prior(5, torch.Generator().manual_seed(0))
    target = shaped_target(opened.config.target, Sheet((262,)), 262)
    weights = Weights({name: value[None] for name, value in opened.weights.items()})
    first = opened._preprocessing()
    expected = target.decode(weights, codes[None], torch.zeros(5, 262))[0] * first.spread + first.mean
    found, shapes = encoding.express(codes), {name: place.shape for name, place in MLP.geometry.items()}
    for name, value in split_vectors(expected, shapes).items():
        torch.testing.assert_close(found[name], value)


def test_the_prior_is_standard_normal(generator_run):
    codes = encoding_of(generator_run).prior(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), atol=0.03, rtol=0)
    torch.testing.assert_close(codes.T.cov(), torch.eye(3), atol=0.03, rtol=0)


def test_a_condition_is_asked_for(tmp_path, networks_file, trained):
    run = trained(tmp_path / "run", networks_file, condition=True)
    low, high = (encoding_of(run, score=score).express(torch.zeros(1, 3))["hidden.weight"] for score in (0.1, 0.9))
    assert not torch.equal(low, high)
    with pytest.raises(ValueError, match="wants a score"):
        encoding_of(run)


def test_a_score_is_refused_where_it_is_no_condition(generator_run):
    with pytest.raises(ValueError, match="takes no score"):
        encoding_of(generator_run, score=0.5)


def test_runs_keep_the_model(digits_generator, tmp_path):
    copy = shutil.copytree(digits_generator, tmp_path / "model")
    config = load_config("dct-mnist", [
        "task.name=digits", "task.images=40", "target.hidden=[[2,2]]", f"encoding={{name='generator', run='{copy}'}}",
        "search={name='snes', population=6}", "run.rounds=3", "run.validate_every=1", "threads=1"]).config
    unbroken = execute(create_run(config, tmp_path / "unbroken"))
    short = config.model_copy(update={"run": config.run.model_copy(update={"rounds": 1})})
    execute(create_run(short, tmp_path / "run"))
    shutil.rmtree(copy)
    resumed = execute(open_run(tmp_path / "run", changes=["run.rounds=3"]))
    assert resumed["test_accuracy"] == unbroken["test_accuracy"]
    for name in unbroken.weights:
        assert torch.equal(resumed.weights[name], unbroken.weights[name])
    (tmp_path / "run" / "generator" / "tensors.safetensors").write_bytes(b"other")
    with pytest.raises(UserError, match="generator/tensors.safetensors|generator: is cut short or damaged"):
        open_run(tmp_path / "run")


def test_other_runs_and_other_networks_are_refused(generator_run, tmp_path):
    with pytest.raises(ValueError, match="is not a finished run"):
        encoding_of(tmp_path)
    other = mlp.build(mlp.Settings(hidden=((2, 2),)), Sheet((10,)), 10)
    with pytest.raises(UserError, match="generates networks of 262 weights, and the target has 94"):
        build_encoding(Settings.model_validate({"run": str(generator_run)}), other.geometry, torch.device("cpu"))
    copy = shutil.copytree(generator_run, tmp_path / "copy")
    (copy / "champion" / "weights.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match="weights.safetensors: is cut short or damaged"):
        encoding_of(copy)


def test_a_file_of_no_networks_is_told_in_one_line(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="mine.safetensors: is cut short or damaged"):
        read_networks(tmp_path / "mine.safetensors")
    config = {"task": {"name": "networks", "path": str(tmp_path / "other")},
              "target": {"name": "variational-autoencoder"}, "encoding": {"name": "direct"},
              "search": {"name": "gradient"}}
    with pytest.raises(UserError, match="other: "):
        create_run(check_config(config, "mine.toml"), None)
