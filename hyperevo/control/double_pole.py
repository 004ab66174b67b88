"""A cart is pushed so that two poles of different length, side by side on it, stay up (Wieland 1991): positions and
velocities are seen. Poles of 1 m and 0.1 m as Gomez & Schmidhuber (2005) and Koutník et al. (2010) balance them.

    F̃ᵢ = mᵢ lᵢ θᵢ'² sin θᵢ + 3/4 mᵢ cos θᵢ (μᵢ θᵢ' / (mᵢ lᵢ) - g sin θᵢ)        m̃ᵢ = mᵢ (1 - 3/4 cos² θᵢ)
    x'' = (F - μ sgn x' + Σ F̃ᵢ) / (M + Σ m̃ᵢ)        θᵢ'' = -3/(4 lᵢ) (x'' cos θᵢ - g sin θᵢ + μᵢ θᵢ' / (mᵢ lᵢ))

lᵢ is half a pole's length. A state is (x, θ₁, θ₂, x', θ₁', θ₂'), and a force acts for two steps of Runge-Kutta.
Every step earns 1, the one that fails too.
"""

from math import cos, radians, sin

import torch
from torch import Tensor

from hyperevo.control._dynamics import numbers, runge_kutta, together
from hyperevo.control._sketch import Sketch, cart_with_poles

OBSERVATIONS, OUTPUTS = 6, 1
MOST_STEPS = 100_000
"""Who balances for so long has solved the task; half an hour."""

GRAVITY, CART, FORCE, SECONDS = 9.8, 1.0, 10.0, 0.01
MASSES, HALF_LENGTHS = (0.1, 0.01), (0.5, 0.05)
CART_FRICTION, POLE_FRICTION = 0.0005, 0.000002
TRACK, ANGLE = 2.4, radians(36)
"""How far the cart may go and a pole may lean to either side."""

SCALES = (4.8, 0.52, 0.52, 2.0, 2.0, 2.0)
"""What the values of a state are divided by where a network reads them, as in the programs of Gomez and of Stanley."""

# Of both poles in the equations: m l, 3/4 m, μ / (m l), -3/(4 l).
MOMENTS = tuple(mass * length for mass, length in zip(MASSES, HALF_LENGTHS, strict=True))
SHARES = tuple(0.75 * mass for mass in MASSES)
RUBS = tuple(POLE_FRICTION / moment for moment in MOMENTS)
LEVERS = tuple(-0.75 / length for length in HALF_LENGTHS)


def reset(episodes: int, generator: torch.Generator) -> Tensor:
    """First states (episodes, 6), all the same: the long pole leans by 4°, and all else is 0."""
    return torch.tensor([0.0, radians(4), 0.0, 0.0, 0.0, 0.0]).repeat(episodes, 1)


def generalisation_starts() -> Tensor:
    """Gruau's test (1996): states (625, 6), five places, angles of the long pole and velocities of both in all
    combinations. A network generalises that balances for 1,000 steps from 200 of them."""
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]) * 2 - 1
    reaches = (2.16, radians(3.6), 0.0, 1.35, radians(8.6), 0.0)
    return torch.cartesian_prod(*(shares * reach if reach else torch.zeros(1) for reach in reaches))


def observe(state: Tensor) -> Tensor:
    """The whole state, scaled."""
    return state / numbers(SCALES, state.dtype, state.device)


def act(outputs: Tensor) -> Tensor:
    """The force, from tanh of the output."""
    return outputs[..., 0].tanh() * FORCE


def step(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next state, reward, and whether a pole fell or the cart left its track."""
    force = action.clamp(-FORCE, FORCE)
    for _ in range(2):
        state = runge_kutta(lambda now: _derivative(now, force), state, SECONDS)
    place, long, short = state[..., :3].abs().unbind(-1)
    return state, torch.ones_like(place), (place > TRACK) | (long > ANGLE) | (short > ANGLE)


def sketch(state: Tensor) -> Sketch:
    """How one state (6,) looks."""
    place, *angles = state[:3].tolist()
    tips = ((2 * half * sin(angle), 2 * half * cos(angle)) for half, angle in zip(HALF_LENGTHS, angles, strict=True))
    return cart_with_poles(place, TRACK, tuple((tip, 0.06) for tip in tips))



def _derivative(state: Tensor, force: Tensor) -> Tensor:
    angles, velocities = state[..., 1:3], state[..., 3:]
    moments, shares, rubs, levers = (numbers(values, state.dtype, state.device)
                                     for values in (MOMENTS, SHARES, RUBS, LEVERS))
    sines, cosines, turns = angles.sin(), angles.cos(), velocities[..., 1:]
    leans = torch.sub(rubs * turns, sines, alpha=GRAVITY)
    pushes = torch.addcmul(moments * turns.square() * sines, shares * cosines, leans).sum(-1)
    load = CART + sum(MASSES) - (shares * cosines.square()).sum(-1)
    pull = (torch.sub(force, velocities[..., 0].sign(), alpha=CART_FRICTION) + pushes) / load
    bends = levers * torch.addcmul(leans, pull[..., None], cosines)
    return together(*velocities.unbind(-1), pull, *bends.unbind(-1))
