"""The change of weights from step to step that a hyper network causes (Ha, Dai & Le 2016, figures 4 and 7)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from hyperevo.dynamic.cells import HyperCell
from hyperevo.dynamic.layers import HyperLSTM, HyperRNN


class Observation(NamedTuple):
    """A layer's output and state, and the change of its weights."""

    output: Any
    state: Any
    change: Any
    """Changes (layers · directions, *steps and sequences as in the output, gates), gates in the order of `GATES`. With
    a packed output, a list of (layers · directions, its steps, gates), one for every sequence."""


@torch.no_grad()
def observe(layer: HyperLSTM | HyperRNN, input: Tensor | PackedSequence, state: Any = None) -> Observation:
    """Call the layer, and measure how far each gate's hidden-to-gate matrix moves at every step:

        change_t = ‖(d_h,t − d_h,t−1) ⊙ W_h‖        Frobenius norm; d_h scales the rows of W_h

    The paper draws "the norm of the changes" of W_h^i, W_h^g, W_h^f and W_h^o, and defines it no further. The scaling
    before the first step is that of the initial state's ĥ; where z is computed from ĥ_{t−1} (variant "paper") the first
    step's change is therefore 0. Gradients are not recorded. Raises ValueError for a layer that is not hyper.
    """
    if not isinstance(layer, HyperLSTM | HyperRNN):
        raise ValueError(f"a {type(layer).__name__} has no weights that change")
    output, after, seen = layer.trace(input, state)
    changes = []
    for place, (cell, states) in enumerate(zip(layer.cells, seen, strict=True)):
        change = row_changes(cell, _whole([parts[cell.update.parts] for parts in states])).norm(dim=3)
        changes.append(change.flip(0) if layer.bidirectional and place % 2 else change)
    change = torch.stack(changes)
    if isinstance(input, PackedSequence):
        return Observation(output, after, _sequences(change, output))
    if input.dim() == 2:
        change = change.squeeze(2)
    elif layer.batch_first:
        change = change.transpose(1, 2)
    return Observation(output, after, change)


def _whole(hyper_hidden: list[Tensor]) -> Tensor:
    """Stack ĥ (≤ B, Ĥ), before the first and after each step for the sequences that have it, into (T + 1, B, Ĥ)."""
    # The initial ĥ stands in for missing sequences: backwards they have not begun; forwards they have ended, and the
    # value is never used.
    return torch.stack([torch.cat([own, hyper_hidden[0][len(own) :]]) for own in hyper_hidden])


def _sequences(change: Tensor, packed: PackedSequence) -> list[Tensor]:
    """Changes (..., T, B, gates), the longest sequence first → one (..., its steps, gates) per sequence, in the order
    in which they were given."""
    _, lengths = pad_packed_sequence(packed)
    if packed.unsorted_indices is not None:
        change = change[:, :, packed.unsorted_indices]
    return [change[:, :length, place] for place, length in enumerate(lengths.tolist())]


def row_changes(cell: HyperCell, hyper_hidden: Tensor) -> Tensor:
    """Distances (T, B, gates, H) that the rows of the hidden-to-gate matrices move at each of T steps, with the sign of
    their factors' changes; hyper_hidden is ĥ before the first and after each step, (T + 1, B, Ĥ)."""
    if not cell.variant.current:
        hyper_hidden = torch.cat([hyper_hidden[:1], hyper_hidden[:-1]])
    rows = cell.weight_hh.unflatten(0, (cell.update.gates, -1)).norm(dim=2)
    return cell.hidden_scales(hyper_hidden).diff(dim=0) * rows
