"""One step of every cell is what the equations say, from the initial weights that the paper gives."""

from math import sqrt

import pytest
import torch
from torch import nn

from hyperevo.dynamic import HyperLSTM, HyperLSTMCell, HyperLSTMState, HyperRNNCell, HyperRNNState, LayerNormLSTM
from hyperevo.dynamic import LayerNormLSTMCell as LSTMCell

CELLS = {"hyper-lstm": lambda **options: HyperLSTMCell(3, 5, 4, 2, **options),
         "hyper-rnn": lambda **options: HyperRNNCell(3, 5, 4, 2, **options),
         "lstm": lambda **options: LSTMCell(3, 5, **options)}
every_cell = pytest.mark.parametrize("kind", CELLS)
every_variant = pytest.mark.parametrize("variant", ["paper", "reference"])


def parts(answer):
    return answer if isinstance(answer, tuple) else (answer,)


@every_cell
@every_variant
@pytest.mark.parametrize("layer_norm", [True, False])
def test_a_step_is_the_equations(kind, variant, layer_norm, by_hand, scattered):
    cell = scattered(CELLS[kind](variant=variant, layer_norm=layer_norm))
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    state = tuple(torch.randn(2, size, generator=generator, dtype=torch.float64) for size in cell.state_sizes)
    after = cell(inputs, state)
    for example in range(2):
        _, [expected] = by_hand(cell, inputs[example : example + 1].numpy(),
                                tuple(part[example].numpy() for part in state))
        for part, by_equations in zip(after, expected, strict=True):
            torch.testing.assert_close(part[example], torch.from_numpy(by_equations), atol=1e-12, rtol=1e-12)


@every_cell
def test_a_single_example_and_no_state_are_taken(kind, scattered):
    cell = scattered(CELLS[kind]())
    inputs = torch.randn(2, 3, dtype=torch.float64)
    zero = tuple(inputs.new_zeros(2, size) for size in cell.state_sizes)
    batch, alone = cell(inputs), cell(inputs[1])
    for part, given, single in zip(batch, cell(inputs, zero), alone, strict=True):
        assert torch.equal(part, given)
        torch.testing.assert_close(single, part[1])
    for part, single in zip(cell(inputs, batch), cell(inputs[1], alone), strict=True):
        torch.testing.assert_close(single, part[1])


def test_states_have_names_and_may_stop_short():
    cell, inputs = HyperLSTMCell(3, 5, 4), torch.randn(2, 3)
    state = cell(inputs)
    assert isinstance(state, HyperLSTMState) and state.hyper_cell.shape == (2, 4)
    short = cell(inputs, (state.hidden, state.cell))
    whole = cell(inputs, state._replace(hyper_hidden=torch.zeros(2, 4), hyper_cell=torch.zeros(2, 4)))
    assert all(torch.equal(part, other) for part, other in zip(short, whole, strict=True))
    cell = HyperRNNCell(3, 5, 4)
    assert isinstance(cell(inputs), HyperRNNState)
    assert torch.equal(cell(inputs, torch.ones(2, 5)).hidden,
                       cell(inputs, (torch.ones(2, 5), torch.zeros(2, 4))).hidden)


@every_cell
@every_variant
def test_gradients_are_right(kind, variant, scattered):
    cell = scattered(CELLS[kind](variant=variant))
    inputs = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    names = list(dict(cell.named_parameters()))

    def twice(inputs, *values):
        given = dict(zip(names, values, strict=True))
        before = torch.func.functional_call(cell, given, (inputs,))
        return tuple(torch.func.functional_call(cell, given, (inputs, before)))

    assert torch.autograd.gradcheck(twice, (inputs, *cell.parameters()), fast_mode=True)


@every_cell
@every_variant
@pytest.mark.parametrize("known", [0, 1, 2])
def test_features_that_are_fed_count_as_those_that_were_known(kind, variant, known, scattered):
    cell = scattered(CELLS[kind](variant=variant))
    inputs = torch.randn(4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def after(steps):
        state = tuple(inputs.new_zeros(2, size) for size in cell.state_sizes)
        for t in range(len(inputs)):
            state = steps(t, state)
        return torch.cat(state, 1), *torch.autograd.grad(sum(part.square().sum() for part in state), cell.parameters())

    step = cell.begin(inputs[..., :known].flatten(0, 1), [2] * len(inputs))
    expected = after(lambda t, state: tuple(parts(cell(inputs[t], state))))
    for own, other in zip(after(lambda t, state: step(t, state, inputs[t, :, known:])), expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-12, rtol=1e-12)


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(("alphabet", "build", "published"), [
    (50, lambda: LayerNormLSTM(50, 1000, layer_norm=False), 4_254_050),
    (50, lambda: LayerNormLSTM(50, 1250, layer_norm=False), 6_567_550),
    (50, lambda: LayerNormLSTM(50, 1000, 2, layer_norm=False), 12_258_050),
    (50, lambda: LayerNormLSTM(50, 1000), 4_264_050),
    (50, lambda: HyperLSTM(50, 1000, layer_norm=False), 4_911_874),
    (50, lambda: HyperLSTM(50, 1000), 4_923_154),
    (50, lambda: HyperLSTM(50, 1000, embedding=16), 5_085_682),
    (50, lambda: HyperLSTM(50, 1000, 2, embedding=16), 14_407_714),
    (205, lambda: LayerNormLSTM(205, 1800, layer_norm=False), 14_812_405),
    (205, lambda: HyperLSTM(205, 1800, hyper_size=256, embedding=64, layer_norm=False), 18_708_213),
    (205, lambda: HyperLSTM(205, 2048, hyper_size=512, embedding=64), 26_541_773),
])
def test_language_models_have_the_papers_numbers_of_parameters(alphabet, build, published):
    with torch.device("meta"):
        layer = build()
        assert count(layer, nn.Linear(layer.hidden_size, alphabet)) == published


@pytest.mark.parametrize(("build", "published"), [
    (lambda: LayerNormLSTM(3, 900, layer_norm=False), 3_363_421),
    (lambda: HyperLSTM(3, 900, layer_norm=False), 3_941_181)])
def test_handwriting_models_have_the_papers_numbers_of_parameters(build, published):
    mixture = 20 * 6 + 1
    with torch.device("meta"):
        assert count(build(), nn.Linear(900, mixture)) == published


def test_variants_differ_where_the_authors_code_does_from_the_paper():
    paper, reference = HyperLSTMCell(8, 8), HyperLSTMCell(8, 8, variant="reference")
    assert (paper.embedding, reference.embedding) == (4, 16)
    eye = torch.eye(8)
    for cell in (paper, reference):
        for gate in cell.weight_hh.unflatten(0, (4, 8)):
            torch.testing.assert_close(gate @ gate.T, eye, atol=1e-5, rtol=0)
        for gate in cell.hyper.weight_hh.unflatten(0, (4, 128)):
            torch.testing.assert_close(gate @ gate.T, torch.eye(128), atol=1e-5, rtol=0)
    for gate in paper.weight_ih.unflatten(0, (4, 8)):
        torch.testing.assert_close(gate @ gate.T, eye, atol=1e-5, rtol=0)
    bound = sqrt(3 / 8)
    assert 0.9 * bound < reference.weight_ih.abs().max() <= bound
    assert reference.hyper.weight_ih.abs().max() <= sqrt(3 / 16)


@every_variant
def test_weights_are_scaled_by_a_tenth_at_first(variant):
    """Appendix A.2.3: whatever the hyper network says, d is 0.1 and the dynamic bias 0."""
    cell = HyperLSTMCell(3, 5, 4, variant=variant, layer_norm=False)
    torch.testing.assert_close(cell.hidden_scales(torch.randn(7, 4)), torch.full((7, 4, 5), 0.1))
    for bias in (cell.bias, cell.hyper.bias, cell.weight_d[8:]):
        assert not bias.any()
    embeddings = cell.weight_z.unflatten(0, (3, -1))
    assert not embeddings[:2].any() and 0.005 < embeddings[2].std() < 0.02
    plain = LSTMCell(3, 5, variant=variant, layer_norm=False)
    with torch.no_grad():
        plain.weight_ih.copy_(0.1 * cell.weight_ih)
        plain.weight_hh.copy_(0.1 * cell.weight_hh)
    inputs, state = torch.randn(2, 3), (torch.randn(2, 5), torch.randn(2, 5))
    torch.testing.assert_close(cell(inputs, state)[:2], plain(inputs, state))


def test_recurrent_dropout_spares_the_memory():
    torch.manual_seed(0)
    cell = LSTMCell(3, 1000, recurrent_dropout=0.3)
    inputs, memory = torch.randn(1, 3), torch.full((1, 1000), 5.0)
    state = (torch.zeros(1, 1000), memory)
    cell.eval()
    _, whole = cell(inputs, state)
    _, kept = cell(inputs, (state[0], torch.zeros(1, 1000)))
    cell.train()
    added = cell(inputs, state)[1] - (whole - kept)
    dropped = added.abs() < 1e-5
    assert 0.2 < dropped.float().mean() < 0.4
    # What is kept grows by 1 / 0.7, so that the expectation is that of the whole.
    torch.testing.assert_close(added[~dropped], kept[~dropped] / 0.7, atol=1e-4, rtol=1e-3)
    assert not torch.equal(cell(inputs, state)[1], cell(inputs, state)[1])


@pytest.mark.parametrize(("call", "message"), [
    (lambda: HyperLSTMCell(3, 5)(torch.zeros(2, 4)), r"input has shape \(2, 4\)"),
    (lambda: HyperLSTMCell(3, 5)(torch.zeros(1, 2, 3)), r"input has shape \(1, 2, 3\)"),
    (lambda: HyperLSTMCell(3, 5)(torch.zeros(2, 3), (torch.zeros(2, 4),)), r"shapes \[\(2, 4\)\]"),
    (lambda: HyperLSTMCell(3, 5)(torch.zeros(2, 3), torch.zeros(1, 5)), r"shapes \[\(1, 5\)\]"),
    (lambda: LSTMCell(3, 5)(torch.zeros(2, 3), (torch.zeros(2, 5),) * 3), "the state's parts"),
    (lambda: HyperLSTMCell(3, 5, variant="papre"), "variant 'papre' is not one of: paper, reference"),
    (lambda: HyperLSTMCell(3, 5, embedding=0), "embedding is 0"),
    (lambda: HyperLSTMCell(3, 5, 0), "hyper_size is 0"),
    (lambda: HyperRNNCell(3, 5, -1), "hyper_size is -1"),
    (lambda: HyperRNNCell(0, 5), "input_size is 0"),
    (lambda: HyperRNNCell(3, -5), "hidden_size is -5"),
    (lambda: LSTMCell(3, 0), "hidden_size is 0"),
    (lambda: LSTMCell(3, 5, recurrent_dropout=1.0), "recurrent_dropout is 1.0"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
