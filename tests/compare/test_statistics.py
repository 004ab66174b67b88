"""Statistics over seeds against what they are by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.compare.statistics import interquartile_mean, mean, pareto_front, probability_of_improvement

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_mean_and_its_interval():
    estimate = mean([0.9, 0.91, 0.92, 0.93, 0.94])
    assert estimate.value == pytest.approx(0.92)
    assert 0.9 <= estimate.low < 0.92 < estimate.high <= 0.94
    assert mean([0.5]).low is None and mean([0.5]).value == 0.5
    assert mean([0.5, 0.6, 0.7]).low is None and mean([0.5, 0.6, 0.7, 0.8]).low is not None
    many = np.random.default_rng(0).random(20)
    assert mean(many) == mean(many)  # though resampled at random


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    draws = np.random.default_rng(0)
    inside = [(estimate := mean(draws.normal(0, 1, 20))).low <= 0 <= estimate.high for _ in range(100)]
    assert 85 <= sum(inside) <= 98


def test_interquartile_mean_leaves_the_ends_out():
    assert interquartile_mean([0, 1, 2, 3, 4, 5, 6, 1000]).value == pytest.approx(3.5)
    assert interquartile_mean([0.1, 0.9]).value == pytest.approx(0.5)


@given(VALUES, VALUES)
def test_probability_of_improvement_counts_pairs(ours, theirs):
    wins = sum((one > other) + 0.5 * (one == other) for one in ours for other in theirs)
    assert probability_of_improvement(ours, theirs) == pytest.approx(wins / (len(ours) * len(theirs)))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=10))
def test_nothing_beats_the_front(points):
    costs, values = zip(*points, strict=True)
    front = pareto_front(costs, values)
    for place in range(len(points)):
        beaten = any(costs[other] <= costs[place] and values[other] > values[place] for other in range(len(points)))
        if place in front:
            assert not beaten
        elif not beaten:
            assert any((costs[place], values[place]) >= (costs[kept], values[kept]) and values[kept] == values[place]
                       for kept in front)


def test_no_values_have_no_estimate():
    with pytest.raises(ValueError, match="at least one"):
        mean([])
