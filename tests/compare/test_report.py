"""The report of a comparison: complete, honest about what is missing, and in need of nothing but itself."""

import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from PIL import Image

from hyperevo.compare.dots import dots
from hyperevo.compare.figures import save_figures
from hyperevo.compare.outcomes import read_outcomes, rows
from hyperevo.compare.plan import plan
from hyperevo.compare.report import LEVELS, write_report
from hyperevo.compare.tables import table
from hyperevo.errors import UserError
from hyperevo.plots.run_figures import open_view
from hyperevo.runs import create_run, execute

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=40", "run.validate_every=4",
         "run.filmstrip=5", "search={name='snes', population=8}", "threads=1"]
NAMES = ["dct-mnist", "coordinate-mnist", "direct-mnist"]
ROWS = [*NAMES[:2], "direct-mnist+snes"]  # what is trained by gradient as it is shipped
FRAMES = 5


@pytest.fixture(scope="module")
def entries(tmp_path_factory, run_until):
    """Three encodings, two seeds each: three runs finished, the fourth cut in round 6, the others not begun."""
    entries = plan(NAMES, 2, tmp_path_factory.mktemp("study"), SMALL)
    for entry in entries[:3]:
        execute(create_run(entry.config, entry.folder))
    run_until(entries[3].config, entries[3].folder, 6)
    return entries


@pytest.fixture(scope="module")
def figures(entries, tmp_path_factory):
    outcomes = read_outcomes(entries)
    return save_figures(rows(outcomes), outcomes, tmp_path_factory.mktemp("figures"))[:2]


class Page(HTMLParser):
    """A report taken apart: the cells of its table, its pictures, its links, its text in order."""

    def __init__(self, text):
        super().__init__()
        self.lines, self.images, self.links, self.texts, self.tags = [], [], [], [], []
        self.inside = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.tags.append((tag, own))
        if tag not in ("meta", "link", "img", "input"):
            self.inside.append(tag)
        if tag == "tr":
            self.lines.append([])
        if tag in ("td", "th"):
            self.lines[-1].append("")
        if tag == "img":
            self.images.append(own)
        self.links += [own[key] for key in ("src", "href", "srcset", "action", "data") if key in own]

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, text):
        if "td" in self.inside or "th" in self.inside:
            self.lines[-1][-1] += text
        elif text.strip() and not {"style", "script", "head"} & set(self.inside):
            self.texts.append(" ".join(text.split()))


def report(outcomes, tmp_path, title="A study", notes=(), figures=()):
    path = tmp_path / "report.html"
    write_report(outcomes, path, title, notes, figures)
    return path.read_text(encoding="utf-8")


def named(outcomes, names):
    """The same outcomes under other names."""
    return [replace(outcome, entry=replace(outcome.entry, name=names[outcome.entry.name])) for outcome in outcomes]


def test_the_first_line_says_what_is_missing(entries, tmp_path):
    page = Page(report(read_outcomes(entries), tmp_path))
    body = [tag for tag, _ in page.tags].index("body")
    assert page.tags[body + 1] == ("div", {"class": "banner", "role": "alert"})
    assert page.texts[0] == "Unfinished: 3 of 6 runs have no result."
    assert page.texts[2:4] == ["coordinate-mnist: seed 1 (stands at round 6)",
                               "direct-mnist+snes: seed 0 (not begun), seed 1 (not begun)"]


def test_a_whole_comparison_has_no_banner(entries, tmp_path):
    page = Page(report(read_outcomes(entries[:2]), tmp_path, "Whole"))
    assert page.texts[0] == "Whole" and "banner" not in [own.get("class") for _, own in page.tags]


def test_it_needs_no_other_file_and_no_network(entries, figures, tmp_path):
    text = report(read_outcomes(entries), tmp_path, figures=figures)
    assert not re.search(r"https?:|//[a-z]", re.sub(r"data:image/\w+;base64,[\w+/=]+|\s//.*", "", text))
    assert "@import" not in text and "url(" not in text
    assert all(link.startswith("data:") for link in Page(text).links)
    content = [base64.b64decode(image["src"].partition(",")[2]) for image in Page(text).images]
    assert content[:2] == [path.read_bytes() for path in figures]


def test_the_table_has_a_line_for_every_name(entries, tmp_path):
    head, *lines = Page(report(read_outcomes(entries), tmp_path)).lines
    assert sorted(line[0] for line in lines) == sorted(ROWS) and all(len(line) == len(head) for line in lines)
    known = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert {name: own["seeds"] for name, own in known.items()} == {"dct-mnist": "2", "coordinate-mnist": "1 of 2",
                                                                  "direct-mnist+snes": "0 of 2"}
    assert known["direct-mnist+snes"]["test accuracy"] == "" and lines[-1][0] == "direct-mnist+snes"
    assert {name: own["where weights come from"] for name, own in known.items()} == {
        "dct-mnist": "all generated", "direct-mnist+snes": "",
        "coordinate-mnist": "generated: hidden.weight, hidden.bias, readout.weight; direct: readout.bias"}


def test_a_table_calls_its_measure_by_its_name(entries, tmp_path):
    outcomes = [replace(outcome, result={**outcome.result, "measure": "variance explained"})
                for outcome in read_outcomes(entries[:2])]
    assert Page(report(outcomes, tmp_path)).lines[0][1] == "test variance explained"


def test_where_weights_come_from(entries, tmp_path):
    ridge, direct = plan(["dct-mnist", "direct-mnist"], 1, tmp_path, [*SMALL, "run.rounds=1", "target.ridge=0.1"])
    origins = [execute(create_run(entry.config, entry.folder))["origins"] for entry in (ridge, direct)]
    hidden, readout = ["hidden.weight", "hidden.bias"], ["readout.weight", "readout.bias"]
    assert origins[0] == {"generated": hidden, "direct": [], "fitted": readout}
    assert origins[1] == {"generated": [], "direct": hidden, "fitted": readout}
    cells = [line[-1] for line in table(rows(read_outcomes([ridge, direct])))]
    assert sorted(cells) == sorted([
        "generated: hidden.weight, hidden.bias; fitted: readout.weight, readout.bias",
        "direct: hidden.weight, hidden.bias; fitted: readout.weight, readout.bias"])


def test_the_same_runs_give_the_same_bytes(entries, figures, tmp_path):
    outcomes = read_outcomes(entries)
    assert report(outcomes, tmp_path, "One", ["note"], figures) == report(outcomes, tmp_path, "One", ["note"], figures)


def test_names_are_escaped(entries, tmp_path):
    names = dict(zip(ROWS, ("<img src=x> & co", '"><script>alert(1)</script>', "'"), strict=True))
    text = report(named(read_outcomes(entries), names), tmp_path, "<b>bold</b>", ["1 < 2 & 3"])
    page = Page(text)
    assert sorted(line[0] for line in page.lines[1:]) == sorted(names.values())
    assert "<b>bold</b>" in page.texts and "1 < 2 & 3" in page.texts
    assert [tag for tag, _ in page.tags].count("script") == 1 and not [tag for tag, _ in page.tags if tag == "b"]


def test_it_says_what_was_compared(entries, tmp_path):
    outcomes = read_outcomes(entries)
    texts = Page(report(outcomes, tmp_path, notes=["The runs were not alone."])).texts
    facts = dict(zip(texts, texts[1:], strict=False))
    assert facts["Runs"] == "3 rows, 6 runs; seeds 0, 1" and facts["Data"] == "scikit-learn digits"
    assert facts["Target network"].startswith("mlp, hidden [[3, 3]]") and "The runs were not alone." in texts
    assert "scale_outputs" in facts["Task"].partition("not the same for all: ")[2]
    assert facts["Budget of a run"] == "none; 40 rounds"
    limited = plan(NAMES[:2], 1, tmp_path, SMALL, budget=("images", "64000"))
    texts = Page(report(read_outcomes(limited), tmp_path)).texts
    assert dict(zip(texts, texts[1:], strict=False))["Budget of a run"] == "64,000 images"


def test_configs_and_the_environment_are_there(entries, tmp_path):
    texts = " ".join(Page(report(read_outcomes(entries), tmp_path)).texts)
    for entry in entries[::2]:
        assert f"Config of {entry.name}" in texts and entry.config.description in texts
    assert "data_checksum" in texts and "libraries.torch" in texts


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))).convert("RGB"))


def test_frames_are_the_weights(entries, tmp_path):
    images = Page(report(read_outcomes(entries), tmp_path)).images
    assert len(images) == 3 * (FRAMES + 1) + 2  # of the run that was cut: round 4, and the best so far
    own = images[: FRAMES + 1]
    assert [image["data-when"] for image in own[:FRAMES]] == [f"round {number}" for number in (4, 8, 12, 24, 40)]
    assert own[-1]["data-when"].startswith("the final champion, of round ")
    assert ["hidden" in image for image in own] == [True] * FRAMES + [False]
    weights = open_view(entries[0].folder).weights["hidden.weight"].reshape(3, 3, 8, 8).numpy()
    picture = pixels(own[-1])
    # Three pixels a weight, and one between tiles: the middles of all weights of the units in the first column.
    middles = (np.arange(3)[:, None] * 25 + np.arange(8) * 3 + 1).flatten()
    shown = picture[middles][:, middles[:8]].reshape(-1, 3)
    colours = matplotlib.colormaps["RdBu_r"](np.linspace(0, 1, LEVELS), bytes=True)[:, :3]
    exact = (shown[:, None] == colours).all(2)
    assert exact.any(1).all()
    levels, wanted = exact.argmax(1) - LEVELS // 2, weights[:, 0].flatten()
    within = abs(levels) < LEVELS // 2
    assert within.sum() > 100 and np.corrcoef(levels[within], wanted[within])[0, 1] > 0.995


def test_a_finished_run_that_is_damaged_is_one_line_and_keeps_the_old_report(entries, tmp_path):
    outcomes = read_outcomes(entries[:1])
    before = report(outcomes, tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(entries[0].folder, copy)
    (copy / "champion" / "tensors.safetensors").write_bytes(b"")
    damaged = [replace(outcomes[0], entry=replace(entries[0], folder=copy))]
    with pytest.raises(UserError, match="tensors.safetensors: is cut short or damaged"):
        report(damaged, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before


def test_every_seed_is_a_point_with_its_value_and_intervals_need_four(entries, tmp_path):
    outcomes = read_outcomes(entries)
    page = Page(report(outcomes, tmp_path))
    kinds = [own["class"] for tag, own in page.tags if own.get("class") in ("seed", "mean", "interval")]
    assert kinds == ["mean", "seed", "seed", "mean", "seed"] or kinds == ["mean", "seed", "mean", "seed", "seed"]
    texts = {f"seed {one.entry.seed}: {100 * one.result['test_accuracy']:.2f} %" for one in outcomes if one.result}
    assert texts <= set(page.texts)
    titles = {own["title"] for tag, own in page.tags if tag == "td" and own.get("title")}
    assert any(title.count("seed") == 2 for title in titles)
    four = [replace(outcomes[0], entry=replace(entries[0], seed=seed)) for seed in range(4)]
    assert dots(rows(four)).rows[0].interval is not None and dots(rows(four[:3])).rows[0].interval is None


def test_runs_below_the_report_are_linked_and_others_are_not(entries, tmp_path):
    study = entries[0].folder.parent.parent
    outcomes = read_outcomes(entries[:1])
    write_report(outcomes, study / "report.html", "A study", (), ())
    [link] = [link for link in Page((study / "report.html").read_text("utf-8")).links if link.startswith("runs/")]
    assert (study / link / "config.toml").is_file()
    assert not [link for link in Page(report(outcomes, tmp_path)).links if "runs/" in link]


def first_column(page):
    return page.locator("#results tbody th").all_inner_texts()


@pytest.mark.slow
def test_in_a_browser(entries, figures, opened, tmp_path):
    report(read_outcomes(entries), tmp_path, figures=figures)
    page, events = opened(tmp_path / "report.html")

    genes = page.get_by_role("button", name="encoded genes")
    genes.click()
    ascending = first_column(page)
    assert genes.locator("..").get_attribute("aria-sort") == "ascending"
    genes.focus()
    page.keyboard.press("Enter")
    assert genes.locator("..").get_attribute("aria-sort") == "descending"
    # Rows without results stay last, whichever way and by whatever the others are sorted.
    assert first_column(page) == [*ascending[:2][::-1], "direct-mnist+snes"] and ascending[2] == "direct-mnist+snes"
    numbers = [int(text.replace(",", "")) for text in page.locator("#results tbody td:nth-child(5)").all_inner_texts()
               if text]
    assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == 2
    assert page.locator("#results [aria-sort]").count() == 1
    head = page.locator("#results th", has_text="where weights come from")
    head.click(position={"x": head.bounding_box()["width"] - 3, "y": 3})  # beside the words
    assert first_column(page) == ["dct-mnist", "coordinate-mnist", "direct-mnist+snes"]

    film = page.locator(".film").first
    before = film.locator("img:visible").get_attribute("src"), film.locator("output").inner_text()
    film.locator("input").focus()
    page.keyboard.press("Home")
    after = film.locator("img:visible").get_attribute("src"), film.locator("output").inner_text()
    assert before[0] != after[0] and before[1].startswith("the final champion") and after[1] == "round 4"
    assert film.locator("img:visible").count() == 1
    page.keyboard.press("ArrowRight")
    assert film.locator("output").inner_text() == "round 8"

    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert light == "rgb(255, 255, 255)" != page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert [event for event in events if not event.startswith(("file://", "data:"))] == []
    assert events[0].startswith("file://") and sum(event.startswith("file://") for event in events) == 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1280])
def test_only_the_table_scrolls_sideways(entries, figures, opened, tmp_path, width):
    report(read_outcomes(entries), tmp_path, "a_title_that_has_no_spaces_at_all_" * 4, figures=figures)
    page, _ = opened(tmp_path / "report.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
