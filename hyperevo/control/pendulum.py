"""Pendulum-v1: a pendulum is swung up, by a torque that is too weak to lift it, and held upright.

    θ'' = 3 g / (2 l) sin θ + 3 u / (m l²)

A state is (θ, θ'), θ = 0 upright. A step's reward is -(θ² + 0.1 θ'² + 0.001 u²), θ within ±π; no episode ends early.
"""

from math import cos, pi, sin

import torch
from torch import Tensor

from hyperevo.control._dynamics import together, uniform
from hyperevo.control._sketch import Sketch, Stroke

OBSERVATIONS, OUTPUTS, MOST_STEPS = 3, 1, 200
ACTIONS = "continuous"
wobble = generalisation_starts = None
"""There are none here."""

GRAVITY, MASS, LENGTH, SECONDS, TORQUE, SPEED = 10.0, 1.0, 1.0, 0.05, 2.0, 8.0


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 2): the angle within ±π, the velocity within ±1."""
    return uniform(episodes, (pi, 1.0), generator)


def observe(state: Tensor) -> Tensor:
    """Cosine and sine of the angle, and its velocity."""
    angle, turn = state.unbind(-1)
    return together(angle.cos(), angle.sin(), turn)


def act(outputs: Tensor) -> Tensor:
    """The torque (…): 2 tanh of the output."""
    return outputs[..., 0].tanh() * TORQUE


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and False: no episode is ever over."""
    angle, turn = state.unbind(-1)
    torque = action.clamp(-TORQUE, TORQUE)
    lean = torch.remainder(angle + pi, 2 * pi) - pi
    reward = -(lean.square() + 0.1 * turn.square() + 0.001 * torque.square())
    bend = 3 * GRAVITY / (2 * LENGTH) * angle.sin() + 3 / (MASS * LENGTH**2) * torque
    turn = torch.add(turn, bend, alpha=SECONDS).clamp_(-SPEED, SPEED)
    angle = torch.add(angle, turn, alpha=SECONDS)
    return together(angle, turn), reward, torch.zeros_like(angle, dtype=torch.bool)


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (2,): the pendulum and its hinge."""
    angle = float(state[0])
    tip = (-LENGTH * sin(angle), LENGTH * cos(angle))
    return Sketch((-1.5, -1.2), (1.5, 1.2), (Stroke(((0.0, 0.0), tip), 0.12, "moved"),
                                             Stroke(((0.0, 0.0),), 0.06, "body")))
