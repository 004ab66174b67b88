"""Runs along a gradient: they learn, every seed is judged, and a run that was cut ends as one that was not."""

import csv

import pytest
import torch

from hyperevo.abilities import Loss
from hyperevo.config import load_config
from hyperevo.errors import RunFailed
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose
from hyperevo.runs.learn import differentiable_fitness
from hyperevo.weights import Weights

SMALL = ["task.name=digits", "task.images=50", "task.validation=200", "target.channels=[3,4]", "target.kernel=3",
         "run.rounds=4", "search.steps_per_round=28", "search.learning_rate=0.02", "threads=1", "encoding.tile=[4,4]"]


def small_config(*overrides):
    return load_config("static-mnist", [*SMALL, *overrides]).config


def test_it_learns_and_every_seed_has_its_own_test_accuracy(tmp_path):
    result = execute(create_run(small_config("search.population=3"), tmp_path / "run"))
    assert len(result["test_accuracies"]) == 3 and len(set(result["test_accuracies"])) > 1
    assert result["test_accuracy"] in result["test_accuracies"] and max(result["test_accuracies"]) > 0.5
    assert result["evaluations"] == 3 * 4 * 28
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["generation"]) for row in rows] == [0, 28, 56, 84]
    assert float(rows[-1]["mean"]) > float(rows[0]["mean"])


def test_a_cut_run_ends_as_the_unbroken_one(tmp_path, run_until):
    config = small_config("search.population=2", "search.clip=1.0", "search.generated_decay=0.001")
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 2)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "fitness.bin", "champion/tensors.safetensors", "champion/weights.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes(), file


def loss_by_hand(parts, genes, decay):
    """Mean loss and decay of one genotype."""
    images, labels = parts.task.batch(0, 0)
    weights = parts.encoding.express(genes[None])
    outputs = parts.target.forward(weights, images)[0]
    squares = weights.tensor("convolution2.weight").square().sum()
    return torch.nn.functional.cross_entropy(outputs, labels) + decay / 2 * squares


def test_fitness_is_minus_the_loss_less_the_decay_of_generated_weights():
    config = small_config("search.population=2", "search.generated_decay=0.1")
    parts = compose(config)
    fitness = differentiable_fitness(parts.encoding, parts.target, parts.task, parts.search.loss())
    genes = parts.search.ask()
    values = fitness(genes, *parts.task.batch(0, 0))
    gradient, = torch.autograd.grad(values.sum(), genes)
    for own, value, slope in zip(genes, values, gradient, strict=True):
        alone = own.detach().clone().requires_grad_()
        loss = loss_by_hand(parts, alone, 0.1)
        torch.testing.assert_close(value, -loss)
        expected, = torch.autograd.grad(-loss, alone)
        torch.testing.assert_close(slope, expected, atol=1e-6, rtol=1e-4)


def test_half_precision_is_near_the_whole(tmp_path):
    parts = compose(small_config())
    values = [differentiable_fitness(parts.encoding, parts.target, parts.task,
                                     Loss(precision=precision))(
        parts.search.ask(), *parts.task.batch(0, 0)) for precision in ("float32", "bfloat16")]
    assert values[0].dtype == values[1].dtype == torch.float32
    assert 0 < (values[0] - values[1]).abs().item() < 0.05


def test_half_precision_trains_normalisations_with_statistics(tmp_path):
    config = load_config("wrn-40-1", [
        "task.name=digits", "task.images=40", "task.validation=50", "target.depth=10", "search.optimizer=adam",
        "search.schedule=constant", "search.steps=[]", "search.learning_rate=0.003", "search.steps_per_round=6",
        "run.rounds=3", "threads=1", "search.precision=bfloat16", "search.population=2"]).config
    result = execute(create_run(config, tmp_path / "run"))
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["mean"]) > float(rows[0]["mean"]) and 0 <= result["test_accuracy"] <= 1


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(tmp_path, monkeypatch):
    run = create_run(small_config(), tmp_path / "run")
    monkeypatch.setattr(run.parts.target, "forward", lambda weights, inputs: torch.full(
        (weights.population, len(inputs), 10), torch.inf) * weights.tensor("readout.bias").sum())
    with pytest.raises(RunFailed, match="the loss is not finite after step 28; a smaller search.learning_rate"):
        execute(run)


def test_sine_layers_pass_their_gradient_on():
    config = load_config("appendix-a1", ["task.name=digits", "target.activation=sin", "target.hidden=[[3,3]]"]).config
    parts = compose(config)
    fitness = differentiable_fitness(parts.encoding, parts.target, parts.task, parts.search.loss())
    images, labels = parts.task.batch(0, 0)
    fitness(parts.search.ask(), images, labels).sum().backward()
    assert (parts.search.ask().grad != 0).float().mean() > 0.5
    assert isinstance(parts.encoding.express(parts.search.ask()), Weights)
