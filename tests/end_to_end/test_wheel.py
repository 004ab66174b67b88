"""The wheel, in an environment of its own and from another folder; commands that import what they use and no more."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="a source distribution is not built again")


def run_python(python, code, folder, **environment):
    """Output of a program in a folder, which must end well."""
    done = subprocess.run([python, "-I", "-c", code], cwd=folder, capture_output=True, text=True, timeout=240,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    build = ("from hatchling.builders.wheel import WheelBuilder; "
             f"print(next(WheelBuilder({str(ROOT)!r}).build(directory={str(out)!r})))")
    return Path(run_python(sys.executable, build, out).strip().splitlines()[-1])


def test_the_wheel_holds_what_the_program_needs_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {"hyperevo/py.typed", "hyperevo/data/digits.npz", "hyperevo/compare/report.html.jinja",
            "hyperevo/configs/cppn-mnist.toml", "hyperevo/loggers/wandb.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "experiments"))]
    extras = {line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Provides-Extra")}
    assert {"box2d", "docs", "mlflow", "tensorboard", "wandb"} <= extras
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert len(needed) > 10 and not [line for line in needed if "scikit-learn" in line or "tensorboard" in line]
    assert "Classifier: Programming Language :: Python :: 3.13" in metadata


def test_it_is_installed_in_a_clean_environment_and_used_from_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "clean", with_pip=False)
    python = tmp_path / "clean" / "bin" / "python"
    [site] = (tmp_path / "clean").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # What it depends on is taken from here, without the checkout: its own metadata say what that is.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    (site / "sitecustomize.py").write_text("import sys\nsys.meta_path[:] = [finder for finder in sys.meta_path if "
                                           "'__editable__' not in str(finder)]\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = """
import sys, hyperevo
print(hyperevo.__file__)
sys.argv = ["hyperevo", "run", "appendix-a1", "task.name=digits", "task.images=50", "target.hidden=[[3,3]]",
            "run.rounds=2", "search.steps_per_round=2", "threads=1", "--out", "run"]
from hyperevo.cli import main
main()
"""
    printed = run_python(str(python), code, elsewhere)
    assert Path(printed.splitlines()[0]).is_relative_to(site)
    assert (elsewhere / "run" / "result.json").is_file() and (elsewhere / "run" / "figures").is_dir()


UNUSED = ("neat", "evotorch", "ray", "gymnasium", "sklearn", "pandas", "pooch", "requests", "jinja2", "IPython", "onnx",
          "tensorboard", "mlflow", "wandb", "networkx", "hypothesis", "yaml")
"""Packages that a run by gradient, its figures and a look at the configs have no use for."""

BLOCKED = f"""
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {UNUSED!r} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
sys.path.insert(0, {str(ROOT)!r})
from hyperevo.cli import app

def call(*arguments):
    try:
        app(list(map(str, arguments)), standalone_mode=False)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)

call("list")
call("data", "list")
call("show", "appendix-a1")
call("run", "appendix-a1", "task.name=digits", "task.images=50", "target.hidden=[[3,3]]", "run.rounds=2",
     "search.steps_per_round=2", "threads=1", "--out", "run")
call("resume", "run", "run.rounds=3")
call("plot", "run", "--format", "svg")
call("check", "digits", "--kind", "task")
"""


def test_no_command_imports_what_it_does_not_use(tmp_path):
    run_python(sys.executable, BLOCKED, tmp_path)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["rounds"] == 3
    assert (tmp_path / "run" / "figures" / "confusion.svg").is_file()


def test_every_dependency_is_imported_somewhere_and_has_a_pin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "hyperevo").rglob("*.py"))
    imported = {"neat-python": "neat", "pillow": "PIL", "tomli-w": "tomli_w"}
    for requirement in project["dependencies"]:
        name = requirement.partition(">")[0]
        assert name in pins
        module = imported.get(name, name)
        assert f"import {module}" in sources or f"from {module}" in sources, name
