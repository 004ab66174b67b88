"""Operations are counted as one would by hand."""

import torch

from hyperevo.encodings import build_encoding, dct, direct
from hyperevo.geometry import Sheet
from hyperevo.runs.cost import operations, total
from hyperevo.targets import convnet, mlp

CPU = torch.device("cpu")


def test_a_perceptron_takes_two_operations_a_weight():
    target = mlp.build(mlp.Settings(hidden=((3, 4),)), Sheet((5, 6)), 7)
    encoding = build_encoding(direct.Settings(), target.geometry, CPU)
    counted = operations(encoding, target, torch.randn(1, encoding.genes), (torch.randn(6, 30), torch.zeros(6)))
    assert counted == (0, 2 * (30 * 12 + 12 * 7))


def test_a_convolution_takes_two_operations_a_weight_and_place():
    target = convnet.build(convnet.Settings(channels=(2, 3), kernel=3), Sheet((8, 8)), 4)
    encoding = build_encoding(direct.Settings(), target.geometry, CPU)
    expected = 2 * (64 * 2 * 9 + 16 * 3 * 2 * 9 + 4 * 3 * 4)
    images = torch.randn(6, 64), torch.zeros(6)
    assert operations(encoding, target, torch.randn(1, encoding.genes), images) == (0, expected)


def test_factors_are_cheaper_for_many_examples_than_the_matrix():
    target = mlp.build(mlp.Settings(hidden=((10, 10),)), Sheet((12, 12)), 10)
    whole = build_encoding(direct.Settings(), target.geometry, CPU)
    factored = build_encoding(dct.Settings(coefficients=(2,)), target.geometry, CPU)
    images = torch.randn(6, 144), torch.zeros(6)
    per_example = [operations(encoding, target, torch.randn(1, encoding.genes), images)[1]
                   for encoding in (whole, factored)]
    assert per_example[1] < per_example[0] / 3


def test_a_gradient_takes_three_times_the_way_forwards():
    assert total(10, 1000, 7, 5, False) == 10 * 7 + 1000 * 5
    assert total(10, 1000, 7, 5, True) == 3 * total(10, 1000, 7, 5, False)
