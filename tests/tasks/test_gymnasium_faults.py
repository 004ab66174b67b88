"""Environments that are not like CartPole: what they do wrong is one line, and nothing that was trained is lost."""

import multiprocessing
import re
import sys
import time
from itertools import count

import gymnasium
import numpy as np
import pytest
import torch

from hyperevo.config import config_values, load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.guests import Code
from hyperevo.plots import save_run_figures, save_watched
from hyperevo.plots.run_figures import open_view, run_figures
from hyperevo.runs import create_run, crew, execute, finished, open_run, worker
from hyperevo.runs.files import read_rows
from hyperevo.runs.parcels import pack
from hyperevo.tasks._episodes import Episode, World

CALLS = count()
"""Counts steps of environments that fail once."""


class Odd(gymnasium.Env):
    """Goes wrong in the way it is told to."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32), gymnasium.spaces.Discrete(2)
    metadata = {"render_fps": -1}

    def __init__(self, how="", render_mode=None):
        self.how = how
        if how == "made":
            raise KeyError("level")
        if how == "leaves when made":
            sys.exit("no licence")
        if how == "no space":
            self.observation_space = None

    def reset(self, *, seed=None, options=None):
        self.time = 0
        match self.how:
            case "reset":
                raise KeyError("level")
            case "reset leaves":
                sys.exit(3)
            case "list":
                return [0.5, 0.5], {}
            case "bare":
                return np.zeros(2, np.float32)
            case "three":
                return np.zeros(2, np.float32), {}, {}
            case "none":
                return None
            case "reset shape":
                return np.zeros(3, np.float32), {}
            case "reset type":
                return np.array(["a", "b"]), {}
            case "reset nan":
                return np.array([np.nan, 0]), {}
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.time += 1
        shown, reward, terminated = np.full(2, 0.1, np.float32), 1.0, False
        match self.how if self.time == 2 else "":
            case "step":
                raise ValueError("the wheel\n came \x1b[31moff " + "x" * 500)
            case "step leaves":
                raise SystemExit
            case "once" if next(CALLS) == 20:
                raise OSError("the simulator is gone")
            case "four":
                return shown, reward, terminated, {}
            case "nothing":
                return None
            case "shape":
                shown = np.zeros((1, 2), np.float32)
            case "type":
                shown = "up"
            case "object":
                shown = object()
            case "ragged":
                shown = [[0.1], 0.2]
            case "no reward":
                reward = None
            case "text":
                reward = "1"
            case "rewards":
                reward = np.ones(3)
            case "array":
                reward = np.ones(1, np.float32)
            case "flag":
                terminated = "no"
            case "nan":
                reward = np.nan
            case "nan seen":
                shown = np.array([np.nan, 0])
            case "nan by choice" if action == 1:
                reward = np.nan
            case "infinite by choice" if action == 1:
                reward = np.float32(np.inf)
            case "nan at the end":
                shown, terminated = np.array([np.nan, 0]), True
        return shown, reward, terminated, False, {}

    def close(self):
        if self.how == "close":
            raise RuntimeError("gone")

    def render(self):
        match self.how:
            case "text drawn":
                return "a picture"
            case "floats drawn":
                return np.zeros((4, 4, 3))
            case "leaves when drawn":
                sys.exit()
            case "one pixel":
                return np.zeros((1, 1, 3), np.uint8)
            case "grey drawn" | "step":
                return np.full((20, 30), 7, np.uint8)
            case "plane drawn":
                return np.full((20, 30, 1), 7, np.uint8)
            case "opaque":
                return np.full((20, 30, 4), 7, np.uint8)
            case "none drawn":
                return None
        raise NotImplementedError


class Plain(Odd):
    """Takes no render_mode."""

    def __init__(self):
        super().__init__()


gymnasium.register("Odd-v0", Odd, max_episode_steps=6)
gymnasium.register("Plain-v0", Plain, max_episode_steps=1)


def config_of(how="", *more, name="Odd-v0"):
    options = f", options={{how='{how}'}}" if name == "Odd-v0" else ""
    return load_config("cartpole-dct", [
        f"task={{name='gymnasium', environment='{name}', episodes=2, validation=2{options}}}", "threads=1",
        "target={name='recurrent', hidden=3}", "encoding={name='direct'}", "search={name='snes', population=4}",
        "run.rounds=3", "run.validate_every=1", "run.until=100", *more]).config


SEED = r" \(episode with seed \d+\)"
STEP_2 = "Odd-v0: step 2 "


@pytest.mark.parametrize(("how", "line"), [
    ("reset", f"Odd-v0: reset raised KeyError: 'level'{SEED}"),
    ("reset leaves", f"Odd-v0: reset raised SystemExit: 3{SEED}"),
    ("bare", rf"Odd-v0: reset returned a ndarray, not \(observation, info\){SEED}"),
    ("three", rf"Odd-v0: reset returned 3 values, not \(observation, info\){SEED}"),
    ("none", rf"Odd-v0: reset returned a NoneType, not \(observation, info\){SEED}"),
    ("reset shape", rf"Odd-v0: reset showed an array of shape \(3,\) and type float32, and its space is Box.*{SEED}"),
    ("reset type", rf"Odd-v0: reset showed an array of shape \(2,\) and type <U1, and its space is Box.*{SEED}"),
    ("reset nan", f"Odd-v0: reset showed a value that is not a number{SEED}"),
    ("step", rf"{STEP_2}raised ValueError: the wheel came \\x1b\[31moff x{{100,200}}…{SEED}"),
    ("step leaves", f"{STEP_2}raised SystemExit{SEED}"),
    ("four", f"{STEP_2}raised ValueError: not enough values to unpack.*{SEED}"),
    ("nothing", f"{STEP_2}raised TypeError: .*{SEED}"),
    ("shape", rf"{STEP_2}showed an array of shape \(1, 2\) and type float32, and its space is Box.*{SEED}"),
    ("type", rf"{STEP_2}showed an array of shape \(\) and type <U2, .*{SEED}"),
    ("object", rf"{STEP_2}showed an array of shape \(\) and type object, .*{SEED}"),
    ("ragged", f"{STEP_2}raised ValueError: setting an array element.*{SEED}"),
    ("no reward", f"{STEP_2}returned reward = None, not a number{SEED}"),
    ("text", f"{STEP_2}returned reward = '1', not a number{SEED}"),
    ("rewards", rf"{STEP_2}returned reward = \[1. 1. 1.\], not a number{SEED}"),
    ("flag", f"{STEP_2}returned terminated = 'no', not a truth value{SEED}"),
    ("nan", "no network of the population has a finite fitness on Odd-v0"),
    ("nan seen", "no network of the population has a finite fitness on Odd-v0"),
])
def test_what_an_environment_does_wrong_is_one_line_and_the_run_goes_on_from_there(how, line, tmp_path):
    for _ in range(2):
        with pytest.raises(RunFailed, match=f"^{line}$") as told:
            execute(open_run(tmp_path / "run") if (tmp_path / "run").exists() else
                    create_run(config_of(how), tmp_path / "run"))
        assert str(told.value).isprintable()
    # A reset is tried before the folder is made.
    assert (tmp_path / "run").exists() == ("reset" not in line)


@pytest.mark.parametrize(("how", "line"), [
    ("made", "task.environment: Odd-v0: KeyError: 'level'"),
    ("leaves when made", "task.environment: Odd-v0: SystemExit: no licence"),
    ("no space", "task.environment: Odd-v0 shows None; networks read Box, .*"),
    ("close", "task.environment: Odd-v0: close raised RuntimeError: gone"),
    ("colour", "task.environment: Odd-v0: .*"),
])
def test_an_environment_that_cannot_be_used_is_one_line_before_a_folder_is_made(how, line, tmp_path):
    config = config_of(*(["", "task.options={colour=3}"] if how == "colour" else [how]))
    with pytest.raises(UserError, match=f"^{line}$"):
        create_run(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("how", "score"), [("list", 6), ("array", 6), ("nan at the end", 2), ("", 6)])
def test_what_can_be_understood_is(how, score, tmp_path):
    assert execute(create_run(config_of(how), tmp_path / "run"))["test_accuracy"] == score


def test_a_run_whose_environment_fails_once_ends_as_if_it_had_not(tmp_path, monkeypatch):
    assert execute(create_run(config_of(), tmp_path / "whole"))["test_accuracy"] == 6
    monkeypatch.setattr(sys.modules[__name__], "CALLS", count())
    with pytest.raises(RunFailed, match=f"^{STEP_2}raised OSError: the simulator is gone{SEED}$"):
        execute(create_run(config_of("once"), tmp_path / "run"))
    assert execute(open_run(tmp_path / "run"))["test_accuracy"] == 6
    assert (tmp_path / "run/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()


@pytest.mark.parametrize("how", ["nan", "nan seen"])
def test_an_episode_ends_with_what_is_no_number(how):
    episode = Episode(World("Odd-v0", {"how": how}), 0)
    assert episode.reset().tolist() == [0, 0]
    assert episode.step([0], 1)[1:] == (1, 1, False)
    shown, total, taken, over = episode.step([0], 1)
    assert (np.isfinite(shown).all(), np.isnan(total), taken, over) == (True, True, 1, True)


@pytest.mark.parametrize("how", ["nan by choice", "infinite by choice"])
def test_networks_whose_return_is_no_number_are_the_worst_and_the_others_go_on(how, tmp_path, caplog):
    result = execute(create_run(config_of(how, "search.population=12", "seed=1"), tmp_path / "run"))
    rows = read_rows(tmp_path / "run/metrics.csv")
    assert sum(int(row["failed"]) for row in rows) > 0
    assert all(float(row["best"]) == 6 and float(row["worst"]) in (5, 6) for row in rows)
    assert {row["champion_accuracy"] for row in rows if row["champion_accuracy"]} == {"6.0"}
    assert result["test_accuracy"] == 6
    notes = [record.getMessage() for record in caplog.records if "not a number" in record.getMessage()]
    # Once, and only where a value was no number at all.
    assert len(notes) == (how == "nan by choice")
    assert all(re.match(r"Odd-v0: step 2 gave .* not a number \(episode with seed \d+\); .* worst$", note)
               for note in notes)


def test_without_a_finite_validation_there_is_no_champion_and_a_line_says_so(tmp_path, caplog):
    config = config_of("nan", "task.most_steps=1")
    with pytest.raises(RunFailed, match="^no candidate had a finite mean return on Odd-v0, .* no champion$"):
        execute(create_run(config, tmp_path / "run"))
    assert [row["champion_accuracy"] for row in read_rows(tmp_path / "run/metrics.csv")] == [""] * 3
    assert "no candidate of round 1 has a finite mean return on Odd-v0, so that there is no champion yet" in caplog.text
    with pytest.raises(RunFailed, match="no champion$"):
        execute(open_run(tmp_path / "run"))
    with pytest.raises(UserError, match="has no champion yet after round 3 of 3"):
        save_run_figures(tmp_path / "run")


# Figures


@pytest.mark.parametrize(("how", "line"), [
    ("", "Odd-v0: render raised NotImplementedError"), ("none drawn", "Odd-v0: render draws nothing"),
    ("text drawn", r"the environment draws an array of shape \(\) and type <U9, and no picture.*"),
    ("floats drawn", r"the environment draws an array of shape \(4, 4, 3\) and type float64, and no picture.*"),
    ("leaves when drawn", "Odd-v0: render raised SystemExit"),
])
def test_frames_that_cannot_be_drawn_are_left_out_with_a_line(how, line, tmp_path, caplog):
    execute(create_run(config_of(how, "run.rounds=1"), tmp_path / "run"))
    drawn = {name for name, _ in run_figures(open_view(tmp_path / "run"))}
    assert {"learning_curves", "receptive_fields", "projective_fields"} <= drawn and "frames" not in drawn
    assert re.search(f"no frames are drawn: {line}$", caplog.text, re.MULTILINE)
    with pytest.raises(UserError, match=f"^{line}$"):
        save_watched(tmp_path / "run", None, 0)


@pytest.mark.parametrize("how", ["one pixel", "grey drawn", "plane drawn", "opaque"])
def test_pictures_of_any_size_and_channels_are_drawn(how, tmp_path):
    execute(create_run(config_of(how, "run.rounds=1"), tmp_path / "run"))
    assert [path.name for path in save_watched(tmp_path / "run", None, 0)] == ["champion.gif", "frames.png"]


def test_an_environment_without_the_argument_render_mode_runs_and_has_its_other_figures(tmp_path, caplog):
    assert execute(create_run(config_of(name="Plain-v0"), tmp_path / "run"))["test_accuracy"] == 1
    assert "learning_curves" in {path.stem for path in save_run_figures(tmp_path / "run")}
    assert "no frames are drawn: task.environment: Plain-v0: " in caplog.text


def test_an_environment_that_goes_wrong_while_it_is_watched_leaves_the_other_figures(tmp_path, caplog):
    execute(create_run(config_of("grey drawn", "run.rounds=1"), tmp_path / "run"))
    path = tmp_path / "run" / "config.toml"
    path.write_text(path.read_text().replace("grey drawn", "step"))
    assert "learning_curves" in dict(run_figures(open_view(tmp_path / "run")))
    assert re.search("no frames are drawn: Odd-v0: step 2 raised ValueError", caplog.text)


# Worker processes

DYING = """
import os
import time
import gymnasium
import numpy as np

class Dying(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        if os.fork() == 0:  # this one has the worker's pipe, and outlives it
            os.closerange(0, 3)
            time.sleep(40)
            os._exit(0)
        os._exit(5)

gymnasium.register("Dying-v0", Dying, max_episode_steps=6)
"""


def test_a_worker_that_dies_is_noticed_though_its_child_lives_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crew, "TRIES", 1)
    (tmp_path / "dying.py").write_text(DYING)
    run = create_run(config_of("", "task.workers=1", "search.population=10", name="dying.py:Dying-v0"),
                     tmp_path / "run")
    started = time.monotonic()
    line = r"^1 workers died at one block of 8 networks, .*worker process 1 of 1 \(exit code 5\); .*resume"
    with pytest.raises(RunFailed, match=line):
        execute(run)
    assert time.monotonic() - started < 60
    assert multiprocessing.active_children() == [] and not finished(tmp_path / "run")
    open_run(tmp_path / "run", trust=True).close()


STUCK = """
import time
import gymnasium
import numpy as np

class Stuck(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3 and HOW == "stuck":
            time.sleep(5)
        time.sleep(0.05 * (HOW == "slow"))
        return np.zeros(2, np.float32), 1.0, False, False, {}

gymnasium.register("Stuck-v0", Stuck, max_episode_steps=4)
"""


@pytest.mark.parametrize("how", ["stuck", "slow"])
def test_a_step_that_never_returns_ends_the_run_and_slow_ones_do_not(how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker, "LONGEST", 0.6)
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_LOOKS", 0.3)
    monkeypatch.setattr(worker, "keep_freed_memory", lambda: None)
    (tmp_path / "stuck.py").write_text(STUCK.replace("HOW", f"'{how}'"))
    config = config_of("", name="stuck.py:Stuck-v0")
    run = create_run(config, None)
    threads = torch.get_num_threads()
    try:
        there = worker.Worker(worker.Order(config_values(config), Code(True), ".", 1.0, "cpu"))
        request = worker.Request("fitness", 0, pack(run.parts.search.ask()[:2]))
        if how == "slow":  # longer than one step may take, in all
            assert len(there.work(request)[0]) == 2
        else:
            line = r"^stuck.py:Stuck-v0: step 3 \(episode with seed \d+\) has not returned after 0.6 seconds$"
            with pytest.raises(RunFailed, match=line):
                there.work(request)
    finally:
        torch.set_num_threads(threads)
        run.close()


# Other tasks


def test_a_score_that_is_no_number_never_takes_the_place_of_one(tmp_path, monkeypatch):
    run = create_run(load_config("dct-mnist", ["task={name='digits'}", "run.rounds=4", "run.validate_every=1",
                                               "search.population=4"]).config, tmp_path / "run")
    scores, told = iter([0.25, torch.nan, torch.inf, 0.125, 0.5]), []
    monkeypatch.setattr(run.parts.task, "score", lambda outputs, wanted: torch.full((len(outputs),), next(scores)))
    monkeypatch.setattr(run.parts.search, "validated", lambda found: told.append(found.tolist()))
    result = execute(run)
    rows = read_rows(tmp_path / "run/metrics.csv")
    assert [row["validation_accuracy"] for row in rows] == ["0.25", "", "", "0.125"]
    assert {row["champion_accuracy"] for row in rows} == {"0.25"}
    assert (result["champion_round"], result["validation_accuracy"], result["test_accuracy"]) == (1, 0.25, 0.5)
    assert told == [[0.25], [-torch.inf], [-torch.inf], [0.125]]


def test_a_test_score_that_is_no_number_leaves_the_champion(tmp_path, monkeypatch):
    run = create_run(load_config("dct-mnist", ["task={name='digits'}", "run.rounds=1", "search.population=4"]).config,
                     tmp_path / "run")
    scores = iter([0.25, torch.nan])
    monkeypatch.setattr(run.parts.task, "score", lambda outputs, wanted: torch.full((len(outputs),), next(scores)))
    with pytest.raises(RunFailed, match="^the champion's accuracy on the test images of digits is not finite$"):
        execute(run)
    assert (tmp_path / "run/champion/weights.safetensors").exists() and not finished(tmp_path / "run")
    assert 0 <= execute(open_run(tmp_path / "run"))["test_accuracy"] <= 1


def test_the_best_of_all_candidates_is_found_beside_one_that_is_no_number(tmp_path, monkeypatch):
    config = load_config("dct-mnist", ["task={name='digits'}", "run.rounds=1", "encoding={name='direct'}",
                                       "search={name='gradient', population=3, steps_per_round=1}"]).config
    run = create_run(config, tmp_path / "run")
    scores = iter([[0.1, torch.nan, 0.3], [0.3] * 2, [0.2, torch.nan, 0.3]])
    monkeypatch.setattr(run.parts.task, "score", lambda outputs, wanted: torch.tensor(next(scores))[: len(outputs)])
    candidates = []
    given = run.parts.search.candidates
    monkeypatch.setattr(run.parts.search, "candidates", lambda: candidates.append(given()) or candidates[-1])
    result = execute(run)
    assert result["validation_accuracy"] == pytest.approx(0.3)
    assert torch.equal(run.champion.genotype, candidates[0][2])
    assert result["test_accuracies"] == [pytest.approx(0.2), None, pytest.approx(0.3)]


def test_a_figure_that_cannot_be_drawn_leaves_the_others(tmp_path, monkeypatch, caplog):
    execute(create_run(config_of("grey drawn", "run.rounds=1"), tmp_path / "run"))

    def broken(*arguments, **options):
        raise ZeroDivisionError("nothing to draw")

    monkeypatch.setattr("hyperevo.plots.run_figures.learning_curves", broken)
    monkeypatch.setattr("hyperevo.plots.run_figures._maps", broken)
    assert [path.stem for path in save_run_figures(tmp_path / "run")] == ["frames"]
    assert "learning_curves.png: not drawn: ZeroDivisionError: nothing to draw" in caplog.text
    assert caplog.text.count("not drawn: ZeroDivisionError") == 2
