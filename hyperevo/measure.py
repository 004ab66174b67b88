"""How people read what is called accuracy within hyperevo, where more is always better.

A task names its measure. One that is not an accuracy, and of which less is better, is kept as minus its value.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A name, and what an accuracy is multiplied by to be read; shares are read in percent."""

    name: str
    factor: float = 100.0
    unit: str = " %"
    digits: int = 2

    @property
    def is_share(self) -> bool:
        """Whether it is at most 1, and read in percent."""
        return self.unit == " %"

    def text(self, accuracy: float, digits: int | None = None) -> str:
        """92.81 %, or 1.312."""
        return f"{self.number(accuracy, digits)}{self.unit}"

    def number(self, accuracy: float, digits: int | None = None) -> str:
        """92.81, or 1.312: without the unit."""
        return f"{self.factor * accuracy:.{self.digits if digits is None else digits}f}"

    def drawn(self, accuracies: Any) -> Any:
        """What an axis shows: shares, whose ticks are in percent, or the values as they are read."""
        return accuracies if self.is_share else self.factor * accuracies


ACCURACY = Measure("accuracy")
BITS_PER_CHARACTER = Measure("bits per character", factor=-1.0, unit="", digits=3)
NATS_PER_DRAWING = Measure("nats per drawing", factor=-1.0, unit="", digits=1)
MEAN_RETURN = Measure("mean return", factor=1.0, unit="", digits=1)


def measure_named(name: str) -> Measure:
    """The measure that a task names; a name that is not listed here is read in percent."""
    listed = (BITS_PER_CHARACTER, MEAN_RETURN, NATS_PER_DRAWING)
    return {measure.name: measure for measure in listed}.get(name, Measure(name))
