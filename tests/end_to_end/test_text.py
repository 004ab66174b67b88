"""Text is not markup: names are shown as they are, wherever they are shown, and cut where they are long."""

import io
import re

import pytest
from rich.console import Console

from hyperevo import terminal
from hyperevo.compare import live
from hyperevo.compare.plan import _title, plan
from hyperevo.compare.tables import markdown
from hyperevo.config import config_text, load_config
from hyperevo.errors import SHOWN
from hyperevo.plots import run_figures, save_run_figures
from hyperevo.plots.run_figures import open_view
from hyperevo.runs import create_run, execute, progress

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=2", "run.validate_every=1",
         "run.filmstrip=2", "search={name='snes', population=6}", "encoding.coefficients=[2]", "threads=1"]

@pytest.mark.parametrize("name", ["[/b]", "$a_{b$", "a $x^2$ b", "日本語 🙂", "x" * 10_000, "a\tb"])
def test_names_in_titles_are_as_they_are(tmp_path, name, capfd):
    config = load_config("dct-mnist", SMALL).config.model_copy(update={"name": name, "description": name})
    run = create_run(config, tmp_path / "run")
    terminal.execute_with_progress(run)
    assert name[:100].replace("\t", "\\t") in capfd.readouterr().err
    assert len(save_run_figures(tmp_path / "run")) > 3
    for _, draw in run_figures.run_figures(open_view(tmp_path / "run")):
        title = "".join(draw().get_suptitle().split())
        assert "".join(name.replace("\t", "\\t").split())[:80] in title and len(title) < SHOWN + 100


def test_a_terminals_bar_shows_names_as_they_are(tmp_path, monkeypatch):
    text = io.StringIO()
    config = load_config("dct-mnist", SMALL).config.model_copy(update={"name": "mlp[small][/b]\x1b[31m"})
    run = create_run(config, tmp_path / "run")
    monkeypatch.setattr(progress, "Console", lambda **options: Console(
        file=text, force_terminal=True, width=200, color_system=None,
        **{key: value for key, value in options.items() if key not in ("stderr", "width", "file")}))
    terminal.execute_with_progress(run)
    assert r"mlp[small][/b]\x1b[31m" in text.getvalue()


@pytest.mark.parametrize("name", ["mlp[small]", "[bold red]x", ":smile:", "$a_{b$", "<script>alert(1)<", "a|b"])
def test_names_of_rows_are_as_they_are(tmp_path, name, monkeypatch):
    file = tmp_path / f"{name}.toml"
    file.write_text(config_text(load_config("dct-mnist", SMALL).config))
    entries = plan([str(file)], 1, tmp_path / "out")
    execute(create_run(entries[0].config, entries[0].folder))
    text = io.StringIO()
    progress.plain_console(file=text, width=200).print(live.state_table(live.states(entries, {})))
    assert entries[0].name in text.getvalue()
    terminal.report_comparison(entries, tmp_path / "out", trust=False)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "<script>alert(1)" not in report
    assert len((tmp_path / "out" / "table.md").read_text().strip().splitlines()[-1].split(" | ")) == 13


def test_long_names_of_rows_are_cut_and_told_apart():
    names = [_title(["a", "key=" + "x" * 5000]), _title(["a", "key=" + "x" * 4999 + "y"])]
    assert names[0] != names[1] and all(len(name) <= SHOWN for name in names)


@pytest.mark.parametrize(("name", "shown"), [
    ("a|b", r"a\|b"), ("<b>&", "&lt;b&gt;&amp;"), ("a\nb", "a b"), ("dct-mnist encoding.coefficients=[2]",) * 2,
    ("_a_ a_b", r"\_a\_ a_b"), ("[a](b)", r"[a]\(b)"), ("`*x*", r"\`\*x\*"), ("\x1b[31m", r"\\x1b[31m")])
def test_markdown_shows_text_as_it_is(name, shown):
    assert markdown(["", "x"], [[name, "1"]]).splitlines()[-1] == f"| {shown} | 1 |"


def test_missing_letters_of_a_font_are_no_warnings(tmp_path, recwarn):
    name = "".join(map(chr, range(0x4e00, 0x4e80)))
    config = load_config("dct-mnist", SMALL).config.model_copy(update={"name": name})
    execute(create_run(config, tmp_path / "run"))
    save_run_figures(tmp_path / "run")
    assert [warning for warning in recwarn if re.search("Glyph", str(warning.message))] == []
