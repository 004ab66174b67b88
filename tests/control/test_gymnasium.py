"""Our dynamics against gymnasium's own, step for step, over 1,000 episodes each."""

import gymnasium
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from hyperevo.control import environment

EPISODES = 1000


def episodes(task, starts, actions):
    """gymnasium's states, rewards and ends from these first states with these actions: (N, steps, values), (N, steps)
    and (N, steps). After an episode's end: NaN, NaN and False."""
    count, steps = actions.shape[:2]
    states, rewards = np.full((count, steps, starts.shape[1]), np.nan), np.full((count, steps), np.nan)
    ends = np.zeros((count, steps), dtype=bool)
    for episode in range(count):
        task.reset()
        task.state = starts[episode].copy()
        for step in range(steps):
            _, rewards[episode, step], over, _, _ = task.step(actions[episode, step])
            states[episode, step], ends[episode, step] = task.state, over
            if over:
                break
    return states, rewards, ends


def assert_equal_step_for_step(name, task, starts, actions, ours):
    """`ours`: the same actions as our environment takes them."""
    states, rewards, ends = episodes(task.unwrapped, starts, actions)
    states, rewards, ends = torch.from_numpy(states), torch.from_numpy(rewards), torch.from_numpy(ends)
    own, state = environment(name), torch.from_numpy(starts)
    running = torch.ones(len(starts), dtype=torch.bool)
    for step in range(actions.shape[1]):
        state, reward, over = own.step(state, ours[:, step])
        torch.testing.assert_close(state[running], states[running, step], atol=1e-5, rtol=0)
        torch.testing.assert_close(reward[running], rewards[running, step], atol=1e-5, rtol=0)
        assert torch.equal(over[running], ends[running, step])
        running &= ~over
    return ends


@pytest.mark.slow
def test_cartpole():
    random = np.random.default_rng(0)
    starts, actions = random.uniform(-0.05, 0.05, (EPISODES, 4)), random.integers(2, size=(EPISODES, 120))
    # Some start near an end of the track, on their way out.
    starts[EPISODES // 2:, :2] = random.choice([-1, 1], (EPISODES // 2, 1)) * random.uniform(2, 2.3, (EPISODES // 2, 2))
    ends = assert_equal_step_for_step("cartpole", gymnasium.make("CartPole-v1"), starts, actions,
                                      torch.from_numpy(actions))
    assert ends.any(1).double().mean() > 0.99


@pytest.mark.slow
def test_pendulum():
    random = np.random.default_rng(0)
    starts = random.uniform(-1, 1, (EPISODES, 2)) * [np.pi, 1]
    actions = random.uniform(-3, 3, (EPISODES, 60, 1))
    assert_equal_step_for_step("pendulum", gymnasium.make("Pendulum-v1"), starts, actions,
                               torch.from_numpy(actions[..., 0]))


@pytest.mark.slow
def test_mountain_car():
    random = np.random.default_rng(0)
    starts = random.uniform(-1, 1, (EPISODES, 2)) * [0.1, 0] - [0.5, 0]
    starts[EPISODES // 2:] = random.uniform([-1.2, -0.07], [0.6, 0.07], (EPISODES // 2, 2))
    # An action is kept for a while, or no car would arrive.
    actions = random.integers(3, size=(EPISODES, 4)).repeat(15, axis=1)
    ends = assert_equal_step_for_step("mountain-car", gymnasium.make("MountainCar-v0"), starts, actions,
                                      torch.from_numpy(actions))
    assert 0.1 < ends.any(1).double().mean() < 0.9


@pytest.mark.slow
def test_acrobot():
    random = np.random.default_rng(0)
    starts, actions = random.uniform(-0.1, 0.1, (EPISODES, 4)), random.integers(3, size=(EPISODES, 25))
    assert_equal_step_for_step("acrobot", gymnasium.make("Acrobot-v1"), starts, actions, torch.from_numpy(actions))


@pytest.mark.slow
def test_acrobot_from_anywhere():
    """High and fast enough to arrive, to turn over and to be held back; but not for long, as it is chaotic there."""
    random = np.random.default_rng(0)
    starts = random.uniform(-1, 1, (EPISODES, 4)) * [np.pi, np.pi, 4 * np.pi, 9 * np.pi]
    actions = random.integers(3, size=(EPISODES, 10))
    ends = assert_equal_step_for_step("acrobot", gymnasium.make("Acrobot-v1"), starts, actions,
                                      torch.from_numpy(actions))
    assert 0.1 < ends.any(1).double().mean() < 0.9


NAMES = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1", "mountain-car": "MountainCar-v0",
         "acrobot": "Acrobot-v1"}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_observed_at_first_has_the_same_distribution(name):
    own, task = environment(name), gymnasium.make(NAMES[name])
    ours = own.observe(own.reset(2000, torch.Generator().manual_seed(0))).numpy()
    theirs = np.stack([task.reset(seed=seed)[0] for seed in range(2000)])
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    for ours_of_one, theirs_of_one in zip(ours.T, theirs.T, strict=True):
        assert ks_2samp(ours_of_one, theirs_of_one).pvalue > 0.001


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_gymnasium(name):
    own, task = environment(name), gymnasium.make(NAMES[name])
    assert task.spec.max_episode_steps == own.MOST_STEPS
    assert task.observation_space.shape == (own.OBSERVATIONS,)
    assert getattr(task.action_space, "n", 1) == own.OUTPUTS
