"""Double pole balancing (Wieland 1991): a cart is pushed so that two poles of different length, side by side on it,
stay up. The network sees positions and velocities. The poles are 1 m and 0.1 m long, as in Gomez & Schmidhuber (2005)
and Koutník et al. (2010).

    F̃ᵢ = mᵢ lᵢ θᵢ'² sin θᵢ + 3/4 mᵢ cos θᵢ (μᵢ θᵢ' / (mᵢ lᵢ) - g sin θᵢ)        m̃ᵢ = mᵢ (1 - 3/4 cos² θᵢ)
    x'' = (F - μ sgn x' + Σ F̃ᵢ) / (M + Σ m̃ᵢ)        θᵢ'' = -3/(4 lᵢ) (x'' cos θᵢ - g sin θᵢ + μᵢ θᵢ' / (mᵢ lᵢ))

lᵢ is half a pole's length. A state is (x, θ₁, θ₂, x', θ₁', θ₂'), θ = 0 upright, and a force acts for two steps of
Runge-Kutta. Every step's reward is 1, that of the step that fails too.
"""

from collections.abc import Callable
from math import cos, radians, sin

import numpy as np
import torch
from torch import Tensor

from hyperevo.control._dynamics import numbers, runge_kutta
from hyperevo.control._sketch import Sketch, cart_with_poles

OBSERVATIONS, OUTPUTS = 6, 1
ACTIONS = "continuous"
MOST_STEPS = 100_000
"""Length of an episode, half an hour: a network that balances so long has solved the task."""
GENERALISATION_STEPS = 1_000
"""Steps to balance from each of `generalisation_starts`."""

GRAVITY, CART, FORCE, SECONDS = 9.8, 1.0, 10.0, 0.01
MASSES, HALF_LENGTHS = (0.1, 0.01), (0.5, 0.05)
CART_FRICTION, POLE_FRICTION = 0.0005, 0.000002
TRACK, ANGLE = 2.4, radians(36)
"""Largest |x|, in metres, and largest angle of a pole, in radians, before an episode fails."""

SCALES = (4.8, 0.52, 0.52, 2.0, 2.0, 2.0)
"""Divisors of a state's values as a network reads them, from the programs of Gomez and of Stanley."""

# Constants of both poles: μ / (m l), 4/3 l, -3/(4 l). SHARE is the long pole's 3/4 m, SHORT the short one's part of it.
RUBS = tuple(POLE_FRICTION / (mass * length) for mass, length in zip(MASSES, HALF_LENGTHS, strict=True))
SWINGS = tuple(length / 0.75 for length in HALF_LENGTHS)
LEVERS = tuple(-0.75 / length for length in HALF_LENGTHS)
SHARE, SHORT = 0.75 * MASSES[0], MASSES[1] / MASSES[0]


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 6), all equal: the long pole leans by 4°, and every other value is 0."""
    return torch.tensor([0.0, radians(4), 0.0, 0.0, 0.0, 0.0]).repeat(episodes, 1)


def generalisation_starts() -> Tensor:
    """First states (625, 6) of Gruau's test (1996): all combinations of five values each for the cart's position and
    velocity and the long pole's angle and velocity.

    A network that balances for GENERALISATION_STEPS from 200 of them generalises.
    """
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]) * 2 - 1
    reaches = (2.16, radians(3.6), 0.0, 1.35, radians(8.6), 0.0)
    return torch.cartesian_prod(*(shares * reach if reach else torch.zeros(1) for reach in reaches))


def wobble(state: Tensor) -> Tensor:
    """|x| + |x'| + |θ₁| + |θ₁'|, which Gruau's fitness keeps small."""
    place, long, _, speed, long_turn, _ = state.abs().unbind(-1)
    return place + long + speed + long_turn


def observe(state: Tensor) -> Tensor:
    """The whole state, scaled."""
    return state / numbers(SCALES, state.dtype, state.device)


def act(outputs: Tensor) -> Tensor:
    """The force in newtons (…): 10 tanh of the output."""
    return outputs[..., 0].tanh() * FORCE


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and whether a pole fell or the cart left its track."""
    force, values = action.clamp(-FORCE, FORCE), state.movedim(-1, 0)
    constants = numbers((*RUBS, *SWINGS, *LEVERS), state.dtype, state.device).view(3, 2, *(1,) * force.dim()).unbind()
    for _ in range(2):
        values = runge_kutta(lambda now: _derivative(now, force, *constants), values, SECONDS)
    place, lean = values[0].abs(), values[1:3].abs().amax(0)
    return values.movedim(0, -1), torch.ones_like(place), (place > TRACK) | (lean > ANGLE)


def mover(values: np.ndarray, seen: int = OBSERVATIONS) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Observations (seen, …) of `values` (6, …), and the function that takes a step of both in their place."""
    force, following = np.empty_like(values[0]), np.empty_like(values)
    slopes, change = np.empty((4, *values.shape), values.dtype), np.empty_like(values)
    slope = [_array_derivative(at, force, own) for at, own in zip((values, *[following] * 3), slopes, strict=True)]
    shown, over = np.empty_like(values[:seen]), np.empty_like(values[:3], dtype=bool)
    scales, limits = (np.array(own, values.dtype).reshape(-1, *[1] * force.ndim)
                      for own in (SCALES[:seen], (TRACK, ANGLE, ANGLE)))
    half, whole, sixth, two, most = (np.array(number, values.dtype)
                                     for number in (SECONDS / 2, SECONDS, SECONDS / 6, 2, FORCE))

    def move(outputs: np.ndarray) -> np.ndarray:
        np.multiply(np.tanh(outputs[0], force), most, force)
        for _ in range(2):
            slope[0]()
            for number, seconds in enumerate((half, half, whole)):
                np.multiply(slopes[number], seconds, change)
                np.add(values, change, following)
                slope[number + 1]()
            np.add(slopes[1], slopes[2], change)
            np.multiply(change, two, change)
            np.add(change, slopes[0], change)
            np.add(change, slopes[3], change)
            np.multiply(change, sixth, change)
            np.add(values, change, values)
        np.divide(values[:seen], scales, shown)
        np.greater(np.abs(values[:3], change[:3]), limits, over)
        return np.asarray(over.any(0))

    np.divide(values[:seen], scales, shown)
    return shown, move


def _array_derivative(values: np.ndarray, force: np.ndarray, result: np.ndarray) -> Callable[[], None]:
    """Function that writes to `result` what `_derivative` gives."""
    angles, turns, ones = values[1:3], values[4:], [1] * force.ndim
    rubs, swings, levers = (np.array(own, values.dtype).reshape(2, *ones) for own in (RUBS, SWINGS, LEVERS))
    friction, gravity, share, short, mass = (np.array(number, values.dtype) for number in (
        CART_FRICTION, GRAVITY, SHARE, SHORT, CART + sum(MASSES)))
    sines, cosines, leans, pushes, product = np.empty((5, *angles.shape), values.dtype)
    pull, turned, other = result[3], result[4:], product[0]
    add, subtract, multiply = np.add, np.subtract, np.multiply

    def both(result: np.ndarray) -> None:
        """Write what both poles give the cart, of `pushes`."""
        multiply(pushes[1], short, other)
        add(pushes[0], other, other)
        multiply(other, share, result)

    def derive() -> None:
        np.sin(angles, sines)
        np.cos(angles, cosines)
        multiply(rubs, turns, leans)
        multiply(sines, gravity, product)
        subtract(leans, product, leans)
        multiply(swings, turns, pushes)
        multiply(pushes, turns, pushes)
        multiply(pushes, sines, pushes)
        multiply(cosines, leans, product)
        add(pushes, product, pushes)
        both(pull)
        add(pull, force, pull)
        multiply(np.sign(values[3], other), friction, other)
        subtract(pull, other, pull)
        multiply(cosines, cosines, pushes)
        both(other)
        subtract(mass, other, other)
        np.divide(pull, other, pull)
        multiply(cosines, pull, turned)
        add(turned, leans, turned)
        multiply(turned, levers, turned)
        np.copyto(result[:3], values[3:])

    return derive


def sketch(state: Tensor) -> Sketch:
    """Sketch of one state (6,): the track, the cart and both poles."""
    place, *angles = state[:3].tolist()
    tips = ((2 * half * sin(angle), 2 * half * cos(angle)) for half, angle in zip(HALF_LENGTHS, angles, strict=True))
    return cart_with_poles(place, TRACK, tuple((tip, 0.06) for tip in tips))


def _derivative(values: Tensor, force: Tensor, rubs: Tensor, swings: Tensor, levers: Tensor) -> Tensor:
    """Time derivative (6, …) of states (6, …) under forces (…). A sum over the poles is the long pole's term plus SHORT
    times the short pole's; the long pole's 3/4 m is factored out as SHARE."""
    velocities, turns = values[3:], values[4:]
    sines, cosines = values[1:3].sin(), values[1:3].cos()
    leans = torch.mul(rubs, turns).sub_(sines, alpha=GRAVITY)
    pushes = torch.mul(swings, turns).mul_(turns).mul_(sines).addcmul_(cosines, leans)
    squares = cosines.square()
    pull = torch.sub(force, velocities[0].sign(), alpha=CART_FRICTION)
    pull.add_(pushes[0].add_(pushes[1], alpha=SHORT), alpha=SHARE)
    load = squares[0].add_(squares[1], alpha=SHORT).mul_(-SHARE).add_(CART + sum(MASSES))
    pull.div_(load)
    return torch.cat([velocities, pull[None], leans.addcmul_(cosines, pull).mul_(levers)])
