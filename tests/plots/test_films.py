"""Films and strips of networks at work."""

import importlib.util
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from hyperevo.config import load_config
from hyperevo.control import environment, environment_names
from hyperevo.control._dynamics import together
from hyperevo.errors import UserError
from hyperevo.plots import save_watched
from hyperevo.plots.films import STRIP, WIDTH, Shot, frame_strip, picture, save_film
from hyperevo.plots.run_figures import _performer, open_view, run_figures, save_all
from hyperevo.runs import create_run, execute

NEEDS_PYGAME = pytest.mark.skipif(importlib.util.find_spec("pygame") is None, reason="needs gymnasium[classic-control]")


def finished_run(folder, *overrides):
    small = ["run.rounds=1", "search.population=4", *overrides]
    execute(create_run(load_config("cartpole-dct", small).config, folder))
    return folder


def steps(path):
    with Image.open(path) as film:
        return film.n_frames


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("films") / "run", "task.validation=1")


def returns(run, seed):
    """What the champion earns in an episode: in CartPole as much as it has steps."""
    task, target, weights = _performer(open_view(run))
    *_, (step, total, _, _) = task.film(target, weights, seed)
    assert step == total
    return step


def test_a_film_and_a_strip_of_an_environment_in_tensors(cartpole, tmp_path):
    paths = save_watched(cartpole, None, 0)
    assert [path.name for path in paths] == ["champion.gif", "frames.png"]
    assert steps(paths[0]) == returns(cartpole, 0) + 1  # and what is there at first
    strip = paths[1].read_bytes()
    other = save_watched(cartpole, tmp_path / "other.gif", 1)
    assert other[0] == tmp_path / "other.gif" and other[0].read_bytes() != paths[0].read_bytes()
    assert paths[1].read_bytes() != strip
    save_all(iter([("again", dict(run_figures(open_view(cartpole)))["frames"])]), tmp_path)
    assert (tmp_path / "again.png").read_bytes() == strip


@NEEDS_PYGAME
def test_a_film_and_a_strip_of_gymnasium(tmp_path):
    run = finished_run(tmp_path / "run", "task={name='gymnasium', validation=1}")
    assert "frames" in dict(run_figures(open_view(run)))
    with Image.open(save_watched(run, None, 0)[0]) as film:
        # At 50 steps a second, every other one, and the last.
        assert film.n_frames == (returns(run, 0) + 1) // 2 + 1
        assert film.size[0] == WIDTH
        assert len(np.unique(np.asarray(film.convert("RGB")).reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(("name", "message"), [("film.avi", "is neither a .gif nor a .mp4"),
                                               ("film.mp4", "needs ffmpeg, which is not on the PATH"),
                                               ("none/film.gif", "its folder does not exist")])
def test_films_that_cannot_be_written_are_one_line(cartpole, tmp_path, name, message, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"^--out .*{name}: {message}"):
        save_watched(cartpole, tmp_path / name, 0)


def test_a_run_without_an_environment_cannot_be_watched(tmp_path):
    run = finished_run(tmp_path / "run", "task={name='parity'}", "target={name='mlp', hidden=[[1, 3]]}")
    with pytest.raises(UserError, match="task parity has no environment to watch a network in"):
        save_watched(run, None, 0)


def shots(count):
    return [Shot(step, -step, Image.new("RGB", (48, 32), (step, 0, 0))) for step in range(count)]


def test_ffmpeg_is_given_every_picture(tmp_path, monkeypatch):
    stub = tmp_path / "ffmpeg"
    stub.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'wb').write(sys.stdin.buffer.read())\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    save_film(shots(5), tmp_path / "film.mp4")
    assert len((tmp_path / "film.mp4").read_bytes()) == 5 * 3 * 48 * (32 + 26)
    stub.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.buffer.read()\nsys.exit(3)\n")
    with pytest.raises(UserError, match="film.mp4: ffmpeg failed with exit code 3"):
        save_film(shots(5), tmp_path / "film.mp4")


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 4), (50, STRIP)])
def test_a_strip_goes_from_the_first_picture_to_the_last(count, columns):
    axes = frame_strip(shots(count), "run").axes
    assert len(axes) == columns
    assert axes[0].get_title().startswith("step 0") and axes[-1].get_title().startswith(f"step {count - 1}")


@pytest.mark.parametrize("name", environment_names())
def test_every_environment_is_sketched_within_its_picture(name):
    own = environment(name)
    states = own.reset(3, torch.Generator().manual_seed(0))
    sketches = [own.sketch(state) for state in (*states, together(*states[0].unbind(-1)))]
    for sketch in sketches:
        points = torch.tensor([point for stroke in sketch.strokes for point in stroke.points])
        assert (points >= torch.tensor(sketch.lowest)).all() and (points <= torch.tensor(sketch.highest)).all()
    image = picture(sketches[0])
    assert image.width == WIDTH and len(image.getcolors(2**20)) > 2


def test_a_sketch_shows_what_moves():
    own = environment("cartpole")
    upright, fallen = (np.asarray(picture(own.sketch(torch.tensor([0.0, 0.0, angle, 0.0])))) for angle in (0.0, 0.2))
    assert np.array_equal(upright, upright[:, ::-1]) and not np.array_equal(upright, fallen)
    red = (fallen[..., 0] > 150) & (fallen[..., 1] < 80)
    assert red.any() and red[:, WIDTH // 2 + 5:].sum() > red[:, : WIDTH // 2 - 5].sum()  # it leans to the right
