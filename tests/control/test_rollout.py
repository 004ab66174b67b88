"""Rolling out a population against a plain loop over one network and one episode at a time."""

import pytest
import torch

from hyperevo.control import _rollout, environment, environment_names, rollout, wobbling_rollout
from hyperevo.geometry import Sheet
from hyperevo.parts import Target
from hyperevo.targets import mlp, recurrent
from hyperevo.weights import Deferred, Factored, Weights, join

NETWORKS, EPISODES = 4, 2


def controller(own, kind):
    inputs = Sheet((own.OBSERVATIONS,))
    if kind == "recurrent":
        return recurrent.build(recurrent.Settings(hidden=5), inputs, own.OUTPUTS)
    return mlp.build(mlp.Settings(hidden=((2, 3),) if kind == "mlp" else ()), inputs, own.OUTPUTS)


def random_weights(target, networks=NETWORKS):
    generator = torch.Generator().manual_seed(0)
    return Weights({name: torch.randn(networks, *geometry.shape, generator=generator, dtype=torch.float64)
                    for name, geometry in target.geometry.items()})


def plain(own, target, weights, start, most_steps):
    """One network's return and steps in one episode."""
    memory = target.initial(1, 1, start) if hasattr(target, "step") else None
    total, count, over, state = 0.0, 0, False, start[None]
    while count < most_steps and not over:
        if memory is None:
            outputs = target.forward(weights, own.observe(state))
        else:
            memory, outputs = target.step(weights, memory, own.observe(state))
        state, reward, over = own.step(state, own.act(outputs[0]))
        total, count = total + reward.item(), count + 1
    return total, count


@pytest.mark.parametrize("at_once", [False, True], ids=["those that act", "all at once"])
@pytest.mark.parametrize("kind", ["recurrent", "mlp", "linear"])
@pytest.mark.parametrize("name", environment_names())
def test_equals_a_plain_loop(name, kind, at_once, monkeypatch):
    monkeypatch.setattr(_rollout, "takes_all_at_once", lambda device: at_once)
    own = environment(name)
    target = controller(own, kind)
    weights = random_weights(target)
    starts = own.reset(EPISODES, torch.Generator().manual_seed(0)).double()
    if name == "mountain-car":  # for an episode or two to end early
        starts[0] = torch.tensor([0.4, 0.06])
    returns, steps = rollout(own, target, weights, starts, 40)
    assert returns.shape == steps.shape == (NETWORKS, EPISODES)
    with torch.no_grad():
        for network in range(NETWORKS):
            for episode in range(EPISODES):
                own_weights = weights.networks(slice(network, network + 1))
                total, count = plain(own, target, own_weights, starts[episode], 40)
                assert steps[network, episode] == count
                assert returns[network, episode].item() == pytest.approx(total, abs=1e-6)
    if name.startswith(("cartpole", "double")):
        assert torch.equal(returns, steps.double()) and steps.min() < 40


def plain_wobbles(own, target, weights, start, most_steps):
    """One network's wobble after every step of one episode."""
    memory, state, over, wobbles = target.initial(1, 1, start), start[None], False, []
    while len(wobbles) < most_steps and not over:
        memory, outputs = target.step(weights, memory, own.observe(state))
        state, _, over = own.step(state, own.act(outputs[0]))
        place, long, _, speed, long_turn, _ = state[0].tolist()
        wobbles.append(abs(place) + abs(long) + abs(speed) + abs(long_turn))
    return wobbles


def test_wobbles_are_those_of_the_last_steps(monkeypatch):
    monkeypatch.setattr(_rollout, "LAST", 7)
    own = environment("double-pole-hidden-velocities")
    target = controller(own, "recurrent")
    weights, starts = random_weights(target), own.generalisation_starts()[[0, 200, 312]].double()
    returns, steps, wobbles = wobbling_rollout(own, target, weights, starts, 40)
    for one, other in zip((returns, steps), rollout(own, target, weights, starts, 40), strict=True):
        assert torch.equal(one, other)
    for network in range(NETWORKS):
        for episode in range(3):
            own_weights = weights.networks(slice(network, network + 1))
            plainly = plain_wobbles(own, target, own_weights, starts[episode], 40)
            assert wobbles[network, episode].item() == pytest.approx(sum(plainly[-7:]), rel=1e-9)
    assert steps.min() < 7 < steps.max() and len(steps.unique()) > 3


class Regulator(Target):
    """A target that pushes right where a weighted sum of what it sees is above 0; `seen`: how many networks."""

    own_inputs = True

    def __init__(self):
        self.geometry, self.units, self.seen = {}, 1, []

    def forward(self, weights, inputs):
        self.seen.append(len(inputs))
        sums = (inputs * weights.tensor("gains")[:, None]).sum(-1)
        return torch.stack([torch.zeros_like(sums), sums], -1)


FALLS, BALANCES = [0.0, 0.0, 0.0, 0.0], [1.0, 1.5, 20.0, 3.0]


def regulators(*gains):
    return Weights({"gains": torch.tensor(gains)})


def test_networks_that_are_over_are_dropped_and_those_that_act_are_not():
    own, target = environment("cartpole"), Regulator()
    starts = own.reset(4, torch.Generator().manual_seed(0))
    weights = regulators(FALLS, BALANCES, FALLS, FALLS, FALLS, BALANCES, FALLS)
    _, steps = rollout(own, target, weights, starts, 300)
    assert (steps[[1, 5]] == 300).all() and (steps[[0, 2, 3, 4, 6]] < 20).all()
    assert target.seen[0] == 7 and target.seen[-1] == 2 and len(target.seen) == 300


def test_a_network_does_the_same_alone():
    """Alone it is never dropped, and never moves up in the population."""
    own = environment("cartpole")
    target = controller(own, "recurrent")
    weights = random_weights(target, networks=60)
    starts = own.reset(2, torch.Generator().manual_seed(0)).double()
    together = rollout(own, target, weights, starts, 200)[1]
    alone = torch.cat([rollout(own, target, weights.networks(slice(network, network + 1)), starts, 200)[1]
                       for network in range(60)])
    assert torch.equal(together, alone) and together.max() > 48


def test_it_ends_when_all_episodes_are_over():
    own, target = environment("cartpole"), Regulator()
    rollout(own, target, regulators(FALLS, FALLS, FALLS), own.reset(2, torch.Generator()), 500)
    assert len(target.seen) <= 32


def test_the_number_of_steps_is_the_callers():
    own, target = environment("cartpole"), Regulator()
    for most_steps in (1, 16, 17, 50):
        returns, steps = rollout(own, target, regulators(BALANCES), own.reset(2, torch.Generator()), most_steps)
        assert (steps == most_steps).all() and (returns == most_steps).all()


def test_weights_need_not_be_dense():
    own = environment("cartpole")
    target = controller(own, "recurrent")
    dense = random_weights(target)
    matrix, builds = dense.tensor("recurrent.weight"), []

    def build():
        builds.append(1)
        return matrix[:1]

    rank = Factored(matrix[1:], torch.eye(5, dtype=torch.float64))
    weights = Weights({**dense, "recurrent.weight": join([Deferred(build, torch.Size((1, 5, 5))), rank])})
    starts = own.reset(2, torch.Generator().manual_seed(0)).double()
    assert torch.equal(rollout(own, target, weights, starts, 30)[1], rollout(own, target, dense, starts, 30)[1])
    assert len(builds) == 1
