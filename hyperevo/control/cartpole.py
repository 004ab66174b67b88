"""CartPole-v1 (Barto, Sutton & Anderson 1983): a cart is pushed left or right so that the pole on it stays up.

    f = (F + m l θ'² sin θ) / (M + m)        θ'' = (g sin θ - f cos θ) / (l (4/3 - m cos² θ / (M + m)))
    x'' = f - m l θ'' cos θ / (M + m)

A state is (x, x', θ, θ'), θ = 0 upright. A step is one of Euler's method. Every step's reward is 1, that of the step
that fails too.
"""

from math import cos, inf, radians, sin

import torch
from torch import Tensor

from hyperevo.control._dynamics import arrays, tensors, uniform
from hyperevo.control._sketch import Sketch, cart_with_poles

OBSERVATIONS, OUTPUTS, MOST_STEPS = 4, 2, 500
ACTIONS = "discrete"
wobble = generalisation_starts = None
"""There are none here."""

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
LIMITS = (2.4, inf, radians(12), inf)
"""Largest |x|, |x'|, |θ| and |θ'| before an episode fails."""


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 4): every value within ±0.05."""
    return uniform(episodes, (0.05,) * 4, generator)


def observe(state: Tensor) -> Tensor:
    """The state itself."""
    return state


def act(outputs: Tensor) -> Tensor:
    """A mask (…): True, a push to the right, where the second output is the larger one; False, a push to the left."""
    left, right = outputs.unbind(-1)
    return right > left


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and whether the pole fell or the cart left its track."""
    functions, values, right = arrays(state, action)
    place, speed, angle, turn = values
    sine, cosine = functions.sin(angle), functions.cos(angle)
    total = CART + POLE
    lever = POLE * HALF_LENGTH / total
    push = (2 * FORCE / total) * right - FORCE / total + lever * sine * turn * turn
    swing = lever * cosine
    bend = (GRAVITY * sine - push * cosine) / (4 / 3 * HALF_LENGTH - swing * cosine)
    changes = functions.concatenate([speed[None], (push - swing * bend)[None], turn[None], bend[None]])
    values = values + SECONDS * changes
    failed = (abs(values[0]) > LIMITS[0]) | (abs(values[2]) > LIMITS[2])
    state, over = tensors(values, failed)
    return state, torch.ones_like(over, dtype=state.dtype), over


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (4,): the track, the cart and the pole."""
    place, _, angle, _ = state.tolist()
    return cart_with_poles(place, LIMITS[0], (((2 * HALF_LENGTH * sin(angle), 2 * HALF_LENGTH * cos(angle)), 0.06),))
