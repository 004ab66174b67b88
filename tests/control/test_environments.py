"""What holds for every environment."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.control import cartpole, double_pole, environment, environment_names
from hyperevo.errors import UserError


@pytest.fixture(params=environment_names())
def own(request):
    return environment(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (5,), (3, 5), (2, 3, 5)])
def test_any_leading_axes_and_either_precision(own, leading, dtype):
    starts = own.reset(30, torch.Generator().manual_seed(0)).to(dtype)
    state = starts[:1][0] if not leading else starts[: torch.Size(leading).numel()].reshape(*leading, -1)
    outputs = torch.randn(*leading, own.OUTPUTS, generator=torch.Generator().manual_seed(1)).to(dtype)
    following, reward, over = own.step(state, own.act(outputs))
    assert following.shape == state.shape and following.dtype == dtype
    assert reward.shape == over.shape == leading and reward.dtype == dtype and over.dtype == torch.bool
    assert own.observe(state).shape == (*leading, own.OBSERVATIONS) and own.observe(state).dtype == dtype


def test_an_episode_does_not_depend_on_the_others(own):
    state = own.reset(40, torch.Generator().manual_seed(0)).double()
    action = own.act(torch.randn(40, own.OUTPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    together, alone = own.step(state, action), own.step(state[7], action[7])
    for one, of_all in zip(alone, together, strict=True):
        torch.testing.assert_close(one, of_all[7])


def test_a_step_leaves_its_state_alone(own):
    state = own.reset(5, torch.Generator().manual_seed(0))
    before = state.clone()
    own.step(state, own.act(torch.randn(5, own.OUTPUTS)))
    own.observe(state)
    assert torch.equal(state, before)


def test_starts_follow_from_the_seed(own):
    first, again, other = (own.reset(5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and first.dtype == torch.float32
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
