"""gymnasium's environments: every network's episodes are what a plain loop gives, whoever steps them."""

import importlib.util
import multiprocessing
import sys
from itertools import islice

import gymnasium
import numpy as np
import pytest
import torch

from hyperevo import guests
from hyperevo.compare.plan import config_key
from hyperevo.components import load_component
from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.dct import Settings as DctSettings
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import RunFailed, UserError
from hyperevo.geometry import Frame
from hyperevo.guests import UntrustedCode
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.files import read_json
from hyperevo.runs.folder import read_run_config
from hyperevo.targets import mlp, recurrent
from hyperevo.tasks._episodes import Episode, Episodes, World
from hyperevo.tasks._spaces import drawn
from hyperevo.tasks.gymnasium import Settings, build

CPU = torch.device("cpu")
# Found, not imported: see `make` for what an import does where warnings are errors.
NEEDS_BOX2D = pytest.mark.skipif(importlib.util.find_spec("Box2D") is None, reason="needs gymnasium[box2d]")
RECURRENT, MLP = recurrent.Settings(hidden=4), mlp.Settings(hidden=((1, 3),))


def population(task, settings=RECURRENT, size=5, encoding=None):
    target = (recurrent if settings.name == "recurrent" else mlp).build(settings, task.inputs, task.outputs)
    encoding = build_encoding(encoding or DirectSettings(scale=1.0), target.geometry, CPU)
    return target, encoding, torch.randn(size, encoding.genes, generator=torch.Generator().manual_seed(0))


def plain(task, target, weights, seed, most_steps):
    """One network's return and steps in one episode of gymnasium's own."""
    environment = gymnasium.make(task.settings.environment)
    observation, _ = environment.reset(seed=seed)
    memory, total, steps, over = None, 0.0, 0, False
    while steps < most_steps and not over:
        shown = torch.from_numpy(observation.astype(np.float32))[None, None]
        if hasattr(target, "step"):
            memory = target.initial(1, 1, shown) if memory is None else memory
            memory, outputs = target.step(weights, memory, shown)
        else:
            outputs = target.forward(weights, shown)
        space = environment.action_space
        action = int(outputs.argmax()) if isinstance(space, gymnasium.spaces.Discrete) else \
            (space.low + (space.high - space.low) * (np.tanh(outputs[0, 0].numpy()) + 1) / 2).astype(np.float32)
        observation, reward, terminated, truncated, _ = environment.step(action)
        total, steps, over = total + float(reward), steps + 1, terminated or truncated
    return total, steps


@pytest.mark.parametrize("settings", [RECURRENT, MLP], ids=lambda settings: settings.name)
@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1"])
def test_equals_a_plain_loop(name, settings):
    task = build(Settings(environment=name, episodes=3, most_steps=120), CPU)
    target, encoding, genotypes = population(task, settings)
    seeds, limits = task.batch(0, 0)
    with torch.no_grad():
        played = task.play(target, encoding.express(genotypes), seeds, limits)
        for network in range(len(genotypes)):
            weights = encoding.express(genotypes[network : network + 1])
            for episode, seed in enumerate(seeds.tolist()):
                expected = plain(task, target, weights, seed, 120)
                tolerance = 1e-3 if name == "Pendulum-v1" else 0.0
                assert played[network, episode].tolist() == pytest.approx(expected, rel=tolerance)
    if name == "CartPole-v1":
        assert len(played[..., 1].unique()) > 3


def test_what_stays_factored_acts_as_what_is_built():
    task = build(Settings(environment="Acrobot-v1", most_steps=80, episodes=2), CPU)
    target, encoding, genotypes = population(task, recurrent.Settings(hidden=64),
                                             encoding=DctSettings(coefficients=(2,)))
    weights = encoding.express(genotypes)
    played = task.play(target, weights, *task.batch(0, 0))
    torch.testing.assert_close(task.play(target, type(weights)(weights.dense()), *task.batch(0, 0)), played)


def test_seeds_are_those_of_a_generation_and_held_out_ones_the_same_in_every_run():
    task, again = (build(Settings(validation=3, most_steps=30), CPU) for _ in range(2))
    assert torch.equal(task.batch(0, 1)[0], again.batch(0, 1)[0]) and len(task.batch(0, 1)[0]) == 4
    assert not torch.equal(task.batch(0, 1)[0], task.batch(0, 2)[0])
    assert not torch.equal(task.batch(0, 1)[0], task.batch(1, 1)[0])
    assert torch.equal(task.validation[0], again.validation[0]) and torch.equal(task.test()[0], again.test()[0])
    assert not torch.equal(task.validation[0], task.test()[0])
    assert task.batch(0, 1)[1].tolist() == [[30, 30]] * 4 and task.validation[1].tolist() == [[500, 500]] * 3
    assert task.calibration(2)[0].shape == (2, 4) and task.calibration(0)[0].shape == (0, 4)


def test_an_episode_ends_when_it_earns_nothing_any_more_and_actions_are_repeated():
    task = build(Settings(environment="MountainCar-v0", patience=7, repeat=3, episodes=2), CPU)
    target, encoding, genotypes = population(task)
    assert task.play(target, encoding.express(genotypes), *task.batch(0, 0))[..., 1].unique().tolist() == [9]
    task = build(Settings(environment="MountainCar-v0", most_steps=10, repeat=3, episodes=2), CPU)
    assert task.play(target, encoding.express(genotypes), *task.batch(0, 0))[..., 0].unique().tolist() == [-10]


def test_a_run_with_workers_is_a_run_without(tmp_path):
    for workers in (0, 2):
        config = load_config("cartpole-dct", [f"task={{name='gymnasium', environment='Pendulum-v1', workers={workers}, "
                                              "most_steps=40, repeat=3}", "run.rounds=2", "search.population=20",
                                              "task.validation=2"]).config
        result = execute(create_run(config, tmp_path / str(workers)))
        assert (result["examples"], result["measure"], result["data"]) == ("episodes", "mean return", "Pendulum-v1")
    assert multiprocessing.active_children() == []
    assert (tmp_path / "0/metrics.csv").read_bytes() == (tmp_path / "2/metrics.csv").read_bytes()
    assert read_json(tmp_path / "2/environment.json")["workers"] == 2


BREAKING = """
import os
import gymnasium
import numpy as np

class Breaking(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2, start=-1)

    def __init__(self, how="raise", render_mode=None):
        self.how = how

    def reset(self, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if self.how == "die":
            os._exit(7)
        assert action in (-1, 0)
        raise ValueError("the wheel\\ncame off")

class Words(Breaking):
    observation_space = gymnasium.spaces.Text(5)

class Programs(Breaking):
    action_space = gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(2), gymnasium.spaces.Text(5)])

class Shown(Breaking):
    observation_space = gymnasium.spaces.Box(0, 255, (6, 9, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3, start=1)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.np_random = np.random.default_rng(seed)
        return self._shown(), {}

    def _shown(self):
        return self.np_random.integers(256, size=(6, 9, 3), dtype=np.uint8)

    def step(self, action):
        return self._shown(), float(action), False, False, {}

gymnasium.register("Shown-v0", Shown, max_episode_steps=5)
gymnasium.register("Breaking-v0", Breaking, max_episode_steps=5)
gymnasium.register("Endless-v0", Breaking)
gymnasium.register("Words-v0", Words, max_episode_steps=5)
gymnasium.register("Programs-v0", Programs, max_episode_steps=5)
"""


@pytest.fixture
def breaking(tmp_path, monkeypatch):
    (tmp_path / "breaking.py").write_text(BREAKING)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", ["convnet", "mlp", "recurrent"])
def test_networks_of_pictures_act_together_as_alone(breaking, name):
    task = build(Settings(environment="breaking:Shown-v0", episodes=2, pixels=4), CPU)
    assert task.inputs == Frame((3, 4, 4)) and task.outputs == 3
    module = load_component("target", name)
    small = {"convnet": {"channels": (2,), "kernel": 3}, "mlp": {"hidden": ((1, 3),)}, "recurrent": {"hidden": 4}}
    target = module.build(module.Settings(**small[name]), task.inputs, task.outputs)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, CPU)
    genotypes = torch.randn(4, encoding.genes, generator=torch.Generator().manual_seed(0))
    played = task.play(target, encoding.express(genotypes), *task.batch(0, 0))
    for network in range(4):
        alone = task.play(target, encoding.express(genotypes[network : network + 1]), *task.batch(0, 0))
        assert torch.equal(alone[0], played[network])
    assert played[..., 1].unique().tolist() == [5] and len(played[..., 0].unique()) > 1


def test_what_breaks_is_one_line(breaking):
    task = build(Settings(environment="breaking:Breaking-v0", options={"how": "raise"}), CPU)
    target, encoding, genotypes = population(task)
    line = r"^breaking:Breaking-v0: step 1 raised ValueError: the wheel came off \(episode with seed \d+\)$"
    with pytest.raises(RunFailed, match=line):
        task.play(target, encoding.express(genotypes), *task.batch(0, 0))
    task.close()


@pytest.mark.parametrize(("options", "message"), [
    ({"environment": "CartPol-v1"}, "task.environment: CartPol-v1: .*Did you mean: `CartPole`"),
    ({"environment": "CartPole-v7"}, "task.environment: CartPole-v7: .*version"),
    ({"environment": "breaking:Words-v0"}, r"task.environment: breaking:Words-v0 shows Text\(.*; networks read Box"),
    ({"environment": "breaking:Programs-v0"}, "task.environment: breaking:Programs-v0 takes Tu.*; networks answer B"),
    ({"environment": "breaking:Endless-v0"}, "task.most_steps: breaking:Endless-v0 does not say when"),
    ({"options": {"colour": 3}}, "task.environment: CartPole-v1: .*colour"),
    ({"picture": "grey"}, "task.picture: CartPole-v1 shows no pictures, but Box"),
    ({"pixels": 64}, "task.pixels: CartPole-v1 shows no pictures, but Box"),
])
def test_what_cannot_be_is_one_line(breaking, options, message):
    with pytest.raises(UserError, match=f"^{message}") as told:
        build(Settings(**options), CPU)
    assert "\n" not in str(told.value)


OWN = """
from pathlib import Path
import gymnasium
Path("ran").write_text("yes")
gymnasium.register("own/Walk-v0", "{entry}", max_episode_steps=3)
"""
WALK = """
import gymnasium
import numpy as np

class Walk(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        return np.ones(2, np.float32), {}

    def step(self, action):
        return np.ones(2, np.float32), REWARD, False, False, {}
"""


def write_own(folder, kind, reward=1.0):
    """An environment of the user's own, and the setting that names it. Its class is named by text, as gymnasium's
    documentation does."""
    walk = WALK.replace("REWARD", str(reward))
    if kind == "package":
        (folder / "mine").mkdir(exist_ok=True)
        (folder / "mine" / "__init__.py").write_text(OWN.format(entry="mine.walks:Walk"))
        (folder / "mine" / "walks.py").write_text(walk)
        return "mine:own/Walk-v0"
    (folder / "mine.py").write_text(OWN.format(entry="mine:Walk") + walk)
    return "mine.py:own/Walk-v0" if kind == "file" else "mine:own/Walk-v0"


def walking(environment, *more):
    return load_config("cartpole-dct", [f"task={{name='gymnasium', environment='{environment}', episodes=2}}",
                                        "run.rounds=2", "run.until=100", "search.population=4", *more])


@pytest.mark.parametrize("kind", ["file", "module", "package"])
@pytest.mark.parametrize("workers", [0, 1])
def test_an_environment_of_ones_own_runs_and_goes_with_the_run(kind, workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = walking(write_own(tmp_path, kind), f"task.workers={workers}").config
    before = config_key(config)  # which a comparison asks for first
    assert execute(create_run(config, tmp_path / "run"))["test_accuracy"] == 3.0
    assert str(tmp_path) not in sys.path
    names = {path.name for path in (tmp_path / "run" / "code" / "0").rglob("*.py")}
    assert names == ({"__init__.py", "walks.py"} if kind == "package" else {"mine.py"})
    assert config_key(config) == before
    # Elsewhere, where another version of the same name lies, a run is opened with its own.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_own(tmp_path / "elsewhere", kind, reward=2.0)
    other = walking(config.task.environment).config.task
    assert Episodes(other.world).reset([0]).shape == (1, 2)
    mine, theirs = (_reward(settings.world) for settings in (read_run_config(tmp_path / "run", trust=True).task, other))
    assert (mine, theirs) == (1.0, 2.0)


def _reward(world):
    episode = Episode(world, 0)
    episode.reset()
    return episode.step([0], 1)[1]


def test_an_environment_that_came_with_a_run_does_not_run_unasked(tmp_path, monkeypatch, own_home):
    monkeypatch.chdir(tmp_path)
    execute(create_run(walking(write_own(tmp_path, "file")).config, tmp_path / "run"))
    (tmp_path / "ran").unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_home / "another"))  # as if it had run elsewhere
    monkeypatch.setattr(guests, "_LOADED", {})
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UntrustedCode, match="mine.py: is code that has not run here before"):
        open_run(tmp_path / "run")
    assert not (tmp_path / "ran").exists()
    open_run(tmp_path / "run", trust=True).close()


@pytest.mark.parametrize(("content", "line"), [
    ("import gymnasium", "task.environment: mine.py:own/Walk-v0 is not registered there; nothing is"),
    ("import gymnasium\ngymnasium.register('own/Walk-v1', 'nowhere:Walk')",
     "task.environment: mine.py:own/Walk-v0 is not registered there; did you mean 'own/Walk-v1'"),
    ("raise ValueError('not\\ntoday')", "mine.py: ValueError: not today"),
    ("import gymnasium\ngymnasium.register('own/Walk-v0', 'nowhere:Walk')",
     "task.environment: mine.py:own/Walk-v0: .*nowhere"),
])
def test_an_environment_of_ones_own_that_cannot_be_made_is_one_line(content, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=f"^{line}") as told:
        build(walking("mine.py:own/Walk-v0").config.task, CPU)
    assert "\n" not in str(told.value)


def test_a_module_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match="task.environment: no_such_module: no such module"):
        walking("no_such_module:Any-v0")


def test_without_its_extras_a_line_says_what_to_install(monkeypatch):
    from hyperevo.tasks import _episodes

    def missing(name):
        raise gymnasium.error.DependencyNotInstalled("Box2D is not installed, run `pip install gymnasium[box2d]`")

    monkeypatch.setattr(_episodes, "_specified", missing)
    with pytest.raises(UserError, match=r"^task.environment: LunarLander-v3: Box2D is not installed, .*\[box2d\]"):
        build(Settings(environment="LunarLander-v3"), CPU)


def test_pictures_are_planes_of_means():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, :3] = (255, 0, 0)  # red is saturated
    picture[2:, :3] = 102  # grey is not
    picture[:, 3:] = (102, 204, 102)  # grass is half
    plane = drawn(picture, "saturation", 2)
    assert plane.tolist() == [[255, 127], [0, 127]] and plane.dtype == np.uint8
    assert drawn(picture, "grey", 2)[1, 0] == 102
    assert drawn(picture, "colours", 2).shape == (3, 2, 2)
    assert drawn(picture[:, :, :1], "colours", None).shape == (4, 6)


@NEEDS_BOX2D
@pytest.mark.slow
def test_car_racing_is_drawn_as_gymnasium_draws_it():
    episode, random = Episode(World("CarRacing-v3"), 3), np.random.default_rng(0)
    own, quick = gymnasium.make("CarRacing-v3"), episode.environment
    assert type(own.unwrapped) is not type(quick.unwrapped)
    assert np.array_equal(episode.reset().transpose(1, 2, 0), own.reset(seed=3)[0])
    for _ in range(25):
        action = np.array([random.uniform(-1, 1), random.uniform(), 0], np.float32)
        found, expected = episode.step([action], 3), [own.step(action) for _ in range(3)]
        assert np.array_equal(found[0].transpose(1, 2, 0), expected[-1][0])
        assert found[1:] == (sum(reward for _, reward, *_ in expected), 3, False)
    world = quick.unwrapped.world
    assert world.bodies
    quick.close()
    assert not world.bodies
    quick.close()


@NEEDS_BOX2D
@pytest.mark.slow
def test_a_controller_of_a_million_weights_drives_from_pictures():
    config = load_config("carracing-dct").config
    settings = config.part("task").model_copy(update={"most_steps": 12, "workers": 0})
    task = build(settings, CPU)
    assert task.inputs == Frame((64, 64)) and task.outputs == 3
    target, encoding, genotypes = population(task, config.part("target"), 3, config.part("encoding"))
    assert sum(parameter.size for parameter in target.geometry.values()) == 1_115_139 and encoding.genes == 201
    seeds, limits = task.batch(0, 0)
    played = task.play(target, encoding.express(genotypes), seeds, limits)
    assert played[..., 1].tolist() == [[12]] * 3
    film = task.film(target, encoding.express(genotypes[:1]), int(seeds[0]))
    filmed = [(step, total, look().shape) for step, total, look, _ in islice(film, 4)]
    assert [step for step, *_ in filmed] == [0, 4, 8, 12] and filmed[0][2] == (400, 600, 3)
    assert filmed[-1][1] == pytest.approx(float(played[0, 0, 0]), abs=1e-4)


@NEEDS_BOX2D
def test_lunar_lander_lands_in_a_run(tmp_path):
    config = load_config("cartpole-dct", ["task={name='gymnasium', environment='LunarLander-v3', most_steps=30}",
                                          "run.rounds=1", "search.population=4", "task.validation=1"]).config
    assert execute(create_run(config, tmp_path / "run"))["data"] == "LunarLander-v3"


def test_an_episode_depends_on_its_seed_alone():
    episodes = Episodes(World("Pendulum-v1"))
    first = episodes.reset([5, 6])
    episodes.step([0], [np.ones((1, 1), np.float32)], 4)
    assert np.array_equal(episodes.reset([6, 5]), first[::-1])
    episodes.close()


def test_what_is_filmed_is_what_counts():
    task = build(Settings(episodes=1), CPU)
    target, encoding, genotypes = population(task, size=1)
    weights = encoding.express(genotypes)
    seed = int(task.batch(0, 0)[0])
    *_, (step, total, look, last) = task.film(target, weights, seed)
    assert [total, step] == task.play(target, weights, *task.batch(0, 0))[0, 0].tolist()
    assert last and callable(look)
