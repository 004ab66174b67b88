"""What an environment looks like, as lines in its own units."""

from typing import Literal, NamedTuple

Point = tuple[float, float]


class Stroke(NamedTuple):
    """A line through points (x, y), y upwards, with round ends."""

    points: tuple[Point, ...]
    width: float
    shade: Literal["ground", "body", "moved"]


class Sketch(NamedTuple):
    """Strokes, the later over the earlier, in the rectangle from one corner to the other."""

    lowest: Point
    highest: Point
    strokes: tuple[Stroke, ...]


def cart_with_poles(place: float, half_track: float, poles: tuple[tuple[Point, float], ...]) -> Sketch:
    """A cart at a place on its track, and poles: where each one's tip is from its hinge, and its width."""
    hinge = (place, 0.12)
    return Sketch((-half_track - 0.4, -0.35), (half_track + 0.4, 1.4), (
        Stroke(((-half_track, 0.0), (half_track, 0.0)), 0.02, "ground"),
        Stroke(((place - 0.15, 0.0), (place + 0.15, 0.0)), 0.24, "body"),
        *(Stroke((hinge, (place + tip[0], hinge[1] + tip[1])), width, "moved") for tip, width in poles)))
