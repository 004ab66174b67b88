"""The linter's check of docstrings is red for every opening that is not a subject, wherever a docstring can stand."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_words.py")
CHECK = runpy.run_path(str(SCRIPT))

PLACES = {"module": '"""{}"""', "class": 'class A:\n    """{}"""', "function": 'def f():\n    """{}"""',
          "method": 'class A:\n    def f(self):\n        """{}"""', "constant": 'A = 1\n"""{}"""',
          "attribute": 'class A:\n    a: int = 1\n    """{}"""'}


def run(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)


def written(folder: Path, source: str, name: str = "own.py") -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(source, encoding="utf-8")
    return folder


@pytest.mark.parametrize("opening", ["What", "How", "Where", "Whether", "Which", "Who", "Whose", "Of", "By", "As",
                                     "From", "With", "In", "On", "For", "And", "The same", "what"])
def test_every_opening_that_is_no_subject_is_a_fault(tmp_path, opening):
    [fault] = CHECK["faults"](written(tmp_path, f'"""{opening} all."""'))
    assert f"own.py:1: a docstring opens with {opening!r}" in fault


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_is_found_wherever_a_docstring_stands(tmp_path, place):
    assert len(CHECK["faults"](written(tmp_path, PLACES[place].format("What it is.")))) == 1
    assert not CHECK["faults"](written(tmp_path, PLACES[place].format("The value (P,).")))


@pytest.mark.parametrize("text", ["Offspring of two genomes.", "Asks for a population.", "Byte values.", "Inputs (N,).",
                                  "The samedi.", "Index of a gene, which says what it is."])
def test_other_words_are_no_faults(tmp_path, text):
    assert not CHECK["faults"](written(tmp_path, f'"""{text}"""'))


def test_strings_that_are_values_are_not_read(tmp_path):
    assert not CHECK["faults"](written(tmp_path, 'A = "What is a value."\nprint("How.")'))


def test_the_linter_fails_with_one_line_for_each_fault_and_its_place(tmp_path):
    written(tmp_path, '"""A module."""\n\nA = 1\n"""Of a thing."""\n')
    written(tmp_path, '"""\n    How it goes."""\n', "inner/other.py")
    red = run(tmp_path)
    assert red.returncode == 1 and red.stdout == ""
    assert [line.split(": ")[0] for line in red.stderr.splitlines()] == [
        f"{tmp_path / 'inner' / 'other.py'}:1", f"{tmp_path / 'own.py'}:4"]
    green = run(written(tmp_path / "green", '"""A module."""'))
    assert (green.returncode, green.stderr) == (0, "")


def test_a_folder_without_code_is_no_success(tmp_path):
    assert run(tmp_path).returncode == 1
