"""Environments by name, and the symmetries of their equations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.control import cartpole, double_pole, environment, environment_names
from hyperevo.errors import UserError


def test_other_seeds_start_elsewhere():
    for own in map(environment, environment_names()):
        first, other = (own.reset(5, torch.Generator().manual_seed(seed)) for seed in (0, 1))
        assert torch.equal(first, other) == ("double_pole" in own.__name__)  # which always starts in the same state


def test_unknown_names_are_errors():
    with pytest.raises(UserError, match="cartpole"):
        environment("cartpol")


numbers = st.floats(-1, 1, width=64)


@given(st.lists(numbers, min_size=4, max_size=4), st.booleans())
def test_cartpole_is_symmetric(values, right):
    state = torch.tensor(values, dtype=torch.float64)
    following, _, failed = cartpole.step(state, torch.tensor(right))
    mirrored, _, failed_mirrored = cartpole.step(-state, torch.tensor(not right))
    torch.testing.assert_close(mirrored, -following)
    assert failed == failed_mirrored


@given(st.lists(numbers, min_size=6, max_size=6), st.floats(-10, 10, width=64))
def test_double_pole_is_symmetric(values, force):
    state, force = torch.tensor(values, dtype=torch.float64), torch.tensor(force, dtype=torch.float64)
    following, _, failed = double_pole.step(state, force)
    mirrored, _, failed_mirrored = double_pole.step(-state, -force)
    torch.testing.assert_close(mirrored, -following)
    assert failed == failed_mirrored


@given(st.lists(numbers, min_size=4, max_size=4), st.integers(0, 2))
def test_acrobot_is_symmetric(values, action):
    own, state = environment("acrobot"), torch.tensor(values, dtype=torch.float64) * 3
    following, reward, _ = own.step(state, torch.tensor(action))
    mirrored, mirrored_reward, _ = own.step(-state, torch.tensor(2 - action))
    torch.testing.assert_close(own.observe(mirrored), own.observe(-following))
    assert reward == mirrored_reward


@pytest.mark.parametrize("name", [name for name in environment_names() if "mover" in vars(environment(name))])
def test_a_mover_does_what_step_and_observe_do(name):
    own, generator = environment(name), torch.Generator().manual_seed(0)
    states = torch.randn(500, own.reset(1, generator).shape[1], generator=generator, dtype=torch.float64)
    values = states.T.contiguous().numpy().copy()
    seen, move = own.mover(values)
    for _ in range(3):
        torch.testing.assert_close(torch.from_numpy(seen.T), own.observe(states))
        outputs = torch.randn(500, own.OUTPUTS, generator=generator, dtype=torch.float64)
        outputs[:20] = 0.5  # no output is the larger one
        states, rewards, over = own.step(states, own.act(outputs))
        assert torch.equal(torch.from_numpy(move(outputs.T.numpy())), over) and 0.1 < over.double().mean() < 0.99
        torch.testing.assert_close(torch.from_numpy(values.T), states)
        assert (rewards == 1).all()
