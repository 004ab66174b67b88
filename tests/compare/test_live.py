"""What is shown of a comparison while it runs."""

import io

import pytest
from rich.console import Console

from hyperevo.compare import live
from hyperevo.compare.plan import plan
from hyperevo.runs import create_run, execute, progress

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=2", "run.validate_every=1",
         "search={name='gradient', steps_per_round=2}", "threads=1"]


@pytest.fixture
def entries(tmp_path):
    """Two rows of one seed: the first is finished."""
    entries = plan(["dct-mnist", "direct-mnist"], 1, tmp_path, SMALL)
    execute(create_run(entries[0].config, entries[0].folder))
    return entries


def test_the_last_table_tells_what_failed(entries, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **options: Console(file=text, force_terminal=True, width=80))
    with live.shown_live(entries) as follow:
        follow({entries[1].folder: "a mistake"})
    last = text.getvalue().rpartition("1 of 2 runs finished")[2]
    assert "%" in last.split("direct-mnist")[0] and "failed" in last.split("direct-mnist")[1]


def test_without_a_terminal_every_run_that_ends_is_a_line(entries, capsys):
    (entries[0].folder / "result.json").rename(entries[0].folder / "kept.json")
    with live.shown_live(entries) as follow:
        (entries[0].folder / "kept.json").rename(entries[0].folder / "result.json")
        follow({})
        follow({entries[1].folder: "a mistake"})
        follow({entries[1].folder: "a mistake"})
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("dct-mnist+gradient, seed 0: ") and first.endswith(" %")
    assert second == "direct-mnist+gradient, seed 0: failed"
