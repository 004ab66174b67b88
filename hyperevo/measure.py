"""Names and formats of scores.

A task names its measure. Higher scores are better everywhere in hyperevo, so a measure that people want low, such as
bits per character, is kept as minus its value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """Name and format of a score, which is read as factor · score with a unit; shares are read in percent."""

    name: str
    factor: float = 100.0
    unit: str = " %"
    digits: int = 2

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Measure":
        """Measure from task.json or result.json; raises ValueError or TypeError where it is damaged."""
        name = str(values.get("measure", "accuracy"))
        if "reading" not in values:
            return EARLIER.get(name, cls(name))
        reading = values["reading"]
        return cls(name, float(reading["factor"]), str(reading["unit"]), int(reading["digits"]))

    def record(self) -> dict[str, Any]:
        """Plain data for task.json and result.json."""
        return {"measure": self.name, "reading": {"factor": self.factor, "unit": self.unit, "digits": self.digits}}

    @property
    def is_share(self) -> bool:
        """True for a share, at most 1 and read in percent."""
        return self.unit == " %"

    def text(self, score: float, digits: int | None = None) -> str:
        """A score as people read it, with its unit: 92.81 %, or 1.312."""
        return f"{self.number(score, digits)}{self.unit}"

    def number(self, score: float, digits: int | None = None) -> str:
        """A score as people read it, without its unit: 92.81, or 1.312."""
        return f"{self.factor * score:.{self.digits if digits is None else digits}f}"

    def drawn(self, scores: Any) -> Any:
        """Values for an axis: shares as they are, because ticks are in percent, and other scores times the factor."""
        return scores if self.is_share else self.factor * scores


@dataclass(frozen=True, repr=False)
class Scores:
    """Test scores of P networks, higher is better. Printed as their measure is read; `float` takes that of one."""

    measure: Measure
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __getitem__(self, network: int) -> float:
        return self.values[network]

    def __float__(self) -> float:
        if len(self) != 1:
            raise TypeError(f"these are the scores of {len(self)} networks: take one of them, or max of all")
        return self.values[0]

    def __repr__(self) -> str:
        read = self.measure.text
        if len(self) == 1:
            return f"test {self.measure.name} {read(self.values[0])}"
        return (f"test {self.measure.name} of {len(self):,} networks: best {read(max(self.values))}, "
                f"mean {read(sum(self.values) / len(self))}")


ACCURACY = Measure("accuracy")
VARIANCE_EXPLAINED = Measure("variance explained")
BLEU = Measure("BLEU", unit="")
FOOD_SCORE = Measure("food score")
BITS_PER_CHARACTER = Measure("bits per character", factor=-1.0, unit="", digits=3)
NATS_PER_DRAWING = Measure("nats per drawing", factor=-1.0, unit="", digits=1)
MEAN_RETURN = Measure("mean return", factor=1.0, unit="", digits=1)
R_SQUARED = Measure("R²", factor=1.0, unit="", digits=3)

EARLIER = {measure.name: measure for measure in (ACCURACY, BITS_PER_CHARACTER, MEAN_RETURN, NATS_PER_DRAWING)}
"""Measures by name, for runs that recorded the name alone; all others were read in percent."""
