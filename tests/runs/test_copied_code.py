"""Copies of code in a run folder run as they were recorded, or not at all."""

import importlib.util
import py_compile

import pytest

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.plots.run_figures import open_view
from hyperevo.runs import create_run, execute, open_run

NET = "from torch import nn\nimport helper\n" \
    "def Net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, helper.units))\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "helper.py").write_text("units = 10\n")
    config = load_config("direct-mnist", ["task.name=digits", "task.images=20", "threads=1", "run.rounds=2",
                                          "target={name='module', module='net.py:Net'}", "run.validate_every=1",
                                          "search={name='snes', population=4}"]).config
    execute(create_run(config, tmp_path / "run"))
    return tmp_path / "run"


def plant(file, tmp_path):
    """Bytecode of other code beside a file, which Python would take for the file's own."""
    other = tmp_path / "other.py"
    other.write_text(f"{file.read_text()}\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    compiled = importlib.util.cache_from_source(str(file))
    py_compile.compile(str(other), cfile=compiled, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


@pytest.mark.parametrize("name", ["net.py", "helper.py"])
def test_bytecode_beside_a_copy_does_not_run(run, tmp_path, name):
    plant(run / "code" / "0" / name, tmp_path)
    open_view(run)
    execute(open_run(run, changes=["run.rounds=3"]))
    assert not (tmp_path / "ran").exists()


def test_a_copy_that_was_changed_does_not_run(run, tmp_path):
    with (run / "code" / "0" / "helper.py").open("a") as file:
        file.write(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for work in (open_view, open_run):
        with pytest.raises(UserError, match=r"helper.py: has changed"):
            work(run)
    assert not (tmp_path / "ran").exists()


def test_nothing_is_written_beside_the_copies(run):
    execute(open_run(run, changes=["run.rounds=3"]))
    assert sorted(path.name for path in (run / "code" / "0").iterdir()) == ["helper.py", "net.py"]
