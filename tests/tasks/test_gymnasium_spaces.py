"""Spaces of gymnasium: what networks read of every kind, and what their outputs mean."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Sequence, Text, Tuple
from hypothesis import given, settings, strategies

from hyperevo.components import load_component
from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.geometry import Frame, Sheet
from hyperevo.runs import create_run, execute
from hyperevo.tasks._actions import actions_of
from hyperevo.tasks._spaces import NotANumber, WrongValue, assembled, check_answerable, leaves, reading, width
from hyperevo.tasks.gymnasium import Settings, build

CPU = torch.device("cpu")


class Given(gymnasium.Env):
    """Shows samples of a space, and earns 1 for every action that belongs to another."""

    def __init__(self, shown, answered, render_mode=None):
        self.observation_space, self.action_space = SPACES[shown], SPACES[answered]

    def reset(self, *, seed=None, options=None):
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float(self.action_space.contains(action)), False, False, {}


gymnasium.register("Given-v0", Given, max_episode_steps=5)
SPACES = {
    "box": Box(-1, 1, (2, 3)), "endless": Box(-np.inf, np.inf, (3,)), "double": Box(-0.3, 0.1, (2,), np.float64),
    "half": Box(0, np.inf, (2,)), "integers": Box(-3, 9, (2,), np.int64), "one": Box(-1, 1, ()),
    "choice": Discrete(3, start=-1), "choices": MultiDiscrete([2, 3, 4]), "table": MultiDiscrete([[2, 3], [1, 4]]),
    "started": MultiDiscrete([2, 3], start=[5, -1]), "switches": MultiBinary(4), "board": MultiBinary((2, 3)),
    "named": Dict({"b": Discrete(3), "a": Box(-1, 1, (2,)), "c": Dict({"d": MultiBinary(2)})}),
    "tuple": Tuple([Discrete(2, start=4), Tuple([Box(-1, 1, (2, 2)), MultiDiscrete([2, 2])])]),
}


def acting(task, name="mlp"):
    module = load_component("target", name)
    target = module.build(module.Settings(**{"mlp": {"hidden": ((1, 3),)}, "recurrent": {"hidden": 4}}[name]),
                          task.inputs, task.outputs)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, CPU)
    return target, encoding.express(torch.randn(4, encoding.genes, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("answered", SPACES)
@pytest.mark.parametrize("shown", ["choice", "tuple"])
def test_networks_answer_every_space(shown, answered):
    task = build(Settings(environment="Given-v0", options={"shown": shown, "answered": answered}, episodes=2), CPU)
    assert task.outputs == sum(map(width, leaves(SPACES[answered])))
    played = task.play(*acting(task), *task.batch(0, 0))
    assert played.tolist() == [[[5, 5]] * 2] * 4


@pytest.mark.parametrize("shown", SPACES)
@pytest.mark.parametrize("name", ["mlp", "recurrent"])
def test_networks_read_every_space_and_act_together_as_alone(shown, name):
    task = build(Settings(environment="Given-v0", options={"shown": shown, "answered": "choices"}, episodes=2), CPU)
    target, weights = acting(task, name)
    assert task.calibration(3)[0].shape == (3, task.inputs.units)
    played = task.play(target, weights, *task.batch(0, 0))
    assert torch.equal(task.play(target, weights.networks(slice(2, 3)), *task.batch(0, 0))[0], played[2])


@given(strategies.data())
@settings(max_examples=60, deadline=None)
def test_what_is_read_is_gymnasiums_flattening(data):
    """Of numbers that are no pictures; its order of a Dict's parts, too."""
    name = data.draw(strategies.sampled_from([name for name in SPACES if name != "started"]))  # it forgets their starts
    space = SPACES[name]
    space.seed(data.draw(strategies.integers(0, 1000)))
    value, own = space.sample(), reading(space)
    assert np.array_equal(own.read(value).ravel(), gymnasium.spaces.flatten(space, value).astype(np.float32))
    assert own.read(value).shape == own.shape and own.read(value).dtype == np.float32


def test_choices_are_ones_among_zeros():
    assert reading(SPACES["choice"]).read(np.int64(-1)).tolist() == [1, 0, 0]
    assert reading(SPACES["choice"]).read(1).tolist() == [0, 0, 1]
    assert reading(SPACES["started"]).read([6, 0]).tolist() == [0, 1, 0, 1, 0]
    assert reading(SPACES["tuple"]).read((5, (np.ones((2, 2)), [0, 1]))).tolist() == [0, 1, 1, 1, 1, 1, 1, 0, 0, 1]


@pytest.mark.parametrize(("space", "value", "line"), [
    ("choice", 2, r"showed 2, and its space is Discrete\(3, start=-1\)"),
    ("choice", -2, "showed -2"), ("choice", 0.0, "showed an array of shape () and type float64"),
    ("choice", "left", "type <U4"), ("choice", None, "type object"),
    ("started", [5, 2], r"showed \[5, 2\], and"), ("started", [5], r"of shape \(1,\)"),
    ("box", np.zeros((3, 2)), r"showed an array of shape \(3, 2\) and type float64, and its space is Box"),
    ("box", np.zeros((2, 3), complex), "type complex128"), ("box", np.full((2, 3), "a"), "type <U1"),
    ("box", {"a": 1}, "type object"), ("switches", np.zeros(3), r"of shape \(3,\)"),
    ("named", {"a": np.zeros(2), "b": 0}, "showed {a = .*, and its space is Dict"), ("named", [0, 1, 2], "showed"),
    ("named", {"a": np.zeros(2), "b": 3, "c": {"d": [0, 1]}}, r"showed 3, and its space is Discrete\(3\)"),
    ("tuple", (4,), "showed .*, and its space is Tuple"), ("tuple", {0: 4}, "showed"),
])
def test_what_is_not_of_its_space_is_told(space, value, line):
    with pytest.raises(WrongValue, match=line.replace("shape ()", r"shape \(\)")):
        reading(SPACES[space]).read(value)


@pytest.mark.parametrize("value", [[np.nan, 0.0], np.array([0, np.nan]), (np.nan, np.nan)])
def test_an_observation_that_is_not_a_number_is_told_and_an_infinite_one_is_read(value):
    with pytest.raises(NotANumber):
        reading(Box(-1, 1, (2,))).read(value)
    assert reading(Box(-1, 1, (2,))).read([np.inf, 0]).tolist() == [np.inf, 0]


@pytest.mark.parametrize(("space", "line"), [
    (Text(5), r"shows Text\(.*\); networks read Box"), (Sequence(Discrete(2)), "shows Sequence"),
    (Graph(Discrete(2), None), "shows Graph"), (Dict({"a": Box(-1, 1, (2,)), "mission": Text(9)}), "shows Text"),
    (Discrete(2**40), "one of 1,099,511,627,776 values; at most 1,048,576"), (MultiDiscrete([2**62] * 3), "of 13,835,"),
    (Dict({}), r"shows Dict\(\), in which there is nothing to read"), (Tuple([]), "nothing to read"),
    (Box(-1, 1, (0,)), "nothing to read"), (None, "shows None"), ("Box", "shows Box"),
])
def test_what_cannot_be_read_is_told(space, line):
    with pytest.raises(WrongValue, match=line):
        reading(space)


@pytest.mark.parametrize(("space", "line"), [
    (Text(5), r"takes Text\(.*\); networks answer Box"), (None, "takes None; networks"),
    (Dict({"a": Discrete(2), "b": Text(3)}), "takes Dict.*; networks answer"),
    (Tuple([]), "takes Tuple.*, for which a network needs 0 outputs"), (Box(-1, 1, (0,)), "needs 0 outputs"),
    (Discrete(2**40), "needs 1,099,511,627,776 outputs; allowed: 1 to 1,048,576"),
])
def test_what_cannot_be_answered_is_told(space, line):
    with pytest.raises(WrongValue, match=line):
        check_answerable(space)


def test_outputs_mean_the_largest_of_a_choice_a_sign_of_a_switch_and_a_place_in_a_box():
    space = Tuple([MultiDiscrete([2, 3], start=[0, 7]), MultiBinary(2), Discrete(2, start=1), Box(-2, 4, (1,)),
                   Box(0, np.inf, (2,)), Box(0, 10, (1,), np.uint8)])
    outputs = torch.tensor([[0, 1, 3, 2, 1, -1, 0.5, 0, -1, 100, -5, 5, 0.2]])
    action = assembled(space, iter([part[0] for part in actions_of(space, outputs)]))
    assert space.contains(action)
    assert [np.asarray(part).tolist() for part in action] == [[1, 7], [0, 1], 1, [4], [0, 5], [6]]
    broken = assembled(space, iter([part[0] for part in actions_of(space, torch.full((1, 13), torch.nan))]))
    assert space.contains(broken)


# Pictures

COLOURS = np.random.default_rng(0).integers(256, size=(6, 9, 3), dtype=np.uint8)


def pictured(space, value, picture="colours", pixels=None):
    own = reading(space, picture, pixels)
    found = own.read(value)
    assert found.shape == own.shape and found.dtype == np.uint8 and own.in_bytes and own.channels
    return found


@pytest.mark.parametrize(("picture", "pixels"), [("colours", None), ("colours", 4), ("grey", None), ("grey", 3),
                                                 ("saturation", 2)])
def test_pictures_of_any_layout_and_type_are_the_same_picture(picture, pixels):
    last = pictured(Box(0, 255, (6, 9, 3), np.uint8), COLOURS, picture, pixels)
    for value, space in [
        (COLOURS.transpose(2, 0, 1), Box(0, 255, (3, 6, 9), np.uint8)),
        (COLOURS.astype(np.float32), Box(0, 255, (6, 9, 3), np.float32)),
        (COLOURS.transpose(2, 0, 1) / 255, Box(0, 1, (3, 6, 9), np.float64)),
        (COLOURS.astype(np.int64), Box(0, 255, (6, 9, 3), np.int64)),
    ]:
        assert np.array_equal(pictured(space, value, picture, pixels), last)


@pytest.mark.parametrize(("shape", "expected"), [
    ((6, 9), (6, 9)), ((6, 9, 1), (6, 9)), ((1, 6, 9), (6, 9)), ((4, 6, 9), (4, 6, 9)), ((6, 9, 4), (4, 6, 9)),
    ((2, 9, 3), (3, 2, 9)), ((3, 4, 4), (3, 4, 4)), ((10, 10, 6), (6, 10, 10)), ((3, 3, 3), (3, 3, 3)),
    ((8, 8, 9), (9, 8, 8)), ((9, 8, 8), (9, 8, 8)),
])
def test_channels_come_first_wherever_they_are(shape, expected):
    value = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    found = pictured(Box(0, 255, shape, np.uint8), value)
    assert found.shape == expected and sorted(found.ravel()) == sorted(value.ravel())
    if len(expected) == 3 and shape != expected:
        assert np.array_equal(found[0], value[:, :, 0])
    assert pictured(Box(0, 255, shape, np.uint8), value, pixels=2).shape[-2:] == (2, 2)


def test_boards_of_truth_values_have_the_whole_range_of_bytes():
    board = np.eye(4, dtype=bool)[:, :, None].repeat(6, 2)
    for space in (Box(0, 1, (4, 4, 6), bool), Box(0, 1, (4, 4, 6), np.uint8)):
        found = pictured(space, board.astype(space.dtype))
        assert found.shape == (6, 4, 4) and np.array_equal(found[5], 255 * np.eye(4))


@pytest.mark.parametrize("space", [Box(-1, 1, (6, 9, 3)), Box(0, 1, (6, 9)), Box(-np.inf, np.inf, (6, 9, 3)),
                                   Box(0, 1, (6, 9, 7)), Box(0, 255, (6,), np.uint8)])
def test_other_boxes_stay_as_they_are(space):
    value = np.ones(space.shape, space.dtype)
    assert np.array_equal(reading(space).read(value), value) and reading(space).read(value).dtype == np.float32
    assert not reading(space).channels


def test_pictures_in_a_dict_are_shares_beside_the_other_parts():
    space = Dict({"camera": Box(0, 255, (6, 9, 3), np.uint8), "gear": Discrete(3)})
    own = reading(space, "grey", 2)
    found = own.read({"camera": np.full((6, 9, 3), 51, np.uint8), "gear": 1})
    assert found.tolist() == pytest.approx([0.2] * 4 + [0, 1, 0]) and own.channels == (3,)


def test_what_a_picture_is_not_is_told():
    with pytest.raises(WrongValue, match=r"showed an array of shape \(6, 9, 3\) and type float64, and its space"):
        reading(Box(0, 255, (6, 9, 3), np.uint8)).read(COLOURS / 1)
    with pytest.raises(NotANumber):
        reading(Box(0, 1, (6, 9, 3))).read(np.full((6, 9, 3), np.nan))


class Camera(gymnasium.Env):
    """Pictures of any shape."""

    action_space = Discrete(2)

    def __init__(self, channels=3, render_mode=None):
        self.observation_space = Box(0, 255, (channels, 8, 8), np.uint8)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}


gymnasium.register("Camera-v0", Camera, max_episode_steps=4)


@pytest.mark.parametrize(("channels", "picture", "line"), [
    (4, "grey", "task.picture: grey is made of three channels, and Camera-v0 shows pictures with 4"),
    (1, "saturation", "task.picture: saturation is made of three channels, and Camera-v0 shows pictures with 1"),
])
def test_colours_that_are_not_there_are_told(channels, picture, line):
    with pytest.raises(UserError, match=f"^{line}$"):
        build(Settings(environment="Camera-v0", options={"channels": channels}, picture=picture), CPU)


@pytest.mark.parametrize(("options", "inputs"), [({}, Frame((3, 8, 8))), ({"channels": 4}, Frame((4, 8, 8))),
                                                 ({"channels": 1}, Frame((8, 8)))])
def test_a_convnet_runs_on_channels_that_come_first(options, inputs, tmp_path):
    config = load_config("cartpole-dct", [
        f"task={{name='gymnasium', environment='Camera-v0', validation=1, options={{{settings_text(options)}}}}}",
        "target={name='convnet', channels=[2], kernel=3}", "encoding={name='direct'}", "run.rounds=1",
        "search.population=4"]).config
    assert build(config.task, CPU).inputs == inputs
    assert execute(create_run(config, tmp_path / "run"))["test_accuracy"] == 4


def settings_text(options):
    return ", ".join(f"{key}={value}" for key, value in options.items())


@pytest.mark.parametrize(("name", "inputs", "outputs"), [("FrozenLake-v1", 16, 4), ("Blackjack-v1", 32 + 11 + 2, 2)])
def test_gymnasiums_own_text_games_are_played_as_by_a_plain_loop(name, inputs, outputs):
    task = build(Settings(environment=name, episodes=3, most_steps=15), CPU)
    assert (task.inputs, task.outputs) == (Sheet((inputs,)), outputs)
    target, weights = acting(task)
    seeds, limits = task.batch(0, 0)
    played = task.play(target, weights, seeds, limits)
    for episode, seed in enumerate(seeds.tolist()):
        environment = gymnasium.make(name)
        observation, total, over, steps = environment.reset(seed=seed)[0], 0.0, False, 0
        while not over and steps < 15:
            flat = gymnasium.spaces.flatten(environment.observation_space, observation)
            action = int(target.forward(weights, torch.tensor(flat, dtype=torch.float32)[None])[1, 0].argmax())
            observation, reward, terminated, truncated, _ = environment.step(action)
            total, over, steps = total + reward, terminated or truncated, steps + 1
        assert played[1, episode].tolist() == [total, steps]
