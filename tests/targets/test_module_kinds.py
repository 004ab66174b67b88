"""Modules of many kinds through run, resume and export: plain torch computes with the champion what the run did."""

import copy
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import hyperevo
from hyperevo.config import load_config
from hyperevo.errors import RunFailed, UserError
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose, remarks
from hyperevo.weights import Weights

SOURCE = Path(__file__).with_name("module_kinds.py")
CONFIG = """
threads = {threads}
[task]
name = "digits"
images = 64
[target]
name = "module"
module = "kinds.py:{module}"
[encoding]
name = "direct"
scale = 0.2
[search]
{search}
[run]
rounds = 2
validate_every = 1
filmstrip = 0
"""
EVOLVED = 'name = "snes"\npopulation = 4'
TRAINED = 'name = "gradient"\npopulation = 2\nsteps_per_round = 3\nlearning_rate = 0.01'

BY_EVOLUTION = [
    "Attention", "Bag", "Bilinear", "Clamped", "Cosine", "LowRank", "Masked", "Odd", "Rows", "Shared", "SparseBag",
    "Subtracts", "Tied", "TiedEmbedding", "Transformer", "batch_norm", "batch_norm_of_the_batch", "bfloat16", "double",
    "dropout", "frozen", "gated", "group_norm", "hooked", "instance_norm", "lazy", "made", "old_spectral_norm",
    "old_weight_norm", "orthogonal", "pruned", "relu_first", "spectral_norm", "transposed", "weight_norm"]
DTYPES = {"double": torch.float64, "bfloat16": torch.bfloat16}
BY_GRADIENT = ["Attention", "Bag", "Layers", "LowRank", "Noisy", "OwnMode", "Rows", "Subtracts", "bfloat16",
               "spectral_norm"]


def kinds():
    specification = importlib.util.spec_from_file_location("plain_module_kinds", SOURCE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


KINDS = kinds()


@pytest.fixture
def config_of(tmp_path, monkeypatch):
    """A function of a module's name and a search: a config in a folder of its own, beside the modules' file."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SOURCE, tmp_path / "kinds.py")

    def config(module, search=EVOLVED):
        # Networks side by side on two threads; but waiting for each other in one small product takes long.
        threads = 2 if search == EVOLVED else 1
        (tmp_path / "c.toml").write_text(CONFIG.format(module=module, search=search, threads=threads))
        return load_config("c.toml").config

    return config


def plain_module(name):
    """The module as a user makes it, with numbers of its own."""
    torch.manual_seed(5)
    made = getattr(KINDS, name)
    return copy.deepcopy(made) if isinstance(made, torch.nn.Module) else made()


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(("name", "search"), [
    *((name, EVOLVED) for name in BY_EVOLUTION), *((name, TRAINED) for name in BY_GRADIENT)],
    ids=lambda value: {EVOLVED: "evolved", TRAINED: "trained"}.get(value, value))
def test_the_champion_is_what_plain_torch_loads(name, search, config_of, run_until, tmp_path):
    config = config_of(name, search)
    run = create_run(config, tmp_path / "whole")
    result = execute(run)
    run_until(config, tmp_path / "cut", 1)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "fitness.bin", "champion/weights.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    network = plain_module(name)
    network.load_state_dict(load_file(tmp_path / "whole" / "champion" / "weights.safetensors"))
    (inputs, labels), dtype = run.parts.task.test(), DTYPES.get(name, torch.float32)
    with torch.no_grad():
        outputs = network.eval()(inputs.view(-1, 1, 8, 8).to(dtype, copy=True)).float()
        assert torch.equal(hyperevo.load(tmp_path / "whole").module().network(inputs.clone()).float(), outputs)
    assert float(run.parts.task.score(outputs[None], labels)) == result["test_accuracy"]


REFUSED = {
    "AlwaysDrops": "target.module: draws random numbers in evaluation mode too",
    "Captured": "target.module: answers otherwise where its state_dict is loaded",
    "Closed": "target.module: function Closed.__init__.<locals>.<lambda> refers to the module",
    "Complex": "target.module: parameter 'weight' is torch.complex64",
    "Exits": "target.shape: the module does not take examples of shape (1, 8, 8): SystemExit: 3",
    "ExtraState": "target.module: '_extra_state' in its state_dict is dict",
    "Expanded": "target.module: 'scale' is expanded",
    "Locked": "target.module: cannot be copied: ",
    "MakesItsOwn": "target.module: has other parameters and buffers once it was called",
    "Pair": "target.module: must answer a tensor (examples, outputs)",
    "Remembers": "target.module: remembers what it computed for another network",
    "SamplesLast": "target.module: must answer a tensor (examples, outputs)",
    "WritesIntoNegativeNumbers": "task digits, target module, encoding direct, search snes do not work together: "
                                 "ValueError: the target writes into its inputs",
    "Views": "target.module: 'second' lies in the memory of 'first'",
    "all_frozen": "target.module: has no parameters to search: all have requires_grad=False",
    "of_buffers": "target.module: has no parameters to search",
    "scripted": "target.module: RecursiveScriptModule takes no weights from outside",
    "quantised": "target.module: '2._packed_params.dtype' in its state_dict is dtype",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantize_per_tensor.* are deprecated:UserWarning")
@pytest.mark.parametrize(("name", "line"), REFUSED.items(), ids=str)
def test_what_cannot_be_a_target_is_one_line(name, line, config_of):
    with pytest.raises(UserError) as raised:
        compose(config_of(name))
    told = str(raised.value).removeprefix("task digits and target module: ")
    assert told.startswith(line) and "\n" not in told


@pytest.mark.parametrize(("name", "line"), [
    ("Checkpointed", "target.module: no gradient can be followed through it: "),
    ("PythonsNoise", "target.module: draws random numbers in training mode that are not torch's"),
    ("SparseBag", "target.module: the gradient of 'bag.weight' is sparse")])
def test_a_gradient_that_cannot_be_followed_is_refused(name, line, config_of):
    compose(config_of(name))
    with pytest.raises(UserError, match=line) as raised:
        compose(config_of(name, TRAINED))
    assert "\n" not in str(raised.value)


def test_writing_into_inputs_ends_a_run_that_could_not_know(config_of):
    with pytest.raises(RunFailed, match="target.module: writes into its inputs"):
        execute(create_run(config_of("WritesIntoManyExamples"), None))


@pytest.mark.parametrize("search", [EVOLVED, TRAINED])
def test_frozen_parameters_keep_their_values(search, config_of):
    run = create_run(config_of("LowRank", search), None)
    before = run.parts.target.constants["weight"].clone()
    assert before.std() > 0
    weights = execute(run).weights
    assert torch.equal(weights["weight"], before)
    assert weights["down"].std() > 0
    assert list(run.parts.target.geometry) == ["bias", "down", "up"]


def test_a_run_goes_on_only_with_the_same_frozen_numbers(config_of, run_until, tmp_path):
    (tmp_path / "number.txt").write_text("2")
    run_until(config_of("Constant"), tmp_path / "cut", 1)
    (tmp_path / "number.txt").write_text("3")
    with pytest.raises(UserError, match="numbers that are not searched .* are not those of the run"):
        open_run(tmp_path / "cut")
    (tmp_path / "number.txt").write_text("2")
    execute(open_run(tmp_path / "cut"))


def test_evolution_says_that_dropout_is_off(config_of, tmp_path):
    assert remarks(compose(config_of("dropout", TRAINED))) == []
    assert remarks(compose(config_of("batch_norm"))) == []
    config_of("dropout")
    with pytest.warns(UserWarning, match="^target: dropout, .* is off"):
        hyperevo.run("c.toml", out=tmp_path / "run", progress=False)
    assert "target: dropout" in (tmp_path / "run" / "run.log").read_text()


def test_dropout_is_drawn_while_a_gradient_is_followed(config_of, tmp_path):
    losses = []
    for name in ("made", "dropout"):
        execute(create_run(config_of(name, TRAINED), tmp_path / name))
        losses.append((tmp_path / name / "fitness.bin").read_bytes())
    assert losses[0] != losses[1]
    parts = compose(config_of("dropout", TRAINED))
    target, weights, inputs = parts.target, parts.encoding.express(parts.search.ask()), parts.task.batch(0, 0)[0]
    before = torch.get_rng_state()
    one, same, other = (target.forward_dropping(weights, inputs, draw) for draw in (1, 1, 2))
    assert torch.equal(one, same) and torch.equal(before, torch.get_rng_state())
    assert not torch.equal(one, other) and not torch.equal(one, target.forward(weights, inputs))
    twins = Weights({name: weights.tensor(name)[:1].repeat(2, *[1] * (weights[name].dim() - 1)) for name in weights})
    first, second = target.forward_dropping(twins, inputs, 3)
    assert torch.equal(first, second)
    given = [hyperevo.fitness(parts.encoding, target, parts.task, parts.search.ask(), batch) for batch in (4, 4, 5)]
    assert torch.equal(given[0], given[1]) and not torch.equal(given[0], given[2])


NEAT = """name = "neat"
population = 6
[search.learn]
steps = 2"""


def test_genomes_learn_with_dropout_the_same_on_any_number_of_threads(config_of, tmp_path):
    bits = []
    for threads in (1, 2):
        text = CONFIG.format(module="dropout", search=NEAT, threads=threads).replace('"direct"\nscale = 0.2', '"cppn"')
        (tmp_path / "n.toml").write_text(text)
        folder = tmp_path / str(threads)
        execute(create_run(load_config("n.toml").config, folder))
        bits.append((folder / "fitness.bin").read_bytes())
    assert bits[0] == bits[1]
