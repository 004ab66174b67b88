"""Public names: these and no others, imported on first use; `search` is a function and a package in one."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hyperevo as he

ROOT = Path(__file__).parent.parent

NAMES = ["Encoding", "Logger", "ParameterGeometry", "Search", "Settings", "Sheet", "StaticHyperNetwork", "Target",
         "Task", "UserError", "Weights", "__version__", "check", "encoding", "fitness", "load", "plots", "run",
         "search", "target", "task", "test"]


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def test_the_public_names_are_these():
    assert sorted(he.__all__) == NAMES and sorted(dir(he)) == NAMES


def test_every_public_name_is_there():
    for name in NAMES:
        assert isinstance(getattr(he, name), str | ModuleType) or callable(getattr(he, name)), name
    assert he.Settings.__name__ == "ComponentSettings" and issubclass(he.UserError, Exception)
    assert all(isinstance(part, type) for part in (he.Task, he.Target, he.Encoding, he.Search, he.Weights, he.Sheet))


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'hyperevo' has no attribute 'ask'"):
        he.ask  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    loaded = set(printed("import sys, hyperevo; print(' '.join(sys.modules))").split())
    assert {name for name in loaded if name.startswith("hyperevo")} == {"hyperevo"}
    assert not loaded & {"torch", "numpy", "pydantic", "rich", "matplotlib", "evotorch", "ray", "typer", "platformdirs"}


# What `import hyperevo.search.snes` makes of the attribute `search` must not depend on what came first.
CALL = """
try:
    he.search("snse", None)
except he.UserError as error:
    print(str(error).partition(";")[0])
print(he.search is sys.modules["hyperevo.search"], he.search.snes is sys.modules["hyperevo.search.snes"])
"""


@pytest.mark.parametrize("first", ["import hyperevo.search.snes", "from hyperevo.search import snes",
                                   "import hyperevo as he; from hyperevo import search; import hyperevo.search.snes"])
def test_the_function_search_is_not_hidden_by_the_package_that_is_imported_before(first):
    assert printed(f"import sys\n{first}\nimport hyperevo as he{CALL}").splitlines() == [
        "search.name: no search called 'snse'", "True True"]


def test_the_package_search_is_not_hidden_by_the_function_that_is_called_before():
    called = f"import sys, hyperevo as he\nhe.search{CALL.partition('print(he')[0]}\nimport hyperevo.search.snes as own"
    assert printed(f"{called}{CALL}print(own.build.__module__)").splitlines() == [
        "search.name: no search called 'snse'"] * 2 + ["True True", "hyperevo.search.snes"]


def test_types_are_there_for_type_checkers():
    assert (Path(he.__file__).parent / "py.typed").is_file()
