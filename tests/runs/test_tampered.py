"""Whatever is done to the files of a run folder: a run resumes to the same result, or the reason is told in one line.

HYPEREVO_FUZZ=N tries N tampered folders of each kind.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

import matplotlib.figure
import pytest
import tomli_w
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hyperevo.compare.live import states
from hyperevo.compare.outcomes import read_outcomes
from hyperevo.compare.plan import Entry
from hyperevo.compare.report import write_report
from hyperevo.config import load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.plots import save_run_figures, save_watched
from hyperevo.plots.run_samples import sampled
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.folder import read_run_config
from hyperevo.seal import sealed
from hyperevo.toml import read_toml

EARLIER = Path(__file__).parent / "earlier"
EXAMPLES = int(os.environ.get("HYPEREVO_FUZZ", "0"))
SECONDS = 20

NASTY = [None, True, -1, 0, 1, 3, 2**31, 2**63, 10**400, 0.5, -1e308, 1e-320, float("nan"), float("inf"), "", "x",
         "nan", "../../x", "\ud800", "\x1b[31m", "x" * 10_000, [], [1], [[1]], ["x"], [2**40], {}, {"x": 1},
         {"kind": "graph"}, [[]] * 3, "1", "-1e400", [None], "digits"]


SEALED = "sealed again"
"""Of a file whose hash was made anew: then it is what its writer wanted, and may lead to another result."""


def fuzzed(default):
    return settings(max_examples=EXAMPLES or default, deadline=None, derandomize=not EXAMPLES, database=None,
                    phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def bases(tmp_path_factory, run_until):
    """Small run folders, and the result of each that can be resumed."""
    folder = tmp_path_factory.mktemp("bases")
    for name in ("neat-digits", "snes-cartpole", "gradient-adding"):
        shutil.copytree(EARLIER / name, folder / name)
    config = read_run_config(EARLIER / "neat-digits")
    execute(create_run(config, folder / "finished"))
    run_until(config, folder / "unfinished", 4)
    snes = read_run_config(EARLIER / "snes-cartpole")
    run_until(snes, folder / "unfinished-snes", 4)
    text = load_config("char-ptb-hyperlstm", [
        f"task.text={write_text_file(folder)}", "task.sequences=2", "task.length=8",
        "search.steps_per_round=1", "run.rounds=3", "run.validate_every=1", "target.hidden=4", "target.hyper=3",
        "target.embedding=2", "threads=1"])
    execute(create_run(text.config, folder / "writer"))
    for name in ("unfinished", "unfinished-snes"):
        shutil.copytree(folder / name, folder / f"{name}.whole")
        execute(open_run(folder / f"{name}.whole"))
    return folder


def write_text_file(folder):
    (folder / "mine.txt").write_text("the cat sat on a mat.\n" * 40)
    return folder / "mine.txt"


def outcome(folder):
    result = json.loads((folder / "result.json").read_text())
    for measured in ("seconds", "peak_memory_gb"):
        result.pop(measured)
    files = [folder / "metrics.csv", folder / "fitness.bin", *sorted((folder / "champion").iterdir())]
    return result, {str(path.relative_to(folder)): path.read_bytes() for path in files}


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "run.lock"
                  and "figures" not in path.parts)


def tamper_bytes(path, draw):
    content = path.read_bytes()
    place = draw(st.integers(0, max(len(content) - 1, 0)))
    kind = draw(st.sampled_from(["delete", "cut", "flip", "append", "empty", "zero", "folder", "link", "pipe"]))
    if kind == "flip" and content:
        changed = bytearray(content)
        changed[place] ^= 1 << draw(st.integers(0, 7))
        path.write_bytes(changed)
    elif kind in ("cut", "append", "empty", "zero"):
        path.write_bytes({"cut": content[:place], "append": content + b"\xff,1\n", "empty": b"",
                          "zero": bytes(len(content))}.get(kind))
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo(path)
    return kind


def places(values, place=()):
    """Every key of nested plain data, as a path."""
    for key in values if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ():
        yield (*place, key)
        yield from places(values[key], (*place, key))


def tamper_values(values, draw):
    *above, last = draw(st.sampled_from(sorted(places(values), key=lambda place: (len(place), str(place)))))
    for key in above:
        values = values[key]
    kind, value = draw(st.sampled_from(["delete", "replace", "replace", "double"])), draw(st.sampled_from(NASTY))
    if kind == "delete":
        del values[last]
    else:
        values[last] = value if kind == "replace" else [values[last], values[last]]
    return (*above, last, kind, str(value)[:20])


def tamper_json(path, draw):
    """Change a value; the hash of a file that has one is made anew, as if nothing had happened."""
    values = json.loads(path.read_text())
    what = tamper_values(values, draw)
    if path.name == "state.json" and "sha256" in values and draw(st.booleans()):
        values.pop("sha256")
        path.write_bytes(sealed(values) if not contains_nan(values) else json.dumps(values).encode())
        what = (*what, SEALED)
    else:
        path.write_text(json.dumps(values))
    return what


def contains_nan(values):
    return "NaN" in (text := json.dumps(values)) or "Infinity" in text


def tamper_toml(path, draw):
    values = read_toml(path)
    what = tamper_values(values, draw)
    with contextlib.suppress(TypeError, UnicodeEncodeError):
        path.write_text(tomli_w.dumps(values))
    return what


def tamper_csv(path, draw):
    lines = [line.split(",") for line in path.read_text().splitlines()]
    line = draw(st.integers(0, len(lines) - 1))
    cell = draw(st.integers(0, len(lines[line]) - 1))
    value = str(draw(st.sampled_from(NASTY))).replace("\ud800", "\x00")
    lines[line][cell] = draw(st.sampled_from([value, f'"{value}', f"{value},{value}", "x" * 200_000]))
    path.write_text("\n".join(map(",".join, lines)) + "\n")
    return line, cell, value[:20]


def tamper_tensors(path, draw):
    tensors = load_file(path)
    name = draw(st.sampled_from(sorted(tensors))) if tensors else "none"
    kind = draw(st.sampled_from(["nan", "delete", "rename", "cast", "flat", "longer", "empty", "integers", "scalar"]))
    tensor = tensors.pop(name, torch.zeros(1))
    changed = {"nan": lambda: torch.full_like(tensor.float(), torch.nan), "cast": lambda: tensor.to(torch.bfloat16),
               "flat": lambda: tensor.flatten(), "longer": lambda: torch.cat([tensor.flatten(), tensor.flatten()]),
               "empty": lambda: tensor.flatten()[:0], "integers": lambda: tensor.to(torch.int64),
               "rename": lambda: tensor, "scalar": lambda: torch.tensor(2.0)}.get(kind)
    if changed is not None:
        tensors[f"{name}x" if kind == "rename" else name] = changed().contiguous()
    save_file(tensors, path)
    return name, kind


SHAPED = {".json": tamper_json, ".toml": tamper_toml, ".csv": tamper_csv, ".safetensors": tamper_tensors}


@st.composite
def tamperings(draw, names):
    """A base, and a function that damages a file of its copy and says how."""
    name = draw(st.sampled_from(names))

    def tamper(folder):
        path = draw(st.sampled_from(files_of(folder)))
        own = SHAPED.get(path.suffix)
        by_bytes = own is None or draw(st.integers(0, 2)) == 0
        return str(path.relative_to(folder)), tamper_bytes(path, draw) if by_bytes else own(path, draw)

    return name, tamper


@pytest.fixture
def copied(bases, tmp_path_factory):
    def copy(name):
        place = tmp_path_factory.mktemp("tampered") / "run"
        return shutil.copytree(bases / name, place, symlinks=True)

    return copy


@pytest.fixture
def without_pixels(monkeypatch):
    """Figures are made and not drawn, which would take most of the time."""
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", lambda self, path, **_: path.write_bytes(b""))


@pytest.fixture
def tried(at_most):
    """A function of some work and how its folder was damaged: its result, or None where it says in one line why not."""
    def attempt(work, told):
        try:
            with at_most(SECONDS):
                return work()
        except (UserError, RunFailed) as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
            return None
        except BaseException as error:
            raise AssertionError(f"{told}: {type(error).__name__}: {error}") from error

    return attempt


@fuzzed(40)
@given(st.data())
def test_a_tampered_run_resumes_to_the_same_or_says_why_not(bases, copied, tried, data):
    name, tamper = data.draw(tamperings(["unfinished", "unfinished-snes"]))
    folder = copied(name)
    told = name, *tamper(folder)
    if tried(lambda: execute(open_run(folder)), told) is not None and SEALED not in told[-1]:
        assert outcome(folder) == outcome(bases / f"{name}.whole"), told
    shutil.rmtree(folder.parent)


@fuzzed(60)
@given(st.data())
def test_a_tampered_run_of_an_earlier_version_resumes_or_says_why_not(copied, tried, data):
    name, tamper = data.draw(tamperings(["neat-digits", "snes-cartpole", "gradient-adding"]))
    folder = copied(name)
    told = name, *tamper(folder)
    tried(lambda: execute(open_run(folder)), told)
    shutil.rmtree(folder.parent)


@fuzzed(25)
@given(st.data())
@pytest.mark.usefixtures("without_pixels")
def test_a_tampered_run_is_drawn_or_says_why_not(copied, tried, data):
    name, tamper = data.draw(tamperings(["finished", "writer", "neat-digits", "snes-cartpole", "gradient-adding"]))
    folder = copied(name)
    told = name, *tamper(folder)
    looks = {"writer": lambda: sampled(folder, 5, 0, {}), "snes-cartpole": lambda: save_watched(folder, None, 0)}
    work = looks[name] if name in looks and data.draw(st.booleans()) else lambda: save_run_figures(folder)
    tried(work, told)
    shutil.rmtree(folder.parent)


@fuzzed(25)
@given(st.data())
def test_a_tampered_run_is_compared_or_says_why_not(bases, copied, tried, data):
    name, tamper = data.draw(tamperings(["finished", "unfinished", "writer", "snes-cartpole"]))
    folder, config = copied(name), read_run_config(bases / name)
    told, entries = (name, *tamper(folder)), [Entry("a row", 0, config, folder)]
    tried(lambda: states(entries, {}), told)
    tried(lambda: write_report(read_outcomes(entries), folder.parent / "report.html", "title", [], []), told)
    shutil.rmtree(folder.parent)
