"""The batched recurrent network against torch's own."""

import pytest
import torch
from torch import nn

from hyperevo.encodings import build_encoding
from hyperevo.encodings.dct import Settings as DctSettings
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.geometry import Sheet
from hyperevo.targets.recurrent import Settings, build


def random_weights(target, settings):
    encoding = build_encoding(settings, target.geometry, torch.device("cpu"))
    return encoding.express(torch.randn(3, encoding.genes, generator=torch.Generator().manual_seed(0)) * 0.4)


def plain(weights, network, features, hidden, outputs, activation):
    own = weights.network(network)
    module, readout = nn.RNN(features, hidden, nonlinearity=activation, batch_first=True), nn.Linear(hidden, outputs)
    module.load_state_dict({"weight_ih_l0": own["input.weight"], "weight_hh_l0": own["recurrent.weight"],
                            "bias_ih_l0": own["recurrent.bias"], "bias_hh_l0": torch.zeros(hidden)})
    readout.load_state_dict({"weight": own["readout.weight"], "bias": own["readout.bias"]})
    return module, readout


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("settings", [DirectSettings(scale=1.0), DctSettings(coefficients=(2,))])
@pytest.mark.parametrize("gradient", [False, True])
def test_equals_torchs_rnn(activation, settings, gradient):
    target = build(Settings(hidden=12, activation=activation), Sheet((5, 4)), 3)
    weights = random_weights(target, settings)
    inputs = torch.randn(7, 20, generator=torch.Generator().manual_seed(1))
    with torch.set_grad_enabled(gradient):
        outputs = target.forward(weights, inputs)
        assert outputs.shape == (3, 7, 3)
        for network in range(3):
            module, readout = plain(weights, network, 4, 12, 3, activation)
            states, _ = module(inputs.view(7, 5, 4))
            torch.testing.assert_close(outputs[network], readout(states[:, -1]), atol=1e-5, rtol=1e-4)


def test_steps_equal_the_whole_sequence():
    target = build(Settings(hidden=6), Sheet((5, 4)), 2)
    weights = random_weights(target, DirectSettings(scale=1.0))
    inputs = torch.randn(7, 5, 4)
    state = target.initial(3, 7, inputs)
    for step in range(5):
        state, outputs = target.step(weights, state, inputs[:, step])
    torch.testing.assert_close(outputs, target.forward(weights, inputs.flatten(1)), atol=1e-6, rtol=1e-5)


def test_every_network_may_have_observations_of_its_own():
    target = build(Settings(hidden=6), Sheet((4,)), 2)
    weights = random_weights(target, DirectSettings(scale=1.0))
    observations = torch.randn(3, 7, 4)
    _, outputs = target.step(weights, target.initial(3, 7, observations), observations)
    for network in range(3):
        own = weights.networks(slice(network, network + 1))
        _, alone = target.step(own, target.initial(1, 7, observations), observations[network])
        torch.testing.assert_close(outputs[network], alone[0], atol=1e-6, rtol=1e-5)


def test_a_line_is_one_step():
    target = build(Settings(hidden=9), Sheet((4,)), 2)
    assert target.step_sheet.units == 4 and target.units == 9 + 2
    assert target.geometry["recurrent.weight"].grid == (3, 3, 3, 3)
