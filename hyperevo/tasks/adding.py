"""The adding problem (Hochreiter & Schmidhuber 1997): random numbers in, two of them marked, their sum out at the end.

A network must remember the first marked number until the second comes, however long that is. Sequences are drawn, so
there are as many as one wants, and no data set.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.devices import resident
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY
from hyperevo.parts import Batch, Task
from hyperevo.randomness import generator_for

NEAR = 0.04
"""Error below which a sum counts as right, as in the paper."""

HELD_OUT = {"validation": 1, "test": 2}
"""Random streams of held-out sequences, equal in every run; generations have others."""



class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["adding"] = "adding"
    length: int = Field(20, ge=2, le=1_000_000)
    """Count of numbers in a sequence; one of its first half and one of its second are marked."""
    images: int = Field(200, ge=1, le=1_000_000)
    """Number of sequences per generation."""
    validation: int = Field(1000, ge=1, le=1_000_000)
    """Number of sequences that choose the champion; as many others test it."""

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (minus squared error)"


class Adding(Task):
    """Sequences (N, T, 2) of numbers in [0, 1] and marks, and the sum of the marked ones (N,)."""

    settings: Settings

    measure = ACCURACY
    examples = "sequences"
    data_name = "adding"
    checksum = "drawn"
    outputs = 1
    form = "sequences"

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.device = settings, torch.device(device)
        self.inputs = Sheet((settings.length, 2))
        self.validation = self._held_out("validation", settings.validation)

    def _draw(self, count: int, generator: torch.Generator) -> Batch:
        length, half = self.settings.length, self.settings.length // 2
        numbers, marks = torch.rand(count, length, generator=generator), torch.zeros(count, length)
        first = torch.randint(half, (count, 1), generator=generator)
        second = torch.randint(half, length, (count, 1), generator=generator)
        marks.scatter_(1, torch.cat([first, second], 1), 1.0)
        inputs = resident(torch.stack([numbers, marks], 2), self.device)
        return inputs, resident((numbers * marks).sum(1), self.device)

    def _held_out(self, part: str, count: int) -> Batch:
        return self._draw(count, torch.Generator().manual_seed(2**62 + HELD_OUT[part]))

    def batch(self, seed: int, generation: int) -> Batch:
        """Sequences of one generation and their sums: a function of the seed and the generation."""
        generator = generator_for(seed, generation)
        return self._draw(self.settings.images, generator)

    def calibration(self, examples: int) -> Batch:
        """Training sequences (examples, T, 2), and their sums."""
        return self._draw(examples, torch.Generator().manual_seed(2**62))

    def test(self) -> Batch:
        """Sequences that no generation sees; for the end of a run."""
        return self._held_out("test", self.settings.validation)

    def fitness(self, outputs: Tensor, sums: Tensor) -> Tensor:
        """outputs (P, N, 1), sums (N,) → (P,): minus the mean squared error."""
        return -(outputs[..., 0] - sums).square().mean(1)

    def score(self, outputs: Tensor, sums: Tensor) -> Tensor:
        """outputs (P, N, 1), sums (N,) → (P,): the share of sequences whose sum is right to within 0.04."""
        return ((outputs[..., 0] - sums).abs() < NEAR).float().mean(1)


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    return Sheet((settings.length, 2)), 1


def build(settings: Settings, device: torch.device) -> Adding:
    """The task."""
    return Adding(settings, device)
