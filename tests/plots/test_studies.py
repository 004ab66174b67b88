"""Figures of studies hold what they are given."""

import numpy as np
import pytest

from hyperevo.plots.studies import (
    across_sizes,
    before_and_after,
    curves_beside_tests,
    evaluations_to_solve,
    seeds_in_plane,
    success_along,
)


def test_across_sizes_joins_the_means_and_shows_every_seed():
    figure = across_sizes({"a": [[1.0, 0.5], [0.8, 0.7]], "b": [[0.9, 0.9]]}, ["small", "large"])
    [axes] = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.9, 0.6])
    assert sum(len(collection.get_offsets()) for collection in axes.collections) == 6
    assert [label.get_text() for label in axes.get_xticklabels()] == ["small", "large"]
    [alone] = across_sizes({"b": [[0.9, 0.9]]}, ["small", "large"], names=["a", "b"]).axes
    assert alone.lines[0].get_color() == axes.lines[1].get_color() != axes.lines[0].get_color()


def test_every_seed_ends_in_a_mark_beside_the_curves():
    steps = np.array([10.0, 20.0])
    figure = curves_beside_tests({"a": [(steps, np.array([3.0, 2.0])), (steps, np.array([5.0, 2.5]))],
                                  "b": [(steps, np.array([4.0, 1.0]))]},
                                 {"a": [2.1, 2.4], "b": [1.25]}, "steps", "bits", "test bits")
    left, right = figure.axes
    np.testing.assert_allclose([line.get_ydata() for line in left.lines], [[3, 2], [5, 2.5], [4, 2.25], [4, 1], [4, 1]])
    assert [sorted(marks.get_offsets()[:, 0]) for marks in right.collections] == [[2.1, 2.4], [1.25]]
    assert [label.get_text() for label in right.get_yticklabels()] == ["a\n2.25", "b\n1.25"]


def test_before_and_after_joins_the_means():
    figure = before_and_after({"a": ([0.9, 0.8], [0.7]), "b": ([0.5], [0.6, 0.4])}, ("before", "after"))
    axes = figure.axes[0]
    assert [line.get_xdata() for line in axes.lines] == [pytest.approx([0.85, 0.7]), pytest.approx([0.5, 0.5])]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_success_steps_up_where_a_seed_solved_its_task():
    figure = success_along({"a": [30.0, np.inf, 10.0, 10.0], "b": [np.inf]}, 50.0, "generations")
    [axes] = figure.axes
    first, second = axes.lines
    assert first.get_xdata().tolist() == [0, 10, 10, 30, 50]
    assert first.get_ydata().tolist() == [0, 0.25, 0.5, 0.75, 0.75]
    assert second.get_ydata().tolist() == [0, 0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a (3 of 4)", "b (0 of 1)"]
    [axes] = success_along({"a": [30.0, 10.0], "b": [20.0]}, 50.0, "generations").axes
    assert axes.get_xlim() == (0, pytest.approx(34.5))  # all are through, and there is nothing more to see
    assert [line.get_xdata()[-1] for line in axes.lines] == [pytest.approx(34.5)] * 2


def test_every_seed_lies_in_the_plane():
    [axes] = seeds_in_plane({"a": [(1, 2), (3, 4)], "b": [(5, 6)]}, "x", "y", "headline").axes
    assert [dots.get_offsets().tolist() for dots in axes.collections] == [[[1, 2], [3, 4]], [[5, 6]]]


def test_evaluations_to_solve_joins_the_medians_of_all_seeds():
    figure = evaluations_to_solve({5: [None, None, 300.0], 7: [100.0, 200.0, None], 9: [50.0, 60.0, 70.0]},
                                  {"direct": [400.0, 500.0, 600.0]}, 1000)
    [axes] = figure.axes
    curve = axes.lines[-1].get_ydata()
    assert np.isnan(curve[0]) and curve[1:].tolist() == [200, 60] and axes.lines[0].get_ydata()[0] == 500
    assert [text.get_text() for text in axes.texts] == ["1/3", "2/3", "3/3", "3/3"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "7", "9", "direct"]
    rings = [len(dots.get_offsets()) for dots in axes.collections]
    assert sum(rings) == 9 + 3  # seeds that solved it, and medians that there are
