"""Seeds of every row along one axis, as places of a drawing in the report's page, with texts for the pointer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from matplotlib.ticker import MaxNLocator

from hyperevo.compare.outcomes import Outcome, Row, by_name
from hyperevo.errors import shortened
from hyperevo.measure import Measure

LEFT, RIGHT = 330.0, 960.0
"""Places of the lowest and the highest value, in units of which the drawing is 1,000 wide."""

LONGEST = 44
"""Most letters of a row's name beside its seeds."""


@dataclass(frozen=True)
class DotsRow:
    """One row: its name whole and cut, seeds (place, text), mean (place, text), and interval (place, place, text), None
    below four seeds."""

    name: str
    shown: str
    seeds: Sequence[tuple[float, str]]
    mean: tuple[float, str]
    interval: tuple[float, float, str] | None


@dataclass(frozen=True)
class Dots:
    """Rows, the best first, and ticks (place, text) of their axis."""

    rows: Sequence[DotsRow]
    ticks: Sequence[tuple[float, str]]


def dots(rows: Sequence[Row]) -> Dots:
    """Places of all seeds; empty where rows are measured differently, or there are none."""
    if len({row.measure for row in rows}) != 1:
        return Dots((), ())
    measure, values = rows[0].measure, [value for row in rows for value in row.accuracies]
    low, high = min(values), max(values)
    spread = high - low or abs(high) or 1.0
    low, high = low - 0.05 * spread, high + 0.05 * spread

    def place(value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (min(max(value, low), high) - low) / (high - low), 1)

    ordered = sorted(rows, key=lambda row: -row.mean.value)
    ticks = [float(value) for value in MaxNLocator(5).tick_values(low, high) if low <= value <= high]
    return Dots([_row(row, measure, place) for row in ordered],
                [(place(value), measure.text(value)) for value in ticks])


def _row(row: Row, measure: Measure, place: Callable[[float], float]) -> DotsRow:
    estimate = row.mean
    seeds = [(place(value), text) for value, text in zip(row.accuracies, _texts(row), strict=True)]
    interval = None if estimate.low is None or estimate.high is None else (
        place(estimate.low), place(estimate.high),
        f"95 % interval of the mean: {measure.text(estimate.low)} to {measure.text(estimate.high)}")
    name = shortened(row.name)
    return DotsRow(row.name, name if len(name) <= LONGEST else f"{name[:LONGEST - 1]}…", seeds,
                   (place(estimate.value), f"mean of {len(seeds)} seeds: {measure.text(estimate.value)}"), interval)


def _texts(row: Row) -> list[str]:
    """Text on every finished seed, such as "seed 2: 92.81 %"."""
    return [f"seed {outcome.entry.seed}: {row.measure.text(outcome.result['test_accuracy'])}"
            for outcome in row.outcomes if outcome.result is not None]


def seed_values(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Texts on all finished seeds, by row; empty for rows without any."""
    return {name: "; ".join(_texts(Row(name, tuple(own)))) if any(one.result is not None for one in own) else ""
            for name, own in by_name(outcomes)}


def link_to(folder: Path, out: Path) -> str:
    """Address of a run's folder relative to that of the report; empty where it is not below it."""
    try:
        return quote(folder.resolve().relative_to(out.resolve()).as_posix()) + "/"
    except ValueError:
        return ""
