"""What champions write, text and pen strokes: it follows from a seed; its figures; the page on which the pen moves."""

import base64
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hyperevo.config import load_config
from hyperevo.data import read_stroke_file
from hyperevo.dynamic import observe
from hyperevo.errors import UserError
from hyperevo.plots import save_run_figures
from hyperevo.plots.pen_page import pen_page
from hyperevo.plots.run_samples import champion_network, sampled
from hyperevo.plots.run_view import open_view
from hyperevo.plots.sequences import LETTERS, lines_of, shades, strokes_in_time, written_text
from hyperevo.runs import create_run, execute
from hyperevo.runs.sample import changed_rows, draw_strokes
from hyperevo.tasks.handwriting import draw_points, mixture

TINY = ["search.steps_per_round=2", "run.rounds=1", "run.validate_every=1", "threads=1", "target.hidden=6",
        "target.hyper=3", "target.embedding=2"]


def drawings(count):
    random = np.random.default_rng(0)
    points = np.concatenate([random.normal(size=(count * 9, 2)), random.random((count * 9, 1)) < 0.2], 1)
    return {"points": points, "offsets": np.arange(count + 1) * 9}


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text("".join(np.random.default_rng(0).choice(list("abcde \n"), 3000)))
    config = load_config("char-ptb-hyperlstm", [*TINY, "task.sequences=4", "task.length=20",
                                                f"task.text={folder / 'text.txt'}"]).config
    execute(create_run(config, folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def stroke_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strokes")
    np.savez(folder / "strokes.npz", **drawings(60))
    config = load_config("handwriting-omniglot-hyperlstm", [*TINY, f"task.strokes={folder / 'strokes.npz'}",
                                                            "task.drawings=4", "task.mixtures=3"]).config
    execute(create_run(config, folder / "run"))
    return folder / "run"


def test_text_follows_from_the_seed_and_the_prompt(text_run):
    text = sampled(text_run, 40, 3, {"prompt": "bad"})
    assert text == sampled(text_run, 40, 3, {"prompt": "bad"}) and text != sampled(text_run, 40, 4, {"prompt": "bad"})
    assert text.startswith("bad") and len(text) == 43 and set(text) <= set("abcde \n")
    assert sampled(text_run, 20, 0, {}) == sampled(text_run, 20, 0, {"prompt": "\n"})[1:], "a line begins"


def test_cold_text_is_the_likeliest_letter_after_all_before(text_run):
    view = open_view(text_run)
    network, symbols = champion_network(view), [view.task.alphabet.index("a")]
    for _ in range(12):
        answers, _ = network(torch.tensor([symbols]))
        symbols.append(int(answers[0, -1].argmax()))
    expected = "".join(view.task.alphabet[symbol] for symbol in symbols)
    assert sampled(text_run, 12, 0, {"prompt": "a", "temperature": 1e-6}) == expected
    assert sampled(text_run, 12, 0, {"prompt": "a", "temperature": 5e-324}) == expected


def test_bytes_are_written_as_text(tmp_path, text_run):
    """A run on bytes has numbers for an alphabet; é is two of them."""
    view = open_view(text_run)
    content = (text_run / "task.json").read_text()
    other = [*b"\nabcd\xc3\xa9"]
    (text_run / "task.json").write_text(content.replace(content[content.index('"alphabet"'):content.rindex("]") + 1],
                                                        f'"alphabet": {other}'))
    try:
        assert open_view(text_run).task.alphabet == tuple(bytes([number]) for number in other)
        assert sampled(text_run, 5, 0, {"prompt": "é"}).startswith("é")
    finally:
        (text_run / "task.json").write_text(content)
    assert open_view(text_run).task.alphabet == view.task.alphabet


def test_rows_that_change_are_those_of_observe(text_run):
    network = champion_network(open_view(text_run))
    inputs = torch.tensor([[1, 2, 3, 0, 4], [4, 3, 2, 1, 0]])
    rows = changed_rows(network, inputs)
    assert rows.shape == (2, 5, 4, 6)
    change = observe(network.layers, network.steps(inputs)).change[-1].transpose(0, 1)
    torch.testing.assert_close(rows.norm(dim=3), change)


def test_strokes_follow_from_the_seed_and_go_on_from_what_was_drawn(stroke_run):
    network = champion_network(open_view(stroke_run))
    first, again, other = (draw_strokes(network, 3, 7, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert set(first[..., 2].unique().tolist()) <= {0.0, 1.0}
    drawn, generator = torch.zeros(3, 1, 3), torch.Generator().manual_seed(1)
    for _ in range(7):
        answers, _ = network(drawn)  # from the first point on, with no state kept
        point = draw_points(mixture(answers[:, -1], 0.5), generator)
        drawn = torch.cat([drawn, point[:, None]], 1)
    torch.testing.assert_close(first, drawn[:, 1:])


def test_samples_can_be_read_again(stroke_run, tmp_path):
    out = tmp_path / "mine.npz"
    assert sampled(stroke_run, 11, 0, {"out": out, "count": 30}) == out
    data = read_stroke_file(out)
    assert [len(drawing) for drawing in (*data.train, *data.validation, *data.test)] == [11] * 30


def test_a_run_draws_what_its_network_writes(text_run, stroke_run):
    assert "written_text.png" in {path.name for path in save_run_figures(text_run)}
    names = {path.name for path in save_run_figures(stroke_run)}
    assert {"strokes_in_time.png", "drawings.png", "handwriting.html"} <= names
    assert load_file(stroke_run / "champion" / "examples.safetensors")["drawings"].shape == (3, 9, 3)
    assert sampled(stroke_run, None, 0, {}) == stroke_run / "samples.png" and (stroke_run / "samples.png").is_file()


@pytest.mark.parametrize("options, problem", [
    ({"temperature": 0.0}, "--temperature: 0 is not above 0"),
    ({"temperature": float("nan")}, "--temperature: nan is not above 0"),
    ({"prompt": "ab!"}, "--prompt: line 1, character 3: '!' is not in the alphabet of 7 symbols"),
    ({"bias": 1.0}, "--bias: is not for characters")])
def test_bad_options_for_text(text_run, options, problem):
    with pytest.raises(UserError, match=problem):
        sampled(text_run, 5, 0, options)


@pytest.mark.parametrize("options, problem", [
    ({"bias": 1e300}, "--bias: 1e\\+300 is not between"), ({"bias": float("nan")}, "--bias: nan is not between"),
    ({"bias": -0.1}, "--bias: -0.1 is not between 0 and 100"), ({"prompt": "a"}, "--prompt: is not for handwriting"),
    ({"out": "strokes.gif"}, "--out: strokes.gif ends neither with")])
def test_bad_options_for_strokes(stroke_run, tmp_path, options, problem):
    if "out" in options:
        options = {"out": tmp_path / options["out"]}
        problem = "strokes.gif ends neither with .png nor with .html nor with .npz"
    with pytest.raises(UserError, match=problem):
        sampled(stroke_run, 5, 0, options)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named(stroke_run, tmp_path):
    for suffix in ("png", "html", "npz"):
        with pytest.raises(UserError, match=f"gone/mine.{suffix}: cannot be written"):
            sampled(stroke_run, 5, 0, {"out": tmp_path / "gone" / f"mine.{suffix}"})


def test_lines_end_where_the_pen_is_lifted():
    drawing = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 5, 1], [2, 0, 0], [0, 1, 0], [torch.nan] * 3])
    assert [line.tolist() for line in lines_of(drawing)] == [[[1, 1], [2, 1]], [[2, 6]], [[4, 6], [4, 7]]]


def test_colours_are_not_scaled_by_the_first_steps():
    change = torch.ones(2, 40, 4)
    change[:, 1:5] = 100.0
    assert (shades(change)[0, 20, 3] == shades(change)[0, 2, 3]).all()
    page = pen_page(torch.randn(2, 40, 3), change[..., None].expand(2, 40, 4, 8), torch.ones(4, 8, 8), "A pen")
    content = json.loads(re.search("const content = (.*);", page)[1])
    strips = np.frombuffer(base64.b64decode(content["strips"]), np.uint8)
    assert set(strips.tolist()) == {255}


def test_strips_are_white_where_nothing_changes_and_full_at_the_top():
    colours = shades(torch.tensor([[0.0, 0.0, 0.0, 0.0], *[[1.0, 2.0, 3.0, 4.0]] * 20]))
    assert (colours[0] == 1).all() and colours[1, 0].tolist() == pytest.approx([0, 0x72 / 255, 0xB2 / 255])


def test_one_wide_drawing_does_not_put_all_below_each_other():
    drawings = torch.ones(8, 5, 3) * torch.tensor([1.0, 1.0, 0.0])
    drawings[3, :, 0] = 9.0
    assert len(strokes_in_time(drawings, None).axes) == 16
    assert strokes_in_time(drawings, None).get_size_inches()[1] < strokes_in_time(drawings[3:4].expand(8, 5, 3),
                                                                                  None).get_size_inches()[1]


@pytest.mark.parametrize("gates", [0, 1, 4])
def test_figures_of_any_number_of_gates(gates):
    change = torch.rand(2, 9, gates) if gates else None
    figure = strokes_in_time(torch.randn(2, 9, 3), change, "a run")
    assert len([axes for axes in figure.axes if axes.images]) == (2 if gates else 0)
    letters = ["a", "\n", "\x80"] * LETTERS
    figure = written_text(letters, torch.rand(len(letters), gates) if gates else None)
    assert [text.get_text() for text in figure.axes[0].texts][:3] == ["a", "↵", "·"]
    assert len(figure.axes[0].images) == (3 if gates else 0)


@pytest.mark.slow
def test_the_pen_moves_and_matrices_light_up(opened, tmp_path):
    drawing = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 1]]).expand(2, 3, 3)
    changes = torch.zeros(2, 3, 4, 8)
    changes[0, 1, 2] = 1.0  # the forget gate's rows, when the second point is drawn
    (tmp_path / "pen.html").write_text(pen_page(drawing, changes, torch.rand(4, 8, 8) + 0.5, "A pen <b>"))
    page, events = opened(tmp_path / "pen.html")
    # Where nothing moves by itself: a slow machine would be in the middle of the next drawing.
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    assert page.title() == "A pen <b>" and page.locator("h1").inner_text() == "A pen <b>"
    page.get_by_role("slider").fill("2")
    assert page.locator("#where").inner_text() == "drawing 1, point 2 of 3"
    assert page.locator("#play").inner_text() == "Play"
    brightness = """canvas => { const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                    return data.reduce((sum, value, place) => place % 4 < 3 ? sum + value : sum, 0) / data.length; }"""
    dark, lit = (page.locator(".gate").nth(gate).evaluate(brightness) for gate in (0, 2))
    assert lit > 3 * dark
    page.get_by_role("slider").fill("3")
    assert page.locator(".gate").nth(2).evaluate(brightness) == pytest.approx(dark)
    drawn = page.locator("#pen").evaluate(brightness)
    page.get_by_role("slider").fill("0")
    assert page.locator("#pen").evaluate(brightness) == 0 < drawn
    page.get_by_role("button", name="Next drawing").click()
    assert page.locator("#where").inner_text() == "drawing 2, point 0 of 3"
    page.get_by_role("button", name="Play").click()
    page.get_by_text("drawing 2, point 3 of 3").wait_for()
    # Chromium has advice about how this test reads pictures.
    assert {event for event in events if "getImageData" not in event} == {(tmp_path / "pen.html").as_uri()}
