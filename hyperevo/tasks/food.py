"""Food gathering (D'Ambrosio & Stanley 2007; Stanley, D'Ambrosio & Gauci 2009): a robot sees in n directions and moves
in n directions, and has to get to its food.

The sensor whose slice of the circle the food lies in is active, the more the nearer it is. The robot moves into the
direction of the most active effector, which has to be alone in being active to be fast:

    speed = S · o_max · o_max / Σ o        o: the logistic function of the outputs

Sensors and effectors lie on two rings, each at its own direction, or in two rows. Networks that a CPPN paints can be
tested with more sensors and effectors than they were evolved with.
"""

from math import pi
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.control import Actors
from hyperevo.geometry import Ring, Sheet
from hyperevo.measure import FOOD_SCORE
from hyperevo.parts import NO_GRADIENT, Batch, Target, Task
from hyperevo.weights import Weights

DISTANCE, REACH, SPEED, SIGHT = 100.0, 10.0, 10.0, 200.0
"""How far away the food is at first, and how near the robot must get; S; and where a sensor sees nothing any more."""

TICKS = 1000
"""A robot that has not got to its food by then has not found it."""

STRIDE = 16
"""Ticks between looks at who is still on its way."""

TEST_TRIALS = 200



class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["food"] = "food"
    directions: int = Field(8, ge=2)
    """Sensors, and effectors."""
    layout: Literal["ring", "rows"] = "ring"
    """Places of sensors and effectors: two rings, each unit at its own direction, or two rows."""
    retests: tuple[int, ...] = (8, 16, 32, 64, 128)
    """Numbers of directions that the champion is tested with."""


class Food(Task):
    """Food (N, 2) as the robot sees it at first, east and north, and the ticks it has (N,)."""

    settings: Settings

    measure = FOOD_SCORE
    examples = "trials"
    data_name = "food"
    checksum = "drawn"
    form = "observations"
    steps_per_example = TICKS
    without_gradient = NO_GRADIENT.format("food")

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.device = settings, torch.device(device)
        self.inputs, self.outputs = shape(settings)
        self.retests = settings.retests
        self.validation = self._food(torch.arange(settings.directions) * self._slice)

    @property
    def _slice(self) -> float:
        return 2 * pi / self.settings.directions

    def _food(self, bearings: Tensor) -> Batch:
        """Food at bearings (N,) in radians, clockwise from north."""
        places = DISTANCE * torch.stack([bearings.sin(), bearings.cos()], 1)
        return places.to(self.device), torch.full((len(bearings),), TICKS, device=self.device)

    def batch(self, seed: int, generation: int) -> Batch:
        """Food at the middle of every direction, whatever the seed and the generation."""
        return self.validation

    def calibration(self, examples: int) -> Batch:
        """What networks read at first (N, directions)."""
        food, ticks = self._food(torch.arange(examples) * self._slice)
        return self._seen(food), ticks

    def test(self) -> Batch:
        """Food anywhere around; for the end of a run."""
        return self._food(2 * pi * torch.rand(TEST_TRIALS, generator=torch.Generator().manual_seed(0)))

    def _seen(self, food: Tensor) -> Tensor:
        """Food (…, 2) → what sensors say (…, directions)."""
        nearness = (1 - food.norm(dim=-1) / SIGHT).clamp(min=0)
        bearing = torch.atan2(food[..., 0], food[..., 1])
        sensor = (bearing / self._slice).round().long() % self.settings.directions
        seen = food.new_zeros(*food.shape[:-1], self.settings.directions)
        return seen.scatter_(-1, sensor[..., None], nearness[..., None])

    def _move(self, outputs: Tensor) -> Tensor:
        """Outputs (…, directions) → the way a robot goes in a tick (…, 2), east and north."""
        active = outputs.sigmoid()
        most, effector = active.max(-1)
        speed, bearing = SPEED * most.square() / active.sum(-1), effector * self._slice
        return speed[..., None] * torch.stack([bearing.sin(), bearing.cos()], -1)

    @torch.no_grad()
    def play(self, target: Target, weights: Weights, food: Tensor, ticks: Tensor) -> Tensor:
        """(P, N): the ticks that every network takes to get to food (N, 2); all of them and one more where it does not.
        """
        networks, food = Actors(target, weights, len(food)), food.expand(weights.population, -1, -1)
        taken = food.new_full(food.shape[:2], TICKS + 1)
        for tick in range(1, TICKS + 1):
            food = food - self._move(networks.outputs(self._seen(food)))
            arrived = food.norm(dim=2) < REACH
            taken = torch.where(arrived & (taken > tick), float(tick), taken)
            if tick % STRIDE == 0 and bool((taken <= tick).all()):
                break
        return taken

    def fitness(self, taken: Tensor, ticks: Tensor) -> Tensor:
        """(P, N) → (P,): 10 for food that is found, and up to 1 for how soon, as in the paper, scaled to at most 1."""
        found, left = taken <= ticks, (ticks - taken).clamp(min=0) / TICKS
        return (10.0 * found + left).mean(1) / 11

    def score(self, taken: Tensor, ticks: Tensor) -> Tensor:
        """The same: robots that find all food differ in how soon, and the first to find it would stay champion."""
        return self.fitness(taken, ticks)

    def resized(self, directions: int) -> "Food":
        """The task with another number of directions."""
        return Food(self.settings.model_copy(update={"directions": directions}), self.device)

    def retest(self, target: Target, weights: Weights) -> dict[str, float]:
        """Of one network: the share of food found anywhere around, and the mean ticks to get to it."""
        food, ticks = self.test()
        taken = self.play(target, weights, food, ticks)[0]
        found = taken <= ticks
        return {"accuracy": float(found.float().mean()),
                "ticks": float(taken[found].mean()) if found.any() else float(TICKS)}


def shape(settings: Settings) -> tuple[Sheet, Sheet]:
    """Where sensors and effectors lie."""
    if settings.layout == "rows":
        return Sheet((settings.directions,)), Sheet((settings.directions,))
    return Ring((settings.directions,), 0.5), Ring((settings.directions,))


def build(settings: Settings, device: torch.device) -> Food:
    """The task."""
    return Food(settings, device)
