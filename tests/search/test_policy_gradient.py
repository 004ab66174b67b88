"""The policy gradient is that of a plain loop over episodes, in float64; drawn actions have the probabilities of the
outputs; CartPole is solved."""

import math
from dataclasses import replace

import pytest
import torch

from hyperevo.abilities import Experience
from hyperevo.config import load_config
from hyperevo.control import environment_names, explore, log_likelihoods
from hyperevo.control._exploring import DEVIATION
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as Direct
from hyperevo.errors import UserError
from hyperevo.runs import create_run, execute
from hyperevo.runs.compose import compose
from hyperevo.search.policy_gradient import Settings, advantages, build
from hyperevo.targets import mlp, recurrent
from hyperevo.tasks.control import Settings as Control
from hyperevo.tasks.control import build as build_task

CPU, EPISODES, STEPS, NETWORKS = torch.device("cpu"), 4, 8, 2


def parts_of(name, kind, dtype=torch.float64):
    task = build_task(Control(environment=name, most_steps=STEPS, episodes=EPISODES, validation=2), CPU)
    target = kind.build(kind.Settings(hidden=((2, 2),) if kind is mlp else 4), task.inputs, task.outputs)
    encoding = build_encoding(Direct(scale=1.0), target.geometry, CPU)
    genotypes = torch.randn(NETWORKS, encoding.genes, dtype=dtype, generator=torch.Generator().manual_seed(1))
    starts = task.batch(0, 0)[0].to(dtype)
    return task, target, encoding, genotypes, starts


def plain_likelihoods(environment, target, encoding, genotype, experience, network, episode):
    """Logarithms of one network's choices in one episode, one step at a time, with their graphs."""
    weights, state = encoding.express(genotype[None]), None
    for step in range(experience.choices.shape[1]):
        seen = experience.observations[network, step, episode][None, None]
        if hasattr(target, "step"):
            state = target.initial(1, 1, seen) if state is None else state
            state, outputs = target.step(weights, state, seen)
        else:
            outputs = target.forward(weights, seen)
        choice = experience.choices[network, step, episode]
        if environment.ACTIONS == "discrete":
            yield outputs[0, 0, choice] - outputs[0, 0].exp().sum().log()
        else:
            yield sum(-((own - mean) / DEVIATION) ** 2 / 2 - math.log(DEVIATION * math.sqrt(2 * math.pi))
                      for own, mean in zip(choice, outputs[0, 0], strict=True))


def plain_advantage(experience, network, episode, step, discount):
    def ahead(own):
        return sum(discount ** (later - step) * float(experience.rewards[network, later, own])
                   for later in range(step, experience.rewards.shape[1]))

    return ahead(episode) - sum(map(ahead, range(EPISODES))) / EPISODES


def with_other_rewards(experience):
    """Rewards of any kind, and episodes that end at any step: within a few steps all of them get the same."""
    generator = torch.Generator().manual_seed(6)
    ends = torch.randint(1, experience.counted.shape[1] + 1, (NETWORKS, 1, EPISODES), generator=generator)
    counted = (torch.arange(experience.counted.shape[1])[None, :, None] < ends).double()
    rewards = torch.randn(counted.shape, generator=generator, dtype=torch.float64) * counted
    return replace(experience, rewards=rewards, counted=counted)


@pytest.mark.parametrize("kind", [mlp, recurrent])
@pytest.mark.parametrize("name", ["cartpole-v0", "acrobot", "double-pole"])
@pytest.mark.parametrize("options", [{}, {"ratio": 0.2, "epochs": 2, "discount": 0.9}])
def test_the_gradient_is_that_of_a_loop_over_episodes(name, kind, options):
    task, target, encoding, genotypes, starts = parts_of(name, kind)
    environment = task.environment
    search = build(Settings(population=NETWORKS, **options), encoding, 0)
    with torch.no_grad():
        experience = explore(environment, target, encoding.express(genotypes), starts, STEPS,
                             torch.Generator().manual_seed(2))
        before = log_likelihoods(environment, target, encoding.express(genotypes), experience)
    experience = with_other_rewards(experience)
    now = (genotypes + 0.3 * torch.randn(genotypes.shape, generator=torch.Generator().manual_seed(3)).double()) \
        if "ratio" in options else genotypes
    leaf = now.clone().requires_grad_()
    likelihoods = log_likelihoods(environment, target, encoding.express(leaf), experience)
    gradient, = torch.autograd.grad(search.surrogate(likelihoods, before, experience).sum(), leaf)

    discount = options.get("discount", 0.99)
    for network in range(NETWORKS):
        genotype, surrogate = now[network].clone().requires_grad_(), 0.0
        for episode in range(EPISODES):
            plain = plain_likelihoods(environment, target, encoding, genotype, experience, network, episode)
            for step, likelihood in enumerate(plain):
                if not experience.counted[network, step, episode]:
                    break
                advantage = plain_advantage(experience, network, episode, step, discount)
                if "ratio" in options:
                    quotient = (likelihood - before[network, step, episode]).exp()
                    surrogate = surrogate + min(quotient * advantage, quotient.clamp(0.8, 1.2) * advantage)
                else:
                    surrogate = surrogate + likelihood * advantage
        expected, = torch.autograd.grad(surrogate / EPISODES, genotype)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(gradient[network], expected, rtol=0, atol=1e-8)


def test_advantages_are_returns_less_their_mean():
    rewards = torch.tensor([[[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]])
    expected = torch.tensor([[[0.375, -0.375], [0.75, -0.75], [0.5, -0.5]]])
    torch.testing.assert_close(advantages(rewards, 0.5), expected)


def test_choices_have_the_probabilities_of_the_outputs():
    task, target, encoding, genotypes, starts = parts_of("acrobot", mlp, torch.float32)
    many = starts[:1].expand(20_000, -1)
    weights = encoding.express(genotypes[:1])
    seen = explore(task.environment, target, weights, many, 1, torch.Generator().manual_seed(0))
    found = torch.bincount(seen.choices[0, 0], minlength=3) / 20_000
    expected = target.forward(weights, task.environment.observe(starts[:1]))[0, 0].softmax(0)
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)


@pytest.mark.parametrize("name", environment_names())
def test_an_experience_is_what_the_environment_does(name):
    task, target, encoding, genotypes, starts = parts_of(name, mlp)
    own = explore(task.environment, target, encoding.express(genotypes), starts, STEPS,
                  torch.Generator().manual_seed(5))
    assert isinstance(own, Experience)
    assert own.rewards.shape == own.counted.shape == (NETWORKS, len(own.rewards[0]), EPISODES)
    state, running = starts.expand(NETWORKS, -1, -1), torch.ones(NETWORKS, EPISODES)
    for step in range(own.rewards.shape[1]):
        torch.testing.assert_close(own.observations[:, step], task.environment.observe(state))
        choice = own.choices[:, step]
        outputs = torch.nn.functional.one_hot(choice, task.outputs).double() \
            if task.environment.ACTIONS == "discrete" else choice
        state, reward, over = task.environment.step(state, task.environment.act(outputs))
        torch.testing.assert_close(own.rewards[:, step], reward * running)
        assert torch.equal(own.counted[:, step], running.double())
        running = running.masked_fill(over, 0)


def test_cartpole_is_solved_by_eighteen_of_twenty_seeds():
    config = load_config("cartpole-policy-gradient", ["run.rounds=20"]).config
    result = execute(create_run(config, None))
    assert result["test_images"] == 100 and sum(score >= 195 for score in result["test_accuracies"]) >= 18


def test_it_learns_cosine_coefficients():
    config = load_config("cartpole-policy-gradient", ["encoding={name='dct', coefficients=[3], scale=1.0}",
                                                      "search.population=4", "run.rounds=15"]).config
    assert execute(create_run(config, None))["test_accuracy"] > 150


def test_several_epochs_need_a_ratio():
    with pytest.raises(UserError, match="epochs above 1 need a ratio"):
        load_config("cartpole-policy-gradient", ["search.epochs=2"])


def test_it_is_for_tasks_whose_actions_can_be_drawn():
    config = load_config("dct-mnist", ["task.name=digits", "search={name='policy-gradient'}"]).config
    with pytest.raises(UserError, match="task digits and search policy-gradient do not fit: search.name: no actions"):
        compose(config)
