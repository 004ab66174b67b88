"""The examples of docs/extending.md: each is a guest that runs as it stands."""

import re
from pathlib import Path

import pytest

import hyperevo as he
from hyperevo.config import load_config
from hyperevo.guests import OWN
from hyperevo.runs import create_run, execute

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="a source distribution has no docs")

BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8") if PAGE.is_file() else "",
                    re.MULTILINE | re.DOTALL)
EXAMPLES = {name: text for text in BLOCKS for name in re.findall(r"\A# (\w+\.py):", text)}

DIGITS = ("dct-mnist", ["task.name=digits", "task.images=60", "target.hidden=[[3,3]]", "search.population=12"])
RUNS = {"outer.py": (*DIGITS, "encoding={name='outer.py', scale=0.5}"),
        "spirals.py": ("cartpole-dct", ["target={name='mlp', hidden=[[2,2]]}", "search.population=6"],
                       "task={name='spirals.py', turns=0.5}"),
        "quadratic.py": ("dct-mnist", [*DIGITS[1][:2], "search.population=6"], "target={name='quadratic.py'}"),
        "climber.py": (*DIGITS, "search={name='climber.py', mutants=6}")}
LINES = {"outer.py": 25, "spirals.py": 30, "quadratic.py": 30, "climber.py": 32}
"""Lines of an example, blank ones left out."""


def test_every_example_is_run():
    assert EXAMPLES.keys() == RUNS.keys() == LINES.keys()


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_and_gets_better(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(EXAMPLES[name], "utf-8")
    config, overrides, own = RUNS[name]
    loaded = load_config(config, [*overrides, "run.rounds=12", "run.validate_every=12", "threads=1", own], OWN)
    fitness = []
    result = execute(create_run(loaded.config, tmp_path / "run"), lambda round_: fitness.append(round_.best))
    assert max(fitness) > fitness[0]
    assert 0 < result["test_accuracy"] <= 1
    assert (tmp_path / "run" / "code" / "0" / name).read_text("utf-8") == EXAMPLES[name]


def test_the_session_of_arrays_and_functions_runs_and_its_tasks_can_be_learned():
    [session] = [text for text in BLOCKS if "he.task(fitness=" in text]
    defined = {}
    exec(session, defined)
    for name in ("task", "robust", "steady"):
        task = defined[name]
        net = he.target("mlp", task, hidden=[[3, 3]])
        code = he.encoding("direct", net)
        es = he.search("snes", code, population=20, centre=0.3, deviation=0.3)
        first = he.fitness(code, net, task, es.ask()).mean()
        for generation in range(25):
            es.tell(he.fitness(code, net, task, es.ask(), batch=generation))
        assert he.fitness(code, net, task, es.candidates()) > first
        assert "test" in repr(he.test(code, net, task, es.candidates()))
        es.close()


@pytest.mark.parametrize("name", LINES)
def test_it_is_short(name):
    assert len([line for line in EXAMPLES[name].splitlines() if line]) <= LINES[name]
