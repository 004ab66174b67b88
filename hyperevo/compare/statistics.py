"""Statistics of a few seeds: means with bootstrap intervals, and the probability that one method beats another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 9999

FEWEST = 4
"""Least number of values that an interval is given for: of three, resampling makes ten different means."""


@dataclass(frozen=True)
class Estimate:
    """A statistic over seeds and its 95 % bootstrap interval, which fewer than four seeds do not have."""

    value: float
    low: float | None
    high: float | None


def mean(values: Sequence[float]) -> Estimate:
    """The mean of values over seeds; raises ValueError where there are none."""
    return _estimate(values, np.mean)


def interquartile_mean(values: Sequence[float]) -> Estimate:
    """The mean of the middle half (Agarwal et al. 2021): a quarter of the values is left out at either end. Raises
    ValueError where there are none."""
    return _estimate(values, lambda sample, axis=-1: stats.trim_mean(sample, 0.25, axis=axis))


def _estimate(values: Sequence[float], statistic) -> Estimate:
    sample = np.asarray(values, dtype=float)
    if not len(sample):
        raise ValueError("an estimate needs at least one value")
    value = float(statistic(sample, axis=-1))
    if len(sample) < FEWEST:
        return Estimate(value, None, None)
    # Seeded: the same results give the same report.
    interval = stats.bootstrap((sample,), statistic, confidence_level=CONFIDENCE, n_resamples=RESAMPLES,
                               method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Estimate(value, float(interval.low), float(interval.high))


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Share of all pairs of one of our values and one of theirs in which ours is larger, ties counting half: Mann and
    Whitney's U over the count of pairs."""
    return float(stats.mannwhitneyu(ours, theirs).statistic) / (len(ours) * len(theirs))


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats in value at the same cost or less, from the cheapest on."""
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -values[place]))
    front: list[int] = []
    for place in order:
        if not front or values[place] > values[front[-1]]:
            front.append(place)
    return front
