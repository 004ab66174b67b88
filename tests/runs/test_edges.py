"""The machine's edges: full disks, folders that move or cannot be written. One line, and `resume` goes on."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from hyperevo.config import load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.runs import create_run, execute, files, open_run

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=4", "run.validate_every=2",
         "run.filmstrip=2", "search={name='snes', population=6}", "encoding.coefficients=[2]", "threads=1",
         "run.memory_gb=1"]
CONFIG = load_config("dct-mnist", SMALL).config


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    execute(create_run(CONFIG, folder))
    return folder


def content(folder):
    names = ("metrics.csv", "fitness.bin", "champion/weights.safetensors", "champion/state.json")
    return {name: (folder / name).read_bytes() for name in names}


class Failing:
    """Stands for a disk: its writes fail from the one that is numbered on."""

    def __init__(self, number, code, monkeypatch, folder):
        self.left, self.code, self.folder = number, code, folder
        for owner, name in ((Path, "open"), (Path, "mkdir"), (files.AppendLog, "append")):
            monkeypatch.setattr(owner, name, self.checked(getattr(owner, name), name))

    def checked(self, work, name):
        def checked(place, *arguments, **options):
            writes = name != "open" or (str(place).startswith(str(self.folder)) and arguments and arguments[0] != "rb")
            self.left -= bool(writes)
            if writes and self.left <= 0:
                raise OSError(self.code, os.strerror(self.code), str(place) if isinstance(place, Path) else None)
            return work(place, *arguments, **options)

        return checked


SAID = {errno.ENOSPC: "the disk is full", errno.EROFS: "Read-only file system", errno.EACCES: "Permission denied"}


@pytest.mark.parametrize("code", SAID)
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13, 14, 15, 16, 17, 18, 22, 30, 38, 40, 42, 44, 46])
def test_a_disk_that_fails_is_one_line_and_the_run_goes_on_when_it_can(whole, tmp_path, monkeypatch, number, code):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        Failing(number, code, patched, folder)
        with pytest.raises((RunFailed, UserError), match=SAID[code]) as caught:
            execute(create_run(CONFIG, folder))
    if isinstance(caught.value, RunFailed):
        assert "`resume` goes on from round" in str(caught.value)
    if (folder / "config.toml").exists():
        execute(open_run(folder))
    else:
        execute(create_run(CONFIG, folder))
    assert content(folder) == content(whole)
    assert [path for path in folder.rglob("*") if files.is_temporary(path)] == []


def test_a_folder_that_moves_is_one_line_and_its_run_goes_on_there(whole, tmp_path):
    run = create_run(CONFIG, tmp_path / "run")
    with pytest.raises(RunFailed, match="cannot be written"):
        execute(run, lambda round_: shutil.move(tmp_path / "run", tmp_path / "moved") and False)
    assert not (tmp_path / "run").exists()
    execute(open_run(tmp_path / "moved"))
    assert content(tmp_path / "moved") == content(whole)


def test_one_run_at_a_time_in_a_folder(tmp_path):
    run = create_run(CONFIG, tmp_path / "run")
    for again in (lambda: open_run(tmp_path / "run"), lambda: create_run(CONFIG, tmp_path / "run", overwrite=True)):
        with pytest.raises(UserError, match="another process is writing this run"):
            again()
    execute(run)
    execute(open_run(tmp_path / "run", changes=["run.rounds=5"]))


def test_an_extension_that_was_cut_short_is_gone_on_with(tmp_path, monkeypatch):
    execute(create_run(CONFIG, tmp_path / "run"))
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    execute(open_run(tmp_path / "whole", changes=["run.rounds=8"]))
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    with monkeypatch.context() as patched:
        patched.setattr("hyperevo.runs.folder.write_text", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "gone")))
        with pytest.raises(UserError, match="gone"):
            open_run(tmp_path / "run", changes=["run.rounds=8"])
    shutil.copytree(tmp_path / "run", tmp_path / "again", dirs_exist_ok=True)
    execute(open_run(tmp_path / "run"))
    execute(open_run(tmp_path / "again", changes=["run.rounds=8"]))
    for name in ("run", "again"):
        assert content(tmp_path / name) == content(tmp_path / "whole")
        assert "rounds = 8" in (tmp_path / name / "config.toml").read_text()
