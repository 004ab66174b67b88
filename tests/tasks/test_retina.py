"""The retina problem: its patterns, and what its networks are said to be."""

import torch
from safetensors.torch import load_file

from hyperevo.config import load_config
from hyperevo.geometry import Sheet
from hyperevo.runs import create_run, execute
from hyperevo.runs.task_facts import read_task
from hyperevo.targets import mlp, substrate
from hyperevo.tasks.retina import Settings, build, shape
from hyperevo.weights import Weights

LINE = Sheet((8,))
TASK = build(Settings(), torch.device("cpu"))


def test_half_of_the_patterns_of_a_half_are_objects_and_the_halves_are_mirrored():
    pixels, shown = TASK.batch(0, 0)
    assert len(pixels.unique(dim=0)) == 256
    assert shown.float().mean(0).tolist() == [0.5, 0.5]
    assert float((shown[:, 0] & shown[:, 1]).float().mean()) == 0.25
    mirrored = pixels.view(-1, 2, 4).flip(2).flatten(1)
    places = (mirrored[:, None] == pixels).all(2).int().argmax(1)
    assert torch.equal(shown[places], shown.flip(1))


def test_objects_are_those_of_the_paper():
    pixels, shown = TASK.batch(0, 0)
    left = pixels.view(-1, 2, 4)[:, :, :2]
    for half, answer in zip(left, shown[:, 0], strict=True):
        on = half > 0
        expected = int(on.sum()) >= 3 or (bool(on[:, 0].any()) and not bool(on[:, 1].any()))
        assert bool(answer) == expected


def test_a_pattern_is_right_where_both_halves_are():
    _, shown = TASK.batch(0, 0)
    outputs = (2.0 * shown - 1).repeat(2, 1, 1)
    assert TASK.score(outputs, shown).tolist() == [1.0, 1.0]
    outputs[1, :, 0] = 1.0  # always a left object
    assert TASK.score(outputs, shown).tolist() == [1.0, 0.5]


def test_fitness_is_inversely_proportional_to_the_summed_distance():
    _, shown = TASK.batch(0, 0)
    wanted = 2.0 * shown - 1
    right, wrong = 100 * wanted, -100 * wanted
    half = torch.cat([right[:128], wrong[128:]])
    none = torch.zeros_like(wanted)
    fitness = TASK.fitness(torch.stack([right, half, none, wrong]), shown)
    torch.testing.assert_close(fitness, torch.tensor([512.0, 512 / 513, 512 / 513, 512 / 1025]))


def test_separation_is_of_halves_that_no_path_joins():
    target = mlp.build(mlp.Settings(hidden=((2, 4), (1, 4))), Sheet((2, 4)), 2)
    zeros = {name: torch.zeros(1, *place.shape) for name, place in target.geometry.items()}
    apart = dict(zeros)
    for column in range(4):  # every unit is linked to what lies above it
        for row in range(2):
            apart["hidden1.weight"][0, row * 4 + column, row * 4 + column] = 1
            apart["hidden2.weight"][0, column, row * 4 + column] = 1
        apart["readout.weight"][0, column // 2, column] = 1
    assert TASK.describe(target, Weights(apart)) == {"connections": 20, "separation": 1.0}
    joined = apart | {"readout.weight": torch.ones(1, 2, 4)}
    assert TASK.describe(target, Weights(joined)) == {"connections": 24, "separation": 0.0}
    one = apart | {"readout.weight": apart["readout.weight"].clone()}
    one["readout.weight"][0, 0, 3] = 1  # the right column reaches the left output
    assert TASK.describe(target, Weights(one)) == {"connections": 21, "separation": 0.75}


def test_on_a_line_the_pixels_are_the_same_column_by_column():
    line = build(Settings(layout="line"), torch.device("cpu"))
    pixels, shown = TASK.batch(0, 0)
    across, answers = line.batch(0, 0)
    assert torch.equal(across.view(-1, 4, 2).transpose(1, 2).flatten(1), pixels)
    assert torch.equal(answers, shown)
    assert line.inputs == Sheet((8,))


def test_a_columns_two_pixels_may_lie_side_by_side():
    columns, line = (build(Settings(layout=layout), torch.device("cpu")) for layout in ("columns", "line"))
    for ours, evenly in zip(columns.batch(0, 0), line.batch(0, 0), strict=True):
        assert torch.equal(ours, evenly)
    places = columns.inputs.coordinates[:, 0]
    assert torch.allclose(places[1::2] - places[::2], torch.full((4,), 0.04, dtype=torch.float64))
    assert torch.allclose(places, -places.flip(0))
    assert places[0] == -1


def test_a_run_keeps_the_places_of_pixels_side_by_side(tmp_path):
    config = load_config("retina", ["task.layout=columns", "search.population=10", "run.rounds=1"]).config
    execute(create_run(config, tmp_path / "run"))
    assert read_task(tmp_path / "run").inputs == shape(Settings(layout="columns"))[0]


def test_paths_through_found_nodes_join_halves_too():
    line, target = build(Settings(layout="line"), torch.device("cpu")), substrate.build(substrate.Settings(), LINE, 2)
    apart = {"input.weight": torch.zeros(1, 4, 8), "recurrent.weight": torch.zeros(1, 4, 4),
             "readout.weight": torch.zeros(1, 2, 4), "recurrent.bias": torch.ones(1, 4)}
    apart["input.weight"][0, 0, :4] = apart["input.weight"][0, 2, 4:] = 1  # nodes 0 → 1 left, 2 → 3 right
    apart["recurrent.weight"][0, 1, 0] = apart["recurrent.weight"][0, 3, 2] = 1
    apart["readout.weight"][0, 0, 1] = apart["readout.weight"][0, 1, 3] = 1
    assert line.describe(target, Weights(apart)) == {"connections": 12, "separation": 1.0}
    joined = apart | {"recurrent.weight": apart["recurrent.weight"].clone()}
    joined["recurrent.weight"][0, 2, 1] = 1  # the left half's last node into the right half's first
    assert line.describe(target, Weights(joined)) == {"connections": 13, "separation": 0.5}


def test_results_say_how_modular_the_champion_is(tmp_path):
    config = load_config("retina", ["search.population=10", "search.locality=''", "run.rounds=2"]).config
    result = execute(create_run(config, tmp_path / "run"))
    weights = load_file(tmp_path / "run" / "champion" / "weights.safetensors")
    first, second, last = (weights[f"{layer}.weight"].abs() for layer in ("hidden1", "hidden2", "readout"))
    paths = (last @ second @ first).view(2, 2, 4) > 0  # output, row and column of the input
    assert result["connections"] == sum(int(layer.count_nonzero()) for layer in (first, second, last)) > 0
    assert result["separation"] == 1 - float(paths[0, :, 2:].sum() + paths[1, :, :2].sum()) / 8
    assert 0 < result["separation"] < 1  # or little would be compared
