"""Fitness by a user's own function: of outputs and labels, or of networks alone."""

import numpy as np
import pytest
import torch

from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.runs.compose import build_search
from hyperevo.runs.evaluate import acting_in, evaluate
from hyperevo.runs.learn import differentiable_fitness
from hyperevo.search import snes
from hyperevo.targets import mlp, recurrent
from hyperevo.tasks._function import FunctionTask, NetworksTask

CPU = torch.device("cpu")
BITS = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
ODD = np.array([0, 1, 1, 0])


def near(outputs, labels):
    """Minus the squared distance of the only output from a label."""
    return -(outputs[..., 0] - labels).square().mean(1)


def parts(task, settings=None):
    module = recurrent if isinstance(settings, recurrent.Settings) else mlp
    target = module.build(settings or mlp.Settings(hidden=((2, 2),)), task.inputs, task.outputs)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, CPU)
    return target, encoding, torch.randn(5, encoding.genes, generator=torch.Generator().manual_seed(0))


def fitness_of(task, target, encoding, genotypes):
    return evaluate(encoding, target, genotypes, task.batch(0, 0), task.fitness, 1.0, None, acting_in(task))


def test_a_function_of_outputs_and_labels_is_the_fitness_of_every_network():
    task = FunctionTask(near, BITS, ODD, outputs=1)
    target, encoding, genotypes = parts(task)
    outputs = target.forward(encoding.express(genotypes), BITS)
    torch.testing.assert_close(fitness_of(task, target, encoding, genotypes), near(outputs, torch.from_numpy(ODD)))
    assert task.validation[1].dtype == torch.long and repr(task) == "FunctionTask(near, 2 inputs → 1 outputs)"
    assert torch.equal(task.score(outputs, task.test()[1]), task.fitness(outputs, task.test()[1]))


def test_a_gradient_follows_it():
    task = FunctionTask(near, BITS, ODD, outputs=1)
    target, encoding, genotypes = parts(task)
    genotypes.requires_grad_()
    differentiable_fitness(encoding, target, task)(genotypes, *task.batch(0, 0)).sum().backward()
    assert (genotypes.grad != 0).any(1).all()


def test_examples_are_all_or_drawn_and_held_out_ones_may_be_given():
    inputs, labels = np.arange(60.0).reshape(30, 2), np.arange(30.0)
    task = FunctionTask(near, inputs, labels)
    assert task.outputs == 1 and task.batch_size() == 30 and torch.equal(task.batch(0, 0)[0], task.test()[0])
    assert FunctionTask(near, inputs, np.ones((30, 3))).outputs == 3
    drawn = FunctionTask(near, inputs, labels, examples=5, test=(inputs[:2], labels[:2]))
    assert drawn.batch_size() == len(drawn.batch(0, 1)[1]) == 5
    assert torch.equal(drawn.batch(0, 1)[0], drawn.batch(0, 1)[0])
    assert not torch.equal(drawn.batch(0, 1)[0], drawn.batch(0, 2)[0])
    assert len(drawn.test()[1]) == 2 and len(drawn.validation[1]) == 30
    assert torch.equal(drawn.batch(0, 1)[0][:, 0] / 2, drawn.batch(0, 1)[1])


@pytest.mark.parametrize(("make", "line"), [
    (lambda: FunctionTask(near, BITS, ODD), "task.outputs: is missing"),
    (lambda: FunctionTask(near, BITS, ["a", "b", "b", "a"], outputs=1), "task: labels: are text"),
    (lambda: FunctionTask(near, BITS, ODD[:3], outputs=1), "task: 4 inputs and 3 labels"),
    (lambda: FunctionTask(near, BITS, ODD, outputs=1, test=(BITS[:, :1], ODD)), "task: has 1 inputs an example"),
    (lambda: FunctionTask(lambda outputs, _: outputs, BITS, ODD, outputs=1).fitness(torch.ones(3, 4, 1), BITS),
     r"task.fitness: function gives values of shape \(3, 4, 1\), and one for each of 3 networks is wanted"),
    (lambda: NetworksTask(near, 0, 1), r"task.inputs, task.outputs: \(0,\) and 1; 1 is the least"),
])
def test_what_does_not_fit_is_one_line(make, line):
    with pytest.raises(UserError, match=f"^{line}"):
        make()


def reach(networks):
    """How near networks come to 1 at (0.5, -0.5), all at once."""
    return -(networks([[0.5, -0.5]])[:, 0, 0] - 1).square()


def reach_alone(networks):
    """The same, one network after the other."""
    return [-float(network(np.array([0.5, -0.5]))[0] - 1) ** 2 for network in networks]


def test_a_function_of_networks_gets_all_or_one_after_the_other():
    together, alone = NetworksTask(reach, 2, 1), NetworksTask(reach_alone, 2, 1)
    target, encoding, genotypes = parts(together)
    expected = -(target.forward(encoding.express(genotypes), torch.tensor([[0.5, -0.5]]))[:, 0, 0] - 1).square()
    for task in (together, alone):
        torch.testing.assert_close(fitness_of(task, target, encoding, genotypes), expected)


def test_networks_take_inputs_of_their_own():
    shown = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1))
    seen = []

    def note(networks):
        seen.append(networks(shown[: len(networks)]))
        return torch.zeros(len(networks))

    task = NetworksTask(note, (2,), 1)
    target, encoding, genotypes = parts(task)
    weights = encoding.express(genotypes)
    task.play(target, weights, *task.test())
    for number in range(5):
        alone = target.forward(weights.networks(slice(number, number + 1)), shown[number])
        torch.testing.assert_close(seen[0][number], alone[0])


def test_networks_that_remember_do_so_until_they_forget():
    answers = []

    def twice(networks):
        first, second = networks([[1.0, 2.0]]), networks([[1.0, 2.0]])
        networks.forget()
        answers.extend([first, second, networks([[1.0, 2.0]])])
        with pytest.raises(UserError, match="remember 1 sequences were shown 2; `forget` begins anew"):
            networks([[1.0, 2.0]] * 2)
        return torch.zeros(len(networks))

    task = NetworksTask(twice, 2, 1)
    target, encoding, genotypes = parts(task, recurrent.Settings(hidden=3))
    task.play(target, encoding.express(genotypes), *task.test())
    assert torch.equal(answers[0], answers[2]) and not torch.equal(answers[0], answers[1])


def test_a_search_betters_networks_by_it():
    task = NetworksTask(reach, 2, 1)
    target, encoding, _ = parts(task)
    search = build_search(snes.Settings(population=20, centre=0.5), encoding, 0)
    before = fitness_of(task, target, encoding, search.ask()).mean()
    for _ in range(30):
        search.tell(fitness_of(task, target, encoding, search.ask()))
    assert fitness_of(task, target, encoding, search.candidates()) > max(before, torch.tensor(-0.01))
    search.close()
