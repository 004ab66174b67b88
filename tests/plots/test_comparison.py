"""Figures of a comparison hold what they are given."""

import numpy as np
import pytest
import torch

from hyperevo.geometry import Sheet
from hyperevo.plots._series import mean_curve
from hyperevo.plots.comparison import (
    accuracy_against_genes,
    accuracy_along,
    fitness_distribution,
    receptive_fields_side_by_side,
    spectra,
    spectrum,
)

NAMES = ["cppn-mnist", "dct-mnist", "direct-mnist"]


def waves(frequency, units=3, size=16):
    """Units that are cosines of one frequency, rows down."""
    phases = torch.arange(units)[:, None] * 0.7
    wave = torch.cos(2 * torch.pi * frequency * torch.arange(size) / size + phases)
    return wave[:, :, None].expand(units, size, size).reshape(units, -1)


@pytest.mark.parametrize("frequency", [0, 1, 5])
def test_a_wave_has_its_power_at_its_frequency(frequency):
    frequencies, shares = spectrum(waves(frequency), Sheet((16, 16)))
    assert frequencies.tolist() == list(range(9))
    assert shares[frequency] == pytest.approx(1.0) and shares.sum() == pytest.approx(1.0)


def test_shares_of_noise_are_shares_of_all_frequencies():
    _, shares = spectrum(torch.randn(500, 256, generator=torch.Generator().manual_seed(0)), Sheet((16, 16)))
    assert 0.7 < shares.sum() < 1  # the corners lie beyond the highest frequency along an axis
    assert shares[1] == pytest.approx(8 / 256, rel=0.15)  # eight of 256 frequencies round to one wave


def test_mean_of_steps():
    first = np.array([1.0, 3.0, 6.0]), np.array([0.2, 0.4, 0.6])
    second = np.array([2.0, 4.0]), np.array([0.0, 1.0])
    grid, middle = mean_curve([first, second])
    assert grid.tolist() == [2, 3, 4] and middle.tolist() == pytest.approx([0.1, 0.2, 0.7])


def test_every_seed_is_drawn():
    points = {name: [(10.0 ** place, 0.8 + 0.01 * seed) for seed in range(4)] for place, name in enumerate(NAMES, 2)}
    figure = accuracy_against_genes(points, NAMES[:2], "study")
    [axes] = figure.axes
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == 3 * (4 + 1)
    assert axes.get_xscale() == "log" and [text.get_text() for text in axes.get_legend().get_texts()] == NAMES
    curves = {name: [(np.arange(1, 5) * 10.0, np.linspace(0.1, 0.9, 4))] * 4 for name in NAMES}
    assert len(accuracy_along(curves, "seconds", "study").axes[0].lines) == 3 * (4 + 1)
    assert accuracy_along(curves, "floating-point operations", "study", log=True).axes[0].get_xscale() == "log"


@pytest.mark.parametrize(("sizes", "expected"), [
    ((4160, 4810), {"4,200", "4,800"}), ((40, 400), {"50", "200"}), ((50, 200_000), {"100", "10,000", "100,000"})])
def test_ticks_are_numbers_that_people_read(sizes, expected):
    points = {str(size): [(size, accuracy) for accuracy in (0.151, 0.159)] for size in sizes}
    figure = accuracy_against_genes(points, list(points))
    figure.draw_without_rendering()
    [axes] = figure.axes
    assert expected <= {text.get_text() for text in axes.get_xticklabels()}
    shares = [text.get_text() for text in axes.get_yticklabels()]
    assert len(set(shares)) == len(shares) and "15.5%" in shares


def test_a_curve_of_one_point_is_seen():
    once = {"a": [(np.array([5.0]), np.array([0.5]))], "b": [(np.array([1.0, 2.0]), np.array([0.2, 0.3]))]}
    lines = accuracy_along(once, "seconds").axes[0].lines
    assert all(line.get_marker() == "o" and line.get_markevery() == [len(line.get_xdata()) - 1] for line in lines)
    # Where seeds are never there at once there is no mean.
    apart = {"a": [(np.array([place]), np.array([0.5])) for place in (1.0, 2.0)]}
    figure = accuracy_along(apart, "seconds")
    figure.draw_without_rendering()
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [1, 1, 0]
    assert {text.get_text() for text in figure.axes[0].get_xticklabels()} >= {"0.5", "1.5"}


def test_receptive_fields_share_units_and_one_scale():
    weights = {name: torch.randn(12, 20) * size for name, size in zip(NAMES, (0.01, 1, 100), strict=True)}
    figure = receptive_fields_side_by_side(weights, Sheet((3, 4)), Sheet((4, 5)), "study")
    maps = [image for axes in figure.axes for image in axes.get_images()]
    assert len(maps) == 3 and len({image.get_clim() for image in maps}) == 1
    low, high = maps[0].get_clim()
    assert low == -high


def test_spectra_and_fitness_of_every_run():
    assert len(spectra({name: torch.randn(4, 30) for name in NAMES}, Sheet((5, 6)), "study").axes[0].lines) == 3
    figure = fitness_distribution([("fitness", {name: np.linspace(-1, 0, 9) for name in NAMES})], "study")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == NAMES
