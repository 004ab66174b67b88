"""Double pole balancing against the published equations written out by themselves, and against physics."""

import math

import numpy as np
import pytest
import torch

from hyperevo.control import double_pole, environment


def accelerations(place, angles, speed, turns, force):
    """x'' and θ'' of both poles, number by number, from Wieland's equations as Gomez & Schmidhuber print them: gravity
    is -9.8, and l half of a pole's length."""
    gravity, cart, cart_friction, pole_friction = -9.8, 1.0, 0.0005, 0.000002
    masses, lengths = [0.1, 0.01], [0.5, 0.05]
    forces, effective = 0.0, 0.0
    for angle, turn, mass, length in zip(angles, turns, masses, lengths, strict=True):
        friction = pole_friction * turn / (mass * length)
        forces += mass * length * turn**2 * math.sin(angle)
        forces += 3 / 4 * mass * math.cos(angle) * (friction + gravity * math.sin(angle))
        effective += mass * (1 - 3 / 4 * math.cos(angle) ** 2)
    pull = (force - cart_friction * np.sign(speed) + forces) / (cart + effective)
    return pull, [-3 / (4 * length) * (pull * math.cos(angle) + gravity * math.sin(angle)
                                       + pole_friction * turn / (mass * length))
                  for angle, turn, mass, length in zip(angles, turns, masses, lengths, strict=True)]


def derivative(state, force):
    pull, bends = accelerations(state[0], state[1:3], state[3], state[4:], force)
    return np.array([*state[3:], pull, *bends])


def plain_step(state, force):
    for _ in range(2):
        first = derivative(state, force)
        second = derivative(state + 0.005 * first, force)
        third = derivative(state + 0.005 * second, force)
        fourth = derivative(state + 0.01 * third, force)
        state = state + 0.01 / 6 * (first + 2 * second + 2 * third + fourth)
    return state


def anywhere(count):
    reaches = torch.tensor([2.4, 0.6, 0.6, 2.0, 2.0, 4.0], dtype=torch.float64)
    return (torch.rand(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1) * reaches


def test_equals_the_published_equations():
    state = anywhere(10)
    forces = torch.rand(10, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 20 - 10
    plain = state.numpy()
    for step in range(20):
        state, reward, failed = double_pole.step(state, forces[:, step])
        plain = np.stack([plain_step(own, force) for own, force in zip(plain, forces[:, step].tolist(), strict=True)])
        torch.testing.assert_close(state, torch.from_numpy(plain), atol=1e-9, rtol=1e-9)
        place, angles = np.abs(plain[:, 0]), np.abs(plain[:, 1:3])
        expected = (place > 2.4) | (angles > 36 / 180 * math.pi).any(1)
        assert torch.equal(failed, torch.from_numpy(expected)) and (reward == 1).all()


def energy(state):
    """Of the cart and of both poles, which are thin rods."""
    speed, total = state[:, 3], 0.5 * 1.0 * state[:, 3] ** 2
    for angle, turn, mass, length in ((state[:, 1], state[:, 4], 0.1, 0.5), (state[:, 2], state[:, 5], 0.01, 0.05)):
        across, up = speed + length * turn * angle.cos(), -length * turn * angle.sin()
        total = total + mass / 2 * (across**2 + up**2) + mass * length**2 / 6 * turn**2
        total = total + mass * 9.8 * length * angle.cos()
    return total


def test_energy_is_conserved_without_friction_and_force(monkeypatch):
    monkeypatch.setattr(double_pole, "CART_FRICTION", 0.0)
    monkeypatch.setattr(double_pole, "RUBS", (0.0, 0.0))
    # Shorter steps, as the method itself is right to the fourth power of their length.
    monkeypatch.setattr(double_pole, "SECONDS", 0.001)
    state = anywhere(100)
    before, none = energy(state), torch.zeros(100, dtype=torch.float64)
    for _ in range(250):
        state, _, _ = double_pole.step(state, none)
    torch.testing.assert_close(energy(state), before, atol=1e-8, rtol=0)
    assert (state - anywhere(100)).abs().amax(0).min() > 0.1


def test_friction_takes_energy():
    state = anywhere(100)
    before, none = energy(state), torch.zeros(100, dtype=torch.float64)
    for _ in range(20):
        state, _, _ = double_pole.step(state, none)
    assert (energy(state) < before).double().mean() > 0.95


def test_forces_are_limited():
    state = anywhere(10)
    for force in (10.0, -10.0):
        most, beyond = (double_pole.step(state, torch.full((10,), value, dtype=torch.float64))
                        for value in (force, 3 * force))
        assert torch.equal(most[0], beyond[0])


def test_the_long_pole_starts_at_four_degrees():
    starts = double_pole.reset(3, torch.Generator())
    assert starts.shape == (3, 6) and starts[0, 1].item() == pytest.approx(4 / 180 * math.pi)
    assert starts.count_nonzero() == 3


def test_gruaus_starts():
    starts = double_pole.generalisation_starts()
    assert len(starts.unique(dim=0)) == 625
    torch.testing.assert_close(starts.amax(0), torch.tensor([1.944, 0.056549, 0.0, 1.215, 0.135088, 0.0]))
    torch.testing.assert_close(starts.amin(0), -starts.amax(0))


def test_velocities_are_hidden():
    state = anywhere(7)
    seen, all_of_it = environment("double-pole-hidden-velocities").observe(state), double_pole.observe(state)
    assert torch.equal(seen, all_of_it[:, :3])
    torch.testing.assert_close(all_of_it[:, 1], state[:, 1] / 0.52)
