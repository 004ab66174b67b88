"""Networks with hidden nodes of their own, all at once, against each alone, step by step and layer by layer."""

import math

import neat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperevo.geometry import SUBSTRATE, Sheet
from hyperevo.targets.substrate import Settings, build
from hyperevo.weights import Weights

FUNCTIONS = {"tanh": math.tanh, "relu": lambda z: max(z, 0.0), "sin": math.sin}


def network(hidden, seed, acyclic=False, inputs=3, outputs=2, density=0.4):
    """The weights of one network, float64; without cycles, every node reads those before it only."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"input.weight": (hidden, inputs), "recurrent.weight": (hidden, hidden), "recurrent.bias": (hidden,),
              "readout.weight": (outputs, hidden)}
    weights = {name: torch.randn(shape, generator=generator, dtype=torch.float64)
               * (torch.rand(shape, generator=generator) < density) for name, shape in shapes.items()}
    if acyclic:
        weights["recurrent.weight"] = weights["recurrent.weight"].tril(-1)
    return weights


def side_by_side(networks):
    """P networks, padded with zeros to the largest."""
    largest = max(len(own["recurrent.bias"]) for own in networks)
    padded = {name: torch.zeros(len(networks), *(largest if name.startswith(("input", "recurrent")) else size
                                                 for size in value.shape[:1]),
                                *(size if name.startswith("input") else largest for size in value.shape[1:]),
                                dtype=torch.float64) for name, value in networks[0].items()}
    for number, own in enumerate(networks):
        for name, value in own.items():
            padded[name][number][tuple(slice(size) for size in value.shape)] = value
    return Weights(padded)


def neat_python(own, activation, kind):
    """The network as neat-python's own, over inputs -1, -2, …; outputs come first."""
    function, (outputs, hidden) = FUNCTIONS[activation], own["readout.weight"].shape
    evaluations = [(outputs + node, function, sum, float(own["recurrent.bias"][node]), 1.0,
                    [(-1 - place, weight) for place, weight in enumerate(own["input.weight"][node].tolist())]
                    + [(outputs + source, weight) for source, weight in
                       enumerate(own["recurrent.weight"][node].tolist()) if weight]) for node in range(hidden)]
    evaluations += [(output, lambda z: z, sum, 0.0, 1.0,
                     [(outputs + source, weight) for source, weight in enumerate(links)])
                    for output, links in enumerate(own["readout.weight"].tolist())]
    inputs = [-1 - place for place in range(own["input.weight"].shape[1])]
    return kind(inputs, list(range(outputs)), evaluations)


@pytest.mark.parametrize("activation", FUNCTIONS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_networks_without_cycles_are_computed_exactly(activation, seed, sizes):
    networks = [network(size, seed + place, acyclic=True) for place, size in enumerate(sizes)]
    target = build(Settings(activation=activation), Sheet((3,)), 2)
    inputs = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    outputs = target.forward(side_by_side(networks), inputs)
    assert outputs.shape == (len(sizes), 5, 2)
    for own, answers in zip(networks, outputs, strict=True):
        plain = neat_python(own, activation, neat.nn.FeedForwardNetwork)
        for example, answer in zip(inputs.tolist(), answers, strict=True):
            torch.testing.assert_close(answer, torch.tensor(plain.activate(example), dtype=torch.float64))


@pytest.mark.parametrize("steps", [1, 4])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_networks_with_cycles_take_their_steps(steps, seed, sizes):
    networks = [network(size, seed + place) for place, size in enumerate(sizes)]
    target = build(Settings(steps=steps), Sheet((3,)), 2)
    inputs = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    outputs = target.forward(side_by_side(networks), inputs)
    for own, answers in zip(networks, outputs, strict=True):
        for example, answer in zip(inputs.tolist(), answers, strict=True):
            plain = neat_python(own, "tanh", neat.nn.RecurrentNetwork)
            for _ in range(steps):
                plain.activate(example)
            # Outputs are nodes of neat-python's network, one step behind.
            torch.testing.assert_close(answer, torch.tensor(plain.activate(example), dtype=torch.float64))


@pytest.mark.parametrize("gradient", [False, True])
def test_what_is_beside_a_network_does_not_change_it(gradient):
    networks = [network(size, size) for size in (3, 8, 5)] + [network(6, 6, acyclic=True)]
    target = build(Settings(), Sheet((3,)), 2)
    inputs = torch.randn(4, 3, dtype=torch.float64)
    with torch.set_grad_enabled(gradient):
        together = target.forward(side_by_side(networks), inputs)
        for number, own in enumerate(networks):
            torch.testing.assert_close(together[number], target.forward(side_by_side([own]), inputs)[0])


def test_a_network_without_hidden_nodes_answers_zero():
    target = build(Settings(), Sheet((3,)), 2)
    assert torch.equal(target.forward(side_by_side([network(0, 0)]), torch.randn(4, 3).double()),
                       torch.zeros(1, 4, 2).double())


def test_biases_need_not_be_there():
    own = network(5, 1)
    target = build(Settings(), Sheet((3,)), 2)
    inputs = torch.randn(4, 3).double()
    without = {name: value[None] for name, value in own.items() if name != "recurrent.bias"}
    own["recurrent.bias"] = torch.zeros(5).double()
    torch.testing.assert_close(target.forward(Weights(without), inputs),
                               target.forward(side_by_side([own]), inputs))


def test_gradients_equal_finite_differences():
    target = build(Settings(steps=3), Sheet((3,)), 2)
    weights = {name: value.requires_grad_() for name, value in side_by_side([network(3, 1), network(4, 2)]).items()}
    inputs = torch.randn(2, 3).double()
    assert torch.autograd.gradcheck(lambda *values: target.forward(Weights(dict(zip(weights, values, strict=True))),
                                                                   inputs), tuple(weights.values()))


@pytest.mark.parametrize(("inputs", "outputs", "ends"), [((3,), 2, (2,)), ((28, 28), 10, (2, 5)),
                                                         ((3, 32, 32), 10, (1, 2, 5))])
def test_outputs_have_as_many_axes_as_inputs(inputs, outputs, ends):
    place = build(Settings(), Sheet(inputs), outputs).geometry[SUBSTRATE]
    assert place.source.sizes == inputs and place.target.sizes == ends
