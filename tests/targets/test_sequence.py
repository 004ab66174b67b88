"""Recurrent layers as a target: equal to the module itself, for any number of networks, pieces and steps."""

import pytest
import torch

from hyperevo.config import load_config
from hyperevo.dynamic import HyperLSTM, LayerNormLSTM
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.geometry import Sheet
from hyperevo.runs.compose import count_without_data
from hyperevo.runs.cost import operations
from hyperevo.targets import sequence
from hyperevo.targets.sequence import SequenceNetwork, Settings, build
from hyperevo.weights import Weights

LAYERS = ("lstm", "layer-norm-lstm", "hyper-lstm", "hyper-rnn")


def made(layer="hyper-lstm", symbols=5, outputs=4, population=3, **settings):
    target = build(Settings(layer=layer, hidden=6, hyper=3, **settings), Sheet((7, symbols)), outputs)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, torch.device("cpu"), target.start)
    genes = encoding.sample(population, torch.Generator().manual_seed(0))
    noise = torch.randn(genes.shape, generator=torch.Generator().manual_seed(1))
    return target, encoding.express(genes + 0.2 * noise)


def symbols(sequences, steps, seed=0):
    return torch.randint(5, (sequences, steps), generator=torch.Generator().manual_seed(seed))


def module_of(target, weights, place):
    """An ordinary module with one network's weights."""
    network = SequenceNetwork(target.settings, target.features, target.outputs)
    values = {name: weights[name][place].reshape(parameter.tensor_shape)
              for name, parameter in target.geometry.items()}
    network.load_state_dict(values | target.constants)
    return network.eval()


@pytest.mark.parametrize(("config", "overrides", "published"), [
    ("char-ptb-lstm", [], 4_254_050),
    ("char-ptb-lstm", ["target.hidden=1250"], 6_567_550),
    ("char-ptb-lstm", ["target.layers=2"], 12_258_050),
    ("char-ptb-layernorm-lstm", [], 4_264_050),
    ("char-ptb-hyperlstm", [], 4_911_874),
    ("char-ptb-layernorm-hyperlstm", [], 4_923_154),
    ("char-ptb-layernorm-hyperlstm", ["target.embedding=16"], 5_085_682),
    ("char-ptb-layernorm-hyperlstm", ["target.embedding=16", "target.layers=2"], 14_407_714),
    ("handwriting-iam-lstm", [], 3_363_421),
    ("handwriting-iam-hyperlstm", [], 3_941_181),
    ("char-enwik8-lstm", [], 14_812_405),
    ("char-enwik8-hyperlstm", [], 18_708_213),
    ("char-enwik8-layernorm-hyperlstm", ["target.hidden=2048", "target.hyper=512"], 26_541_773),
])
def test_configs_have_the_published_numbers_of_parameters(config, overrides, published):
    counts = count_without_data(load_config(config, overrides).config)
    assert counts["direct_parameters"] == published


def test_omniglots_networks_have_as_many_parameters():
    lstm, hyper = (count_without_data(load_config(f"handwriting-omniglot-{layer}", []).config)["direct_parameters"]
                   for layer in ("lstm", "hyperlstm"))
    assert lstm == pytest.approx(hyper, rel=0.01)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_every_network_is_the_module_with_its_weights(layer, layers):
    target, weights = made(layer, layers=layers)
    # Normalising so few units magnifies the rounding of float32, which differs by the order of sums.
    weights = Weights({name: weights.tensor(name).double() for name in weights})
    target.constants = {name: value.double() for name, value in target.constants.items()}
    inputs = symbols(4, 9)
    outputs = target.forward(weights, inputs)
    assert outputs.shape == (3, 4, 9, 4)
    for place in range(3):
        torch.testing.assert_close(outputs[place], module_of(target, weights, place).double()(inputs)[0])


@pytest.mark.parametrize("layer", LAYERS)
def test_reading_in_pieces_is_reading_at_once(layer, monkeypatch):
    target, weights = made(layer)
    inputs = symbols(4, 12)
    whole, last = target.read(weights, inputs)
    first, state = target.read(weights, inputs[:, :5])
    second, after = target.read(weights, inputs[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], 2), whole)
    for part, expected in zip(after, last, strict=True):
        assert part.shape[:3] == (3, 1, 4)
        torch.testing.assert_close(part, expected)
    monkeypatch.setattr(sequence, "STEPS_AT_ONCE", 5)
    torch.testing.assert_close(target.forward(weights, inputs), whole)


def test_symbols_are_read_as_one_hot_vectors_and_images_as_sequences_of_rows():
    target, weights = made()
    inputs = symbols(4, 9)
    spelt = torch.nn.functional.one_hot(inputs, 5).float()
    torch.testing.assert_close(target.forward(weights, inputs), target.forward(weights, spelt))
    torch.testing.assert_close(target.forward(weights, spelt.flatten(1)), target.forward(weights, spelt))


def test_the_answer_after_the_last_step_alone(monkeypatch):
    every, weights = made()
    last, _ = made(answer="last step")
    monkeypatch.setattr(sequence, "STEPS_AT_ONCE", 4)
    torch.testing.assert_close(last.forward(weights, symbols(4, 9)), every.forward(weights, symbols(4, 9))[:, :, -1])


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradient_reaches_every_parameter_of_every_network(layer):
    target, weights = made(layer)
    leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
    target.read(Weights(leaves), symbols(4, 9), draw=1)[0].square().sum().backward()
    for name, leaf in leaves.items():
        assert (leaf.grad.flatten(1) != 0).any(1).all(), name


@pytest.mark.parametrize("layer", ["lstm", "hyper-lstm"])
def test_dropout_is_drawn_from_its_number_and_only_while_training(layer):
    target, weights = made(layer, keep=0.7)
    kept, _ = made(layer)
    inputs = symbols(4, 9)
    before = torch.random.get_rng_state()
    answers = [target.read(weights, inputs, draw=draw)[0] for draw in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2])
    torch.testing.assert_close(target.forward(weights, inputs), kept.forward(weights, inputs))
    # What a network learns does not depend on who learns beside it.
    alone = Weights({name: value[1:2] for name, value in weights.items()})
    torch.testing.assert_close(target.read(alone, inputs, draw=1)[0][0], answers[0][1])


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_layers_start_as_their_variant_wants(variant):
    target, _ = made("lstm", variant=variant)
    start = target.start(torch.Generator().manual_seed(3))
    for gate in start["layers.weight_hh_l0"].split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
    bias = start["layers.bias_ih_l0"].split(6)
    assert [float(gate.mean()) for gate in bias] == [0, variant == "reference", 0, 0]
    again, other = (target.start(torch.Generator().manual_seed(seed)) for seed in (3, 4))
    assert all(torch.equal(again[name], value) for name, value in start.items())
    assert not torch.equal(other["readout.weight"], start["readout.weight"])


def test_the_export_loads_into_torchs_own_layer():
    target, weights = made("lstm")
    network = module_of(target, weights, 0)
    assert isinstance(network.layers, torch.nn.LSTM)
    assert not network.layers.bias_hh_l0.any()


@pytest.mark.parametrize(("layer", "weights_per_step"), [
    ("lstm", 4 * 6 * (5 + 6) + 4 * 6),
    ("layer-norm-lstm", 4 * 6 * (5 + 6) + 4 * 6),
    # Both networks' weights, three z for each of four gates, and from each z a number for every unit.
    ("hyper-lstm", 4 * 6 * (5 + 6) + 4 * 3 * (6 + 5 + 3) + 12 * 4 * 3 + 12 * 4 * 6 + 4 * 6),
])
def test_operations_are_two_a_weight_and_step(layer, weights_per_step):
    target, _ = made(layer)
    encoding = build_encoding(DirectSettings(scale=1.0), target.geometry, torch.device("cpu"), target.start)
    genes = encoding.sample(1, torch.Generator().manual_seed(0))
    assert operations(encoding, target, genes, (symbols(6, 9), symbols(6, 9))) == (0, 2 * 9 * weights_per_step)


def test_hyper_layers_are_what_they_are_called():
    for layer, kind in (("hyper-lstm", HyperLSTM), ("layer-norm-lstm", LayerNormLSTM)):
        assert isinstance(made(layer)[0].network.layers, kind)
    assert "layers.cells.0.update.norm.gain" not in made("hyper-lstm", layer_norm=False)[0].geometry
