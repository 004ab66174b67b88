"""Character modelling: what is read and asked for, and how it is measured."""

from math import log2

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from hyperevo.data import read_text_file
from hyperevo.errors import UserError
from hyperevo.tasks import characters
from hyperevo.tasks.characters import IGNORED, Settings, build

CPU = torch.device("cpu")
LETTERS = "abcdefgh \n"


@pytest.fixture
def file(tmp_path):
    letters = np.random.default_rng(0).choice(list(LETTERS), 6000)
    path = tmp_path / "mine.txt"
    path.write_text("".join(letters))
    return path


@pytest.fixture
def task(file):
    return build(Settings(text=str(file), sequences=4, length=30), CPU)


def test_batches_of_an_epoch_read_every_stream_on_without_a_gap(task, file):
    text = torch.from_numpy(read_text_file(file).train).long()
    epoch = range(task.batches_per_epoch, 2 * task.batches_per_epoch)
    inputs, wanted = (torch.cat(parts, 1) for parts in zip(*(task.batch(3, number) for number in epoch), strict=True))
    assert torch.equal(inputs[:, 1:], wanted[:, :-1])
    # Every stream is a piece of the text, and the streams are as far apart as they are long or longer.
    places = [next(start for start in range(len(text)) if torch.equal(text[start : start + inputs.shape[1]], stream))
              for stream in inputs]
    assert (np.diff(places) >= inputs.shape[1]).all()
    assert [task.continues(number) for number in (0, 1, epoch[0], epoch[1])] == [False, True, False, True]


def test_epochs_begin_at_different_places_and_a_batch_is_a_function_of_seed_and_number(task):
    first = [task.batch(0, number * task.batches_per_epoch)[0] for number in range(6)]
    assert len({tuple(batch[0].tolist()) for batch in first}) > 1
    assert torch.equal(task.batch(1, 5)[0], task.batch(1, 5)[0])
    assert len({tuple(task.batch(seed, 5)[0][0].tolist()) for seed in range(6)}) > 1


@pytest.mark.parametrize("length", [2, 3, 400, 1003, 5000])
def test_every_symbol_of_a_held_out_text_is_asked_for_once_and_read_in_order(length):
    text = torch.from_numpy(np.random.default_rng(length).integers(0, 250, length).astype(np.uint8))
    inputs, wanted = characters._cut(text, CPU)
    asked = wanted != IGNORED
    assert torch.equal(wanted[asked], text[1:].long())
    assert torch.equal(inputs[asked], text[:-1].long())
    own = inputs.shape[1] - 200
    if len(inputs) > 1:  # what is read before is what stands before
        assert torch.equal(inputs[1, :200], text[own - 200 : own].long())


def test_accuracy_is_minus_the_mean_of_minus_the_binary_logarithm(task):
    inputs, wanted = task.validation
    outputs = torch.randn(2, *inputs.shape, len(LETTERS), generator=torch.Generator().manual_seed(0))
    chances = log_softmax(outputs.double().numpy(), axis=-1)
    asked = np.argwhere((wanted != IGNORED).numpy())
    bits = [-np.mean([chances[p, n, t, wanted[n, t]] for n, t in asked]) / np.log(2) for p in range(2)]
    np.testing.assert_allclose(task.score(outputs, wanted), -np.array(bits), rtol=1e-5)
    assert task.count(wanted) == len(asked) == 299


def test_knowing_nothing_costs_the_logarithm_of_the_alphabet(task):
    inputs, wanted = task.test()
    flat = torch.zeros(1, *inputs.shape, len(LETTERS))
    assert float(task.score(flat, wanted)) == pytest.approx(-log2(len(LETTERS)))


def test_the_alphabets_of_data_sets_are_known_without_reading_them(real_data):
    for name, count in characters.SYMBOLS.items():
        if name != "enwik8":  # a part of the file is enough to read it, and has fewer symbols than the whole
            assert build(Settings(text=name), CPU).outputs == count


@pytest.mark.parametrize(("text", "settings", "line"), [
    ("nothere", {}, "'nothere' is no data set"),
    ("missing.txt", {}, "missing.txt: cannot be read"),
    (None, {"sequences": 1000}, "1000 sequences of 100 characters are more than"),
])
def test_bad_input_is_one_line(file, text, settings, line):
    with pytest.raises((UserError, ValueError), match=line):
        build(Settings(text=text or str(file), **settings), CPU)
