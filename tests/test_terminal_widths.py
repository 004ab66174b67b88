"""The terminal at 60, 80 and 120 columns: whole words, and nothing that matters is cut."""

import io
import re
import shlex

import pytest
from rich.console import Console
from typer.testing import CliRunner

from hyperevo.cli import app
from hyperevo.compare.live import State, state_table
from hyperevo.compare.shown import fitting_table
from hyperevo.config import load_config, shipped_configs
from hyperevo.listing import listed
from hyperevo.runs import create_run, execute
from hyperevo.runs.progress import bar, cut
from hyperevo.toml import read_toml

WIDTHS = (60, 80, 120)
HEAD = ("", "test accuracy", "encoded genes", "direct parameters", "evaluations", "where weights come from")
LINES = [("coordinate-mnist+gradient encoding=direct", "92.8 % [92.6, 93.0]", "4,810", "10", "100,000",
          "generated: hidden.weight, readout.weight"), ("dct", "9.8 %", "1.2e+10", "0", "100,000", "generated: all")]


def printed(shown, width):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(shown)
    return out.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_bar_keeps_round_validation_and_time_left(width, tmp_path):
    loaded = load_config("dct-mnist", ["task.name=digits", "task.images=20", "target.hidden=[[2,2]]", "threads=1",
                                       "search.population=4", "run.rounds=3", "run.validate_every=1"])
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    run = create_run(loaded.config, tmp_path / "run")
    with bar(run, console) as show:
        execute(run, show)
    frames = [line for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", console.file.getvalue()))
              if line.strip()]
    assert max(map(len, frames)) <= width
    last = frames[-1]
    assert "round 3/3" in last and re.search(r"validation \d+\.\d %", last) and re.search(r"\d:\d\d:\d\d", last)
    assert "━" * 5 in last and ("mean" in last) == (width >= 120)


@pytest.mark.parametrize("width", [*WIDTHS, 200])
def test_the_table_of_a_comparison_has_whole_words_and_says_what_it_left_out(width):
    table, left_out = fitting_table(HEAD, LINES, width)
    text = printed(table, width)
    shown = [title for title in HEAD if title not in left_out]
    for line in LINES:
        for word in " ".join(cell for title, cell in zip(HEAD, line, strict=True) if title in shown).split():
            assert word in text
    assert shown[:3] == list(HEAD[:3]) and bool(left_out) == (width < 200)
    assert max(map(len, text.splitlines())) <= width


def test_live_states_of_many_seeds_are_counted_where_they_do_not_fit():
    found = [State("dct-mnist", seed, "finished", 1.0, 0.9) for seed in range(8)]
    found += [State("other", seed, "begun", 0.5, 0.25) for seed in range(8)]
    assert "seed 7" in printed(state_table(found, 200), 200)
    narrow = printed(state_table(found, 60), 60)
    assert "8 of 8" in narrow and "90.00 %" in narrow and "50%" in narrow and "8 of 16 runs finished" in narrow


@pytest.mark.parametrize("width", WIDTHS)
def test_list_names_every_config_below_its_task(width):
    configs = {name: read_toml(path) for name, path in shipped_configs().items()}
    lines = list(listed(configs, width))
    headings = [line for line in lines if line and line[0] != " "]
    tasks = sorted({own["task"]["name"] for own in configs.values()})
    assert [heading.partition(":")[0] for heading in headings] == tasks
    assert {line.split()[0] for line in lines if re.match("  [^ ]", line)} == set(configs)
    assert max(map(len, lines)) <= width
    words = {word for own in configs.values() for word in own["description"].split()}
    assert words <= {word for line in lines for word in line.split()}
    assert headings[0] == "adding: The adding problem (Hochreiter & Schmidhuber 1997)"


def test_a_cut_text_says_so():
    assert cut("abcdef", 4) == "abc…" and cut("abc", 4) == "abc"


COMMANDS = ("", *(command.name or command.callback.__name__ for command in app.registered_commands))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_and_its_examples_stand_on_lines_of_their_own(command, width):
    words = [command, "--help"] if command else ["--help"]
    text = CliRunner().invoke(app, words, terminal_width=width).stdout
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"\w\.\.\.$|\w-$", text, re.MULTILINE)
    examples = re.findall(r"^ {2,4}((?:python -m )?hyperevo (?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert examples or command in ("list", "bench")
    for example in examples:
        called = shlex.split(example.replace("\\\n", " ").removeprefix("python -m "))
        assert called[0] == "hyperevo" and called[1] in COMMANDS
