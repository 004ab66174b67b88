"""HyperGAN has the published numbers of parameters, makes weights as torch's layers do, and keeps networks apart."""

import pytest
import torch
from torch import nn

from hyperevo.encodings import build_encoding
from hyperevo.encodings.hypergan import Settings
from hyperevo.generative.hypergan import Chain
from hyperevo.genotypes import Drawn
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.targets import convnet

CPU = torch.device("cpu")
MNIST = {"channels": (32, 32), "kernel": 5, "padding": "valid"}
FIRST = {"mixer_activation": "relu", "mixer_normalisation": True, "generator": (512,), "generator_normalisation": True}
"""The first public code's mixer and generators."""
LAST = {**FIRST, "generator": (512, 512), "layer_code": 64, "biases": False}
"""The last code's."""


def mnist_target(biases):
    return convnet.build(convnet.Settings(**MNIST, biases=biases), Sheet((28, 28)), 10)


@pytest.mark.parametrize(("biases", "options", "numbers"), [
    (False, {}, 17_747_104), (False, FIRST, 16_964_256), (True, LAST, 17_560_576)], ids=["paper", "first", "last"])
def test_numbers_of_mixer_and_generators(biases, options, numbers):
    target = mnist_target(biases)
    encoding = build_encoding(Settings(**options), target.geometry, CPU)
    assert target.size == (31_594 if biases else 31_520)
    assert sum(encoding.parts) == numbers and encoding.genes == numbers + 256


@pytest.mark.parametrize(("length", "numbers"), [(128, 329_217), (64, 296_449)], ids=["first", "last"])
def test_numbers_of_the_discriminator(length, numbers):
    assert Chain((length, 512, 512, 1), "relu", False, True).numbers == numbers


@pytest.mark.parametrize("activation", ["elu", "relu"])
@pytest.mark.parametrize("biases", [True, False])
def test_a_chain_equals_torchs_layers(activation, biases):
    chain = Chain((3, 5, 4, 2), activation, normalised=True, biases=biases)
    numbers = torch.randn(chain.numbers, generator=torch.Generator().manual_seed(0))
    own = {"elu": nn.ELU, "relu": nn.ReLU}[activation]
    module = nn.Sequential(nn.Linear(3, 5, biases), nn.BatchNorm1d(5), own(), nn.Linear(5, 4, biases),
                           nn.BatchNorm1d(4), own(), nn.Linear(4, 2, biases))
    nn.utils.vector_to_parameters(numbers, module.parameters())
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(chain.outputs(numbers.split(chain.sizes_of_parts), inputs, 9), module(inputs))


GEOMETRY = {"z.weight": ParameterGeometry(Sheet((3,)), Sheet((4,))), "z.bias": ParameterGeometry(Sheet((3,))),
            "a.weight": ParameterGeometry(Sheet((2,)), Sheet((3,)))}
SMALL = {"noise": 4, "layer_code": 3, "mixer": (7,), "generator": (8,)}


@pytest.mark.parametrize("normalisation", [False, True])
def test_drawn_networks_are_those_of_whole_genotypes(normalisation):
    options = {"mixer_normalisation": normalisation, "generator_normalisation": normalisation}
    encoding = build_encoding(Settings(**SMALL, **options), GEOMETRY, CPU)
    shared = encoding.sample(1, torch.Generator().manual_seed(0))[0, : sum(encoding.parts)]
    drawn = encoding.drawn(shared, 5, torch.Generator().manual_seed(1))
    together = encoding.express(drawn)
    alone = encoding.express(torch.stack([drawn.genotype(index) for index in range(5)]))
    assert set(together) == set(GEOMETRY)
    for name, place in GEOMETRY.items():
        assert together[name].shape == (5, *place.shape)
        torch.testing.assert_close(together[name], alone[name])
        torch.testing.assert_close(encoding.express(drawn[3:4])[name], together[name][3:4])


def test_every_layer_has_a_generator_that_reads_its_own_code():
    encoding = build_encoding(Settings(**SMALL), GEOMETRY, CPU)
    shared = encoding.sample(1, torch.Generator().manual_seed(0))[0, : sum(encoding.parts)]
    chains = encoding.model.generators
    assert [chain.sizes for chain in chains] == [(3, 8, 6), (3, 8, 15)]  # layer a, then z with its biases
    changed = shared.clone()
    changed[-chains[1].numbers :] += 1
    before, after = (encoding.express(Drawn(own, torch.ones(1, 4))) for own in (shared, changed))
    assert torch.equal(before["a.weight"], after["a.weight"])
    assert not torch.equal(before["z.weight"], after["z.weight"]) and not torch.equal(before["z.bias"], after["z.bias"])


def test_it_begins_with_weights_of_a_size_that_keeps_values_in_range():
    encoding = build_encoding(Settings(mixer_activation="relu", generator_activation="relu"), GEOMETRY, CPU)
    sizes = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        shared = encoding.sample(1, generator)[0, : sum(encoding.parts)]
        weights = encoding.express(encoding.drawn(shared, 50, generator))
        sizes.append(torch.stack([weights[name].square().mean().sqrt() / GEOMETRY[name].deviation
                                  for name in ("a.weight", "z.weight")]))
    assert (torch.stack(sizes).mean(0) - 1).abs().max() < 0.35
