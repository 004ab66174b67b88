"""Figures of weights that take a target for the sheets: the same pictures, and one line where it is not clear which."""

import numpy as np
import pytest
import torch

from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.plots import filmstrip, kernels_side_by_side, projective_fields, readout_maps, receptive_fields
from hyperevo.targets import convnet, mlp, substrate

MLP = mlp.build(mlp.Settings(hidden=((3, 4), (2, 6))), Sheet((5, 7)), Sheet((2, 2)))
"""Three matrices: (12, 35), (12, 12) and (4, 12)."""
CONVNET = convnet.build(convnet.Settings(channels=(4, 5), kernel=3), Sheet((8, 8)), 10)


def random_weights(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def pictures(figure):
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.get_images()]


def same(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(pictures(one), pictures(other), strict=True)) \
        and (one.get_suptitle(), one.get_supxlabel()) == (other.get_suptitle(), other.get_supxlabel())


def labels(figure):
    return " ".join(axes.get_ylabel() for axes in figure.axes)


@pytest.mark.parametrize("draw", [receptive_fields, projective_fields, lambda weights, *sheets, **given: filmstrip(
    [(1, weights), (2, 2 * weights)], *sheets, **given)])
def test_a_target_stands_for_the_sheets_of_its_one_matrix_of_that_shape(draw):
    weights = random_weights(12, 35)
    figure = draw(weights, MLP)
    assert same(figure, draw(weights, Sheet((3, 4)), Sheet((5, 7)))) and "hidden1.weight" in labels(figure)
    assert not same(figure, draw(weights, Sheet((12,)), Sheet((5, 7))))


def test_a_target_says_which_sheet_a_readout_reads():
    weights = random_weights(4, 12)
    figure = readout_maps(weights, MLP, "abcd")
    assert same(figure, readout_maps(weights, Sheet((2, 6)), "abcd")) and "readout.weight" in labels(figure)


def test_kernels_have_the_shape_of_their_layer_or_are_flat():
    weights = random_weights(5, 4, 3, 3)
    sheets = Sheet((5,)), Sheet((4, 3, 3))
    assert same(receptive_fields(weights, CONVNET), receptive_fields(weights.flatten(1), *sheets))
    assert same(kernels_side_by_side({"a": weights, "b": weights}, CONVNET),
                kernels_side_by_side({"a": weights, "b": weights}, *sheets))
    assert same(filmstrip([(1, weights)], CONVNET), filmstrip([(1, weights.flatten(1))], *sheets))


def test_a_name_settles_which_of_several_it_is():
    two = mlp.build(mlp.Settings(hidden=((3, 4), (3, 4), (2, 6))), Sheet((5, 7)), 3)
    weights = random_weights(12, 12)
    with pytest.raises(UserError, match="^parameter: hidden2.weight and hidden3.weight are all of shape .12, 12.; say"):
        receptive_fields(weights, two)
    figure = receptive_fields(weights, two, parameter="hidden3.weight")
    assert same(figure, receptive_fields(weights, Sheet((2, 6)), Sheet((3, 4)))) and "hidden3.weight" in labels(figure)


@pytest.mark.parametrize(("shape", "target", "given", "message"), [
    ((3, 3), MLP, {}, "has no weight matrix of shape .3, 3.; it has hidden1.weight .12, 35., hidden2"),
    ((12, 12), MLP, {"parameter": "hiden2.weight"}, "no weight matrix 'hiden2.weight'; did you mean 'hidden2.weight'"),
    ((12, 12), MLP, {"parameter": "hidden1.weight"}, "has no weight matrix hidden1.weight of shape .12, 12."),
    ((12, 12), Sheet((12,)), {}, "source: the sheet that the units read is missing"),
    ((3, 3), substrate.build(substrate.Settings(), Sheet((2, 2)), 1), {}, "it has none")])
def test_what_does_not_fit_is_one_line(shape, target, given, message):
    with pytest.raises(UserError, match=message) as raised:
        receptive_fields(random_weights(*shape), target, **given)
    assert "\n" not in str(raised.value)
