"""Food gathering (D'Ambrosio & Stanley 2007; Stanley, D'Ambrosio & Gauci 2009): a robot sees in n directions and moves
in n directions, and has to get to its food.

The sensor whose slice of the circle holds the food is active, the more the nearer the food is. The robot moves in the
direction of the most active effector; it is fast only if no other effector is active:

    speed = S · o_max · o_max / Σ o        o: the logistic function of the outputs

Sensors and effectors lie on two rings, each at its own direction, or in two rows. Networks that a CPPN paints can be
tested with more sensors and effectors than they were evolved with.
"""

from collections.abc import Iterator
from math import pi
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.control import Actors
from hyperevo.devices import Soon
from hyperevo.geometry import Ring, Sheet
from hyperevo.measure import FOOD_SCORE
from hyperevo.parts import NO_GRADIENT, Batch, Target, Task
from hyperevo.pictures import PanelsPicture, Picture
from hyperevo.weights import Weights

DISTANCE, REACH, SPEED, SIGHT = 100.0, 10.0, 10.0, 200.0
"""Distance of the food at first; distance at which it is found; S, the largest speed; distance from which sensors see
nothing."""

TICKS = 1000
"""Number of ticks in which a robot must find its food."""

STRIDE = 16
"""Number of ticks between two checks of who is still on the way."""

TEST_TRIALS = 200



class Settings(TaskSettings):
    """Options of the task."""

    needs_no_data: ClassVar[bool] = True

    name: Literal["food"] = "food"
    directions: int = Field(8, ge=2, le=10_000)
    """Number of sensors, and of effectors."""
    layout: Literal["ring", "rows"] = "ring"
    """Positions of sensors and effectors: two rings, each unit at its own direction, or two rows."""
    retests: tuple[Annotated[int, Field(ge=2, le=10_000)], ...] = (8, 16, 32, 64, 128)
    """Numbers of directions that the champion is tested with."""


class Food(Task):
    """Positions of the food (N, 2) as the robot sees it at first, east and north, and the ticks it has (N,)."""

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

    def figures(self) -> Iterator[Picture]:
        """Trials of a generation from above: the robot's sensors in grey, that which sees the food darker, and the
        food."""
        food, _ = self.validation
        shown = food[:: max(len(food) // 8, 1)][:8]
        line = torch.linspace(-1.2 * DISTANCE, 1.2 * DISTANCE, 97)
        north, east = torch.meshgrid(-line, line, indexing="ij")
        slices = (torch.atan2(east, north) / self._slice).round().long() % self.settings.directions
        far = (east.square() + north.square()).sqrt()
        base = torch.where(far < DISTANCE, 0.15 + 0.1 * (slices % 2), 0.0) + (far < REACH)
        yield PanelsPicture("task", f"a generation's trials, {self.settings.directions} sensors",
                            "the robot in the middle, a slice of the circle for each sensor, × the food",
                            [("", base + 0.4 * ((slices == int(seen.argmax())) & (far < DISTANCE)),
                              (48 - 40 * float(place[1]) / DISTANCE, 48 + 40 * float(place[0]) / DISTANCE))
                             for place, seen in zip(shown, self._seen(shown), strict=True)])

    def batch(self, seed: int, generation: int) -> Batch:
        """Food at the middle of every direction, whatever the seed and the generation."""
        return self.validation

    def calibration(self, examples: int) -> Batch:
        """Sensor values (examples, directions) at the first tick, and the ticks."""
        food, ticks = self._food(torch.arange(examples) * self._slice)
        return self._seen(food), ticks

    def test(self) -> Batch:
        """Food in random directions; for the end of a run."""
        return self._food(2 * pi * torch.rand(TEST_TRIALS, generator=torch.Generator().manual_seed(0)))

    def _seen(self, food: Tensor) -> Tensor:
        """Sensor values (…, directions) for food (…, 2)."""
        nearness = (1 - food.norm(dim=-1) / SIGHT).clamp(min=0)
        bearing = torch.atan2(food[..., 0], food[..., 1])
        sensor = (bearing / self._slice).round().long() % self.settings.directions
        seen = food.new_zeros(*food.shape[:-1], self.settings.directions)
        return seen.scatter_(-1, sensor[..., None], nearness[..., None])

    def _move(self, outputs: Tensor) -> Tensor:
        """Movement (…, 2) of a robot in a tick, east and north, for outputs (…, directions)."""
        active = outputs.sigmoid()
        most, effector = active.max(-1)
        speed, bearing = SPEED * most.square() / active.sum(-1), effector * self._slice
        return speed[..., None] * torch.stack([bearing.sin(), bearing.cos()], -1)

    @torch.no_grad()
    def play(self, target: Target, weights: Weights, food: Tensor, ticks: Tensor) -> Tensor:
        """Ticks (P, N) that every network takes to get to food (N, 2); all of them and one more where it does not."""
        networks, food = Actors(target, weights, len(food)), food.expand(weights.population, -1, -1)
        taken, all_are_there = food.new_full(food.shape[:2], TICKS + 1), Soon()
        for tick in range(1, TICKS + 1):
            food = food - self._move(networks.outputs(self._seen(food)))
            arrived = food.norm(dim=2) < REACH
            taken = torch.where(arrived & (taken > tick), float(tick), taken)
            if tick % STRIDE == 0 and all_are_there((taken <= tick).all()):
                break
        return taken

    def fitness(self, taken: Tensor, ticks: Tensor) -> Tensor:
        """Fitness (P,) of ticks taken (P, N): 10 for food that is found, and up to 1 for how soon, as in the paper,
        scaled to at most 1."""
        found, left = taken <= ticks, (ticks - taken).clamp(min=0) / TICKS
        return (10.0 * found + left).mean(1) / 11

    def score(self, taken: Tensor, ticks: Tensor) -> Tensor:
        """Score (P,), equal to the fitness: by the share of food found alone, the first robot to find all would stay
        champion."""
        return self.fitness(taken, ticks)

    def resized(self, directions: int) -> "Food":
        """Task with another number of directions."""
        return Food(self.settings.model_copy(update={"directions": directions}), self.device)

    def retest(self, target: Target, weights: Weights) -> dict[str, float]:
        """Facts about one network (P = 1). accuracy: share of food found in random directions; ticks: mean number to
        get to it."""
        food, ticks = self.test()
        taken = self.play(target, weights, food, ticks)[0]
        found = taken <= ticks
        return {"accuracy": float(found.float().mean()),
                "ticks": float(taken[found].mean()) if found.any() else float(TICKS)}


def shape(settings: Settings) -> tuple[Sheet, Sheet]:
    """Sheets of the sensors and of the effectors."""
    if settings.layout == "rows":
        return Sheet((settings.directions,)), Sheet((settings.directions,))
    return Ring((settings.directions,), 0.5), Ring((settings.directions,))


def build(settings: Settings, device: torch.device) -> Food:
    """The task."""
    return Food(settings, device)
