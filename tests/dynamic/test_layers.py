"""Layers over whole sequences are their cells step by step, called as torch's own are."""

import copy
import io
import shutil

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hyperevo.dynamic import HyperLSTM, HyperLSTMState, HyperRNN, LayerNormLSTM

LAYERS = {"hyper-lstm": lambda *sizes, **options: HyperLSTM(*sizes, hyper_size=4, embedding=2, **options),
          "hyper-rnn": lambda *sizes, **options: HyperRNN(*sizes, hyper_size=4, embedding=2, **options),
          "lstm": LayerNormLSTM}
every_layer = pytest.mark.parametrize("kind", LAYERS)
every_variant = pytest.mark.parametrize("variant", ["paper", "reference"])


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def initial(layer, *leading):
    """A state for the layer that is not zero."""
    return tuple(normal(len(layer.cells), *leading, size, seed=size) for size in layer.cells[0].state_sizes)


def close(values, others, tolerance=1e-10):
    for value, other in zip(values, others, strict=True):
        torch.testing.assert_close(value, other, atol=tolerance, rtol=tolerance)


@every_layer
@every_variant
@pytest.mark.parametrize("layer_norm", [True, False])
def test_a_hundred_steps_are_the_equations(kind, variant, layer_norm, by_hand, scattered):
    layer = scattered(LAYERS[kind](3, 5, variant=variant, layer_norm=layer_norm))
    inputs, state = normal(100, 2, 3), initial(layer, 2)
    output, after = layer(inputs, state)
    for example in range(2):
        hidden, states = by_hand(layer.cells[0], inputs[:, example].numpy(),
                                 tuple(part[0, example].numpy() for part in state))
        close([output[:, example]], [torch.from_numpy(hidden)])
        close([part[0, example] for part in after], [torch.from_numpy(part) for part in states[-1]])


@every_layer
def test_layers_read_the_layers_below_and_both_directions(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5, 2, bidirectional=True))
    inputs, state = normal(6, 2, 3), initial(layer, 2)
    output, after = layer(inputs, state)
    values, finals = inputs, []
    for first in (0, 2):
        both = []
        for place, order in ((first, slice(None)), (first + 1, range(5, -1, -1))):
            own, hidden = tuple(part[place] for part in state), []
            for row in values[order]:
                own = tuple(layer.cells[place](row, own))
                hidden.append(own[0])
            both.append(torch.stack(hidden)[order])
            finals.append(own)
        values = torch.cat(both, 2)
    close([output, *after], [values, *(torch.stack(part) for part in zip(*finals, strict=True))])


@every_layer
def test_two_directions_are_two_passes(kind, scattered):
    layer, alone = (scattered(LAYERS[kind](3, 5, bidirectional=both)) for both in (True, False))
    inputs = normal(7, 2, 3)
    output, state = layer(inputs)
    for direction, own in enumerate((inputs, inputs.flip(0))):
        alone.cells[0].load_state_dict(layer.cells[direction].state_dict())
        passed, after = alone(own)
        close([output[:, :, 5 * direction : 5 * direction + 5]], [passed.flip(0) if direction else passed])
        close([part[direction] for part in state], [part[0] for part in after])


@every_layer
def test_other_shapes_of_the_same_input(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5, 2, bidirectional=True))
    inputs, state = normal(6, 2, 3), initial(layer, 2)
    output, after = layer(inputs, state)
    layer.batch_first = True
    other, state_after = layer(inputs.transpose(0, 1), state)
    close([other.transpose(0, 1), *state_after], [output, *after])
    alone, state_after = layer(inputs[:, 1], tuple(part[:, 1] for part in state))
    close([alone, *state_after], [output[:, 1], *(part[:, 1] for part in after)])


@every_layer
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [3, 6, 1, 5]])
def test_packed_sequences_are_each_alone(kind, lengths, scattered):
    layer = scattered(LAYERS[kind](3, 5, 2, bidirectional=True))
    inputs, state = normal(6, 4, 3), initial(layer, 4)
    packed = pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=lengths == sorted(lengths)[::-1])
    output, after = layer(packed, state)
    assert type(after) is type(layer(inputs)[1])
    padded, _ = pad_packed_sequence(output)
    for example, length in enumerate(lengths):
        alone, final = layer(inputs[:length, example], tuple(part[:, example] for part in state))
        close([padded[:length, example]], [alone])
        close([part[:, example] for part in after], final)


@every_layer
def test_a_sequence_in_two_pieces_is_one(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5, 2))
    inputs = normal(6, 2, 3)
    output, after = layer(inputs)
    first, state = layer(inputs[:4])
    second, state = layer(inputs[4:], state)
    close([torch.cat([first, second]), *state], [output, *after])


def test_a_state_without_the_hyper_networks_part_is_taken():
    layer, inputs = HyperLSTM(3, 5, 2, 4), torch.randn(6, 2, 3)
    hidden, cell = torch.ones(2, 2, 5), torch.full((2, 2, 5), 2.0)
    output, state = layer(inputs, (hidden, cell))
    assert isinstance(state, HyperLSTMState)
    whole = HyperLSTMState(hidden, cell, torch.zeros(2, 2, 4), torch.zeros(2, 2, 4))
    assert torch.equal(output, layer(inputs, whole)[0])


@every_layer
def test_dropout_between_layers_is_for_training_and_not_for_the_last(kind):
    torch.manual_seed(0)
    layer, inputs = LAYERS[kind](3, 50, 2, dropout=0.5), torch.randn(4, 2, 3)
    assert not torch.equal(layer(inputs)[0], layer(inputs)[0])
    assert (layer(inputs)[0] != 0).all()
    layer.eval()
    assert torch.equal(layer(inputs)[0], layer(inputs)[0])
    layer.train()
    layer.dropout = 1.0
    assert torch.equal(layer(inputs)[0], layer(torch.randn(4, 2, 3))[0])


@every_layer
def test_a_layer_is_saved_and_copied_like_any_other(kind):
    layer, other, inputs = LAYERS[kind](3, 5, 2), LAYERS[kind](3, 5, 2), torch.randn(4, 2, 3)
    expected = layer(inputs)[0]
    assert torch.equal(copy.deepcopy(layer)(inputs)[0], expected)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(inputs)[0], expected)


@every_layer
def test_half_precision(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5, 2)).float()
    inputs = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = layer(inputs)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(inputs)[0]
    mixed.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 and parameter.grad.any() for parameter in layer.parameters())
    layer.zero_grad()
    layer.bfloat16()
    half, state = layer(inputs.bfloat16())
    half.sum().backward()
    assert half.dtype == torch.bfloat16 and all(part.dtype == torch.bfloat16 for part in state)
    assert all(parameter.grad.any() for parameter in layer.parameters())
    for result in (mixed, half):
        assert (result.float() - expected).abs().max() < 0.1


@every_layer
def test_a_population_of_parameters_is_as_each_alone(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5))
    inputs = normal(4, 2, 3)
    population = {name: torch.stack([normal(*value.shape, seed=seed) for seed in range(3)])
                  for name, value in layer.named_parameters()}

    def answer(parameters):
        return functional_call(layer, parameters, (inputs,))

    def loss(parameters):
        return answer(parameters)[0].square().sum()

    output, state = vmap(answer)(population)
    gradients = vmap(grad(loss))(population)
    for network in range(3):
        own = {name: value[network] for name, value in population.items()}
        alone, after = answer(own)
        close([output[network], *(part[network] for part in state)], [alone, *after])
        gradient = grad(loss)(own)
        close([value[network] for value in gradients.values()], gradient.values())


@every_layer
def test_all_parameters_learn(kind):
    """But not at once: at first neither d nor b depends on the hyper network."""
    torch.manual_seed(0)
    layer, inputs = LAYERS[kind](3, 5), torch.randn(6, 4, 3)
    optimiser = torch.optim.Adam(layer.parameters(), 1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        layer(inputs)[0].square().sum().backward()
        optimiser.step()
    assert all(parameter.grad.any() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", [pytest.param("hyper-lstm", marks=pytest.mark.slow), "hyper-rnn", "lstm"])
def test_a_compiler_takes_a_layer_whole(kind, scattered):
    layer = scattered(LAYERS[kind](3, 5))
    inputs = normal(2, 2, 3)
    layer(inputs)[0].square().sum().backward()
    gradients = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    output, _ = torch.compile(layer, fullgraph=True, backend="aot_eager")(inputs)
    output.square().sum().backward()
    close([output], [layer(inputs)[0]])
    close([parameter.grad for parameter in layer.parameters()], gradients)


@pytest.mark.slow
def test_packed_sequences_are_compiled(scattered):
    """Not whole: how long they are is data."""
    layer = scattered(LAYERS["hyper-rnn"](3, 5, bidirectional=True))
    packed = pack_padded_sequence(normal(3, 2, 3), torch.tensor([2, 3]), enforce_sorted=False)
    (output, state), (expected, after) = torch.compile(layer, backend="aot_eager")(packed), layer(packed)
    close([output.data, *state], [expected.data, *after])


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
def test_compiled_to_machine_code(scattered):
    layer = scattered(LAYERS["hyper-lstm"](3, 5))
    inputs = normal(2, 2, 3)
    close([torch.compile(layer, fullgraph=True)(inputs)[0]], [layer(inputs)[0]])


def test_the_call_is_torchs():
    inputs = torch.randn(6, 2, 3)
    for mine, torchs in ((LayerNormLSTM, nn.LSTM), (HyperLSTM, nn.LSTM), (HyperRNN, nn.RNN)):
        own, (output, state) = torchs(3, 5, 2, bidirectional=True), mine(3, 5, 2, bidirectional=True)(inputs)
        expected, after = own(inputs)
        assert output.shape == expected.shape
        assert state[0].shape == (after[0] if isinstance(after, tuple) else after).shape
    with torch.no_grad():
        own, layer = nn.LSTM(3, 5), LayerNormLSTM(3, 5, layer_norm=False)
        # torch's gates are i, f, g, o, and it has two biases.
        for name in ("weight_ih", "weight_hh"):
            i, f, g, o = getattr(own, f"{name}_l0").chunk(4)
            getattr(layer.cells[0], name).copy_(torch.cat([i, g, f, o]))
        i, f, g, o = (own.bias_ih_l0 + own.bias_hh_l0).chunk(4)
        layer.cells[0].bias.copy_(torch.cat([i, g, f, o]))
        (output, state), (expected, after) = layer(inputs), own(inputs)
    close([output, *state], [expected, *after], tolerance=1e-5)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: HyperLSTM(3, 5)(torch.zeros(6, 2, 4)), r"input has shape \(6, 2, 4\)"),
    (lambda: HyperLSTM(3, 5)(torch.zeros(3)), r"input has shape \(3,\)"),
    (lambda: HyperLSTM(3, 5)(torch.zeros(0, 2, 3)), "input has no steps"),
    (lambda: HyperLSTM(3, 5)(torch.zeros(6, 2, 3), (torch.zeros(2, 5),)), r"not \[\(1, 2, 5\)"),
    (lambda: LayerNormLSTM(3, 5)(pack_padded_sequence(torch.zeros(6, 2, 4), torch.tensor([6, 2]))), "input has shape"),
    (lambda: HyperRNN(3, 5, 0), "num_layers is 0"),
    (lambda: HyperRNN(3, 5, dropout=1.5), "dropout is 1.5"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
