"""Control: networks are judged by what they come to in an environment, all at once as one by one."""

import pytest
import torch

from hyperevo.components import load_component
from hyperevo.config import load_config
from hyperevo.control import environment, environment_names, rollout
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute
from hyperevo.runs.compose import compose
from hyperevo.runs.evaluate import evaluate
from hyperevo.targets import mlp, recurrent
from hyperevo.tasks.control import Settings, build
from hyperevo.weights import Weights

CPU = torch.device("cpu")


@pytest.fixture(params=environment_names())
def task(request):
    return build(Settings(environment=request.param, most_steps=30, validation=3), CPU)


def population(task, size=5):
    target = recurrent.build(recurrent.Settings(hidden=4), task.inputs, task.outputs)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, CPU)
    return target, encoding, torch.randn(size, encoding.genes, generator=torch.Generator().manual_seed(0))


def test_fitness_is_the_mean_return_of_every_network_alone(task):
    target, encoding, genotypes = population(task)
    batch = task.batch(0, 0)
    fitness = evaluate(encoding, target, genotypes, batch, task.fitness, 1.0, acting=task.play)
    for place, value in enumerate(fitness):
        weights = encoding.express(genotypes[place : place + 1])
        returns, _ = rollout(task.environment, target, weights, batch[0], 30)
        assert float(value) == pytest.approx(float(returns.mean()), rel=1e-3)


def test_damped_fitness_is_gruaus():
    task = build(Settings(environment="double-pole-hidden-velocities", fitness="damped", most_steps=1000), CPU)
    played = torch.tensor([[[50.0, 50.0, 2.0]], [[400.0, 400.0, 3.0]], [[1000.0, 1000.0, 0.5]]])
    most_steps = task.batch(0, 0)[1][:1]
    expected = [0.1 * 0.05, 0.1 * 0.4 + 0.9 * 0.25, 0.1 + 0.9 * 1.5]
    torch.testing.assert_close(task.fitness(played, most_steps), torch.tensor(expected))
    assert task.score(played, most_steps).tolist() == [50, 400, 1000]
    target, encoding, genotypes = population(task)
    weights = encoding.express(genotypes)
    found = task.play(target, weights, task.batch(0, 0)[0], torch.full((4,), 120))
    assert found.shape == (5, 4, 3) and (found[..., 2] > 0).all()


def test_damping_is_for_poles():
    with pytest.raises(UserError, match="fitness='damped' is for double-pole, double-pole-hidden-velocities, not cart"):
        load_config("cartpole-dct", ["task.fitness=damped"])


def test_champions_are_tested_from_gruaus_starts(monkeypatch):
    task = build(Settings(environment="double-pole"), CPU)
    starts, most_steps = task.test()
    assert starts.shape == (625, 6) and (most_steps == 1000).all()
    monkeypatch.setattr(task.environment, "GENERALISATION_STEPS", 200)
    target = mlp.build(mlp.Settings(hidden=()), task.inputs, task.outputs)
    gains = torch.tensor([-1.0, -3.0, 2.1, -0.7, -3.0, 0.7])  # of the optimal regulator
    weights = Weights({"readout.weight": torch.stack([gains, 0 * gains])[:, None], "readout.bias": torch.zeros(2, 1)})
    regulated, still = task.generalisation(target, weights).tolist()
    # Nothing moves without a force where poles stand upright on a cart that stands, in five places.
    assert regulated > 200 and still == 5
    assert task.describe(target, weights.networks(slice(1, 2))) == {"generalisation": 5}


def test_generations_start_afresh_and_held_out_episodes_are_the_same_in_every_run(task):
    again = load_component("task", "control").build(task.settings, CPU)
    assert torch.equal(task.validation[0], again.validation[0]) and torch.equal(task.test()[0], again.test()[0])
    assert int(task.validation[1].max()) == task.environment.MOST_STEPS
    starts = task.batch(0, 1)[0]
    assert starts.shape == (4, starts.shape[1])
    assert torch.equal(starts, task.batch(0, 1)[0])
    if not task.data_name.startswith("double-pole"):  # which always begins in the same state
        assert not torch.equal(starts, task.batch(0, 2)[0])
        assert not torch.equal(task.validation[0], task.test()[0])
    assert task.calibration(2)[0].shape == (2, task.inputs.units)


def test_threads_change_nothing(task):
    target, encoding, genotypes = population(task, 6)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(evaluate(encoding, target, genotypes, task.batch(0, 0), task.fitness, 1.0, acting=task.play))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)


def test_a_controller_from_cosine_coefficients_learns_to_balance(tmp_path):
    config = load_config("cartpole-dct", ["run.rounds=40", "run.until=100"]).config
    result = execute(create_run(config, tmp_path / "run"))
    assert result["validation_mean_return"] >= 100
    assert (result["examples"], result["measure"]) == ("episodes", "mean return")
    assert result["encoded_genes"] < result["generated_weights"]


@pytest.mark.parametrize("name, most", [("double-pole-dct", 600), ("double-pole-hidden-velocities-dct", 900)])
def test_two_poles_are_balanced_within_few_evaluations(name, most, tmp_path, monkeypatch):
    """For 100 steps, as 100,000 take minutes; by the first networks they are for 10."""
    config = load_config(name, ["task.most_steps=100", "run.until=100", f"run.evaluations={most}"]).config
    own = environment(config.part("task").environment)
    monkeypatch.setattr(own, "MOST_STEPS", 100)
    monkeypatch.setattr(own, "GENERALISATION_STEPS", 20)
    result = execute(create_run(config, tmp_path / "run"))
    assert result["validation_mean_return"] == 100 and result["evaluations"] < most
    assert 0 < result["generalisation"] <= 625 == result["test_images"]


def test_what_an_environment_gives_has_no_gradient():
    config = load_config("cartpole-dct", ["search={name='gradient'}", "target={name='mlp'}"]).config
    with pytest.raises(UserError, match="cartpole has no gradient to follow"):
        compose(config)


def test_environments_that_are_not_there_are_one_line():
    with pytest.raises(UserError, match="no environment called 'cartpol'; did you mean 'cartpole'"):
        load_config("cartpole-dct", ["task.environment=cartpol"])
