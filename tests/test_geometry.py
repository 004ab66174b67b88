"""Places of units."""

from math import isqrt
from operator import mul

import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.geometry import ParameterGeometry, Sheet, near_square


def test_image_is_read_left_to_right_and_down():
    places = Sheet((2, 3)).places
    assert places.tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 1], [0, 1], [1, 1]]


def test_a_line_lies_along_x():
    assert Sheet((3,)).places.tolist() == [[-1, 0], [0, 0], [1, 0]]


@given(st.one_of(st.integers(1, 2000), st.builds(mul, st.integers(1, 60), st.integers(1, 60))))
def test_near_square_keeps_all_units(units):
    rows, columns = near_square(units).sizes
    assert rows * columns == units
    assert rows <= columns
    assert not any(units % more == 0 for more in range(rows + 1, isqrt(units) + 1))  # none is nearer


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_sheets_are_centred_and_fill_the_square(sizes):
    places = Sheet(sizes).coordinates
    torch.testing.assert_close(places.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)
    assert places.amax(0).tolist() == [float(size > 1) for size in sizes]


def test_parameter_shapes():
    weight = ParameterGeometry(Sheet((16, 16)), Sheet((28, 28)))
    assert (weight.shape, weight.grid, weight.size) == ((256, 784), (16, 16, 28, 28), 200_704)
    assert ParameterGeometry(Sheet((16, 16))).shape == (256,)
