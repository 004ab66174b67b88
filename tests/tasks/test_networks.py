"""Weights of networks as data: the fitness is the evidence lower bound, permuted batches compute the same, and the
autoencoder is the one that torch's layers make."""

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from hyperevo.config import check_config
from hyperevo.errors import UserError
from hyperevo.generative.networks import read_networks, split_vectors
from hyperevo.geometry import Sheet
from hyperevo.runs import create_run, execute, open_run
from hyperevo.targets import mlp, variational_autoencoder
from hyperevo.tasks.networks import Settings, build
from hyperevo.weights import Weights

CPU, LATENT = torch.device("cpu"), 3


def task_of(networks_file, **options):
    return build(Settings(path=str(networks_file), **options), CPU)


def test_the_fitness_is_the_evidence_lower_bound(networks_file):
    task, generator = task_of(networks_file, kl_weight=0.3), torch.Generator().manual_seed(0)
    wanted = torch.randn(5, 262, generator=generator)
    decoded, means, logarithms = (torch.randn(2, 5, size, generator=generator) for size in (262, LATENT, LATENT))
    code, prior = Normal(means, (logarithms / 2).exp()), Normal(torch.zeros(LATENT), torch.ones(LATENT))
    expected = -((decoded - wanted).square().sum(2) / 2 + 0.3 * kl_divergence(code, prior).sum(2)).mean(1) / 262
    torch.testing.assert_close(task.fitness(torch.cat([decoded, means, logarithms], 2), wanted), expected)
    torch.testing.assert_close(task.fitness(decoded, wanted), -(decoded - wanted).square().mean((1, 2)) / 2)


def networks_in(task, inputs):
    """Networks of standardised examples."""
    vectors = inputs[:, : task.outputs] * task.preprocessing().spread[: task.outputs] \
        + task.preprocessing().mean[: task.outputs]
    return Weights(split_vectors(vectors, task.shapes))


def test_training_weights_are_standardised_and_batches_follow_the_seed(networks_file):
    task = task_of(networks_file, examples=1000)
    inputs, wanted = task.batch(0, 0)
    assert task.batch_size() == len(inputs) == 140 and torch.equal(inputs, wanted)
    assert not torch.equal(inputs, task.batch(0, 1)[0]) and torch.equal(inputs, task.batch(0, 0)[0])
    everyone, _ = task.calibration(1000)
    torch.testing.assert_close(everyone.mean(0), torch.zeros(262), atol=1e-5, rtol=0)
    torch.testing.assert_close(everyone.std(0), torch.ones(262), atol=1e-5, rtol=0)


@pytest.mark.parametrize("hidden_units", ["aligned", "permuted"])
def test_networks_compute_what_they_did(networks_file, hidden_units):
    target = mlp.build(mlp.Settings(hidden=((3, 4),)), Sheet((10,)), 10)
    plain, other = (task_of(networks_file, hidden_units=own, examples=9) for own in ("as-trained", hidden_units))
    inputs = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    expected, found = (target.forward(networks_in(task, task.batch(3, 5)[0]), inputs) for task in (plain, other))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.equal(plain.batch(3, 5)[1], other.batch(3, 5)[1])


def test_the_score_is_the_last_input_where_it_is_a_condition(networks_file):
    task = task_of(networks_file, condition=True, hidden_units="permuted", examples=9)
    inputs, wanted = task.batch(0, 0)
    assert inputs.shape == (9, 263) and wanted.shape == (9, 262)
    raw = inputs[:, -1] * task.preprocessing().spread[-1] + task.preprocessing().mean[-1]
    scores = read_networks(networks_file).table["score"]
    assert all((scores - own).abs().min() < 1e-5 for own in raw)


def test_bounds_of_the_score_choose_networks(networks_file):
    scores = read_networks(networks_file).table["score"]
    task = task_of(networks_file, above=0.3, most=0.6)
    count = int(((scores > 0.3) & (scores <= 0.6)).sum())
    assert sum(len(part[0]) for part in (task.calibration(10**6), task.validation, task.test())) == count
    with pytest.raises(UserError, match="has 0 networks with a score in the bounds of task.above and task.most"):
        task_of(networks_file, above=2.0)


def test_the_autoencoder_is_that_of_torchs_layers():
    target = variational_autoencoder.build(
        variational_autoencoder.Settings(latent=LATENT, hidden=(7, 5), activation="tanh"), Sheet((11,)), 9)
    network = target.start(torch.Generator().manual_seed(0))
    inputs = torch.randn(6, 11, generator=torch.Generator().manual_seed(1))

    def chain(part, sizes):
        layers = [nn.Linear(source, target) for source, target in zip(sizes, sizes[1:], strict=False)]
        for number, layer in enumerate(layers, 1):
            layer.load_state_dict({kind: network[f"{part}{number}.{kind}"] for kind in ("weight", "bias")})
            assert layer.weight.abs().max() <= layer.in_features ** -0.5
        return nn.Sequential(*(own for layer in layers for own in (layer, nn.Tanh())))[:-1]

    means, logarithms = chain("encoder", (11, 7, 5, 2 * LATENT))(inputs).chunk(2, 1)
    decoder = chain("decoder", (LATENT + 2, 5, 7, 9))
    weights = Weights({name: value[None] for name, value in network.items()})
    torch.testing.assert_close(target.forward(weights, inputs)[0], decoder(torch.cat([means, inputs[:, 9:]], 1)))
    noise = torch.randn(6, LATENT, generator=torch.Generator().manual_seed(4))
    drawn = decoder(torch.cat([means + (logarithms / 2).exp() * noise, inputs[:, 9:]], 1))
    torch.testing.assert_close(target.forward_dropping(weights, inputs, 4)[0], torch.cat([drawn, means, logarithms], 1))


def test_training_resumes_to_the_same_bits(networks_file, tmp_path, run_until):
    config = check_config({
        "name": "model", "task": {"name": "networks", "path": str(networks_file), "examples": 20},
        "target": {"name": "variational-autoencoder", "latent": 3, "hidden": [8]},
        "encoding": {"name": "direct", "scale": 1.0}, "search": {"name": "gradient", "steps_per_round": 3},
        "run": {"rounds": 4, "validate_every": 2, "filmstrip": 0}}, "model.toml")
    unbroken = execute(create_run(config, tmp_path / "unbroken"))
    run_until(config, tmp_path / "run", 1)
    resumed = execute(open_run(tmp_path / "run"))
    for name, value in unbroken.weights.items():
        assert torch.equal(resumed.weights[name], value)
