"""Runs of recurrent layers: state is carried from batch to batch, and survives the end of the process."""

import numpy as np
import pytest
import torch

from hyperevo.config import load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose
from hyperevo.runs.learn import Carried, differentiable_fitness
from hyperevo.runs.rounds import _carried, _follow_gradient
from hyperevo.runs.state import Run

SMALL = ["target.hidden=6", "task.sequences=4", "task.length=20", "search.steps_per_round=3", "run.rounds=4",
         "run.validate_every=2", "threads=1", "target.keep=0.8", "search.population=2"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(np.random.default_rng(0).choice(list("abcde \n"), 3000)))
    return path


def config_of(text, layer="hyper-lstm", *more):
    own = ["target.hyper=3", "target.embedding=2"] if layer == "hyper-lstm" else []
    return load_config("char-ptb-lstm", [*SMALL, f"task.text={text}", f"target.layer={layer}", *own, *more]).config


def in_memory(config):
    """A run that nothing is written of."""
    return Run(config, compose(config), 1.0)


@pytest.mark.parametrize("layer", ["lstm", "hyper-lstm"])
def test_a_run_that_was_cut_in_the_middle_of_a_text_goes_on_with_its_state(text, tmp_path, run_until, layer):
    config = config_of(text, layer)
    whole = execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 1)
    result = execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "fitness.bin", "champion/weights.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert result["test_accuracies"] == whole["test_accuracies"]
    assert (result["measure"], result["examples"], result["test_images"]) == ("bits per character", "characters", 149)


def test_batches_go_on_from_the_state_before_until_the_text_is_through(text):
    run = in_memory(config_of(text))
    begun = []
    for generation in range(run.parts.task.batches_per_epoch + 1):
        run.parts.search.generation = generation
        carried = _carried(run)
        begun.append(carried.state is None)
        carried.state = (torch.zeros(1),)
    assert begun == [True, *[False] * (run.parts.task.batches_per_epoch - 1), True]


def test_carried_state_changes_what_is_learned_and_brings_no_gradient_of_the_past(text):
    parts = compose(config_of(text))
    fitness, genes = differentiable_fitness(parts.encoding, parts.target, parts.task), parts.search.ask()
    carried = Carried()
    for generation in (0, 1):
        later = fitness(genes, *parts.task.batch(0, generation), carried)
        assert carried.state is not None and not any(part.requires_grad for part in carried.state)
    assert not torch.equal(later, fitness(genes, *parts.task.batch(0, 1), Carried()))
    gradient, = torch.autograd.grad(later.sum(), genes)
    assert torch.isfinite(gradient).all()


def test_two_seeds_at_once_learn_what_each_learns_alone(text):
    both, one = in_memory(config_of(text)), in_memory(config_of(text, "hyper-lstm", "search.population=1"))
    for run in (both, one):
        _follow_gradient(run, run.parts.search)
    torch.testing.assert_close(both.parts.search.ask()[:1], one.parts.search.ask())


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(text, tmp_path):
    with pytest.raises(RunFailed, match="search.learning_rate"):
        execute(create_run(config_of(text, "lstm", "search.learning_rate=1e6", "search.optimizer=sgd",
                                     "search.weight_decay=1e6", "search.steps_per_round=9"),
                           tmp_path / "run"))


def test_another_alphabet_is_one_line(text, tmp_path, run_until):
    run_until(config_of(text), tmp_path / "run", 1)
    text.write_text(text.read_text().replace("c", "ž"))
    with pytest.raises(UserError, match=r"trained on another alphabet, of 7 symbols: text.txt here has 7, 'ž'"):
        open_run(tmp_path / "run")


def test_another_text_of_the_same_alphabet_is_one_line(text, tmp_path, run_until):
    run_until(config_of(text), tmp_path / "run", 1)
    text.write_text(text.read_text()[::-1])
    with pytest.raises(UserError, match="was made on other data"):
        open_run(tmp_path / "run")


def test_a_hyper_lstm_is_a_genotype_that_evolves(tmp_path):
    config = load_config("adding-hyperlstm", ["task.length=4", "task.images=50", "task.validation=100",
                                              "target.hidden=4", "search.population=20", "run.rounds=30"]).config
    execute(create_run(config, tmp_path / "run"))
    rows = np.genfromtxt(tmp_path / "run" / "metrics.csv", delimiter=",", names=True)
    assert rows["mean"][-3:].mean() > rows["mean"][:3].mean() / 2  # at most half the squared error
