"""The batched convolutional network against torch's own layers."""

import pytest
import torch
from torch import nn

from hyperevo.components import load_component
from hyperevo.encodings import build_encoding
from hyperevo.geometry import Sheet
from hyperevo.targets.convnet import Settings, build


def random_weights(target, population=3, encoding="direct", **options):
    settings = load_component("encoding", encoding).Settings(**options)
    encoding = build_encoding(settings, target.geometry, torch.device("cpu"))
    return encoding.express(torch.randn(population, encoding.genes, generator=torch.Generator().manual_seed(0)) * 0.3)


def plain(target, channels, kernel, image, classes):
    """The same network of torch's own layers."""
    layers, before, (_, rows, columns) = [], image[0], image
    for after in channels:
        layers += [nn.Conv2d(before, after, kernel, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
        before, rows, columns = after, rows // 2, columns // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * rows * columns, classes))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("image", "kernel"), [((12, 9), 3), ((2, 8, 11), 5), ((9, 8), 4)])
@pytest.mark.parametrize("encoding", ["direct", "dct", "coordinate"])
def test_equals_torch_modules(image, kernel, encoding):
    target = build(Settings(channels=(4, 6), kernel=kernel), Sheet(image), 3)
    weights = random_weights(target, encoding=encoding)
    inputs = torch.randn(7, Sheet(image).units, generator=torch.Generator().manual_seed(1))
    outputs = target.forward(weights, inputs)
    assert outputs.shape == (3, 7, 3)
    image = image if len(image) == 3 else (1, *image)
    names = {"convolution1": "0", "convolution2": "3", "readout": "7"}
    for network in range(3):
        module = plain(target, (4, 6), kernel, image, 3)
        module.load_state_dict({f"{names[name.split('.')[0]]}.{name.split('.')[1]}":
                                value.reshape(target.geometry[name].tensor_shape)
                                for name, value in weights.network(network).items()})
        torch.testing.assert_close(outputs[network], module(inputs.view(7, *image)), atol=1e-4, rtol=1e-4)


def test_the_papers_second_kernel_has_12544_weights():
    target = build(Settings(), Sheet((28, 28)), 10)
    assert target.geometry["convolution2.weight"].size == 12_544
    assert sum(parameter.size for parameter in target.geometry.values()) == 21_210
    assert target.units == 16 * 28 * 28 + 16 * 14 * 14


def test_gradients_reach_every_weight():
    target = build(Settings(channels=(2, 3), kernel=3), Sheet((8, 8)), 2)
    weights = random_weights(target)
    leaves = [weights.tensor(name).detach().requires_grad_() for name in weights]
    outputs = target.forward(type(weights)(dict(zip(weights, leaves, strict=True))), torch.randn(5, 64))
    assert all((gradient != 0).any() for gradient in torch.autograd.grad(outputs.square().sum(), leaves))


def test_inputs_without_rows_and_columns_are_refused():
    with pytest.raises(ValueError, match="target.name: convnet needs images"):
        build(Settings(), Sheet((784,)), 10)
    with pytest.raises(ValueError, match="target.pool"):
        build(Settings(channels=(2,) * 5), Sheet((28, 28)), 10)


@pytest.mark.parametrize(("image", "options", "weights"), [
    ((28, 28), {"channels": (32, 32), "kernel": 5, "biases": False}, 31_520),
    ((28, 28), {"channels": (32, 32), "kernel": 5}, 31_594),
    ((3, 32, 32), {"channels": (16, 32, 64), "kernel": 3, "hidden": (128,), "biases": False}, 57_520),
    ((3, 32, 32), {"channels": (16, 32, 32), "kernel": 3, "hidden": (64,), "biases": False}, 23_088),
    ((3, 32, 32), {"channels": (32, 64, 64), "kernel": 3, "hidden": (128,)}, 90_506),
], ids=["mnist", "mnist-biases", "cifar-paper", "cifar-first", "cifar-last"])
def test_hypergans_targets_have_their_numbers_of_weights(image, options, weights):
    assert build(Settings(**options, padding="valid"), Sheet(image), 10).size == weights


def test_without_borders_and_biases_it_equals_torch_modules():
    target = build(Settings(channels=(4, 6), kernel=3, padding="valid", hidden=(5,), biases=False), Sheet((2, 11, 12)),
                   3)
    assert target.units == 4 * 9 * 10 + 6 * 2 * 3 + 5
    weights = random_weights(target)
    module = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, bias=False),
                           nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6, 5, bias=False), nn.ReLU(),
                           nn.Linear(5, 3, bias=False))
    inputs = torch.randn(7, 264, generator=torch.Generator().manual_seed(1))
    for network, found in enumerate(target.forward(weights, inputs)):
        values = [value.reshape(target.geometry[name].tensor_shape) for name, value in weights.network(network).items()]
        module.load_state_dict(dict(zip(module.state_dict(), values, strict=True)))
        torch.testing.assert_close(found, module(inputs.view(7, 2, 11, 12)), atol=1e-4, rtol=1e-4)


def test_dropout_keeps_the_mean_and_follows_its_seed():
    target = build(Settings(channels=(3,), kernel=3, dropout=0.4), Sheet((8, 8)), 4)
    weights = random_weights(target, population=2)
    inputs = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    drawn = torch.stack([target.forward_dropping(weights, inputs, seed) for seed in range(36)])
    assert target.drops and torch.equal(drawn[3], target.forward_dropping(weights, inputs, 3))
    spread = drawn.std(0)
    assert spread.min() > 0
    assert ((drawn.mean(0) - target.forward(weights, inputs)).abs() < 5 * spread / 6).all()
