"""Pen strokes: the density is one, is that of scipy, and is what points are drawn from."""

import numpy as np
import pytest
import torch
from scipy import stats

from hyperevo.data import StrokeData
from hyperevo.tasks.handwriting import Handwriting, Mixture, Settings, draw_points, log_density, mixture


def outputs(*shape, mixtures=3, seed=0):
    return 0.5 * torch.randn(*shape, 6 * mixtures + 1, generator=torch.Generator().manual_seed(seed)).double()


def drawings(*lengths):
    random = np.random.default_rng(1)
    return tuple(np.concatenate([random.normal(size=(length, 2)), random.random((length, 1)) < 0.2], 1)
                 .astype(np.float32) for length in lengths)


@pytest.fixture
def task():
    data = StrokeData("drawn", drawings(5, 9, 4), drawings(3, 6), drawings(4, 8, 2), 1.0, "0")
    return Handwriting(Settings(drawings=4, length=7, mixtures=3), data)


def test_the_density_is_scipys():
    answers = outputs(4)
    points = torch.tensor([[0.3, -1.0, 0.0], [2.0, 0.5, 1.0], [0.0, 0.0, 0.0], [-0.7, 0.2, 1.0]]).double()
    found = log_density(mixture(answers), points)
    for answer, point, value in zip(answers.numpy(), points.numpy(), found, strict=True):
        weights, x, y, width, height, correlation = answer[:-1].reshape(6, 3)
        density = 0.0
        for k, weight in enumerate(np.exp(weights) / np.exp(weights).sum()):
            mixed = (1 - 1e-4) * np.tanh(correlation[k]) * np.exp(width[k] + height[k])
            covariance = [[np.exp(2 * width[k]), mixed], [mixed, np.exp(2 * height[k])]]
            density += weight * stats.multivariate_normal([x[k], y[k]], covariance).pdf(point[:2])
        lifted = 1 / (1 + np.exp(-answer[-1]))
        expected = np.log(density) + np.log(lifted if point[2] else 1 - lifted)
        assert float(value) == pytest.approx(expected, rel=1e-9)


def test_points_are_drawn_from_the_density():
    density, generator = mixture(outputs()), torch.Generator().manual_seed(2)
    many = Mixture(*(part.expand(4000, *part.shape) for part in density))
    points = draw_points(many, generator).double()
    weights = density.log_weights.exp()
    mean_x = float((weights * density.x).sum())
    covariance = density.correlation * (density.log_width + density.log_height).exp()
    mean_y = float((weights * density.y).sum())
    expected = float((weights * (covariance + density.x * density.y)).sum()) - mean_x * mean_y
    assert float(points[:, 0].mean()) == pytest.approx(mean_x, abs=0.08)
    assert float(torch.cov(points[:, :2].T)[0, 1]) == pytest.approx(expected, abs=0.12)
    assert float(points[:, 2].mean()) == pytest.approx(float(density.lifted.sigmoid()), abs=0.03)


def test_a_bias_makes_the_density_narrower():
    plain, biased = mixture(outputs()), mixture(outputs(), 1.0)
    torch.testing.assert_close(biased.log_width, plain.log_width - 1)
    assert biased.log_weights.max() > plain.log_weights.max()
    assert isinstance(biased, Mixture)


def test_networks_read_what_was_drawn_so_far_and_are_asked_for_what_follows(task):
    inputs, wanted = task.validation
    assert inputs.shape == wanted.shape == (2, 6, 3)
    assert not inputs[:, 0].any()
    assert torch.equal(inputs[1, 1:], wanted[1, :-1])
    assert wanted[0, 3:].isnan().all() and not wanted[0, :3].isnan().any()
    assert task.test()[1].shape == (3, 7, 3)  # longer drawings are cut


def test_what_stands_after_the_end_of_a_drawing_counts_for_nothing(task):
    inputs, wanted = task.validation
    answers = outputs(2, *inputs.shape[:2])
    other = answers.clone()
    other[:, 0, 3:] = 7.0
    assert torch.equal(task.score(answers, wanted), task.score(other, wanted))
    by_hand = [log_density(mixture(answers[0, number, :points]), wanted[number, :points]).sum()
               for number, points in ((0, 3), (1, 6))]
    assert float(task.score(answers, wanted)[0]) == pytest.approx(float(sum(by_hand)) / 2)
    assert float(task.fitness(answers, wanted)[0]) == pytest.approx(float(sum(by_hand)) / 9)


def test_training_drawings_are_scaled_and_their_pens_are_not(task):
    _, wanted = task.batch(0, 3)
    assert set(wanted[..., 2].nan_to_num(0.0).unique().tolist()) <= {0.0, 1.0}
    ratios = set()
    for drawing in wanted:
        for original in task._train:
            points = min(len(drawing), int((~original[:, 0].isnan()).sum()))
            ratio = drawing[:points, :2] / original[:points, :2]
            if torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-4):
                assert ((ratio - 1).abs() <= 0.1 + 1e-4).all()
                ratios.add(tuple(ratio[0].tolist()))
    assert len(ratios) == len(wanted)  # every drawing is one of them, by a scale of its own
    assert torch.equal(task.batch(0, 3)[0], task.batch(0, 3)[0])
