"""Fixtures: the real data sets where they are at hand, and a home that is not the user's."""

import math
import os
import shutil
import signal
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hyperevo.config import check_config
from hyperevo.runs import create_run, execute

# A first call may take a second where a library is imported or the machine is busy: no test is judged by the clock.
hypothesis.settings.register_profile("hyperevo", deadline=None)
hypothesis.settings.load_profile("hyperevo")


def pytest_configure(config):
    """Remember where the real data are, before tests hide them."""
    config.real_data = os.environ.get("HYPEREVO_DATA")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache, data or settings, or reaches for the network unasked."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("HYPEREVO_OFFLINE", "1")
    monkeypatch.delenv("HYPEREVO_DATA", raising=False)
    return home


@pytest.fixture
def one_thread():
    """One thread: tensors of a few numbers gain nothing from more, and wait for them where processors are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def real_data(request, monkeypatch) -> Path:
    """The folder of real data sets, set as HYPEREVO_DATA; a skip with the reason where there is none."""
    folder = request.config.real_data
    if not folder:
        reason = "HYPEREVO_DATA does not name a folder of data sets"
        (pytest.fail if os.environ.get("HYPEREVO_REQUIRE_DATA") else pytest.skip)(reason)
    monkeypatch.setenv("HYPEREVO_DATA", folder)
    return Path(folder)


@pytest.fixture(scope="session")
def small_files(tmp_path_factory, table_file, image_folder, networks_file, generator_run,
                digits_generator) -> dict[str, Path]:
    """Small data in every format that tasks read: a text, pen strokes, a table, a folder of images; and a module."""
    folder, random = tmp_path_factory.mktemp("small"), np.random.default_rng(0)
    (folder / "text.txt").write_text("".join(random.choice(list("abcdefgh \n"), 6000)))
    lengths = random.integers(4, 12, 20)
    points = np.concatenate([random.normal(size=(lengths.sum(), 2)), random.random((lengths.sum(), 1)) < 0.2], 1)
    np.savez(folder / "strokes.npz", points=points.astype(np.float32), offsets=np.concatenate([[0], lengths.cumsum()]))
    (folder / "module.py").write_text(MODULE)
    words = [random.choice(["cat", "dog", "man", "red", "two", "big"], 3) for _ in range(60)]
    for file, sentence in (("source", "a {} sees {} {}s"), ("translation", "un {}, {} et {}")):
        (folder / f"{file}.txt").write_text("\n".join(sentence.format(*own) for own in words) + "\n")
    return {"source": folder / "source.txt", "translation": folder / "translation.txt",
            "text": folder / "text.txt", "strokes": folder / "strokes.npz", "table": table_file,
            "images": image_folder, "module": folder / "module.py", "networks": networks_file,
            "generator": generator_run, "digits_generator": digits_generator}


MODULE = """
from torch import nn
def convolution():
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(192, 4))
def linear(inputs, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))
"""


@pytest.fixture(scope="session")
def table_file(tmp_path_factory) -> Path:
    """Ninety rows of four numbers, three kinds and a value."""
    path, random = tmp_path_factory.mktemp("table") / "mine.csv", np.random.default_rng(2)
    rows = [",".join([*(f"{own:.4f}" for own in random.normal(size=5)), random.choice(list("abc"))]) for _ in range(90)]
    path.write_text("\n".join(["first,second,third,fourth,value,kind", *rows]))
    return path


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory) -> Path:
    """Thirty pictures of each of three classes."""
    path, random = tmp_path_factory.mktemp("images"), np.random.default_rng(3)
    for name in ("one", "other", "third"):
        (path / name).mkdir()
        for number in range(30):
            Image.fromarray(random.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(path / name / f"{number}.png")
    return path


@pytest.fixture(scope="session")
def networks_file(tmp_path_factory) -> Path:
    """Two hundred perceptrons, 10-12-10, whose score is a function of their first bias."""
    return write_perceptrons(tmp_path_factory.mktemp("networks") / "mine.safetensors", 10, 12, 10)


def write_perceptrons(path, inputs, hidden, outputs) -> Path:
    generator = torch.Generator().manual_seed(4)
    shapes = {"hidden.weight": (hidden, inputs), "hidden.bias": (hidden,), "readout.weight": (outputs, hidden),
              "readout.bias": (outputs,)}
    weights = {name: torch.randn(200, *shape, generator=generator) for name, shape in shapes.items()}
    save_file({**weights, "table.score": weights["hidden.bias"][:, 0].sigmoid()}, path)
    return path


@pytest.fixture(scope="session")
def generator_run(tmp_path_factory, networks_file) -> Path:
    """A finished run that trained a small model of these networks."""
    return train_generator(tmp_path_factory.mktemp("generator") / "run", networks_file)


@pytest.fixture(scope="session")
def digits_generator(tmp_path_factory) -> Path:
    """The same of perceptrons 64-4-10, which read digits."""
    folder = tmp_path_factory.mktemp("digits-generator")
    return train_generator(folder / "run", write_perceptrons(folder / "mine.safetensors", 64, 4, 10))


@pytest.fixture(scope="session")
def trained():
    """A function of a new folder, a file of networks and options of the task: the folder of a run that trained a small
    model of them."""
    return train_generator


def train_generator(folder, networks, **task) -> Path:
    config = {"name": "model", "task": {"name": "networks", "path": str(networks), **task},
              "target": {"name": "variational-autoencoder", "latent": 3, "hidden": [8]},
              "encoding": {"name": "direct", "scale": 1.0}, "search": {"name": "gradient", "steps_per_round": 2},
              "run": {"rounds": 1, "validate_every": 1, "filmstrip": 0}}
    execute(create_run(check_config(config, "model.toml"), folder))
    return folder


class Cut(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="session")
def run_until():
    """A function of a config, a new folder and a number of rounds: a run that ends there as a killed process does."""
    from hyperevo.runs import create_run, execute

    def run(config, folder, rounds):
        def observe(seen):
            if seen.number == rounds:
                raise Cut

        with pytest.raises(Cut):
            execute(create_run(config, folder), observe)

    return run


NASTY = [None, True, -1, 0, 1, 2**31, 2**63, 10**400, 0.5, -1e308, 1e-320, math.nan, math.inf, "", "x", "nan", "../x",
         "/dev/zero", "\x1b[31m", "[/b]", "$a_{b$", "x" * 10_000, "os:system", "none.py", [], [1], [[]], [[1, [2]]],
         ["x"], [2**40] * 3, {}, {"x": 1}, {"name": "x"}]
"""Values that few settings take."""


@pytest.fixture(scope="session")
def draw_options():
    """A function of hypothesis' draw and a class of settings: one to three options with values of their own types,
    within bounds, at them and beyond, or with any other; all within bounds, and sizes small, where `small` is true."""
    from hypothesis import strategies as st

    def value(draw, schema, definitions, small):
        own = definitions.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if "anyOf" in own:
            return value(draw, draw(st.sampled_from(own["anyOf"])), definitions, small)
        if "enum" in own or "const" in own:
            return draw(st.sampled_from(own.get("enum", [own.get("const")])))
        match own.get("type"):
            case "integer" | "number" as kind:
                return number(draw, own, kind == "integer", small)
            case "boolean":
                return draw(st.booleans())
            case "null":
                return None
            case "array":
                if "prefixItems" in own:
                    return [value(draw, one, definitions, small) for one in own["prefixItems"]]
                size = draw(st.integers(own.get("minItems", 0), 3))
                return [value(draw, own.get("items", {}), definitions, small) for _ in range(size)]
            case "object":
                return options(draw, own, definitions, small)
        return draw(st.sampled_from(["", "x", "*", "readout.weight"]))

    def number(draw, schema, whole, small):
        step = 1 if whole else 1e-9
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1 - step) + step)
        high = schema.get("maximum", schema.get("exclusiveMaximum", 2**31) - step)
        if whole:
            near = st.integers(low, min(low + 6, high)).map(lambda own: own - own % schema.get("multipleOf", 1))
            return draw(near if small else st.one_of(near, st.sampled_from([low - 1, low, high, high + 1])))
        within = st.floats(low, high) | st.floats(max(low, 0.001), min(high, 3))
        return draw(within if small else st.one_of(within, st.sampled_from([low, high, 2 * high, low - 1])))

    def options(draw, schema, definitions, small):
        given = sorted(schema.get("properties", {}).keys() - {"name"})
        some = st.lists(st.sampled_from(given or ["x"]), min_size=1, max_size=min(3, len(given) or 1), unique=True)
        chosen = draw(some) if given else []
        nasty = st.sampled_from(NASTY)
        return {key: draw(nasty) if not small and draw(st.integers(0, 3)) == 0 else
                value(draw, schema["properties"][key], definitions, small) for key in chosen}

    @cache
    def schema_of(settings):
        return settings.model_json_schema()

    def drawn(draw, settings, small=False):
        schema = schema_of(settings)
        return options(draw, schema, schema.get("$defs", {}), small)

    return drawn


@pytest.fixture(scope="session")
def at_most():
    """A context that ends with TimeoutError after so many seconds: a hang is an error."""
    @contextmanager
    def limited(seconds):
        def late(*_):
            raise TimeoutError(f"more than {seconds} seconds")

        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limited


@pytest.fixture
def browser():
    """Headless Chromium; a skip with the reason where it is missing, a failure where it is required."""
    missing = pytest.fail if os.environ.get("HYPEREVO_REQUIRE_CHROMIUM") else pytest.skip
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    if program is None:
        missing("there is no chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """A function of a file: the page, and everything that it complains about or asks for."""
    def open_page(path, width=1280):
        page, events = browser.new_page(viewport={"width": width, "height": 900}), []
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("request", lambda request: events.append(request.url))
        page.goto(path.as_uri())
        return page, events

    return open_page
