"""Acrobot-v1 (Sutton 1996): two links hang from a bar, and a torque at the joint between them swings the lower end
above the bar. The equations are those of Sutton & Barto's book, with links of length, mass and moment of inertia 1.

    d₁ = 3.5 + cos θ₂        d₂ = 1.25 + cos θ₂ / 2        φ₂ = g sin(θ₁ + θ₂) / 2
    φ₁ = -(θ₂'²/2 + θ₁' θ₂') sin θ₂ + 1.5 g sin θ₁ + φ₂
    θ₂'' = (u + d₂/d₁ φ₁ - θ₁'² sin θ₂ / 2 - φ₂) / (1.25 - d₂²/d₁)        θ₁'' = -(d₂ θ₂'' + φ₁) / d₁

A state is (θ₁, θ₂, θ₁', θ₂'); angles are 0 where the links hang down. A step's reward is -1, that of the step that
reaches the height is 0.
"""

from math import cos, pi, sin

import torch
from torch import Tensor

from hyperevo.control._dynamics import runge_kutta, together, uniform
from hyperevo.control._sketch import Sketch, Stroke

OBSERVATIONS, OUTPUTS, MOST_STEPS = 6, 3, 500
ACTIONS = "discrete"
wobble = generalisation_starts = None
"""There are none here."""

GRAVITY, SECONDS = 9.8, 0.2
FIRST_SPEED, SECOND_SPEED = 4 * pi, 9 * pi


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 4): every value within ±0.1."""
    return uniform(episodes, (0.1,) * 4, generator)


def observe(state: Tensor) -> Tensor:
    """Cosine and sine of both angles, and both velocities."""
    first, second, first_turn, second_turn = state.unbind(-1)
    return together(first.cos(), first.sin(), second.cos(), second.sin(), first_turn, second_turn)


def act(outputs: Tensor) -> Tensor:
    """The index of the largest output: 0, 1 and 2 mean torques of -1, 0 and 1."""
    return outputs.argmax(-1)


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and whether the lower end is above the bar by the length of a link."""
    torque = action.to(state.dtype) - 1
    state = runge_kutta(lambda now: _derivative(now, torque), state, SECONDS)
    first, second, first_turn, second_turn = state.unbind(-1)
    first, second = _wrapped(first), _wrapped(second)
    arrived = -first.cos() - (first + second).cos() > 1
    state = together(first, second, first_turn.clamp(-FIRST_SPEED, FIRST_SPEED),
                     second_turn.clamp(-SECOND_SPEED, SECOND_SPEED))
    return state, arrived.to(state.dtype) - 1, arrived


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (4,): the bar, the links, and the height to reach."""
    first, second = state[:2].tolist()
    joint = (sin(first), -cos(first))
    end = (joint[0] + sin(first + second), joint[1] - cos(first + second))
    return Sketch((-2.8, -2.2), (2.8, 2.2), (
        Stroke(((-2.2, 1.0), (2.2, 1.0)), 0.02, "ground"), Stroke(((0.0, 0.0), joint), 0.14, "body"),
        Stroke((joint, end), 0.14, "moved"), Stroke(((0.0, 0.0),), 0.08, "ground")))



def _wrapped(angle: Tensor) -> Tensor:
    """The angle within ±π."""
    return torch.remainder(angle + pi, 2 * pi) - pi


def _derivative(state: Tensor, torque: Tensor) -> Tensor:
    """Time derivative (…, 4) of states (…, 4) under torques (…)."""
    first, second, first_turn, second_turn = state.unbind(-1)
    sine, cosine = second.sin(), second.cos()
    own, shared = 3.5 + cosine, 1.25 + cosine / 2
    lower = GRAVITY / 2 * (first + second).sin()
    upper = 1.5 * GRAVITY * first.sin() + lower - (second_turn / 2 + first_turn) * second_turn * sine
    ratio = shared / own
    second_bend = (torque + ratio * upper - first_turn.square() * sine / 2 - lower) / (1.25 - shared * ratio)
    return together(first_turn, second_turn, -(shared * second_bend + upper) / own, second_bend)
