"""Parity: what a perfect, a useless and a wrong network are worth."""

import pytest
import torch

from hyperevo.tasks.parity import Settings, build


@pytest.fixture(params=[2, 3, 5])
def task(request):
    return build(Settings(bits=request.param), torch.device("cpu"))


def test_all_patterns_are_shown_once_with_their_parity(task):
    patterns, labels = task.batch(0, 0)
    assert len({tuple(pattern) for pattern in patterns.tolist()}) == len(patterns) == 2**task.settings.bits
    assert task.batch_size() == len(patterns)
    assert [int(label) for label in labels] == [sum(bit > 0 for bit in pattern) % 2 for pattern in patterns.tolist()]
    assert int(labels.sum()) == len(labels) // 2
    assert task.inputs.units == task.settings.bits and task.outputs == 1


def test_fitness_and_accuracy_of_known_networks(task):
    patterns, labels = task.batch(3, 7)
    signs = (-patterns).prod(1) * -1.0
    outputs = torch.stack([signs * 20, -signs * 20, torch.zeros_like(signs), torch.full_like(signs, 20.0)])[:, :, None]
    torch.testing.assert_close(task.fitness(outputs, labels), torch.tensor([0.0, -4.0, -1.0, -2.0]))
    assert task.score(outputs, labels).tolist() == [1.0, 0.0, 0.0, 0.5]


def test_every_look_is_at_the_same_patterns(task):
    for looked in (task.batch(1, 2), task.validation, task.test()):
        assert all(torch.equal(one, other) for one, other in zip(looked, task.batch(0, 0), strict=True))
    assert len(task.calibration(3)[0]) == 3
