"""The batched perceptron against torch's own layers."""

import torch
from torch import nn

from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.geometry import Sheet
from hyperevo.targets.mlp import Settings, build


def test_equals_torch_modules():
    target = build(Settings(hidden=((3, 4), (2, 5))), Sheet((4, 4)), 3)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, torch.device("cpu"))
    weights = encoding.express(torch.randn(3, encoding.genes, generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    outputs = target.forward(weights, inputs)
    assert outputs.shape == (3, 7, 3)
    for network in range(3):
        module = nn.Sequential(nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 3))
        plain = weights.network(network)
        names = {"hidden1": "0", "hidden2": "2", "readout": "4"}
        module.load_state_dict({f"{names[name.split('.')[0]]}.{name.split('.')[1]}": value
                                for name, value in plain.items()})
        torch.testing.assert_close(outputs[network], module(inputs), atol=1e-5, rtol=1e-5)


def test_every_network_may_have_inputs_of_its_own():
    target = build(Settings(hidden=((3, 4),)), Sheet((4,)), 3)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, torch.device("cpu"))
    weights = encoding.express(torch.randn(3, encoding.genes, generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(1))
    outputs = target.forward(weights, inputs)
    for network in range(3):
        alone = target.forward(weights.networks(slice(network, network + 1)), inputs[network])
        torch.testing.assert_close(outputs[network], alone[0], atol=1e-6, rtol=1e-5)


def test_784_256_10_has_203530_weights():
    geometry = build(Settings(), Sheet((28, 28)), 10).geometry
    assert sum(parameter.size for parameter in geometry.values()) == 203_530
    assert geometry["readout.weight"].target.sizes == (2, 5)


def test_without_biases():
    assert list(build(Settings(biases=False), Sheet((4, 4)), 2).geometry) == ["hidden.weight", "readout.weight"]
