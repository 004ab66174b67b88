"""Only a run's own files are ever replaced or removed: not a user's in the folder, and none that a link leads to."""

import shutil
import stat

import pytest

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.plots import save_run_figures
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.own_files import FILES, FOLDERS
from hyperevo.runs.writer import LOCK
from hyperevo.terminal import run_folders

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=4", "run.validate_every=2",
         "run.filmstrip=2", "search={name='snes', population=6}", "encoding.coefficients=[2]", "threads=1"]


def small(*more):
    return load_config("dct-mnist", [*SMALL, *more]).config


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    execute(create_run(small(), folder))
    save_run_figures(folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


FOREIGN = [".DS_Store", "notes.txt", ".config.toml.123", ".backup.2024", "thesis/chapter.tex", ".git/HEAD",
           "checkpoint/00000001-keep", "checkpoint/.DS_Store", "checkpoint/000001", "checkpoint/00000004/.DS_Store",
           "filmstrip/000002 copy/state.json", "filmstrip/000001/.DS_Store", "champion/notes.txt",
           "champion/mine.safetensors", "figures/frames of mine.png", "figures/champion.jpg", "figures/map_of_town.png",
           "figures/champions/a.png", "code/mine.py", "code/0/mine.py", "code/__pycache__/mine.pyc"]


def add_foreign(folder):
    for name in FOREIGN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"mine: {name}")


def assert_foreign(folder):
    assert [name for name in FOREIGN if not (folder / name).is_file()
            or (folder / name).read_text() != f"mine: {name}"] == []


def test_a_users_own_files_stay_where_they_are(run):
    add_foreign(run)
    save_run_figures(run)
    assert_foreign(run)
    execute(open_run(run, changes=["run.rounds=8"]))
    assert_foreign(run)
    execute(create_run(small("seed=3"), run, overwrite=True))
    save_run_figures(run)
    assert_foreign(run)


def test_a_run_that_is_replaced_leaves_nothing(run, tmp_path):
    execute(create_run(small("seed=1"), tmp_path / "other"))
    execute(create_run(small("seed=1"), run, overwrite=True))
    assert files_of(run) == files_of(tmp_path / "other")


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("config", ["", "x = [", 'title = "a thesis"', None])
def test_a_folder_that_is_no_run_is_neither_resumed_nor_overwritten(run, tmp_path, config):
    thesis = tmp_path / "thesis"
    (thesis / ".git").mkdir(parents=True)
    (thesis / ".git" / "HEAD").write_text("ref")
    (thesis / "metrics.csv").write_text("mine")
    (thesis / "config.toml").write_text((run / "config.toml").read_text() if config is None else config)
    before = files_of(thesis)
    for work in (lambda: open_run(thesis), lambda: create_run(small(), thesis, overwrite=True)):
        with pytest.raises(UserError):
            work()
    assert files_of(thesis) == before and (thesis / "metrics.csv").read_text() == "mine"


OWN = [*FILES, "result.json", LOCK, *FOLDERS, "checkpoint/00000004", "checkpoint/00000004/state.json",
       "checkpoint/00000003/tensors.safetensors", "filmstrip/000004", "filmstrip/000004/state.json",
       "champion/state.json", "champion/weights.safetensors", "figures/learning_curves.png"]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("work", ["resume", "extend", "overwrite"])
def test_a_link_in_place_of_an_own_file_is_refused(run, tmp_path, name, work):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    path = run / name
    target = outside / "folder" if path.is_dir() else outside / "file"
    if path.is_dir():
        shutil.move(path, target)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    before = {str(own): own.read_bytes() for own in outside.rglob("*") if own.is_file()}
    with pytest.raises(UserError, match="is a symbolic link"):
        {"resume": lambda: execute(open_run(run)), "extend": lambda: execute(open_run(run, changes=["run.rounds=8"])),
         "overwrite": lambda: execute(create_run(small(), run, overwrite=True))}[work]()
    assert {str(own): own.read_bytes() for own in outside.rglob("*") if own.is_file()} == before


def test_figures_are_not_drawn_through_a_link(run, tmp_path):
    shutil.move(run / "figures", tmp_path / "pictures")
    (run / "figures").symlink_to(tmp_path / "pictures")
    before = {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    with pytest.raises(UserError, match="is a symbolic link"):
        save_run_figures(run)
    assert {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()} == before


def test_a_backup_by_hard_links_stays_as_it_is(run, tmp_path, run_until):
    run_until(small("run.rounds=9"), tmp_path / "cut", 4)
    kept = (tmp_path / "cut" / "metrics.csv").read_bytes()
    (tmp_path / "backup.csv").hardlink_to(tmp_path / "cut" / "metrics.csv")
    execute(open_run(tmp_path / "cut"))
    assert (tmp_path / "backup.csv").read_bytes() == kept != (tmp_path / "cut" / "metrics.csv").read_bytes()


@pytest.mark.parametrize("name", ["/", "..", "../..", "", ".", "a/b", "\0", "x" * 300, "日" * 300, "-", " ",
                                  "CON/../..", ".hidden", "a\nb", "\ud800", "~", "$HOME"])
def test_a_name_is_one_folder_below_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = run_folders(name)
    for folder in (folders[0], folders[-1]):
        assert folder.parts[0] == "runs" and len(folder.parts) == 2 and folder.parts[1] not in (".", "..")
        folder.mkdir(parents=True)
        assert folder.resolve().parent == tmp_path / "runs"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "\ud800"])
def test_a_folder_that_cannot_be_is_one_line(tmp_path, name):
    for work in (lambda: create_run(small(), tmp_path / name), lambda: open_run(tmp_path / name)):
        with pytest.raises(UserError) as caught:
            work()
        assert "\n" not in str(caught.value)


def test_files_are_readable_as_the_umask_says(run):
    modes = {str(path.relative_to(run)): stat.S_IMODE(path.stat().st_mode) for path in run.rglob("*") if path.is_file()}
    plain = run.parent / "plain"
    plain.write_text("")
    assert set(modes.values()) == {stat.S_IMODE(plain.stat().st_mode)}, modes
