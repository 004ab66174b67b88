"""Imports point one way, and heavy ones wait until they are needed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def modules_after(code: str) -> set[str]:
    script = f"import sys; {code}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_contracts():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--config", ROOT / "pyproject.toml"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_command_line_starts_without_heavy_libraries():
    assert not modules_after("import hyperevo.cli") & {"torch", "numpy", "matplotlib", "ray", "evotorch", "neat"}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_options_are_answered_without_heavy_libraries(option):
    code = f"import sys; sys.argv = ['hyperevo', '{option}']; from hyperevo.cli import app; " \
           "app(standalone_mode=False)"
    loaded = modules_after(code)
    assert "hyperevo.cli" in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "ray", "evotorch", "neat", "pydantic"}


def test_plots_need_no_pyplot():
    assert "matplotlib.pyplot" not in modules_after("import hyperevo.plots")


def test_evotorch_is_imported_only_where_it_searches():
    code = "from hyperevo.config import load_config; load_config('dct-mnist'); import hyperevo.runs"
    assert not modules_after(code) & {"ray", "evotorch"}
    # Nor do processes of this machine need Ray.
    code_of_workers = "import hyperevo.runs.local_workers, hyperevo.runs.ray_workers, hyperevo.terminal"
    assert "ray" not in modules_after(code_of_workers)
    code = ("from hyperevo.config import load_config; from hyperevo.runs.compose import count_without_data; "
            "assert count_without_data(load_config('dct-mnist').config)['encoded_genes'] == 4810")
    assert not modules_after(code) & {"ray", "evotorch"}
