"""Pen strokes: offsets of the pen in, after every point a density of the next offset out (Graves 2013).

An output is the parameters of a mixture of K Gaussians in two dimensions and of a Bernoulli variable, the pen lifted
after the point:

    p(x, y, e) = Σ_k π_k N(x, y | μ_k, σ_k, ρ_k) · Bernoulli(e)
    π = softmax(π̂)     μ = μ̂     σ = exp(σ̂)     ρ = tanh(ρ̂)     P(e = 1) = sigmoid(ê)

A network reads (0, 0, 0) first, so that the first point is drawn too.
"""

from collections.abc import Sequence
from math import log, pi
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.data import StrokeData, load_strokes, read_iam, read_stroke_file
from hyperevo.errors import UserError, shown
from hyperevo.geometry import Sheet
from hyperevo.measure import NATS_PER_DRAWING
from hyperevo.parts import Batch, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.reading import is_there
from hyperevo.weights import Weights

DATA_SETS = ("omniglot",)

LEAST_SPREAD = 1 - 1e-4
"""Largest |ρ|: a density on a line would be infinite."""



class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["handwriting"] = "handwriting"
    strokes: str = "omniglot"
    """Data set omniglot, the path of a stroke-3 file (.npz), or the folder of IAM-OnDB as it comes."""
    drawings: int = Field(32, ge=1, le=1_000_000)
    """Number of drawings in a batch."""
    length: int = Field(200, ge=2, le=1_000_000)
    """Largest number of points of a drawing; later points are left out."""
    mixtures: int = Field(20, ge=1, le=1_000_000)
    """Number of Gaussians in the density of the next point."""
    scaling: float = Field(0.1, ge=0, lt=1)
    """Largest share by which the width and the height of a training drawing are changed at random."""

    def files(self) -> tuple[str, ...]:
        """The strokes, if they are a file or a folder."""
        return () if self.strokes in DATA_SETS else (self.strokes,)

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (minus nats per point)"

    def data_set(self) -> str:
        """Name of the data set, or path of the strokes."""
        return self.strokes


class Mixture(NamedTuple):
    """Density of the next point; all (..., K), except the logit of the lifted pen (...)."""

    log_weights: Tensor
    x: Tensor
    y: Tensor
    log_width: Tensor
    log_height: Tensor
    correlation: Tensor
    lifted: Tensor


def mixture(outputs: Tensor, bias: float = 0.0) -> Mixture:
    """Density from outputs (..., 6 K + 1). A bias above 0 makes it narrower, and its likelier parts more likely (Graves
    2013, equations 61 and 62)."""
    weights, x, y, width, height, correlation = outputs[..., :-1].unflatten(-1, (6, -1)).unbind(-2)
    return Mixture((weights * (1 + bias)).log_softmax(-1), x, y, width - bias, height - bias,
                   LEAST_SPREAD * correlation.tanh(), outputs[..., -1])


def log_density(density: Mixture, points: Tensor) -> Tensor:
    """Log densities (...) of points (..., 3), in nats."""
    across = (points[..., 0, None] - density.x) * (-density.log_width).exp()
    along = (points[..., 1, None] - density.y) * (-density.log_height).exp()
    rest = 1 - density.correlation.square()
    distance = across.square() + along.square() - 2 * density.correlation * across * along
    gaussians = -distance / (2 * rest) - density.log_width - density.log_height - rest.log() / 2 - log(2 * pi)
    pen = -F.binary_cross_entropy_with_logits(density.lifted, points[..., 2].expand_as(density.lifted),
                                              reduction="none")
    return (density.log_weights + gaussians).logsumexp(-1) + pen


def draw_points(density: Mixture, generator: torch.Generator) -> Tensor:
    """Random points (N, 3), one from each of N densities."""
    chosen = torch.multinomial(density.log_weights.exp(), 1, generator=generator)
    x, y, log_width, log_height, correlation = (part.gather(1, chosen)[:, 0] for part in
                                                (density.x, density.y, *density[3:6]))
    first, second = torch.randn(2, len(chosen), generator=generator).to(x)
    mixed = correlation * first + (1 - correlation.square()).sqrt() * second
    lifted = torch.rand(len(chosen), generator=generator).to(x) < density.lifted.sigmoid()
    return torch.stack([x + log_width.exp() * first, y + log_height.exp() * mixed, lifted.to(x.dtype)], 1)


class Handwriting(Task):
    """Batches of drawings: points drawn so far (N, T, 3) and the points that follow (N, T, 3), NaN where a drawing has
    ended."""

    settings: Settings

    measure = NATS_PER_DRAWING
    examples = "drawings"
    form = "sequences"
    every_step = True

    def __init__(self, settings: Settings, data: StrokeData, device: torch.device | str = "cpu"):
        self.settings, self.data_name, self.checksum = settings, data.name, data.checksum
        self.device = torch.device(device)
        self.inputs, self.outputs = shape(settings)
        self._train = _padded(data.train, settings.length)
        self.validation = self._prepared(_padded(data.validation, settings.length))
        self._test = data.test

    def _prepared(self, points: Tensor) -> Batch:
        longest = int((~points[..., 0].isnan()).sum(1).max())
        wanted = points[:, :longest].to(self.device)
        inputs = F.pad(wanted.nan_to_num(0.0)[:, :-1], (0, 0, 1, 0))
        return inputs, wanted

    def batch(self, seed: int, generation: int) -> Batch:
        """Drawings of one generation: a function of the seed and the generation."""
        generator = generator_for(seed, generation)
        chosen = torch.randint(len(self._train), (self.settings.drawings,), generator=generator)
        scale = 1 + self.settings.scaling * (2 * torch.rand(len(chosen), 1, 2, generator=generator) - 1)
        return self._prepared(self._train[chosen] * F.pad(scale, (0, 1), value=1.0))

    def batch_size(self) -> int:
        """Number of drawings in a generation."""
        return self.settings.drawings

    def calibration(self, examples: int) -> Batch:
        """The first drawings of training, as many as asked for where there are."""
        inputs, wanted = self._prepared(self._train[:max(examples, 1)])
        return inputs[:examples], wanted[:examples]

    def test(self) -> Batch:
        """All test drawings; for the end of a run."""
        return self._prepared(_padded(self._test, self.settings.length))

    def shown(self, target: Target, networks: Weights, batch: Batch) -> dict[str, Tensor]:
        """Drawings of a batch, for figures."""
        return {"drawings": batch[1]}

    def _log_densities(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Log densities (P, N, T) of the wanted points; 0 where a drawing has ended."""
        there = ~wanted[..., 0].isnan()
        return log_density(mixture(outputs), wanted.nan_to_num(0.0)) * there

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, T, 6 K + 1), points (N, T, 3) → (P,): the mean of ln p over all points."""
        return self._log_densities(outputs, wanted).sum((1, 2)) / (~wanted[..., 0].isnan()).sum()

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, T, 6 K + 1), points (N, T, 3) → (P,): the mean of ln p of a drawing."""
        return self._log_densities(outputs, wanted).sum(2).mean(1)


def _padded(drawings: Sequence[np.ndarray], length: int) -> Tensor:
    """Points (drawings, points, 3), NaN after the end of a drawing."""
    longest = min(max(map(len, drawings)), length)
    points = torch.full((len(drawings), longest, 3), torch.nan)
    for number, drawing in enumerate(drawings):
        points[number, : len(drawing)] = torch.from_numpy(drawing[:longest])
    return points


def read_strokes(strokes: str) -> StrokeData:
    """A data set by name, a file or a folder; raises UserError where it cannot be had."""
    if strokes in DATA_SETS:
        return load_strokes(strokes)
    path = Path(strokes)
    if not is_there(path):
        raise UserError(f"task.strokes: {shown(strokes)} is no data set ({', '.join(DATA_SETS)}), and there is no such "
                        "file or folder; it takes stroke-3 files (.npz) and folders of IAM-OnDB with lineStrokes in "
                        "them")
    return read_iam(path) if path.is_dir() else read_stroke_file(path)


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    return Sheet((settings.length, 3)), 6 * settings.mixtures + 1


def build(settings: Settings, device: torch.device) -> Handwriting:
    """The task with its strokes read; raises UserError when they cannot be had."""
    return Handwriting(settings, read_strokes(settings.strokes), device)
