"""Every task with every target, every task with a gradient, every encoding with every search: a pair runs two rounds,
or is refused in one line that names both. A new file of any kind is tested without an edit."""

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hyperevo.abilities import Acts, Writes
from hyperevo.components import component_names, find_component
from hyperevo.config import PARTS, RunSettings, load_config
from hyperevo.data import ImageData
from hyperevo.errors import RunFailed, UserError
from hyperevo.parts import output_units
from hyperevo.runs import create_run, execute
from hyperevo.runs.compose import build_task
from hyperevo.tasks import _images, food
from hyperevo.weights import Weights

GRAPH = """{"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1, 1, 1, 1, 1],
    "nodes": [["sin", "sum", [0, 1, 2, 3]], ["identity", "sum", [5, 4]], ["identity", "sum", [5, 2]],
              ["identity", "sum", [5, 0]], ["identity", "sum", [5, 3]]],
    "weights": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "biases": [0, 0, 0, 0, 0]}""".replace("\n", " ")

FEW = "images=20, validation=20"
OPTIONS = {
    "task": {"adding": f"length=4, {FEW}", "arrays": "path='{table}', label='kind', examples=20",
             "boxes": "retests=[11]", "cifar10": FEW,
             "denoising": f"data='digits', {FEW}", "characters": "text='{text}', sequences=4, length=10",
             "control": "most_steps=5, episodes=2, validation=2", "food": "retests=[8]", "digits": FEW, "fashion": FEW,
             "gymnasium": "most_steps=5, episodes=1, validation=1",
             "image-folder": "path='{images}', size=[8, 8], images=20",
             "handwriting": "strokes='{strokes}', drawings=4, length=8, mixtures=2", "mnist": FEW,
             "networks": "path='{networks}', examples=20",
             "translation": "source='{source}', target='{translation}', symbols=60, longest=20, sentences=3"},
    "target": {"convnet": "channels=[2], kernel=3", "mlp": "hidden=[[2, 2]]", "recurrent": "hidden=3",
               "module": "module='{module}:linear', arguments={{inputs={inputs}, outputs={outputs}}}",
               "sequence": "hidden=3, answer='{answer}'", "encoder-decoder": "embedding=3, hidden=3",
               "variational-autoencoder": "latent=2, hidden=[3]",
               "wide-resnet": "depth=10"},
    "encoding": {"embedding": "embedding=3, tile=[4, 4]", "fixed-graph": "graph='''{graph}'''",
                 "es-hyperneat": "maximum_depth=2", "generator": "run='{generator}'",
                 "hypergan": "noise=3, layer_code=2, mixer=[4], generator=[4]"},
    "search": {**dict.fromkeys(component_names("search"), "population=4"),
               "adversarial": "steps_per_round=2, population=3, validated=2, discriminator_hidden=[4], pretraining=1",
               "gradient": "steps_per_round=2, population=2"}}
"""Small sizes, and what cannot be left out."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Published images that are few and small, and robots that soon give up."""
    real = _images.load_images
    monkeypatch.setattr(_images, "load_images", lambda name: real(name) if name == "digits" else made_up(name))
    monkeypatch.setattr(food, "TICKS", 10)


def made_up(name):
    random, shape = np.random.default_rng(0), (3, 8, 8) if name == "cifar10" else (8, 8)
    images, labels = random.integers(0, 256, (90, *shape), np.uint8), random.integers(0, 10, 90, np.uint8)
    return ImageData(name, images[:60], labels[:60], images[60:], labels[60:], 10, 255, "made up")


@pytest.fixture
def configure(small_files):
    """A function of the names of four parts: their config at small sizes."""
    def described(kind, name, **values):
        return f"{kind}={{name='{name}', {OPTIONS[kind].get(name, '').format(**values)}}}".replace(", }", "}")

    def config(task, target, encoding, search, *more):
        given = described("task", task, **small_files)
        own = build_task(load_config("dct-mnist", [given]).config.task, torch.device("cpu"))
        values = {**small_files, "inputs": own.inputs.units, "outputs": output_units(own.outputs),
                  "answer": "every step" if own.every_step else "last step"}
        own.close()
        return load_config("dct-mnist", [
            given, described("target", target, **values),
            described("encoding", encoding, graph=GRAPH, generator=small_files["digits_generator"]),
            described("search", search), "run.rounds=2", "run.validate_every=1", "threads=1", *more]).config

    return config


def runs_or_is_refused(config, first, second):
    """Whether two rounds ran, and ended with the weights that were tested; else the line that refuses the run names two
    of its parts."""
    try:
        run = create_run(config, None)
        result = execute(run)
    except UserError as error:
        assert f"{first} {config.part(first).name} and {second} {config.part(second).name}" in str(error)
        assert "\n" not in str(error) and "do not work together" not in str(error)
        return False
    assert result["rounds"] == 2 and np.isfinite(result["test_accuracy"])
    assert result["encoded_genes"] + result["direct_parameters"] > 0
    task, target = run.parts.task, run.parts.target
    if not isinstance(task, Acts):
        inputs, wanted = task.test()
        weights = Weights({name: value[None] for name, value in result.weights.items()})
        outputs = task.write(target, weights, inputs, wanted) if isinstance(task, Writes) \
            else target.forward(weights, inputs)
        assert float(task.score(outputs, wanted)) == pytest.approx(result["test_accuracy"], abs=1 / len(wanted))
    return True


def task_for(target):
    """A task that a target reads."""
    return {"encoder-decoder": "translation", "variational-autoencoder": "networks"}.get(target, "digits")


def beside(target):
    """An encoding and a search for a target."""
    return {"substrate": ("es-hyperneat", "neat"), "network": ("network", "neat")}.get(target, ("direct", "snes"))


RUN_WITH = {"adding": {"recurrent", "sequence"}, "characters": {"sequence"}, "handwriting": {"sequence"},
            "networks": {"variational-autoencoder"}, "translation": {"encoder-decoder"}}
IMAGES = {"boxes", "cifar10", "denoising", "digits", "fashion", "image-folder", "mnist", "retina"}
"""Tasks that convolutions can read."""


@pytest.mark.parametrize("target", component_names("target"))
@pytest.mark.parametrize("task", component_names("task"))
def test_every_task_with_every_target(configure, task, target):
    ran = runs_or_is_refused(configure(task, target, *beside(target)), "task", "target")
    if task in RUN_WITH:
        assert ran == (target in RUN_WITH[task])
    elif target in ("mlp", "module", "network", "recurrent", "substrate"):
        assert ran
    elif target in ("convnet", "wide-resnet"):
        assert ran == (task in IMAGES)


@pytest.mark.parametrize("task", component_names("task"))
def test_every_task_with_a_gradient(configure, task):
    target = sorted(RUN_WITH.get(task, {"mlp"}))[-1]
    ran = runs_or_is_refused(configure(task, target, "direct", "gradient"), "task", "search")
    assert ran == (task not in ("boxes", "control", "food", "gymnasium"))


@pytest.mark.parametrize("target", component_names("target"))
def test_every_target_with_a_gradient(configure, target):
    if target in ("substrate", "network"):
        encoding, _ = beside(target)
        assert not runs_or_is_refused(configure("digits", target, encoding, "gradient"), "encoding", "search")
    else:
        assert runs_or_is_refused(configure(task_for(target), target, "direct", "gradient"), "target", "search")


FIXED = set(component_names("encoding")) - {"cppn", "es-hyperneat", "network"}
"""Encodings of fixed length."""


@pytest.mark.parametrize("search", component_names("search"))
@pytest.mark.parametrize("encoding", component_names("encoding"))
def test_every_encoding_with_every_search(configure, encoding, search):
    target = {"es-hyperneat": "substrate", "network": "network"}.get(encoding, "mlp")
    if search == "policy-gradient":
        parts = ("target", "encoding") if encoding == "generator" else ("encoding", "search")  # of other networks
        ran = runs_or_is_refused(configure("control", target, encoding, search), *parts)
        assert ran == (encoding in FIXED - {"generator"})
        return
    ran = runs_or_is_refused(configure("digits", target, encoding, search), "encoding", "search")
    own = {"neat": set(component_names("encoding")) - FIXED, "eggroll": {"direct", "dct"},
           "adversarial": {"gaussian", "hypergan"}}
    assert ran == (encoding in own.get(search, FIXED))


@pytest.mark.parametrize("target", component_names("target"))
@pytest.mark.parametrize("encoding", component_names("encoding"))
def test_every_encoding_with_every_target(configure, encoding, target):
    graphs = encoding not in FIXED
    config = configure(task_for(target), target, encoding, "neat" if graphs else "snes")
    ran = runs_or_is_refused(config, "target", "encoding")
    assert ran or {"substrate", "network"} & {target, encoding} or encoding in ("es-hyperneat", "fixed-graph",
                                                                                "generator")
    assert ran or (target, encoding) != ("network", "network")


def test_evolved_graphs_have_no_gradient(tmp_path):
    config = load_config("cppn-mnist", ["task.name=digits", "search={name='gradient'}"]).config
    with pytest.raises(UserError, match="a gradient needs a fixed one: set encoding.graph"):
        create_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("search", ["cmaes", "xnes"])
def test_a_covariance_of_too_many_genes_is_refused(search, tmp_path):
    config = load_config("direct-mnist", ["task.name=digits", "target.hidden=[[20,20]]",
                                          f"search={{name='{search}'}}"]).config
    with pytest.raises(UserError, match="a covariance of 30,010 genes is too large; use search.name=snes"):
        create_run(config, tmp_path / "run")


EXAMPLES = int(os.environ.get("HYPEREVO_FUZZ", "0"))


@settings(max_examples=EXAMPLES or 15, derandomize=not EXAMPLES, database=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_parts_with_any_options_run_or_say_in_one_line_why_not(configure, draw_options, at_most, data):
    """HYPEREVO_FUZZ=N tries N combinations."""
    names = [data.draw(st.sampled_from(component_names(kind))) if data.draw(st.booleans()) else usual
             for kind, usual in zip(PARTS, ("digits", "mlp", "direct", "snes"), strict=True)]
    more = [(f"{kind}.{key}", value) for kind, name in zip(PARTS, names, strict=True) if data.draw(st.booleans())
            for key, value in draw_options(data.draw, find_component(kind, name).settings, small=True).items()
            if value is not None and key not in ("path", "module", "ini", "start", "text", "strokes")]
    more += [(f"run.{key}", value) for key, value in draw_options(data.draw, RunSettings, small=True).items()
             if value is not None and key in ("validate_every", "until", "filmstrip", "evaluations", "images")]
    with at_most(60):
        try:
            config = configure(*names, *more)
            result = execute(create_run(config, None))
        except (UserError, RunFailed) as error:
            assert str(error).isprintable() and len(str(error)) < 1000
        else:
            assert 1 <= result["rounds"] <= 2 and np.isfinite(result["test_accuracy"])
