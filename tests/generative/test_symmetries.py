"""Networks whose hidden units are ordered, permuted or negated compute the same, and aligned ones are all alike."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.generative.symmetries import aligned, permuted
from hyperevo.geometry import Sheet
from hyperevo.targets import mlp
from hyperevo.weights import Weights

NETWORKS = 6


def perceptrons(hidden, activation, biases, outputs, seed):
    settings = mlp.Settings(hidden=tuple((1, units) for units in hidden), activation=activation, biases=biases)
    target = mlp.build(settings, Sheet((3,)), outputs)
    generator = torch.Generator().manual_seed(seed)
    return target, {name: torch.randn(NETWORKS, *place.shape, generator=generator, dtype=torch.float64)
                    for name, place in target.geometry.items()}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.sampled_from(["tanh", "sin", "relu"]), st.booleans(),
       st.integers(1, 3), st.integers(0, 100))
def test_they_compute_the_same_and_aligning_undoes_permuting(hidden, activation, biases, outputs, seed):
    target, weights = perceptrons(hidden, activation, biases, outputs, seed)
    odd = activation != "relu"
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    expected = target.forward(Weights(weights), inputs)
    other = permuted(weights, odd, torch.Generator().manual_seed(seed))
    one, again = aligned(weights, odd), aligned(other, odd)
    for changed in (other, one, again):
        assert set(changed) == set(weights)
        torch.testing.assert_close(target.forward(Weights(changed), inputs), expected)
    for name in weights:
        torch.testing.assert_close(again[name], one[name], rtol=0, atol=0)


def test_contrasts_fall_and_are_positive_where_signs_may_change():
    _, weights = perceptrons([8], "tanh", True, 2, 0)
    for odd in (True, False):
        readout = aligned(weights, odd)["readout.weight"]
        contrast = readout[:, 1] - readout[:, 0]
        assert (contrast.diff(dim=1) <= 0).all() and (contrast > 0).all() == odd


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="not those of target mlp"):
        aligned({"kernel.weight": torch.zeros(2, 3, 4), "readout.weight": torch.zeros(2, 3, 5)}, True)
