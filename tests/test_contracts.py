"""Every task, target, encoding, search, environment and data set, found by name, holds to its contract; a new file is
tested without an edit. The rules themselves find what is wrong with parts that do not."""

import ast
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hyperevo.components import FOLDERS, component_names, find_component
from hyperevo.config import PARTS
from hyperevo.contracts import MODULES, RULES, _search, check, kind_of, rules_of
from hyperevo.contracts._rules import bits, findings
from hyperevo.control import cartpole
from hyperevo.data import ImageData, verify
from hyperevo.errors import UserError
from hyperevo.search.gradient import GradientSearch

PACKAGE = Path(__file__).parent.parent / "hyperevo"
GUESTS = Path(__file__).parent / "guests"

GRAPH = """{"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1, 1, 1, 1, 1],
    "nodes": [["sin", "sum", [0, 1, 2, 3]], ["identity", "sum", [5, 4]], ["identity", "sum", [5, 2]],
              ["identity", "sum", [5, 0]], ["identity", "sum", [5, 3]]],
    "weights": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "biases": [0, 0, 0, 0, 0]}"""

VARIANTS = {
    ("encoding", "dct"): [{"coefficients": [2]}, {"direct": ["*.bias"]}],
    ("encoding", "embedding"): [{"tile": [4, 4]}, {"tile": [4, 4], "plain": True, "hidden": 3}],
    ("encoding", "es-hyperneat"): [{"maximum_depth": 2}, {"maximum_depth": 2, "link_expression": True}],
    ("encoding", "generator"): [{"run": "{generator}"}],
    ("encoding", "gaussian"): [{}, {"spread": 0.5, "prior": 2.0}],
    ("encoding", "hypergan"): [{"noise": 5, "layer_code": 4, "mixer": [6], "generator": [6, 5]},
                               {"noise": 5, "layer_code": 4, "mixer": [6], "generator": [6], "biases": False,
                                "mixer_normalisation": True, "generator_normalisation": True}],
    ("encoding", "network"): [{}, {"recurrent": True}, {"recurrent": True, "continuous": True}],
    ("encoding", "fixed-graph"): [{"graph": GRAPH}],
    ("search", "adversarial"): [{"population": 4, "discriminator": seen, "discriminator_hidden": [5], "pretraining": 2,
                                 "schedule": "cosine", "clip": 1.0, "weight_decay": 1e-4}
                                for seen in ("joint", "none")],
    ("search", "neat"): [{}, {"refine": {"rounds": 2}}],
    ("search", "gradient"): [{"population": 3}, {"optimizer": "sgd", "schedule": "one-cycle", "clip": 1.0}],
    ("search", "policy-gradient"): [{"population": 3}, {"ratio": 0.2, "epochs": 3, "clip": 1.0}],
    ("search", "cmaes"): [{}, {"separable": True}],
    ("search", "cosyne"): [{}, {"permute_all": False}],
    ("search", "genetic"): [{}, {"elitist": False}],
    ("search", "pgpe"): [{}, {"optimizer": "clipup"}],
    ("search", "eggroll"): [{"population": 20}, {"population": 20, "rank": 2, "optimizer": "sgd", "decay": 0.9}],
    ("target", "mlp"): [{"hidden": [[2, 3]]}, {"hidden": [[2, 3], [3, 3]], "activation": "relu", "biases": False},
                        {"ridge": 1.0}],
    ("target", "convnet"): [{}, {"padding": "valid", "kernel": 2, "hidden": [5], "biases": False, "dropout": 0.5}],
    ("target", "module"): [{"module": "{module}:convolution"}],
    ("target", "sequence"): [{"hidden": 5, "hyper": 3, "layer": layer, "answer": answer}
                             for layer in ("lstm", "layer-norm-lstm", "hyper-lstm", "hyper-rnn")
                             for answer in ("every step", "last step")],
    ("target", "variational-autoencoder"): [{"latent": 3, "hidden": [8]}, {"hidden": [6, 5], "activation": "tanh"}],
    ("target", "wide-resnet"): [{"depth": 10}],
    ("task", "arrays"): [{"path": "{table}", "label": "kind", "inputs": ["first", "second", "third", "fourth"]},
                         {"path": "{table}", "label": ["value", "first"], "inputs": ["second", "third", "fourth"],
                          "examples": 20, "sampling": "epochs"}],
    ("task", "image-folder"): [{"path": "{images}", "size": [8, 8], "images": 20},
                               {"path": "{images}", "size": [4, 6], "images": 20, "colour": True, "pad": 1}],
    ("task", "characters"): [{"text": "{text}", "sequences": 4, "length": 30}],
    ("task", "control"): [{}, {"environment": "double-pole", "fitness": "damped", "most_steps": 200}],
    ("task", "denoising"): [{"data": "digits", "validation": 300}],
    ("task", "digits"): [{}, {"fitness": "accuracy"}, {"shuffle_pixels": 0, "pad": 1, "flip": True, "scale_outputs": 1},
                         {"sampling": "epochs"}],
    ("task", "gymnasium"): [{"most_steps": 50, "validation": 3}],
    ("task", "handwriting"): [{"strokes": "{strokes}", "drawings": 5, "length": 12, "mixtures": 3}],
    ("task", "networks"): [{"path": "{networks}"},
                           {"path": "{networks}", "hidden_units": "permuted", "condition": True, "above": 0.2,
                            "most": 0.9, "examples": 7}],
    ("task", "translation"): [{"pairs": "", "source": "{source}", "target": "{translation}", "symbols": 60,
                               "longest": 20, "sentences": 5}],
    ("target", "encoder-decoder"): [{"embedding": 3, "hidden": 4, "hyper": 3, "hyper_embedding": 2, "layer": layer}
                                    for layer in ("lstm", "layer-norm-lstm", "hyper-lstm")],
    ("task", "retina"): [{}, {"layout": "line"}, {"layout": "columns"}]}
"""Options of parts that cannot be built without, or are to be tested with others too."""

REAL_DATA = {"task": ("cifar10", "fashion", "mnist"), "data set": ("cifar10", "enwik8", "fashion", "mnist", "multi30k",
                                                                   "omniglot", "ptb", "tinyshakespeare")}
"""Parts that need published data."""

ALL = [pytest.param(kind, name, options, id=f"{kind}-{name}-{number}") for kind in FOLDERS
       for name in component_names(kind) for number, options in enumerate(VARIANTS.get((kind, name), [{}]))]


def filled(options, files):
    """Options with the paths of small files in place of their names."""
    return {key: value.format(**files) if isinstance(value, str) and re.search(r"{\w+}", value) else value
            for key, value in options.items()}


@pytest.mark.parametrize(("kind", "name", "options"), ALL)
def test_it_holds_to_its_contract(kind, name, options, request, small_files):
    if name in REAL_DATA.get(kind, ()):
        folder = request.getfixturevalue("real_data")
        if any(file.problem for file in verify(name)):
            pytest.skip(f"{folder} has no {name} as it was published")
    assert check(name, kind, **filled(options, small_files)) == []


def test_a_part_that_cannot_be_built_is_an_error_and_not_left_out():
    with pytest.raises(UserError, match="check fixed-graph: encoding.graph: field required"):
        check("fixed-graph")
    with pytest.raises(UserError, match="check embedding: encoding.tile.0: input should be greater than 0"):
        check("embedding", tile=[0, 4])
    [found] = check("convnet", pool=64)
    assert str(found) == "build: target.pool: 2 poolings by 64 leave nothing of 8 × 8 pixels"


@pytest.mark.parametrize("name", component_names("search"))
def test_another_seed_is_another_search(name):
    settings = find_component("search", name).settings(population=10)
    first, other = (_search.case_of(settings).another(seed) for seed in (0, 1))
    for search in (first, other):
        _search.case_of(settings).advance(search, 4)
    assert bits(first.ask()) != bits(other.ask())
    first.close()
    other.close()


@pytest.mark.parametrize("kind", PARTS)
def test_a_guest_holds_to_its_contract(kind):
    file = GUESTS / f"my_{kind}.py"
    assert kind_of(str(file)) == kind
    assert check(str(file)) == []


def test_every_rule_has_a_name_of_its_own_and_there_are_some():
    assert all(len(rules_of(kind)) == len(set(rules_of(kind))) >= 4 for kind in FOLDERS)


# Parts that do not hold

WRONG = {
    "encoding": [
        ("self.genes = sum", "self.numbers = sum", r"^build: raises|genes is 0"),
        ("self.settings, self.geometry, self.device = settings, geometry, device",
         "self.settings, self.geometry = settings, geometry", r"^attributes: device is missing; wanted: device$"),
        ("settings, geometry, device\n", "settings, geometry, 'cpu'\n",
         r"^attributes: device: input should be an instance of device \(given: 'cpu'\)$"),
        ("settings, geometry, device\n", "settings, {**geometry, 'more': geometry['hidden.bias']}, device\n",
         r"^geometry: differs from what was asked for: more$"),
        ("own[1][:, None]", "own[1][:, None, :-1]", r"^express, shapes: hidden.weight is of shape \(1, 12, 9\), and "
                                                    r"\(1, 12, 10\) is wanted$"),
        ("return he.Weights(", "return dict(", r"^express, shapes: raises TypeError: express gives dict, not "
                                            r"hyperevo.Weights$"),
        ("def express(self, genotypes):\n", "def express(self, genotypes):\n        genotypes = genotypes.double()\n",
         r"^express, numbers: hidden.weight is torch.float64, not torch.float32$"),
        ("def express(self, genotypes):\n", "def express(self, genotypes):\n        genotypes = genotypes / 0\n",
         r"^express, numbers: hidden.weight holds values that are not finite$"),
        ("def express(self, genotypes):\n",
         "def express(self, genotypes):\n        genotypes = genotypes - genotypes.mean(0)\n",
         r"^express, networks apart: hidden.weight of network 2 is another beside other networks$"),
        ("def express(self, genotypes):\n", "def express(self, genotypes):\n        genotypes.detach().mul_(2)\n",
         r"^express, genotypes unchanged: changes the genotypes that it is given$"),
        ("def express(self, genotypes):\n",
         "def express(self, genotypes):\n        genotypes = genotypes + torch.rand(())\n",
         r"^express, same bits: gives other weights for the same genotypes$"),
        ("parts = iter(genotypes", "mask = torch.ones(self.genes); mask[[3, 7]] = 0; parts = iter((genotypes * mask)",
         r"^express, gradient: 2 of 66 genes have no gradient: gene 3, 7$"),
        ("genotypes.split(", "genotypes.detach().split(",
         r"^express, gradient: 66 of 66 genes have no gradient: gene 0, 1, 2, 3, 4 and 61 more$"),
        ("def sample", "def draw", r"^sample: is missing: searches of numbers start from sample\(size, generator\)"),
        ("generator=generator", "", r"^sample: gives other genotypes for the same generator$"),
        ("self.genes, generator", "self.genes + 1, generator", r"^sample: sample\(3, …\) is of shape \(3, 67\)"),
        ("def express", "def counts(self, genotype=None):\n        return Counts(1, 2, 3)\n\n    def express",
         r"^counts: 1 encoded genes and 2 direct parameters are not 66 genes$"),
        ("def express", "def figures(self, genotype):\n        return 1 / 0\n\n    def express",
         r"^figures: raises ZeroDivisionError: division by zero$"),
        ("def express", "def __repr__(self):\n        return object.__repr__(self)\n\n    def express",
         r"^repr: says where it lies in memory: <"),
        ("def express", "def painted", r"^build: raises TypeError: Can't instantiate abstract class RankOne"),
        ("class RankOne(he.Encoding)", "class RankOne", r"^build: encoding.name: build of .* gives RankOne, not a "
                                                     r"hyperevo.Encoding$"),
        ("def build(", "def make(", r"^module: .*: defines no function build\(settings, geometry, device\), "),
        ("Settings(he.Settings)", "Settings", r"^module: .*: its Settings are not a hyperevo.Settings$"),
        ("def express(self, genotypes):\n", "def express(self, genotypes):\n        raise SystemExit(3)\n",
         r"^express, shapes: raises SystemExit: 3$"),
    ],
    "task": [
        (", ACCURACY, (", ", 'accuracy', (", r"^attributes: measure: "),
        ('("upper", "lower")', '("upper",)', r"^attributes: class_names has 1 names of 2 outputs$"),
        ("build = ", "def shape(settings):\n    return he.Sheet((4, 4)), 3\n\n\nbuild = ",
         r"^shape: says Sheet\(sizes=\(4, 4\)\) and 3, the task Sheet\(sizes=\(4, 4\)\) and 2$"),
        (", generator=torch.Generator().manual_seed(1000 * seed + generation)", "",
         r"^batch, by seed and generation: batch\(0, 1\) is another when it is asked for again$"),
        ("self.batch(10**9, 0)", "(torch.randn(9, 16), torch.zeros(9).long())",
         r"^same bits: validation is another when the task is built again$"),
        ("return fields, (", "return fields[:, :12], (", r"^examples: batch\(0, 0\): inputs is of shape \(40, 12\), "
                                                        r"and \(40, 16\) is wanted$"),
        ("return fields, (", "return fields.double(), (", r"^examples: batch\(0, 0\): inputs are torch.float64, not "),
        ("return fields, (", "return fields[1:], (", r"^examples: batch\(0, 0\) has 39 inputs and 40 wanted outputs$"),
        ("def test", "def batch_size(self):\n        return 3\n\n    def test",
         r"^examples: batch_size\(\) is 3, and the batch has 40 examples$"),
        ("def test", "def calibration(self, examples):\n        return self.validation\n\n    def test",
         r"^calibration: calibration\(0\) gives 40 inputs and 40 wanted outputs$"),
        ("return torch.stack(", "return sum(", r"^fitness and score: fitness is of shape \(\), and \(4,\) is wanted$"),
        ("return (outputs.argmax(2) == wanted).float().mean(1)", "return (outputs.argmax(2) == wanted).sum(1)",
         r"^fitness and score: score is torch.int64, and floating-point numbers are wanted$"),
        ("return torch.stack(", "outputs.mul_(2)\n        return torch.stack(",
         r"^fitness and score: the outputs are changed$"),
        ("for own in outputs", "for own in outputs / outputs.std()",
         r"^networks apart: fitness of network 2 is another beside other networks$"),
        ("for own in outputs", "for own in outputs.detach()",
         r"^fitness, gradient: has no gradient; `without_gradient` says so in one line$"),
        ("def test", "def describe(self, target, weights):\n        return {'note': 'good'}\n\n    def test",
         r"^facts: describe gives note = 'good', not a number$"),
        ("def score", "def points", r"^build: raises TypeError: Can't instantiate abstract class Halves"),
    ],
    "target": [
        ("self.units = hidden.units + readout.units", "self.units = 0", r"^attributes: units is 0, and at least 1 is "),
        ("return hidden @", "return hidden.transpose(0, 1) @", r"^forward, shapes: "),
        ("@ weights.tensor(\"readout.weight\")", "@ weights.tensor(\"readout.weight\").mean(0, keepdim=True)",
         r"^forward, networks apart: outputs of network 2 are others beside other networks$"),
        ("hidden = (inputs @", "inputs.mul_(2)\n        hidden = (inputs @",
         r"^forward, inputs unchanged: changes the inputs that it is given$"),
        ("hidden = (inputs @", "inputs = inputs + torch.rand(())\n        hidden = (inputs @",
         r"^forward, same bits: gives other outputs for the same weights and inputs$"),
        (".sin()", ".sign()", r"^forward, gradient: hidden.weight has no gradient$"),
        ('("hidden", "readout"), True', '("hidden", "last"), True',
         r"^matrices, layers, constants: layers names last, and last.weight is no parameter$"),
        ("hidden = (inputs @", "inputs = inputs.reshape(-1, 64)\n        hidden = (inputs @",
         r"^forward, own inputs: own inputs \(P, N, …\) that are equal give other outputs than shared ones$"),
        ('("hidden", "readout"), True', '("readout", "hidden"), True',
         r"^matrices, layers, constants: layer readout reads 6 units, and 64 come before it$"),
        ("def forward", "def start(self, generator):\n        return {'hidden.weight': None}\n\n    def forward",
         r"^start: differs from the geometry: readout.weight$"),
        ("def forward", "def module(self, weights):\n        return torch.nn.Linear(64, 4)\n\n    def forward",
         r"^module: answers otherwise than forward does$"),
    ],
    "search": [
        ("seed, 0, torch", "seed, 1, torch",
         r"^attributes: generation is 1 before the first tell$"),
        (", generator=generator)", ")",
         r"^ask: ask gives another population the second time$"),
        ("(encoding.genes)", "(encoding.genes + 1)",
         r"^ask: ask gives genotypes of shape \(9, 22\), and \(P, 21\) "),
        (", self.generation + 1", ", self.generation + 2", r"^tell: generation is 2 after 1 tells$"),
        ("return self.best[None]", "return self.best[None, 1:]", r"^candidates: candidates gives genotypes of shape"),
        ('{"size": float(self.best.norm())}', '{"size": "large"}', r"^statistics: size is 'large', not a number$"),
        ('{"size": float(self.best.norm())}', '{f"size{self.generation}": 1}',
         r"^statistics: names are size2 after another tell, and were size1$"),
        ("torch.zeros(", "torch.rand(", r"^same seed, same bits: ask is not the same bit for bit$"),
        ('"best": self.best,', '"best": self.best, "more": {1: 2},', r"^state: more: key 1 is no text$"),
        ('"best": self.best,', '"best": self.best, "more": [self.best],',
         r"^state: more: is a tensor below the top level$"),
        ('"best": self.best,', '"best": self.best, "more": (1, 2),',
         r"^state: more: is tuple, and not a number, text, list or dictionary$"),
        ("self.best, self.generation = state[\"best\"], state[\"generation\"]", "self.best = state[\"best\"]",
         r"^state and restore: after 1 tells and a restore, what it asks for or its generation is not the same bit "),
        ("state[\"best\"], state", "state[\"best\"].half().float(), state", r"^state and restore: after 1 tells"),
        ("def restore", "def close(self):\n        return 1 / 0\n\n    def restore", r"^ask: raises ZeroDivisionError"),
    ],
}


@pytest.mark.parametrize(("kind", "number"), [(kind, number) for kind in WRONG for number in range(len(WRONG[kind]))])
def test_what_is_wrong_is_said_in_a_line(kind, number, tmp_path):
    right = (GUESTS / f"my_{kind}.py").read_text()
    old, new, expected = WRONG[kind][number]
    assert old in right
    file = tmp_path / f"my_{kind}.py"
    file.write_text("import torch\nfrom hyperevo.parts import Counts\n" + right.replace(old, new))
    lines = [str(finding) for finding in check(str(file), kind)]
    assert any(re.search(expected, line) for line in lines), lines
    assert all("\n" not in line and len(line) < 400 for line in lines)
    assert len(lines) < 12


def test_steps_that_are_tried_and_leave_a_trace_are_found(monkeypatch):
    monkeypatch.setattr(GradientSearch, "rehearsal", lambda search: nullcontext())
    assert [str(finding) for finding in check("gradient", "search") if finding.rule == "steps in place"][0] == \
        "steps in place: ask is not the same bit for bit"


class Uneven:
    """A data set whose labels are more than its classes."""

    KIND, NAME, TITLE, TERMS, FILES, MIRRORS = "images", "uneven", "Uneven", "none", {"a.gz": "12"}, ("nowhere",)

    def load(self):
        images, labels = np.zeros((3, 2, 2), np.uint8), np.array([0, 1, 2], np.uint8)
        return ImageData("uneven", images, labels, images, labels, 2, 255, "0")


WRONG_MODULES = [
    ("environment", {"OUTPUTS": 2.0}, "attributes: OUTPUTS: input should be a valid integer (given: 2.0)"),
    ("environment", {"step": lambda state, action: (state[..., :3], state[..., 0], state[..., 0] > 0)},
     "any leading axes: the next state is of shape (3,), and (4,) is wanted"),
    ("environment", {"step": lambda state, action: (state - state.mean(), state[..., 0], state[..., 0] > 0)},
     "step, episodes apart: episode 7 goes another way beside others"),
    ("environment", {"observe": lambda state: state.mul_(2)},
     "step, state unchanged: changes the state that it is given"),
    ("environment", {"reset": lambda episodes, generator: torch.rand(episodes, 4)},
     "reset, same bits: gives other states for the same generator"),
    ("environment", {"step": lambda state, action: (state * 10, state[..., 0].exp(), state[..., 0] > 99)},
     "step, finite: a reward is not finite after "),
    ("environment", {"sketch": lambda state: 3}, "sketch, wobble, generalisation_starts: sketch gives no Sketch"),
    ("data set", {"NAME": 3}, "attributes: NAME: input should be a valid string (given: 3)"),
    ("data set", {}, "files: a.gz: '12' is no SHA-256 in 64 hexadecimal digits"),
    ("data set", {}, "files: mirror 'nowhere' is no address that ends in a slash"),
    ("data set", {"MIRRORS": ()}, "files: BY_HAND is missing: files without mirrors are placed by hand"),
    ("data set", {"KIND": "text"}, "load, kind: gives ImageData, not TextData"),
    ("data set", {}, "load, arrays: train_labels are uint8 (3,) up to 2"),
]


@pytest.mark.parametrize(("kind", "changed", "expected"), WRONG_MODULES)
def test_what_is_wrong_with_a_module_is_said_in_a_line(kind, changed, expected):
    good = vars(cartpole) if kind == "environment" else {**vars(Uneven), "load": Uneven().load}
    module = SimpleNamespace(**{**{name: value for name, value in good.items() if name[0] != "_"}, **changed})
    lines = [str(finding) for finding in findings(RULES[kind], MODULES[kind](module))]
    assert any(line.startswith(expected) for line in lines), lines


def test_a_kind_that_nobody_can_tell_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="digits: may be data set or task; --kind says which is meant"):
        kind_of("digits")
    with pytest.raises(UserError, match="no part called 'dtc'; did you mean 'dct'"):
        kind_of("dtc")
    (tmp_path / "other.py").write_text("def build(*anything):\n    return 3\n")
    with pytest.raises(UserError, match="says nowhere what kind of part it is: --kind task|target|encoding|search"):
        kind_of(str(tmp_path / "other.py"))
    (tmp_path / "plain.py").write_text("def build(settings, encoding, seed):\n    return 3\n")
    assert kind_of(str(tmp_path / "plain.py")) == "search"
    assert kind_of(f"{GUESTS}/my_task.py:Halves") == "task"


# Nobody asks a part what it has

ASKS = r"\b(?:hasattr|getattr)\("


def lines_that_ask(folder):
    return [f"{path.relative_to(PACKAGE)}:{number}" for path in sorted(folder.rglob("*.py"))
            for number, line in enumerate(path.read_text().splitlines(), 1) if re.search(ASKS, line)]


@pytest.mark.parametrize("name", ["runs", "compare", "plots", "terminal.py", "cli.py"])
def test_nobody_asks_a_part_what_it_has(name):
    path = PACKAGE / name
    text = "".join(file.read_text() for file in (path.rglob("*.py") if path.is_dir() else [path]))
    assert not re.findall(ASKS, text)


def test_few_ask_anything_what_it_has():
    assert len(lines_that_ask(PACKAGE)) <= 5, lines_that_ask(PACKAGE)


@pytest.mark.parametrize("name", ["runs", "compare"])
def test_every_signature_says_what_it_takes(name):
    files = list((PACKAGE / name).glob("*.py"))
    functions = [(path, part) for path in files for part in ast.walk(ast.parse(path.read_text()))
                 if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert len(functions) > 50
    assert not [f"{path.name}: {function.name}" for path, function in functions for part in
                (function.args, function.returns) if part is not None and re.search(r"\bAny\b", ast.unparse(part))]


def test_every_part_is_found():
    assert {"dct", "cppn"} <= set(component_names("encoding")) and len(ALL) > 50
    assert find_component("encoding", "dct").build is not None
