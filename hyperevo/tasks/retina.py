"""The retina problem, left and right (Kashtan & Alon 2005, as posed by Clune et al. 2010 and Verbancsics & Stanley
2011): eight pixels in; does the left half show a left object, and the right half a right one?

A half is a square of four pixels. It shows an object where three or four of them are on, or one or two of its outer
column and none of its inner one: 8 of its 16 patterns. The halves have nothing to do with each other, so that two
networks side by side would do: a task for finding out whether evolution finds modules.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.geometry import PlacedLine, Sheet
from hyperevo.measure import ACCURACY
from hyperevo.parts import Batch, Target, Task
from hyperevo.pictures import PanelsPicture, Picture
from hyperevo.weights import Weights

ROWS, COLUMNS = 2, 4
PATTERNS = 2 ** (ROWS * COLUMNS)

NEIGHBOURS = 0.02
"""Half the distance of a column's two pixels, where they lie side by side."""


class Settings(TaskSettings):
    """Options of the task."""

    needs_no_data: ClassVar[bool] = True

    name: Literal["retina"] = "retina"
    layout: Literal["sheet", "line", "columns"] = "sheet"
    """Positions of the pixels: in two rows as they are seen (sheet); column by column along x alone, evenly spaced
    (line), or with a column's two pixels side by side (columns)."""


class Retina(Task):
    """All patterns (256, 8) of pixels 1 or -1, and bools for a left and a right object (256, 2)."""

    settings: Settings

    measure = ACCURACY
    examples = "patterns"
    data_name = "retina"
    checksum = "enumerated"
    outputs = 2

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings = settings
        self.inputs, _ = shape(settings)
        pixels = torch.arange(PATTERNS)[:, None] >> torch.arange(ROWS * COLUMNS) & 1
        columns = pixels.view(-1, ROWS, COLUMNS).sum(1)
        left, right = _shows(columns[:, 0], columns[:, 1]), _shows(columns[:, 3], columns[:, 2])
        if settings.layout != "sheet":
            pixels = pixels.view(-1, ROWS, COLUMNS).transpose(1, 2).flatten(1)
        self.validation: Batch = (2.0 * pixels - 1).to(device), torch.stack([left, right], 1).to(device)

    def figures(self) -> Iterator[Picture]:
        """All 16 patterns of a half, those that show its object first."""
        pixels = torch.arange(16)[:, None] >> torch.arange(4) & 1
        halves = pixels.view(-1, ROWS, COLUMNS // 2)
        for side, outer, inner in (("left", 0, 1), ("right", 1, 0)):
            columns = halves.sum(1)
            shows = _shows(columns[:, outer], columns[:, inner])
            order = shows.int().argsort(descending=True, stable=True)
            yield PanelsPicture(f"task_{side}", f"the {side} half's patterns", f"those that show a {side} object first",
                                [("object" if shows[place] else "none", halves[place].float(), None)
                                 for place in order])

    def batch(self, seed: int, generation: int) -> Batch:
        """All patterns."""
        return self.validation

    def test(self) -> Batch:
        """All patterns: there are no others."""
        return self.validation

    def fitness(self, outputs: Tensor, shown: Tensor) -> Tensor:
        """outputs (P, N, 2), shown (N, 2) → (P,): the number of answers divided by the sum of their distances, plus 1:
        those of the outputs' tanh from 1 for an object and from -1 for none. 1 for answers of 0 everywhere.

        Inversely proportional to the summed distance, as in the paper. Minus an error would not do for NEAT, whose
        species get children by the mean fitness of their members: networks without connections, which say 0, are
        nearer to the truth than most children of good ones.
        """
        distances = (outputs.tanh() - (2.0 * shown - 1)).abs()
        return shown.numel() / (1 + distances.sum((1, 2)))

    def score(self, outputs: Tensor, shown: Tensor) -> Tensor:
        """outputs (P, N, 2), shown (N, 2) → (P,): the share of patterns for which both outputs have the right sign."""
        return ((outputs > 0) == shown).all(2).float().mean(1)

    def describe(self, target: Target, weights: Weights) -> dict[str, float]:
        """Facts about one network (P = 1). connections: number of weights that are not 0; separation: share of pairs of
        an input of one half and the output of the other that no path of connections joins, 1 where the halves are
        modules. Empty for networks without known layers."""
        links = {name: (value[0] != 0).float() for name, value in weights.dense().items() if name.endswith(".weight")}
        if not target.layers and not (links.keys() >= RECURRENT and links["input.weight"].shape[1] == ROWS * COLUMNS):
            return {}
        reached = _reached(links, target.layers)
        if self.settings.layout != "sheet":
            reached = reached.view(2, COLUMNS, ROWS).transpose(1, 2).flatten(1)
        halves = reached.view(2, ROWS, 2, COLUMNS // 2)
        crossing = halves[0, :, 1].sum() + halves[1, :, 0].sum()
        return {"connections": int(sum(link.sum() for link in links.values())),
                "separation": 1 - float(crossing) / (2 * ROWS * COLUMNS // 2)}


RECURRENT = {"input.weight", "recurrent.weight", "readout.weight"}


def _reached(links: dict[str, Tensor], layers: Sequence[str]) -> Tensor:
    """Mask (outputs, inputs): 1 where a path leads from an input to an output, through layers or, without any, through
    hidden nodes that may be linked to each other."""
    if not layers:
        reached, before = links["input.weight"], None
        while before is None or not torch.equal(before, reached):
            before, reached = reached, ((reached + links["recurrent.weight"] @ reached) > 0).float()
        return ((links["readout.weight"] @ reached) > 0).float()
    reached = links[f"{layers[0]}.weight"]
    for layer in layers[1:]:
        reached = ((links[f"{layer}.weight"] @ reached) > 0).float()
    return reached


def _shows(outer: Tensor, inner: Tensor) -> Tensor:
    """True where the pixels that are on in the two columns of a half make an object."""
    return (outer + inner >= 3) | ((outer >= 1) & (inner == 0))


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    if settings.layout == "columns":
        columns = Sheet((COLUMNS,)).coordinates[:, 0] * (1 - NEIGHBOURS)
        pixels = columns[:, None] + columns.new_tensor([-NEIGHBOURS, NEIGHBOURS])
        return PlacedLine((ROWS * COLUMNS,), tuple(pixels.flatten().tolist())), 2
    return Sheet((ROWS, COLUMNS) if settings.layout == "sheet" else (ROWS * COLUMNS,)), 2


def build(settings: Settings, device: torch.device) -> Retina:
    """The task."""
    return Retina(settings, device)
