"""A run folder alone gives the network that was tested, on raw examples; torch.export and ONNX take it as it is."""

import io
import shutil
import warnings

import pytest
import torch

import hyperevo as he
from hyperevo.config import load_config
from hyperevo.runs import create_run, execute
from hyperevo.runs.compose import compose
from hyperevo.weights import Weights

MODULE = """
from torch import nn
def network(channels):
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(16 * channels, 10))
"""

DIRECT = ["encoding={name='direct'}", "search={name='snes', population=4, centre=1.0}", "run.rounds=1", "threads=1"]
DIGITS = ["task={name='digits', images=40}", *DIRECT]
RUNS = {
    "mlp": ["dct-mnist", *DIGITS, "target={name='mlp', hidden=[[3,3]]}"],
    "mlp, pixels shuffled": ["dct-mnist", *DIGITS, "task.shuffle_pixels=3", "target={name='mlp', hidden=[[3,3]]}"],
    "mlp, readout fitted": ["dct-mnist", *DIGITS, "target={name='mlp', hidden=[[3,3]], ridge=1.0}"],
    "mlp, denoising": ["dct-mnist", "task={name='denoising', data='digits', images=40, validation=300}", *DIRECT,
                       "target={name='mlp', hidden=[[3,3]]}"],
    "convnet": ["dct-mnist", *DIGITS, "target={name='convnet', channels=[3, 4], kernel=3}"],
    "recurrent": ["dct-mnist", *DIGITS, "target={name='recurrent', hidden=6}"],
    "recurrent, acting": ["cartpole-dct", *DIRECT, "target={name='recurrent', hidden=6}", "task.most_steps=5",
                          "task.validation=2"],
    "wide-resnet": ["dct-mnist", *DIGITS, "target={name='wide-resnet', depth=10}"],
    "module": ["dct-mnist", *DIGITS, "target={name='module', module='mine.py:network', arguments={channels=4}}"],
    "lstm": ["dct-mnist", *DIGITS, "target={name='sequence', hidden=6, answer='last step'}"],
    "lstm, symbols": ["char-ptb-lstm", *DIRECT, "task={name='characters', text='text.txt', sequences=3, length=7}",
                      "target={name='sequence', hidden=6}"],
    "layer-norm-lstm": ["dct-mnist", *DIGITS, "target={name='sequence', layer='layer-norm-lstm', hidden=6, "
                                              "answer='last step'}"],
    "hyper-lstm": ["adding-hyperlstm", *DIRECT, "task={name='adding', length=3, images=40, validation=20}",
                   "target.hidden=6", "target.hyper=4"],
    "hyper-rnn": ["adding-hyperlstm", *DIRECT, "task={name='adding', length=3, images=40, validation=20}",
                  "target={name='sequence', layer='hyper-rnn', hidden=6, hyper=4, answer='last step'}"],
    "substrate": ["es-hyperneat-retina", "search.population=20", "run.rounds=1", "threads=1"],
    "network": ["xor-neat", "search.population=20", "run.rounds=2"],
    "network, recurrent": ["double-pole-hidden-velocities-neat", "search.population=20", "run.rounds=1"],
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function of a name of RUNS: the run's folder, and nothing of what it was made from beside it."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("run") / "run"
            with pytest.MonkeyPatch.context() as patched:
                patched.chdir(tmp_path_factory.mktemp("made"))
                with open("mine.py", "w") as file:
                    file.write(MODULE)
                with open("text.txt", "w") as file:
                    file.write("what a text is made of, " * 100)
                config = load_config(RUNS[name][0], RUNS[name][1:]).config
                execute(create_run(config, made[name]))
                made[name, "parts"] = compose(config)
        return made[name], made[name, "parts"]

    return folder


@pytest.fixture(params=RUNS)
def opened(request, folder_of):
    """(opened run, raw examples, and outputs of the network that was tested, on the examples it read)."""
    folder, parts = folder_of(request.param)
    run = he.load(folder, trust=True)
    first = parts.task.preprocessing()
    if first is None:
        raw = read = parts.task.calibration(12)[0]
    else:
        raw, read = torch.from_numpy(parts.task._test[0][:12]), parts.task.test()[0][:12]
    if "denoising" in request.param:
        read = first(raw)  # the task takes pixels away, which the network is to restore
    champion = Weights({name: value[None] for name, value in run.weights.items()})
    with torch.no_grad():
        return run, raw, parts.target.forward(champion, read)[0]


def test_the_module_of_a_folder_alone_answers_raw_examples_as_the_network_that_was_tested(opened):
    run, raw, outputs = opened
    module = run.module()
    assert isinstance(module, torch.nn.Module) and not module.training
    with torch.no_grad():
        torch.testing.assert_close(module(raw), outputs)
    parameters = dict(module.named_parameters())
    assert parameters and all(parameter.requires_grad for parameter in parameters.values())
    next(iter(parameters.values())).data.zero_()  # its weights are its own
    with torch.no_grad():
        torch.testing.assert_close(run.module()(raw), outputs)


@pytest.mark.parametrize("name", ["mlp", "mlp, pixels shuffled", "mlp, readout fitted", "convnet", "module", "lstm"])
def test_the_module_is_as_accurate_on_bytes_as_the_run_says(folder_of, name):
    folder, parts = folder_of(name)
    run, (images, labels) = he.load(folder, trust=True), parts.task._test
    classes = run.module()(torch.from_numpy(images)).argmax(1)
    assert float((classes == torch.from_numpy(labels)).float().mean()) == run.result["test_accuracy"]


def test_an_exported_module_answers_as_it_does_for_any_number_of_examples(opened):
    run, raw, outputs = opened
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        exported = torch.export.export(run.module(), (raw,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(raw), outputs, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(exported(raw[:3]), outputs[:3], atol=1e-4, rtol=1e-4)


def test_onnx_runtime_answers_as_the_module_does(opened):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run, raw, outputs = opened
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(run.module(), (raw,), dynamo=True, verbose=False,
                                    dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    file = io.BytesIO()
    program.save(file)
    session = runtime.InferenceSession(file.getvalue())
    for count in (12, 3):
        answers, = session.run(None, {session.get_inputs()[0].name: raw[:count].numpy()})
        torch.testing.assert_close(torch.from_numpy(answers), outputs[:count], atol=1e-4, rtol=1e-4)


def test_a_run_that_did_not_keep_what_its_task_does_to_inputs_says_so(folder_of, tmp_path):
    shutil.copytree(folder_of("mlp")[0], tmp_path / "run")
    (tmp_path / "run" / "champion" / "preprocessing.safetensors").unlink()
    run = he.load(tmp_path / "run")
    with pytest.raises(he.UserError, match="preprocessing.safetensors: is missing: the run was made by an earlier ver"):
        run.module()
    assert run.weights.keys() == {"hidden.weight", "hidden.bias", "readout.weight", "readout.bias"}
