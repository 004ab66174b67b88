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


class Tied(nn.Module):
    """One weight for two linear layers, one for an embedding and the readout, and a layer under two names."""

    def __init__(self):
        super().__init__()
        self.words, self.readout = nn.Embedding(10, 8), nn.Linear(8, 10)
        self.first, self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.readout.weight, self.second.weight, self.again = self.words.weight, self.first.weight, self.third

    def forward(self, symbols):
        values = self.third(torch.relu(self.second(torch.relu(self.first(self.words(symbols))))))
        return self.readout(self.again(values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shared_weights_stay_shared_and_keep_their_dtype(dtype):
    torch.manual_seed(0)
    hyper, plain = StaticHyperNetwork(Tied().to(dtype), embedding=4), Tied().to(dtype)
    assert list(hyper.embeddings) == ["words.weight", "first.weight", "third.weight"]
    state, symbols = hyper.plain_state_dict(), torch.arange(10)
    for one, other in (("words", "readout"), ("first", "second"), ("third", "again")):
        assert torch.equal(state[f"{one}.weight"], state[f"{other}.weight"])
    assert {value.dtype for value in state.values()} == {dtype}
    plain.load_state_dict(state)
    for _ in range(2):  # a call leaves nothing behind
        assert torch.equal(hyper(symbols), plain(symbols))
    hyper(symbols).float().sum().backward()
    wide = torch.promote_types(dtype, torch.float32)
    assert {parameter.dtype for parameter in hyper.generators.parameters()} == {wide}
    assert all(parameter.grad is not None for parameter in hyper.parameters())
    copied = copy.deepcopy(hyper).double()
    assert copied(symbols).dtype == torch.float64


def test_frozen_weights_are_not_generated():
    module = network()
    module[3].requires_grad_(False)
    before = module[3].weight.clone()
    hyper = StaticHyperNetwork(module, embedding=4)
    assert list(hyper.generated()) == ["0.weight", "7.weight"]
    assert torch.equal(hyper.plain_state_dict()["3.weight"], before)


@pytest.mark.parametrize("module", [nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.LazyLinear(3)])
def test_layers_without_a_weight_of_their_own_are_refused(module):
    with pytest.raises(ValueError, match="^layers: "):
        StaticHyperNetwork(nn.Sequential(module))


def test_a_pattern_that_names_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"no convolution or linear layer is called 'conv9'; there are: 0, 3, 7"):
        StaticHyperNetwork(network(), layers=["conv9"])


def test_the_public_surface():
    assert hyperevo.StaticHyperNetwork is StaticHyperNetwork
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hyperevo.nothing
