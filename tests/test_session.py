"""The README's session runs as it stands; parts, loops and runs from Python are those of configs."""

import logging
import os
import re
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import hyperevo as he
from hyperevo.data import load_images
from hyperevo.errors import RunFailed
from hyperevo.runs import Interrupted, execute, open_run
from hyperevo.runs.fitness_log import read_fitness

README = Path(__file__).parent.parent / "README.md"
SESSION = re.search(r"^```python\n(import hyperevo as he\n.*?)^```$", README.read_text("utf-8"), re.M | re.S)[1]

TINY = {"task": {"name": "digits", "images": 40}, "target": {"hidden": [[3, 3]]}, "search": {"population": 6},
        "run": {"rounds": 4, "validate_every": 2}}
"""Of config dct-mnist."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def session(*replaced):
    """What the README's session defines, with some of its text replaced."""
    text = SESSION
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    defined = {}
    exec(text, defined)
    return defined


def examples(page):
    """Code of a page in docs."""
    return re.search(r"^```python\n(import hyperevo as he\n.*?)^```$",
                     (README.parent / "docs" / page).read_text("utf-8"), re.M | re.S)[1]


@pytest.mark.skipif(not (README.parent / "docs").is_dir(), reason="a source distribution has no docs")
def test_the_sessions_of_the_docs_run():
    defined = {}
    exec(examples("commands.md").replace('"dct-mnist"', '"dct-mnist", task={"name": "digits"}, out="runs/dct-mnist"')
         .replace("200", "3"), defined)
    assert defined["result"]["rounds"] == 3
    exec(examples("run-folder.md"), defined)
    assert defined["module"](torch.zeros(2, 8, 8, dtype=torch.uint8)).shape == (2, 10)


def test_the_session_runs_on_digits(capsys):
    ran = session(('"mnist"', '"digits"'), ('"dct-mnist"', '"dct-mnist", task={"name": "digits"}'), ("300", "3"))
    assert re.fullmatch(r"test accuracy \d\d?\.\d\d %\n", capsys.readouterr().out)
    assert ran["es"].generation == 3
    assert repr(ran["net"]) == "MlpTarget(4 parameters, 19,210 weights)"
    raw = torch.randint(17, (5, 8, 8), dtype=torch.uint8)
    assert ran["module"](raw).shape == (5, 10)
    assert ran["figure"].axes and Path("runs/x/result.json").is_file()


def test_the_session_runs_as_it_stands(capsys, real_data):
    ran = session(("300", "12"))
    assert re.fullmatch(r"test accuracy \d\d\.\d\d %\n", capsys.readouterr().out)
    assert repr(ran["task"]) == "ImageClassification(mnist, 28 × 28 inputs → 10 outputs)"
    assert repr(ran["code"]) == "DctEncoding(4,810 genes → 203,530 weights)"
    assert repr(ran["es"]) == "GaussianSearch(snes, population 200, 4,810 genes, generation 12)"
    assert ran["result"]["rounds"] == 20 and ran["result"].folder == Path("runs/x")
    data = load_images("mnist")
    classes = ran["module"](torch.from_numpy(data.test_images)).argmax(1)
    assert float((classes == torch.from_numpy(data.test_labels)).float().mean()) == ran["result"]["test_accuracy"]


# Parts


@pytest.fixture(scope="module")
def digits():
    return he.task("digits", images=40)


@pytest.fixture(scope="module")
def net(digits):
    return he.target("mlp", digits, hidden=[[3, 3]])


@pytest.mark.parametrize(("make", "message"), [
    (lambda task, net: he.task("digits", imagess=3), "task.imagess: unknown key; did you mean 'images'?"),
    (lambda task, net: he.task("digits", images=0), "task.images: input should be greater than or equal to 1"),
    (lambda task, net: he.task("digts"), "task.name: no task called 'digts'; did you mean 'digits'?"),
    (lambda task, net: he.task(3), "task.name: 3 is not a name"),
    (lambda task, net: he.task("digits", device="cuda:7"), "device 'cuda:7' is not there"),
    (lambda task, net: he.target("mlp", task, hidden=[[0, 1]]), "target.hidden.0.0: "),
    (lambda task, net: he.target("sequence", task), "task digits and target sequence do not fit"),
    (lambda task, net: he.target(nn.Linear, task), "target.name: <class .*> is not a name or an nn.Module"),
    (lambda task, net: he.target(nn.Flatten(), task), "target.module: has no parameters to search"),
    (lambda task, net: he.target(nn.Linear(3, 10), task), "target.shape: the module does not take examples of shape"),
    (lambda task, net: he.target(nn.Flatten(), task, shap=3), "target.shap: unknown key; did you mean 'shape'?"),
    (lambda task, net: he.encoding("dct", net, coefficients=[1, 2, 3]), "encoding.coefficients: 3 numbers"),
    (lambda task, net: he.encoding("mine.py", net), "encoding.name: mine.py: no such file"),
    (lambda task, net: he.search("neat", he.encoding("dct", net)), "search.name: neat evolves graphs"),
    (lambda task, net: he.search("snes", he.encoding("dct", net), population=1), "search.population: "),
    (lambda task, net: he.task(), "task.name: is missing; a task has a name, or a function"),
    (lambda task, net: he.task(fitness="accuracy"), "task.name: is missing; a task has a name, or a function"),
    (lambda task, net: he.task(fitness=print, inputs=2), "task.outputs: is missing; wanted: fitness, inputs, outputs"),
    (lambda task, net: he.task(fitness=print, inputs=2, output=1), "task.output: unknown key; did you mean 'outputs'?"),
    (lambda task, net: he.task(genomes=print), "task.ini: is missing; wanted: genomes, ini"),
    (lambda task, net: he.task("arrays", labels=[1, 2]), "task.inputs: is missing: an array (N, …)"),
    (lambda task, net: he.task("arrays", inputs=[[1.0]], labels=[1], tests=3), "task.tests: unknown key; did you mean"),
    (lambda task, net: he.task("arrays", inputs=[[1.0]] * 9, labels=[1] * 8), "arrays: 9 inputs and 8 labels"),
    (lambda task, net: he.run("dct-mnist", task={"imagess": 3}), "task.imagess: unknown key; did you mean 'images'?"),
    (lambda task, net: he.run("dct-mnist", search="cmaes"), "did you mean search.name=cmaes?"),
    (lambda task, net: he.run("dct-mnits"), "no config called 'dct-mnits'; did you mean 'dct-mnist'?"),
    (lambda task, net: he.load("nowhere"), "nowhere: no such run folder"),
])
def test_mistakes_are_one_line_that_begins_with_the_key(digits, net, make, message):
    with pytest.raises(he.UserError, match=f"^{re.escape(message) if '.*' not in message else message}") as raised:
        make(digits, net)
    assert "\n" not in str(raised.value)


def test_arrays_in_memory_are_the_task_of_a_file_with_them(tmp_path):
    inputs, labels = torch.randn(40, 6), torch.arange(40) % 3
    np.savez("own.npz", inputs=inputs, labels=labels, test_inputs=inputs[:4], test_labels=labels[:4])
    memory = he.task("arrays", inputs=inputs, labels=labels.tolist(), test_inputs=inputs[:4], test_labels=labels[:4],
                     shape=[2, 3], device="cpu")
    file = he.task("arrays", path="own.npz", shape=[2, 3], device="cpu")
    assert memory.inputs == he.Sheet((2, 3)) == file.inputs and memory.class_names == ("0", "1", "2")
    for first, second in ((memory.batch(0, 0), file.batch(0, 0)), (memory.test(), file.test())):
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    network = he.target("mlp", memory, hidden=[[2, 2]])
    code = he.encoding("direct", network, device="cpu")
    assert len(he.test(code, network, memory, code.sample(3, torch.Generator()))) == 3


def test_a_module_of_ones_own_is_a_target_and_stays_as_it_is(digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 10))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    net = he.target(module, digits)
    code = he.encoding("direct", net)
    assert code.genes == sum(parameter.numel() for parameter in module.parameters())
    he.test(code, net, digits, torch.randn(2, code.genes))
    assert module.training and all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert he.target(nn.Linear(64, 10), digits, shape=(64,)).shape == (64,)


GUEST = """
import torch
from hyperevo import Encoding, Settings as Base, Weights

class Settings(Base):
    size: float = 1.0

class Waves(Encoding):
    def __init__(self, settings, geometry, device):
        self.settings, self.geometry, self.device, self.genes = settings, geometry, device, len(geometry)
    def sample(self, size, generator):
        return torch.randn(size, self.genes, generator=generator)
    def express(self, genotypes):
        return Weights({name: torch.sin(own.reshape(-1, *[1] * len(place.shape)) * self.settings.size
                                        * torch.arange(place.size).reshape(place.shape))
                        for own, (name, place) in zip(genotypes.unbind(1), self.geometry.items())})

def build(settings, geometry, device):
    return Waves(settings, geometry, device)
"""


def test_a_guests_file_is_a_name_of_a_part(digits, net, own_folder):
    (own_folder / "mine.py").write_text(GUEST)
    code = he.encoding("mine.py", net, size=0.5)
    assert repr(code) == "Waves(4 genes → 685 weights)"
    es = he.search("genetic", code, population=4)
    es.tell(he.fitness(code, net, digits, es.ask()))
    with pytest.raises(he.UserError, match=r"^encoding.siez: unknown key; did you mean 'size'\?"):
        he.encoding("mine.py", net, siez=1)
    with pytest.warns(UserWarning, match="encoding.name=mine.py takes nothing from dct-mnist.toml"):
        result = he.run("dct-mnist", **TINY, encoding={"name": "mine.py"}, out="x")
    assert result["encoded_genes"] == 4 and repr(he.load("x")) == repr(result)


@pytest.mark.parametrize("name", ["snes", "cosyne", "eggroll", "gradient"])
def test_searches_say_how_many_genotypes_they_have(net, name):
    assert "population 6, 685 genes" in repr(he.search(name, he.encoding("direct", net), population=6))
    assert "population 6" in repr(he.search("neat", he.encoding("cppn", net), population=6))


# Loops


def parts_of(opened):
    """Parts made by name with the settings of a run."""
    config = opened.config
    task = he.task(**config.task.model_dump())
    net = he.target(task=task, **config.target.model_dump())
    code = he.encoding(target=net, **config.encoding.model_dump())
    return task, net, code, he.search(encoding=code, seed=config.seed, **config.search.model_dump())


@pytest.mark.parametrize("search", [{}, {"name": "cmaes", "separable": True}])
def test_a_loop_of_ones_own_is_the_run(own_folder, search):
    result = he.run("dct-mnist", **TINY | {"search": TINY["search"] | search}, seed=3, out="x")
    task, net, code, es = parts_of(he.load("x"))
    told = read_fitness(own_folder / "x" / "fitness.bin")
    for generation in range(4):
        fitness = he.fitness(code, net, task, es.ask(), batch=generation, seed=3)
        assert torch.equal(fitness, told[generation])
        es.tell(fitness)
    assert result["champion_round"] in (2, 4)
    champion = he.load("x").genotype
    assert float(he.test(code, net, task, champion)) == result["test_accuracy"]
    assert torch.equal(code.express(champion[None]).network(0)["hidden.weight"], he.load("x").weights["hidden.weight"])


def test_fitness_keeps_its_graph_where_genotypes_want_a_gradient(digits, net):
    code = he.encoding("dct", net, coefficients=[2])
    adam = he.search("gradient", code, population=3, learning_rate=0.05)
    first = he.fitness(code, net, digits, adam.ask())
    assert first.requires_grad and first.shape == (3,)
    for step in range(30):
        adam.tell(he.fitness(code, net, digits, adam.ask(), batch=step))
    with torch.no_grad():
        last = he.fitness(code, net, digits, adam.ask())
    assert not last.requires_grad and (last > first).all()


def test_a_gradient_is_refused_where_there_is_none():
    task = he.task("control", episodes=2, most_steps=5, validation=2)
    net = he.target("mlp", task, hidden=[[2, 2]])
    code = he.encoding("direct", net)
    with pytest.raises(he.UserError, match="has no gradient to follow"):
        he.fitness(code, net, task, he.search("gradient", code).ask())
    assert he.fitness(code, net, task, torch.zeros(3, code.genes)).shape == (3,)
    assert re.fullmatch(r"test mean return \d+\.\d", repr(he.test(code, net, task, torch.zeros(code.genes))))


def test_networks_that_overflow_are_worse_than_all_others(digits, net):
    code = he.encoding("direct", net)
    genotypes = torch.randn(3, code.genes, generator=torch.Generator().manual_seed(0))
    genotypes[1] = torch.nan
    fitness = he.fitness(code, net, digits, genotypes)
    assert fitness[1] == min(fitness[0], fitness[2]) - 1
    with pytest.raises(RunFailed, match="no network of the population has a finite fitness"):
        he.fitness(code, net, digits, genotypes[1])


def test_scores_are_printed_as_they_are_read_and_are_floats(digits, net):
    code = he.encoding("direct", net)
    genotypes = torch.randn(3, code.genes, generator=torch.Generator().manual_seed(0))
    scores, one = he.test(code, net, digits, genotypes), he.test(code, net, digits, genotypes[1])
    assert len(scores) == 3 and list(scores)[1] == scores[1] == float(one)
    assert repr(one) == f"test accuracy {100 * one[0]:.2f} %"
    best, mean = 100 * max(scores), 100 * sum(scores) / 3
    assert repr(scores) == f"test accuracy of 3 networks: best {best:.2f} %, mean {mean:.2f} %"
    with pytest.raises(TypeError, match="scores of 3 networks"):
        float(scores)


# Runs


def test_a_run_needs_no_folder_and_is_the_same_with_one(own_folder, capfd):
    without = he.run("dct-mnist", **TINY, seed=2)
    assert list(own_folder.iterdir()) == [] and without.folder is None
    within = he.run("dct-mnist", **TINY, seed=2, out="x")
    assert all(torch.equal(value, within.weights[name]) for name, value in without.weights.items())
    same = without.keys() - {"seconds", "peak_memory_gb"}
    assert {key: without[key] for key in same} == {key: within[key] for key in same}
    assert capfd.readouterr() == ("", "")  # no terminal, and no library's prints


def test_a_folder_is_not_overwritten_unasked():
    he.run("dct-mnist", **TINY, out="x")
    with pytest.raises(he.UserError, match="^x exists; resume it"):
        he.run("dct-mnist", **TINY, out="x")
    assert he.run("dct-mnist", **TINY, out=Path("x"), overwrite=True, seed=4)["seed"] == he.load("x").config.seed == 4


@pytest.mark.parametrize("answer", [True, torch.tensor(True)])
def test_a_callback_sees_every_round_and_ends_the_run(answer):
    seen = []

    def callback(round_):
        seen.append(round_)
        return answer if len(seen) == 3 else None

    result = he.run("dct-mnist", **TINY, callback=callback)
    assert [round_.number for round_ in seen] == [1, 2, 3] and result["rounds"] == 3
    assert seen[1].validation_score is not None and seen[0].fitness.shape == (6,) and "tensor" not in repr(seen[0])


def test_a_signal_is_raised_after_the_round_and_the_run_goes_on_from_there(own_folder):
    with pytest.raises(Interrupted, match="SIGINT"):
        he.run("dct-mnist", **TINY, out="x", callback=lambda round_: os.kill(os.getpid(), signal.SIGINT))
    assert repr(he.load("x")) == "dct-mnist+digits: not finished, round 1 of 4, x"
    assert he.load("x")._repr_html_() == f"<p>{he.load('x')!r}</p>"
    assert execute(open_run(own_folder / "x"))["rounds"] == 4


def test_what_a_callback_raises_is_raised():
    def stop(round_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        he.run("dct-mnist", **TINY, callback=stop)


def test_another_part_takes_from_the_config_what_it_knows_and_a_warning_says_what_it_does_not():
    with pytest.warns(UserWarning, match="encoding.name=direct takes nothing from dct-mnist.toml and not axes, coe"):
        result = he.run("dct-mnist", **TINY, encoding={"name": "direct"})
    assert result["name"] == "dct-mnist+digits+direct"


def test_loggers_are_quiet_and_left_as_they_were(own_folder, caplog):
    logger = logging.getLogger("hyperevo")
    before = list(logger.handlers), logger.level
    assert any(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
    he.run("dct-mnist", **TINY, out="x", callback=lambda round_: logger.warning("look"))
    assert (list(logger.handlers), logger.level) == before
    assert (own_folder / "x" / "run.log").read_text().count("WARNING hyperevo: look") == 4


# Notebooks and terminals


def test_a_terminal_shows_a_bar_and_nothing_else_does(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    he.run("dct-mnist", **TINY)
    shown = capsys.readouterr()
    assert "round 4/4" in shown.err and shown.out == ""
    he.run("dct-mnist", **TINY, progress=False)
    assert capsys.readouterr() == ("", "")


class Shown:
    """Stands for the output below a notebook's cell."""

    def __init__(self):
        self.texts = []

    def update(self, data, raw):
        assert raw
        self.texts.append(data["text/plain"])


def test_a_notebook_shows_one_line_that_changes(monkeypatch, capsys):
    shown, display = Shown(), ModuleType("IPython.display")
    display.display = lambda data, raw, display_id: shown.update(data, raw) or shown
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    result = he.run("dct-mnist", **TINY)
    assert shown.texts[0] == "dct-mnist+digits"
    assert re.match(r"dct-mnist\+digits: round 4/4  validation \d+\.\d %  best -\d\.\d+  mean ", shown.texts[-1])
    assert capsys.readouterr() == ("", "")
    page = result._repr_html_()
    assert page.startswith("<table>") and "<td>297" not in page and "297 test images" in page


def test_results_read_well(own_folder):
    result = he.run("dct-mnist", **TINY, out="x")
    opened = he.load("x")
    assert re.fullmatch(r"dct-mnist\+digits: test accuracy \d+\.\d\d % on 297 images of digits, "
                        r"24 evaluations in \d+ s, x", repr(result))
    assert repr(opened) == repr(result) and opened._repr_html_() == result._repr_html_()
    assert opened.metrics["round"] == [1, 2, 3, 4] and len(opened.metrics["best"]) == 4
    assert str(opened.metrics["validation_accuracy"][0]) == "nan" and opened.metrics["validation_accuracy"][1] > 0
    assert opened.result == result and opened.config.search.population == 6
    assert opened.genotype.shape == (result["encoded_genes"],)
