"""What is told of the weights' changes is what the weights do."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from hyperevo.dynamic import GATES, HyperLSTM, HyperRNN, LayerNormLSTM, observe


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize(("kind", "gates"), [(HyperLSTM, len(GATES)), (HyperRNN, 1)])
def test_changes_are_those_of_the_scaled_matrices(kind, gates, variant, by_hand, scattered):
    layer = scattered(kind(3, 5, hyper_size=4, embedding=2, variant=variant))
    [cell], inputs = layer.cells, normal(6, 2, 3)
    output, state, change = observe(layer, inputs)
    assert change.shape == (1, 6, 2, gates)
    assert torch.equal(output, layer(inputs)[0]) and torch.equal(state.hidden, layer(inputs)[1].hidden)
    for example in range(2):
        zero = tuple(torch.zeros(size, dtype=torch.float64).numpy() for size in cell.state_sizes)
        _, states = by_hand(cell, inputs[:, example].numpy(), zero)
        small = [torch.from_numpy(parts[cell.update.parts]) for parts in [zero, *states]]
        # Of the step before the first, and of all steps.
        sources = small if variant == "reference" else [small[0], *small[:-1]]
        for gate in range(gates):
            weight_z, bias_z = (value.unflatten(0, (-1, 2))[gate] for value in (cell.weight_z, cell.bias_z))
            matrix = cell.weight_hh.unflatten(0, (gates, -1))[gate]
            scaled = [torch.diag(cell.weight_d[gate].T @ (weight_z @ source + bias_z)) @ matrix for source in sources]
            expected = [torch.linalg.matrix_norm(after - before)
                        for before, after in zip(scaled[:-1], scaled[1:], strict=True)]
            torch.testing.assert_close(change[0, :, example, gate], torch.stack(expected).detach())


def test_weights_that_do_not_move_do_not_change():
    """At first d is constant."""
    assert not observe(HyperLSTM(3, 5, hyper_size=4), torch.randn(6, 2, 3)).change.any()


def test_a_change_stands_where_its_step_does(scattered):
    layer = scattered(HyperLSTM(3, 5, 2, 4, bidirectional=True))
    inputs = normal(6, 2, 3)
    change = observe(layer, inputs).change
    assert change.shape == (4, 6, 2, 4)
    # Where z follows from the state before, the first step that a direction takes has nothing before it.
    assert not change[[0, 2], 0].any() and not change[[1, 3], -1].any()
    assert change[[0, 2], 1:].all() and change[[1, 3], :-1].all()
    torch.testing.assert_close(observe(layer, inputs[:, 1]).change, change[:, :, 1])
    layer.batch_first = True
    torch.testing.assert_close(observe(layer, inputs.transpose(0, 1)).change, change.transpose(1, 2))


@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize("kind", [HyperLSTM, HyperRNN])
@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [3, 6, 1, 5]])
def test_packed_sequences_are_each_alone(kind, variant, lengths, scattered):
    layer = scattered(kind(3, 5, 2, 4, bidirectional=True, variant=variant))
    inputs = normal(6, 4, 3)
    state = tuple(normal(4, 4, size) for size in layer.cells[0].state_sizes)
    packed = pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=lengths == sorted(lengths)[::-1])
    output, after, changes = observe(layer, packed, state)
    assert isinstance(output, PackedSequence) and torch.equal(output.data, layer(packed, state)[0].data)
    assert len(changes) == 4
    for example, (length, change) in enumerate(zip(lengths, changes, strict=True)):
        alone = observe(layer, inputs[:length, example], tuple(part[:, example] for part in state))
        assert change.shape == (4, length, layer.cells[0].update.gates)
        torch.testing.assert_close(change, alone.change)
        torch.testing.assert_close(after[0][:, example], alone.state[0])


def test_one_direction_sees_the_same_in_padded_sequences(scattered):
    layer = scattered(HyperLSTM(3, 5, 2, 4))
    inputs, lengths = normal(6, 3, 3), [2, 6, 3]
    padded = observe(layer, inputs).change
    changes = observe(layer, pack_padded_sequence(inputs, torch.tensor(lengths), enforce_sorted=False)).change
    for example, (length, change) in enumerate(zip(lengths, changes, strict=True)):
        torch.testing.assert_close(change, padded[:, :length, example])


def test_only_weights_that_change_are_observed():
    with pytest.raises(ValueError, match="LayerNormLSTM"):
        observe(LayerNormLSTM(3, 5), torch.zeros(6, 2, 3))
