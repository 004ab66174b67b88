"""The adding problem: what is marked, what is asked for, and what counts as right."""

import torch

from hyperevo.tasks.adding import Settings, build

TASK = build(Settings(length=9, images=500), torch.device("cpu"))


def test_one_number_of_either_half_is_marked_and_their_sum_is_wanted():
    inputs, sums = TASK.batch(0, 0)
    numbers, marks = inputs.unbind(2)
    assert inputs.shape == (500, 9, 2)
    assert (marks[:, :4].sum(1) == 1).all() and (marks[:, 4:].sum(1) == 1).all()
    assert (marks.sum(0) > 0).all()  # every place is marked in some sequence
    torch.testing.assert_close((numbers * marks).sum(1), sums)


def test_held_out_sequences_are_the_same_in_every_run_and_no_generations():
    again = build(Settings(length=9), torch.device("cpu"))
    assert torch.equal(TASK.validation[0], again.validation[0])
    assert torch.equal(TASK.test()[0], again.test()[0])
    assert not torch.equal(TASK.test()[0], TASK.validation[0])
    assert not torch.equal(TASK.batch(0, 1)[0], TASK.batch(0, 2)[0])


def test_right_is_within_four_hundredths():
    sums = torch.tensor([1.0, 0.5])
    outputs = torch.tensor([[[1.03], [0.55]], [[1.0], [0.5]]])
    assert TASK.score(outputs, sums).tolist() == [0.5, 1.0]
    torch.testing.assert_close(TASK.fitness(outputs, sums), torch.tensor([-(0.03**2 + 0.05**2) / 2, 0.0]))
