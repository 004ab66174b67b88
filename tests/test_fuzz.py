"""Whatever is typed: it is done, or told in one line, and nothing that is not a run's own is touched.

HYPEREVO_FUZZ=N tries N inputs of each kind.
"""

import contextlib
import io
import os
import shutil
import sys
import tomllib

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hyperevo import cli
from hyperevo.components import component_names, find_component
from hyperevo.config import PARTS, RunConfig, RunSettings, check_config, config_text, config_values
from hyperevo.errors import UserError
from hyperevo.toml import flatten

EXAMPLES = int(os.environ.get("HYPEREVO_FUZZ", "0"))
SECONDS = 20

BASE = {"threads": 1, "task": {"name": "digits", "images": 20, "validation": 20},
        "target": {"name": "mlp", "hidden": [[2, 2]]}, "encoding": {"name": "direct"},
        "search": {"name": "snes", "population": 4}, "run": {"rounds": 1, "filmstrip": 1, "memory_gb": 1.0}}


def fuzzed(default):
    return settings(max_examples=EXAMPLES or default, derandomize=not EXAMPLES, database=None, phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck))


@fuzzed(150)
@given(st.data())
def test_any_values_are_a_config_or_one_line(draw_options, at_most, data):
    kind = data.draw(st.sampled_from(PARTS))
    name = data.draw(st.sampled_from(component_names(kind)))
    values = {**BASE, kind: {"name": name, **draw_options(data.draw, find_component(kind, name).settings)}}
    for table, model in (("run", RunSettings), ("", RunConfig)):
        if data.draw(st.integers(0, 3)) == 0:
            given = draw_options(data.draw, model)
            values |= {table: given} if table else {key: value for key, value in given.items() if key not in PARTS}
    with at_most(SECONDS):
        try:
            config = check_config(values, "here")
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 1000 and str(error).startswith("here: ")
        else:
            assert check_config(tomllib.loads(config_text(config)), "again") == config


# Arguments

KEYS = [*(key for key, _ in flatten(config_values(check_config(BASE, "here")))), "task", "run", "seed.x", "", "x", ".",
        "task.", "search.refine.rounds", "target.module", "encoding.graph", "search.ini", "search.start"]
WORDS = ["", "nan", "inf", "-1", "0", "3", "1e999", "9" * 30, "9" * 5000, "[", "{", "'", '"', "[1,[2]]", "[" * 2000,
         "x", "true", "\udcff", "\n", "a\nseed=4", "a=b", "[]", "{}", "1979-05-27", "../x", "/dev/zero", "os:system",
         "evil.py", "evil:X-v0", "[/b]", "\x1b[31m", "snes", "{name='neat'}", "{name='module', module='os:system'}"]
PLACES = ["./c.toml", "r", "r/config.toml", "dct", "none", "./none.toml", "", ".", "..", "mine", "mine/thesis.txt",
          "/dev/zero", "x" * 300, "\udcff", "a\0b", "evil.py"]
OPTIONS = [["--out", "x"], ["--out", "mine"], ["--out", "mine/thesis.txt"], ["--out", ""], ["--out", "r"],
           ["--seed", "-1"], ["--seed", "9" * 30], ["--seed", "x"], ["--device", "cuda:99"], ["--device", "x"],
           ["--json"], ["--toml"], ["--trust"], ["--overwrite"], ["--seeds", "0"], ["--seeds", "1"],
           ["--budget", "seconds=inf"], ["--budget", "images=-1"], ["--vary", "seed=1,1"], ["--vary", "x"],
           ["--vary", "search.population=4,6"], ["--length", "0"], ["--temperature", "nan"], ["--prompt", "\udcff"],
           ["--count", "0"], ["--kind", "x"], ["--kind", "target"], ["--help"], ["--no-runs"], ["--no-fallback"],
           ["--x"], ["-h"], ["--"]]
COMMANDS = [["run", "--no-figures"], ["resume", "--no-figures"], ["show"], ["check"], ["plot"], ["sample"], ["watch"],
            ["compare", "--no-runs"], ["list"], ["data", "list"], ["data", "verify"], ["data", "fetch"], ["x"], [""]]


@st.composite
def command_lines(draw):
    places = st.sampled_from(PLACES[:3] if draw(st.booleans()) else PLACES)
    overrides = st.tuples(st.sampled_from(KEYS), st.sampled_from(WORDS)).map("=".join)
    words = draw(st.lists(places, min_size=1, max_size=2 if draw(st.integers(0, 3)) == 0 else 1))
    words += draw(st.lists(overrides, max_size=2))
    for option in draw(st.lists(st.sampled_from(OPTIONS), max_size=2)):
        words[draw(st.integers(0, len(words))):0] = option
    return [*draw(st.sampled_from(COMMANDS)), *words]


def typed(arguments):
    """(exit code, output, errors) of a command."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hyperevo", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), errors.getvalue()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a config, a finished run, code that must not run, and files that are nobody's but the user's."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "c.toml").write_text(config_text(check_config(BASE, "c")))
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("all of it")
    (folder / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    with contextlib.chdir(folder):
        assert typed(["run", "./c.toml", "--no-figures", "--out", "r"])[0] == 0
    return folder


@fuzzed(25)
@given(arguments=command_lines())
def test_any_arguments_are_obeyed_or_told_in_one_line(desk, tmp_path_factory, at_most, arguments):
    folder = shutil.copytree(desk, tmp_path_factory.mktemp("typed") / "desk")
    with contextlib.chdir(folder), at_most(SECONDS):
        code, out, errors = typed(arguments)
    assert code in (0, 1, 2), (arguments, errors)
    said = code == 2 or code == 1 and arguments[0] != "check"  # whose findings are no errors
    assert "Traceback" not in errors and errors.count("error: ") == said, errors
    assert (folder / "mine" / "thesis.txt").read_text() == "all of it"
    assert sorted(path.name for path in (folder / "mine").iterdir()) == ["thesis.txt"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["desk"]
    assert any("evil" in word for word in arguments) or not (folder / "ran").exists()
    shutil.rmtree(folder.parent)
