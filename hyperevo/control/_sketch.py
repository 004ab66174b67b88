"""A picture of an environment, as lines in the environment's own units."""

from typing import Literal, NamedTuple

Point = tuple[float, float]


class Stroke(NamedTuple):
    """A line with round ends through points (x, y), y upwards."""

    points: tuple[Point, ...]
    width: float
    shade: Literal["ground", "body", "moved"]


class Sketch(NamedTuple):
    """Strokes in the rectangle from `lowest` to `highest`, later ones drawn over earlier ones."""

    lowest: Point
    highest: Point
    strokes: tuple[Stroke, ...]


def cart_with_poles(place: float, half_track: float, poles: tuple[tuple[Point, float], ...]) -> Sketch:
    """Sketch of a cart at x = `place` on a track of ±`half_track`; a pole is (its tip relative to its hinge, width)."""
    hinge = (place, 0.12)
    return Sketch((-half_track - 0.4, -0.35), (half_track + 0.4, 1.4), (
        Stroke(((-half_track, 0.0), (half_track, 0.0)), 0.02, "ground"),
        Stroke(((place - 0.15, 0.0), (place + 0.15, 0.0)), 0.24, "body"),
        *(Stroke((hinge, (place + tip[0], hinge[1] + tip[1])), width, "moved") for tip, width in poles)))
