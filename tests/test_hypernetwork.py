"""A static hypernetwork around somebody's module."""

import copy

import pytest
import torch
from torch import nn

import hyperevo
from hyperevo import StaticHyperNetwork


def network():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(24, 10))


IMAGES, LABELS = torch.randn(40, 1, 8, 8), torch.arange(40) % 10


def test_only_what_is_not_generated_stays_a_parameter():
    hyper = StaticHyperNetwork(network(), layers=["3"], embedding=5)
    names = [name for name, _ in hyper.named_parameters()]
    assert "module.3.weight" not in names and {"module.3.bias", "module.0.weight"} <= set(names)
    assert sum(parameter.numel() for name, parameter in hyper.named_parameters() if name.startswith("generators")) \
        == 5 * 6 * 16 + 9 * 16 * 6 + 2 * 5
    assert hyper.embeddings["3.weight"].shape == (2, 1, 5)
    assert hyper(IMAGES).shape == (40, 10)


def test_it_learns_with_an_ordinary_optimiser_and_exports_into_the_module():
    torch.manual_seed(0)
    hyper = StaticHyperNetwork(network(), embedding=8)
    before = {name: parameter.detach().clone() for name, parameter in hyper.named_parameters()}
    optimizer = torch.optim.Adam(hyper.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(hyper(IMAGES), LABELS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(not torch.equal(parameter, before[name]) for name, parameter in hyper.named_parameters())
    plain = network()
    plain.load_state_dict(hyper.plain_state_dict(), strict=True)
    torch.testing.assert_close(plain.eval()(IMAGES), hyper.eval()(IMAGES))


def test_it_is_saved_and_copied_as_any_module():
    hyper, other = (StaticHyperNetwork(network(), embedding=3, seed=seed) for seed in (0, 1))
    assert not torch.allclose(hyper.eval()(IMAGES), other.eval()(IMAGES))
    other.load_state_dict(hyper.state_dict())
    torch.testing.assert_close(hyper(IMAGES), other(IMAGES))
    torch.testing.assert_close(copy.deepcopy(hyper)(IMAGES), hyper(IMAGES))


def test_a_pattern_that_names_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"no convolution or linear layer is called 'conv9'; there are: 0, 3, 7"):
        StaticHyperNetwork(network(), layers=["conv9"])


def test_the_public_surface():
    assert hyperevo.StaticHyperNetwork is StaticHyperNetwork
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hyperevo.nothing
