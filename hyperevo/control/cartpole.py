"""CartPole-v1 (Barto, Sutton & Anderson 1983): a cart is pushed left or right so that the pole on it stays up.

    f = (F + m l θ'² sin θ) / (M + m)        θ'' = (g sin θ - f cos θ) / (l (4/3 - m cos² θ / (M + m)))
    x'' = f - m l θ'' cos θ / (M + m)

A state is (x, x', θ, θ'), θ = 0 upright. A step is one of Euler's method. Every step's reward is 1, that of the step
that fails too.
"""

from collections.abc import Callable
from math import cos, inf, radians, sin

import numpy as np
import torch
from torch import Tensor

from hyperevo.control._dynamics import each_number, numbers, together, uniform
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
    place, speed, angle, turn = state.unbind(-1)
    sine, cosine = angle.sin(), angle.cos()
    total = CART + POLE
    left, right, inertia = each_number((-FORCE / total, FORCE / total, 4 / 3 * HALF_LENGTH), state.dtype, state.device)
    force = torch.where(action.bool(), right, left)
    push = torch.addcmul(force, turn.square(), sine, value=POLE * HALF_LENGTH / total)
    inertia = torch.addcmul(inertia, cosine, cosine, value=-POLE * HALF_LENGTH / total)
    bend = sine.mul_(GRAVITY).addcmul_(push, cosine, value=-1).div_(inertia)
    pull = push.addcmul_(bend, cosine, value=-POLE * HALF_LENGTH / total)
    state = torch.add(state, together(speed, pull, turn, bend), alpha=SECONDS)
    failed = (state.abs() > numbers(LIMITS, state.dtype, state.device)).any(-1)
    return state, torch.ones_like(place), failed


def mover(values: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """`values` (4, …), which networks see, and the function that takes a step of them in their place.

    Forces are divided by m l / (M + m), and accelerations are those of a step, so that fewer operations are left of the
    formulas above.
    """
    pushed, pull, gravity, inertia, seconds, lever, furthest, steepest = _scalars(values.dtype)
    place, speed, angle, turn = values
    sine, cosine, push, bend, product = np.empty((5, *place.shape), values.dtype)
    right, over = np.empty((2, *place.shape), bool)
    moved = np.empty_like(values)
    _, run, _, swing = moved
    add, subtract, multiply, greater = np.add, np.subtract, np.multiply, np.greater  # found in half the time

    def move(outputs: np.ndarray) -> np.ndarray:
        np.sin(angle, sine)
        np.cos(angle, cosine)
        multiply(values, seconds, moved)
        greater(outputs[1], outputs[0], right)
        np.copyto(push, right)
        multiply(push, pushed, push)
        subtract(push, pull, push)
        multiply(swing, turn, product)
        multiply(product, sine, product)
        add(push, product, push)
        multiply(sine, gravity, bend)
        multiply(push, cosine, product)
        subtract(bend, product, bend)
        multiply(cosine, cosine, product)
        subtract(inertia, product, product)
        np.divide(bend, product, bend)
        multiply(bend, cosine, product)
        subtract(push, product, push)
        multiply(push, lever, push)
        add(place, run, place)
        add(speed, push, speed)
        add(angle, swing, angle)
        add(turn, bend, turn)
        greater(np.abs(place, product), furthest, right)
        greater(np.abs(angle, product), steepest, over)
        return np.logical_or(right, over, over)

    return values, move


def _scalars(dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Scalars of `mover`, as arrays: numpy takes them in half the time of numbers."""
    lever = POLE * HALF_LENGTH / (CART + POLE)
    pull = FORCE / (CART + POLE) / lever * SECONDS
    return tuple(np.array(value, dtype) for value in (
        2 * pull, pull, GRAVITY / lever * SECONDS, 4 / 3 * HALF_LENGTH / lever, SECONDS, lever, LIMITS[0], LIMITS[2]))


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (4,): the track, the cart and the pole."""
    place, _, angle, _ = state.tolist()
    return cart_with_poles(place, LIMITS[0], (((2 * HALF_LENGTH * sin(angle), 2 * HALF_LENGTH * cos(angle)), 0.06),))
