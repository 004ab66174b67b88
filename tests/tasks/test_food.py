"""Food gathering: what a robot sees and does, alone as in a population, with any number of directions."""

from math import cos, exp, pi, sin

import pytest
import torch
from safetensors.torch import load_file

from hyperevo.config import load_config
from hyperevo.geometry import Ring
from hyperevo.plots.run_figures import open_view
from hyperevo.runs import create_run, execute
from hyperevo.targets import mlp
from hyperevo.tasks.food import Food, Settings, shape
from hyperevo.weights import Weights


def made(directions=8, layout="ring"):
    settings = Settings(directions=directions, layout=layout)
    return Food(settings), mlp.build(mlp.Settings(hidden=(), biases=False), *shape(settings))


def by_hand(weights, east, north, directions):
    """Ticks of one robot, a float at a time."""
    for tick in range(1, 1001):
        distance = (east**2 + north**2) ** 0.5
        bearing = torch.atan2(torch.tensor(east), torch.tensor(north)).item()
        sensor = round(bearing / (2 * pi / directions)) % directions
        outputs = [1 / (1 + exp(-row[sensor] * max(1 - distance / 200, 0))) for row in weights]
        best = max(range(directions), key=lambda place: outputs[place])
        speed = 10 * outputs[best] ** 2 / sum(outputs)
        east -= speed * sin(best * 2 * pi / directions)
        north -= speed * cos(best * 2 * pi / directions)
        if (east**2 + north**2) ** 0.5 < 10:
            return tick
    return 1001


@pytest.mark.parametrize("directions", [4, 9])
def test_every_robot_of_a_population_is_the_robot_alone(directions):
    task, target = made(directions)
    weights = 3 * torch.randn(3, directions, directions, generator=torch.Generator().manual_seed(1))
    weights += 4 * torch.eye(directions) - 2
    food, ticks = task.test()
    taken = task.play(target, Weights({"readout.weight": weights}), food[:6], ticks[:6])
    expected = [[by_hand(own.tolist(), *place.tolist(), directions) for place in food[:6]] for own in weights]
    assert (taken - torch.tensor(expected)).abs().max() <= 1


def test_the_nearer_the_food_the_more_its_own_sensor_says():
    task, _ = made(4)
    seen = task._seen(torch.tensor([[0.0, 100.0], [50.0, 0.0], [0.0, -300.0], [-20.0, 1.0]]))
    assert seen[0].tolist() == [0.5, 0, 0, 0]  # north
    assert seen[1].tolist() == [0, 0.75, 0, 0]  # east
    assert not seen[2].any()  # too far
    assert int(seen[3].argmax()) == 3 and int((seen[3] > 0).sum()) == 1  # west


def test_to_be_fast_an_effector_must_be_alone():
    task, _ = made(8)
    alone, together = torch.full((8,), -20.0), torch.full((8,), 20.0)
    alone[2] = 20.0
    torch.testing.assert_close(task._move(alone), torch.tensor([10.0, 0.0]), atol=1e-3, rtol=0)
    assert float(task._move(together).norm()) == pytest.approx(10 / 8, rel=1e-3)


@pytest.mark.parametrize("layout", ["ring", "rows"])
def test_effectors_that_answer_their_own_sensor_find_all_food_with_any_number_of_directions(layout):
    for directions in (8, 32):
        task, target = made(directions, layout)
        weights = Weights({"readout.weight": (20 * torch.eye(directions) - 10)[None]})
        found = task.retest(target, weights)
        assert found["accuracy"] == 1.0 and found["ticks"] < 40
        taken = task.play(target, weights, *task.batch(0, 0))
        assert float(task.fitness(taken, task.batch(0, 0)[1])[0]) > 10 / 11


def test_no_food_that_is_not_found_earns_anything():
    task, target = made()
    taken = task.play(target, Weights({"readout.weight": torch.zeros(1, 8, 8)}), *task.batch(0, 0))
    assert int((taken > 1000).sum()) == 7  # all effectors alike: the first, to the north, wins
    assert float(task.fitness(taken, task.batch(0, 0)[1])[0]) < 1 / 8


def test_of_two_robots_that_find_all_food_the_faster_one_is_better():
    task, target = made()
    weights = torch.stack([20 * torch.eye(8) - 10, 4 * torch.eye(8) - 2])
    taken = task.play(target, Weights({"readout.weight": weights}), *task.batch(0, 0))
    assert bool((taken <= 1000).all())
    fast, slow = task.score(taken, task.batch(0, 0)[1]).tolist()
    assert 10 / 11 < slow < fast < 1


def test_units_of_a_ring_stand_where_they_look():
    places = Ring((4,), 0.5).places
    torch.testing.assert_close(places, torch.tensor([[0.0, -0.5], [0.5, 0.0], [0.0, 0.5], [-0.5, 0.0]]).double())
    assert Ring((4,)) != Ring((4,), 0.5)


def test_figures_are_of_the_network_on_its_rings(tmp_path):
    config = load_config("food", ["search.population=10", "run.rounds=1", "task.retests=[8, 16]"]).config
    result = execute(create_run(config, tmp_path / "run"))
    assert list(result["retests"]) == ["8", "16"]
    exported = load_file(tmp_path / "run" / "champion" / "weights.safetensors")
    torch.testing.assert_close(open_view(tmp_path / "run").weights, exported)
