"""Visual discrimination: trials are the paper's, at every resolution, and millions of pairs are what each is alone."""

import pytest
import torch

from hyperevo.config import load_config
from hyperevo.geometry import Sheet
from hyperevo.runs import create_run, execute
from hyperevo.targets import mlp
from hyperevo.tasks.boxes import Settings, build
from hyperevo.weights import Weights

CPU = torch.device("cpu")
TASK = build(Settings(), CPU)


@pytest.mark.parametrize("size", [11, 22, 33])
def test_every_trial_has_one_box_of_either_size_and_the_large_ones_centre_is_wanted(size):
    unit = size // 11
    fields, centres = build(Settings(size=size), CPU).batch(0, 0)
    assert fields.shape == (75, size**2)
    # A box weighs the same at every resolution.
    torch.testing.assert_close(fields.sum(1), torch.full((75,), 10.0))
    for field, centre in zip(fields.view(-1, size, size), centres, strict=True):
        first = (centre - (3 * unit - 1) / 2).long()
        box = field[first[0] : first[0] + 3 * unit, first[1] : first[1] + 3 * unit]
        assert (box > 0).all() and box.numel() == 9 * unit**2
        assert int((field > 0).sum()) == 10 * unit**2


def test_trials_are_the_same_at_every_resolution():
    coarse, fine = TASK.batch(0, 0)[0], build(Settings(size=33), CPU).batch(0, 0)[0]
    seen = fine.view(75, 11, 3, 11, 3).sum((2, 4))
    torch.testing.assert_close(seen.flatten(1), coarse)


def test_the_large_box_is_half_a_field_to_the_right_below_or_both():
    _, centres = TASK.batch(0, 0)
    # The small box at row 3, column 5, and the fifth and second of five lines: place 7 of 25.
    assert centres[3 * 7 : 3 * 8].tolist() == [[3, 9], [8, 5], [8, 9]]  # column 10 is no centre of a whole box
    assert centres.min() == 1 and centres.max() == 9


def test_answers_at_most_one_unit_off_are_right():
    centres = torch.tensor([[4.0, 4.0]] * 4)
    outputs = torch.zeros(1, 4, 121)
    for trial, place in enumerate([4 * 11 + 4, 5 * 11 + 3, 4 * 11 + 6, 0]):
        outputs[0, trial, place] = 1
    assert float(TASK.score(outputs, centres)) == 0.5
    assert float(TASK.fitness(outputs, centres)) == -(0 + 2 + 4 + 32) / 4


def test_retest_is_judged_as_if_it_were_shown_alone():
    target = mlp.build(mlp.Settings(hidden=()), Sheet((11, 11)), 121)
    generator = torch.Generator().manual_seed(0)
    weights = Weights({"readout.weight": torch.randn(1, 121, 121, generator=generator) + 5 * torch.eye(121),
                       "readout.bias": torch.randn(1, 121, generator=generator)})
    fields, centres = TASK.test()
    assert len(fields) == len(fields.unique(dim=0)) == 81 * (121 - 9)
    found = TASK.retest(target, weights)
    assert found["pairs"] == len(fields)
    assert found["accuracy"] == pytest.approx(float(TASK.score(target.forward(weights, fields), centres)), abs=1e-3)
    answers = target.forward(weights, fields)[0].argmax(1)
    off = torch.stack([answers // 11, answers % 11], 1) - centres
    assert found["distance"] == pytest.approx(float(off.norm(dim=1).mean()), abs=1e-2)


def test_a_detector_of_large_boxes_scales(tmp_path):
    """Weights of a 3 × 3 box around every unit find the large box at any resolution."""
    for size in (11, 33):
        task, unit = build(Settings(size=size), CPU), size // 11
        places = Sheet((size, size)).coordinates * (size - 1) / 2
        near = ((places[:, None] - places).abs() <= 1.5 * unit).all(2).float()
        found = task.retest(mlp.build(mlp.Settings(hidden=(), biases=False), task.inputs, task.outputs),
                                Weights({"readout.weight": near[None]}))
        assert found["accuracy"] == 1.0


def test_a_champion_is_tested_at_resolutions_it_was_not_evolved_at(tmp_path):
    small = ["search.population=10", "run.rounds=2", "task.retests=[11,22]"]
    result = execute(create_run(load_config("boxes", small).config, tmp_path / "hyperneat"))
    assert result["retests"]["11"]["pairs"] == 9072 and result["retests"]["22"]["pairs"] > 9072
    assert result["retests"]["11"]["accuracy"] == pytest.approx(result["test_accuracy"])
    direct = load_config("boxes", ["task.retests=[11,22]", "run.rounds=2", "encoding={name='direct'}",
                                   "search={name='snes', population=10}"])
    assert list(execute(create_run(direct.config, tmp_path / "direct"))["retests"]) == ["11"]


def test_a_run_ends_when_its_champion_is_as_good_as_is_wanted(tmp_path):
    config = load_config("boxes", ["search.population=10", "run.rounds=50", "run.until=0.01", "task.retests=[]"]).config
    assert execute(create_run(config, tmp_path / "run"))["rounds"] < 50


def test_resolutions_are_multiples_of_eleven():
    with pytest.raises(ValueError, match="20 is not a multiple of 11"):
        Settings(retests=(20,))
