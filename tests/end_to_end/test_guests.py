"""Guests as a user brings them: in an empty folder, in packages, through Ray, with runs that were moved, and with
strangers' runs, whose code runs for nobody unasked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyperevo.compare.plan import plan
from hyperevo.config import load_config
from hyperevo.runs import create_run, execute

GUESTS = Path(__file__).parent.parent / "guests"
PARTS = ("task", "target", "encoding", "search")
FOUR = [f"{kind}={{name='my_{kind}.py'}}" for kind in PARTS]
SMALL = ["run.rounds=4", "run.validate_every=2", "run.filmstrip=2", "threads=1"]
DIGITS = ["task={name='digits', images=40}", "target.hidden=[[3,3]]", "search={name='snes', population=6}", *SMALL]
BITS = ("metrics.csv", "fitness.bin", "champion/state.json", "champion/tensors.safetensors",
        "champion/weights.safetensors")

SESSION = """
import hyperevo as he
task = he.task("my_task.py")
net = he.target("my_target.py", task, hidden=5)
code = he.encoding("my_encoding.py", net)
search = he.search("my_search.py", code, seed=0)
for generation in range(3):
    search.tell(he.fitness(code, net, task, search.ask(), batch=generation))
print(repr(code), he.test(code, net, task, search.candidates()))
tables = {kind: {"name": f"my_{kind}.py"} for kind in ("task", "target", "encoding", "search")}
result = he.run("dct-mnist", **tables, run={"rounds": 4, "validate_every": 2, "filmstrip": 2}, seed=0, out="python")
assert he.load("python").module()(task.test()[0].float()).shape == (40, 2)
print([he.check(f"my_{kind}.py") for kind in tables])
"""


@pytest.fixture
def folder(tmp_path):
    """The four guests in the folder where commands run."""
    for kind in PARTS:
        shutil.copy(GUESTS / f"my_{kind}.py", tmp_path)
    return tmp_path


def bits(run):
    return [(run / file).read_bytes() for file in BITS]


def test_guests_of_30_lines_run_and_go_on_where_the_run_was_moved_and_their_files_are_gone(hyperevo, cut_off, folder):
    assert all(len(file.read_text().splitlines()) <= 30 for file in GUESTS.glob("*.py"))
    arguments = ["dct-mnist", *FOUR, *SMALL, "run.rounds=20"]
    done = hyperevo("run", *arguments, "--out", "whole", check=0)
    assert "test accuracy" in done.stdout and "whole/figures/receptive_fields.png" in done.stdout
    cut_off("run", *arguments, "--no-figures", "--out", "killed")
    for kind in PARTS:
        (folder / f"my_{kind}.py").unlink()
    shutil.move(folder / "killed", folder / "elsewhere")
    done = hyperevo("resume", "elsewhere", check=0)
    assert bits(folder / "elsewhere") == bits(folder / "whole")
    shutil.rmtree(folder / "elsewhere" / "figures")
    assert "elsewhere/figures/learning_curves.png" in hyperevo("plot", "elsewhere", check=0).stdout
    assert not list(folder.rglob("__pycache__"))
    hyperevo("resume", "elsewhere", "run.rounds=24", "--no-figures", check=0)
    assert json.loads((folder / "elsewhere" / "result.json").read_text())["rounds"] == 24


def test_guests_work_from_python_as_from_the_command_line(hyperevo, folder):
    done = subprocess.run([sys.executable, "-c", SESSION], cwd=folder, env=hyperevo.environment, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("RankOne(28 genes → 90 weights) test accuracy ") and lines[1] == "[[], [], [], []]"
    hyperevo("run", "dct-mnist", *FOUR, *SMALL, "seed=0", "--no-figures", "--out", "typed", check=0)
    assert bits(folder / "python") == bits(folder / "typed")
    check = hyperevo("check", "my_encoding.py", check=0)
    assert check.stdout == "my_encoding.py: encoding, holds to all 12 rules of its contract\n"
    file = folder / "my_encoding.py"
    file.write_text(file.read_text().replace("own[1][:, None]", "own[1][:, None].detach()"))
    check = hyperevo("check", "my_encoding.py", check=1)
    assert check.stdout == "my_encoding.py: express, gradient: 22 of 66 genes have no gradient: gene 12, 13, 14, 15, " \
                           "16 and 17 more\n" and not check.stderr


def test_packages_bring_parts_by_module_and_by_entry_point(hyperevo, folder):
    site = folder / "site"
    (site / "own_parts").mkdir(parents=True)
    (site / "own_parts" / "__init__.py").touch()
    for kind in PARTS:
        shutil.move(folder / f"my_{kind}.py", site / "own_parts" / f"{kind}s.py")
    points = "".join(f"[hyperevo.{kind}{'es' if kind == 'search' else 's'}]\nown-{kind} = own_parts.{kind}s{name}\n" for
                     kind, name in (("task", ""), ("target", ":Sines"), ("encoding", ":RankOne"), ("search", "")))
    (site / "own_parts-1.0.dist-info").mkdir()
    (site / "own_parts-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 1.0\n")
    (site / "own_parts-1.0.dist-info" / "entry_points.txt").write_text(points)
    path = ":".join(filter(None, [str(site), hyperevo.environment.get("PYTHONPATH", "")]))
    by_point = [f"{kind}={{name='own-{kind}'}}" for kind in PARTS]
    hyperevo("run", "dct-mnist", *by_point, *SMALL, "--no-figures", "--out", "points", check=0, PYTHONPATH=path)
    by_module = [f"{kind}={{name='own_parts.{kind}s'}}" for kind in PARTS]
    hyperevo("run", "dct-mnist", *by_module, *SMALL, "--out", "modules", check=0, PYTHONPATH=path)
    assert bits(folder / "points") == bits(folder / "modules")
    record = json.loads((folder / "modules" / "code" / "sources.json").read_text())
    assert all(list(own) == ["sha256"] for own in record.values()) and len(record) == 4
    hyperevo("plot", "modules", check=0, PYTHONPATH=path)
    mistake = hyperevo("run", "dct-mnist", "encoding.name=own-encodin", check=2, PYTHONPATH=path)
    assert "no encoding called 'own-encodin'; did you mean 'own-encoding'?" in mistake.stderr
    done = hyperevo("check", "own-encoding", check=0, PYTHONPATH=path)
    assert done.stdout.startswith("own-encoding: encoding, holds to all")


def test_a_module_in_the_working_directory_goes_with_the_run(hyperevo, folder):
    (folder / "own").mkdir()
    shutil.move(folder / "my_encoding.py", folder / "own" / "code.py")
    hyperevo("run", "dct-mnist", *DIGITS, "encoding={name='own.code'}", "--no-figures", "--out", "run", check=0)
    shutil.rmtree(folder / "own")
    assert "run/figures/receptive_fields.png" in hyperevo("plot", "run", check=0).stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_of_a_comparison_find_guests(hyperevo, folder):
    (folder / "own").mkdir()
    shutil.copy(folder / "my_search.py", folder / "own" / "climb.py")
    arguments = ["dct-mnist", *FOUR[:3], "search={name='own.climb'}", *SMALL, "--seeds", "2"]
    hyperevo("compare", *arguments, "--jobs", "2", "--out", "side", check=0)
    hyperevo("compare", *arguments, "--out", "row", check=0)
    runs = [sorted((folder / out / "runs").iterdir()) for out in ("side", "row")]
    assert [run.name for run in runs[0]] == [run.name for run in runs[1]] and len(runs[0]) == 2
    assert [bits(run) for run in runs[0]] == [bits(run) for run in runs[1]]


# Strangers

MARK = "with open({mark!r}, 'a') as mark: mark.write('ran ')\n"


@pytest.fixture
def stranger(folder, monkeypatch):
    """A function of arguments of `run`: a finished run of somebody else's, with code that leaves a mark."""
    monkeypatch.chdir(folder)
    mark = folder / "mark"
    file = folder / "my_encoding.py"
    file.write_text(MARK.format(mark=str(mark)) + file.read_text())

    def run(config, *overrides, out="run"):
        own = load_config(config, [*overrides, "encoding={name='my_encoding.py'}", *SMALL]).config
        execute(create_run(own, folder / out))
        mark.unlink()
        return mark

    return run


def refused(hyperevo, mark, *command, file="code/0/my_encoding.py"):
    """The command runs nothing, and says why in a line that names file and hash."""
    done = hyperevo(*command, check=2)
    [line] = done.stderr.splitlines()
    assert f"{file}: is code that has not run here before (sha256 " in line and "--trust runs it" in line
    assert not mark.exists()


def runs_if_trusted(hyperevo, mark, *command):
    hyperevo(*command, "--trust", check=0)
    assert mark.exists()
    mark.unlink()


def test_a_strangers_code_is_not_run_unasked(hyperevo, folder, stranger):
    mark = stranger("dct-mnist", *DIGITS)
    refused(hyperevo, mark, "resume", "run", "run.rounds=6")
    (folder / "run" / "result.json").unlink()
    refused(hyperevo, mark, "resume", "run")
    runs_if_trusted(hyperevo, mark, "plot", "run")
    refused(hyperevo, mark, "plot", "run")  # to look at a run once is not to trust it for ever
    runs_if_trusted(hyperevo, mark, "resume", "run", "--no-figures")
    hyperevo("plot", "run", check=0)  # it ran here
    assert mark.exists()
    mark.unlink()
    copy = folder / "run" / "code" / "0" / "my_encoding.py"
    copy.write_text(copy.read_text() + "\n")
    for options in ([], ["--trust"]):
        done = hyperevo("plot", "run", *options, check=2)
        assert "code/0/my_encoding.py: has changed: sha256 " in done.stderr and not mark.exists()


def test_a_config_is_shown_without_running_its_code(hyperevo, folder, stranger):
    mark = stranger("dct-mnist", *DIGITS)
    (folder / "theirs.toml").write_text((folder / "run" / "config.toml").read_text())
    refused(hyperevo, mark, "show", "./theirs.toml", file="my_encoding.py")
    runs_if_trusted(hyperevo, mark, "show", "./theirs.toml")


def test_episodes_are_not_filmed_with_a_strangers_code_unasked(hyperevo, stranger):
    mark = stranger("cartpole-dct", "task.most_steps=5", "task.validation=2", "search.population=4")
    refused(hyperevo, mark, "watch", "run")
    runs_if_trusted(hyperevo, mark, "watch", "run")


def test_nothing_is_sampled_with_a_strangers_code_unasked(hyperevo, folder, stranger, small_files):
    mark = stranger("char-ptb-lstm", f"task={{name='characters', text='{small_files['text']}', sequences=4, length=9}}",
                    "target={name='sequence', hidden=4}", "search={name='snes', population=4}")
    refused(hyperevo, mark, "sample", "run")
    runs_if_trusted(hyperevo, mark, "sample", "run")


def test_a_comparison_with_strangers_runs_in_it_runs_none_of_their_code_unasked(hyperevo, folder, stranger):
    arguments, file = ["encoding={name='my_encoding.py'}", *DIGITS], folder / "my_encoding.py"
    theirs = file.read_text()
    file.write_text(theirs.partition("\n")[2])
    [entry] = plan(["dct-mnist"], 1, Path("study"), arguments)
    file.write_text(theirs)
    # Their code, and a config that is mine but for it, in the place of a run of mine.
    mark = stranger("dct-mnist", *DIGITS, out=entry.folder)
    file.write_text(theirs.partition("\n")[2])
    command = ["compare", "dct-mnist", *arguments, "--seeds", "1", "--out", "study"]
    refused(hyperevo, mark, *command, "--no-runs")
    (entry.folder / "result.json").unlink()
    refused(hyperevo, mark, *command)
    runs_if_trusted(hyperevo, mark, *command)


def test_code_that_a_target_names_is_not_run_unasked(hyperevo, folder, small_files, monkeypatch):
    shutil.copy(small_files["module"], folder / "net.py")
    file, mark = folder / "net.py", folder / "mark"
    file.write_text(MARK.format(mark=str(mark)) + file.read_text())
    target = "target={name='module', module='net.py:linear', arguments={inputs=64, outputs=10}}"
    monkeypatch.chdir(folder)
    config = load_config("dct-mnist", [*DIGITS[:1], target, *DIGITS[2:], "encoding={name='direct'}"]).config
    execute(create_run(config, folder / "run"))
    mark.unlink()
    file.unlink()
    config = folder / "run" / "config.toml"
    refused(hyperevo, mark, "plot", "run", file="code/0/net.py")
    config.write_text(config.read_text().replace("net.py:linear", "os:system"))
    done = hyperevo("plot", "run", check=2)
    assert "holds no copy of the code os" in done.stderr
    shutil.rmtree(folder / "run" / "code")
    refused(hyperevo, mark, "plot", "run", file="os.py")
