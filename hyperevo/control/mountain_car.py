"""MountainCar-v0 (Moore 1990): a car that is too weak for the hill gathers speed in the valley to get out.

    x'' = 0.001 (a - 1) - 0.0025 cos 3x        a in {0, 1, 2}, time in steps

A state is (x, x'). Every step's reward is -1, until the car is at the goal; a wall on the left stops it.
"""

from math import atan, cos, sin

import torch
from torch import Tensor

from hyperevo.control._dynamics import together, uniform
from hyperevo.control._sketch import Sketch, Stroke

OBSERVATIONS, OUTPUTS, MOST_STEPS = 2, 3, 200
ACTIONS = "discrete"
wobble = generalisation_starts = None
"""There are none here."""

FORCE, GRAVITY, SPEED = 0.001, 0.0025, 0.07
WALL, GOAL, EDGE = -1.2, 0.5, 0.6


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 2): at rest near the bottom of the valley."""
    return uniform(episodes, (0.1, 0.0), generator) - torch.tensor([0.5, 0.0])


def observe(state: Tensor) -> Tensor:
    """The state itself."""
    return state


def act(outputs: Tensor) -> Tensor:
    """The index of the largest output: 0 drives left, 1 rolls, 2 drives right."""
    return outputs.argmax(-1)


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and whether the car has arrived."""
    place, speed = state.unbind(-1)
    pushed = torch.add(speed, action - 1, alpha=FORCE)
    speed = torch.sub(pushed, (3 * place).cos(), alpha=GRAVITY).clamp_(-SPEED, SPEED)
    place = (place + speed).clamp_(WALL, EDGE)
    speed = torch.where((place == WALL) & (speed < 0), 0.0, speed)
    return together(place, speed), -torch.ones_like(place), (place >= GOAL) & (speed >= 0)


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (2,): a hill with the shape of sin 3x, the goal on it, and the car."""
    place = float(state[0])
    hill = tuple((x / 100, _height(x / 100)) for x in range(int(100 * WALL), int(100 * EDGE) + 1))
    slope = atan(1.35 * cos(3 * place))
    along = (0.04 * cos(slope), 0.04 * sin(slope))
    middle = (place - 0.04 * sin(slope), _height(place) + 0.04 * cos(slope))
    return Sketch((WALL, 0.0), (EDGE, 1.25), (
        Stroke(hill, 0.012, "ground"),
        Stroke(((GOAL, _height(GOAL)), (GOAL, _height(GOAL) + 0.15)), 0.012, "body"),
        Stroke(((middle[0] - along[0], middle[1] - along[1]), (middle[0] + along[0], middle[1] + along[1])), 0.06,
               "moved")))


def _height(place: float) -> float:
    return 0.45 * sin(3 * place) + 0.55
