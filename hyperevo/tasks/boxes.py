"""Visual discrimination (Stanley, D'Ambrosio & Gauci 2009): a field with a small and a large box in, one output per
unit of the field out; the most active output marks the middle of the large box.

On a field of 11 × 11 the boxes are 1 × 1 and 3 × 3. In a trial the large one lies half a field to the right of the
small one, below it, or both, and what leaves the field comes back on the other side. The same field is seen at any
resolution that is a multiple of 11: boxes grow with it, and inputs are worth less, (11 / size)², so that a box weighs
the same. A champion can therefore be tested at resolutions that it was not evolved at.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY
from hyperevo.parts import Batch, Target, Task
from hyperevo.pictures import PanelsPicture, Picture
from hyperevo.weights import Weights

FIELD = 11
"""Units along a side of the field where the small box is one unit."""

LARGEST = 11 * FIELD
"""Largest field, in units of a side: a layer between two such fields has 214 million weights."""

MOVES = torch.tensor([[0, 1], [1, 0], [1, 1]])
"""Right, down, and both."""

MOST_PAIRS = 10_000
ROWS = 64
"""Number of pairs whose outputs are compared at a time."""



class Settings(TaskSettings):
    """Options of the task."""

    needs_no_data: ClassVar[bool] = True

    name: Literal["boxes"] = "boxes"
    size: int = Field(FIELD, ge=FIELD, le=LARGEST, multiple_of=FIELD)
    """Number of units along a side of the field, a multiple of 11."""
    retests: tuple[int, ...] = (11, 33, 55)
    """Resolutions at which the champion is tested on every pair of boxes that do not overlap; only networks of one
    layer are."""

    @field_validator("retests")
    @classmethod
    def _are_multiples(cls, retests: tuple[int, ...]) -> tuple[int, ...]:
        if wrong := [size for size in retests if not FIELD <= size <= LARGEST or size % FIELD]:
            raise ValueError(f"{wrong[0]} is not a multiple of {FIELD} up to {LARGEST}")
        return retests


class Boxes(Task):
    """Trials: fields (N, size²), and row and column of the large box's centre (N, 2). Every generation has the same."""

    settings: Settings

    measure = ACCURACY
    examples = "pairs of boxes"
    data_name = "boxes"
    checksum = "drawn"
    without_gradient = ("search.name: the most active output of boxes has no gradient to follow; use an evolutionary "
                        "search")

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.size, self.device = settings, settings.size, torch.device(device)
        self.unit = self.size // FIELD
        self.inputs, self.outputs = Sheet((self.size, self.size)), self.size**2
        self.retests = settings.retests
        self._small, self._large = (self._corners(side) for side in (1, 3))
        self.validation = self._trials()

    def _corners(self, side: int) -> Tensor:
        """First row and column (positions, 2) of a box at every position on this field, in whole units."""
        line = torch.arange(self.size - side * self.unit + 1)
        return torch.cartesian_prod(line, line)

    def _fields(self, corners: Tensor, side: int) -> Tensor:
        """Fields (N, size²) with a box at every one of the corners (N, 2)."""
        line = torch.arange(self.size) - corners[:, :, None]  # (N, 2, size): how far inside
        rows, columns = ((line >= 0) & (line < side * self.unit)).unbind(1)
        fields = (rows[:, :, None] & columns[:, None, :]).flatten(1)
        return fields.to(self.device, torch.float32) / self.unit**2

    def _pairs(self, small: Tensor, large: Tensor) -> Batch:
        """Trials from the corners (N, 2) of both boxes."""
        return self._fields(small, 1) + self._fields(large, 3), self._centres(large)

    def _centres(self, large: Tensor) -> Tensor:
        return large.to(self.device) + (3 * self.unit - 1) / 2

    def figures(self) -> Iterator[Picture]:
        """Trials of the task, with the middle of the large box marked."""
        fields, centres = self.validation
        shown = range(0, len(fields), max(len(fields) // 16, 1))
        yield PanelsPicture("task", "trials of the task", "× marks the middle of the large box, which the most active "
                            "output has to be", [("", fields[place].reshape(self.size, self.size),
                                                  (float(centres[place][0]), float(centres[place][1])))
                                                 for place in list(shown)[:16]])

    def _trials(self) -> Batch:
        """Trials of the 25 positions of the small box and the three moves to the large one."""
        line = torch.arange(1, FIELD, 2)
        small = torch.cartesian_prod(line, line)[:, None].expand(-1, len(MOVES), -1)
        # All of the large box lies on the field.
        centres = ((small + MOVES * (FIELD // 2)) % FIELD).clamp(1, FIELD - 2)
        return self._pairs(small.flatten(0, 1) * self.unit, (centres.flatten(0, 1) - 1) * self.unit)

    def batch(self, seed: int, generation: int) -> Batch:
        """The 75 trials, whatever the seed and the generation."""
        return self.validation

    def test(self) -> Batch:
        """Every pair of boxes that do not overlap, or as many as MOST_PAIRS of them, drawn; for the end of a run."""
        pairs = torch.cartesian_prod(torch.arange(len(self._small)), torch.arange(len(self._large)))
        apart = ~self._overlap(self._small[pairs[:, 0]], self._large[pairs[:, 1]])
        pairs = pairs[apart]
        if len(pairs) > MOST_PAIRS:
            pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))[:MOST_PAIRS]]
        return self._pairs(self._small[pairs[:, 0]], self._large[pairs[:, 1]])

    def _overlap(self, small: Tensor, large: Tensor) -> Tensor:
        """True (...,) for boxes with corners (..., 2) that share a unit."""
        apart = small - large
        return ((apart > -self.unit) & (apart < 3 * self.unit)).all(-1)

    def fitness(self, outputs: Tensor, centres: Tensor) -> Tensor:
        """outputs (P, N, size²), centres (N, 2) → (P,): minus the mean squared distance of the most active output from
        the centre, in units of the field of 11."""
        return -self._off(outputs.argmax(2), centres).square().sum(-1).mean(-1)

    def score(self, outputs: Tensor, centres: Tensor) -> Tensor:
        """outputs (P, N, size²), centres (N, 2) → (P,): the share of trials whose answer is off by at most one unit of
        the field of 11, diagonals included."""
        return (self._off(outputs.argmax(2), centres) <= 1).all(-1).float().mean(-1)

    def _off(self, answers: Tensor, centres: Tensor) -> Tensor:
        """Rows and columns (..., 2) between answers (...) and centres (..., 2), in units of the field of 11."""
        places = torch.stack([answers // self.size, answers % self.size], -1)
        return (places - centres).abs() / self.unit

    def resized(self, size: int) -> "Boxes":
        """Task at another resolution."""
        return Boxes(self.settings.model_copy(update={"size": size}), self.device)

    @torch.no_grad()
    def retest(self, target: Target, weights: Weights) -> dict[str, float]:
        """Facts about one network (P = 1) of one layer on all pairs of boxes that do not overlap; empty for other
        networks.

        pairs: their number; accuracy: the share whose answer is at most one unit of the field of 11 off; distance: the
        mean distance in such units. A layer's answer to two boxes is the sum of its answers to each, so that millions
        of pairs take two products.
        """
        if list(target.layers) != ["readout"]:
            return {}
        nothing = target.forward(weights, torch.zeros(1, self.inputs.units, device=self.device))[0]
        answers = [target.forward(weights, self._fields(corners, side))[0] - nothing / 2
                   for corners, side in ((self._small, 1), (self._large, 3))]
        small, large = (own.cpu().contiguous().numpy() for own in answers)
        off = torch.cat([self._off(torch.from_numpy(_most_active(small, own)), self._centres(corner).cpu())
                         [~self._overlap(self._small, corner)] for own, corner in zip(large, self._large, strict=True)])
        return {"pairs": len(off), "accuracy": float((off <= 1).all(1).double().mean()),
                "distance": float(off.square().sum(1).sqrt().double().mean())}


def _most_active(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Index (N,) of the largest output of small (N, outputs) + large (outputs,). A few rows at a time stay in the
    processor's cache: numpy takes a third of torch's time here."""
    sums = np.empty((ROWS, len(large)), small.dtype)
    rows = [small[start : start + ROWS] for start in range(0, len(small), ROWS)]
    return np.concatenate([np.add(own, large, out=sums[: len(own)]).argmax(1) for own in rows])


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    return Sheet((settings.size, settings.size)), settings.size**2


def build(settings: Settings, device: torch.device) -> Boxes:
    """The task."""
    return Boxes(settings, device)
