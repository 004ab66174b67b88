"""Recurrent cells over whole sequences, called as `nn.LSTM` and `nn.RNN` are."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from hyperevo.dynamic.cells import (
    HyperLSTMCell,
    HyperRNNCell,
    LayerNormLSTMCell,
    RecurrentCell,
    check_input,
    complete,
)
from hyperevo.dynamic.updates import State, check_count


class RecurrentLayers(nn.Module):
    """Base of all layers: a stack of cells, which also read sequences from the end where `bidirectional`.

    A call is `output, state = layer(input, state)`. With L = num_layers, D = 2 where bidirectional, else 1:

    - input is (T, B, input_size), or (B, T, input_size) where batch_first, or (T, input_size), or a `PackedSequence`;
    - output is of the same kind, with D · hidden_size features: the last layer's h at every step;
    - each part of the state is (L · D, B, size), without B where the input has none, of the cell `cells[D · layer +
      direction]`. Parts that are not given are zero.

    dropout is the probability of dropping a value that one layer hands to the next. Sizes that do not fit raise
    ValueError.
    """

    def __init__(self, build: Callable[[int], RecurrentCell], input_size: int, hidden_size: int, num_layers: int,
                 batch_first: bool, dropout: float, bidirectional: bool):
        super().__init__()
        check_count("num_layers", num_layers)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, and not between 0 and 1")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.directions = 2 if bidirectional else 1
        self.cells: Any = nn.ModuleList(build(self.directions * hidden_size if layer else input_size)
                                        for layer in range(num_layers) for _ in range(self.directions))

    def forward(self, input: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any]:
        """The output, and the state after the last step; see the class."""
        return self.trace(input, state)[:2]

    def trace(self, input: Tensor | PackedSequence, state: Any = None) -> tuple[Any, Any, list[list[State]]]:
        """The output and state that a call returns, and the states of every cell in the order in which it visits steps:
        the initial one, then one after each step. With packed sequences, a step's states are those of the sequences
        that have the step, the longest first."""
        if isinstance(input, PackedSequence):
            return self._trace_packed(input, state)
        check_input(input, (2, 3), self.input_size)
        if input.dim() == 2:
            parts = tuple(part[:, None] for part in self._initial(state, (), input))
            output, parts, states = self._run(input, [1] * len(input), parts)
            return output, self.cells[0].named(tuple(part[:, 0] for part in parts)), states
        steps = input.transpose(0, 1) if self.batch_first else input
        length, sequences = steps.shape[:2]
        parts = self._initial(state, (sequences,), input)
        rows, parts, states = self._run(steps.flatten(0, 1), [sequences] * length, parts)
        output = rows.unflatten(0, (length, sequences))
        return output.transpose(0, 1) if self.batch_first else output, self.cells[0].named(parts), states

    def _trace_packed(self, input: PackedSequence, state: Any) -> tuple[PackedSequence, Any, list[list[State]]]:
        rows, sizes, order, back = input
        check_input(rows, (2,), self.input_size)
        parts = self._initial(state, (int(sizes[0]),), rows)
        if order is not None:
            parts = tuple(part[:, order] for part in parts)
        output, parts, states = self._run(rows, sizes.tolist(), parts)
        if back is not None:
            parts = tuple(part[:, back] for part in parts)
        return PackedSequence(output, sizes, order, back), self.cells[0].named(parts), states

    def _initial(self, state: Any, leading: tuple[int, ...], like: Tensor) -> State:
        return complete(state, self.cells[0].state_sizes, (len(self.cells), *leading), like)

    def _run(self, rows: Tensor, sizes: list[int], parts: State) -> tuple[Tensor, State, list[list[State]]]:
        """Inputs (N, input_size), of which step t reads the next sizes[t] → outputs (N, features), final state and
        states as in `trace`."""
        if not sizes:
            raise ValueError("input has no steps")
        finals: list[State] = []
        seen: list[list[State]] = []
        for layer in range(self.num_layers):
            received = F.dropout(rows, self.dropout, self.training) if layer else rows
            outputs = []
            for backwards in (False, True)[: self.directions]:
                place = len(finals)
                states, final = unroll(self.cells[place], received, sizes, tuple(part[place] for part in parts),
                                       backwards)
                finals.append(final)
                seen.append(states)
                outputs.append(torch.cat([state[0] for state in (states[:0:-1] if backwards else states[1:])]))
            rows = torch.cat(outputs, 1) if backwards else outputs[0]
        return rows, tuple(torch.stack(part) for part in zip(*finals, strict=True)), seen

    def extra_repr(self) -> str:
        """The sizes, and options that differ from their defaults."""
        options = {"num_layers": (self.num_layers, 1), "batch_first": (self.batch_first, False),
                   "dropout": (self.dropout, 0.0), "bidirectional": (self.bidirectional, False)}
        chosen = [f", {name}={value}" for name, (value, default) in options.items() if value != default]
        return f"{self.input_size}, {self.hidden_size}{''.join(chosen)}"


def unroll(cell: RecurrentCell, rows: Tensor, sizes: Sequence[int], state: State,
           backwards: bool = False) -> tuple[list[State], State]:
    """Run a cell through sequences → its states, the initial one first, and every sequence's state after its last step.

    Step t reads the next sizes[t] rows; the sizes never grow, since the longest sequence comes first. `backwards`, the
    steps are visited from the last to the first.
    """
    step, initial = cell.begin(rows, sizes), state
    states: list[State] = [state]
    ended: list[State] = []
    if backwards:
        state = tuple(part[: sizes[-1]] for part in state)
    for t in reversed(range(len(sizes))) if backwards else range(len(sizes)):
        before, now = state[0].shape[0], sizes[t]
        if now < before:  # The shorter sequences have ended.
            ended.append(tuple(part[now:] for part in state))
            state = tuple(part[:now] for part in state)
        elif now > before:  # Backwards, shorter sequences begin later.
            state = tuple(torch.cat([part, first[before:now]]) for part, first in zip(state, initial, strict=True))
        state = step(t, state)
        states.append(state)
    return states, tuple(torch.cat(pieces) for pieces in zip(state, *reversed(ended), strict=True)) if ended else state


class LayerNormLSTM(RecurrentLayers):
    """LSTM layers with layer normalisation and recurrent dropout; the state is (h, c). See `LayerNormLSTMCell`."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, layer_norm: bool = True,
                 recurrent_dropout: float = 0.0, variant: str = "paper", batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False):
        def build(features: int) -> LayerNormLSTMCell:
            return LayerNormLSTMCell(features, hidden_size, layer_norm=layer_norm,
                                     recurrent_dropout=recurrent_dropout, variant=variant)

        super().__init__(build, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional)


class HyperLSTM(RecurrentLayers):
    """LSTM layers whose weights change at every step, each by a hyper network of its own. The state is a
    `HyperLSTMState`, and may be given as (h, c). See `HyperLSTMCell` for the equations and options."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, hyper_size: int = 128,
                 embedding: int | None = None, *, layer_norm: bool = True, recurrent_dropout: float = 0.0,
                 variant: str = "paper", batch_first: bool = False, dropout: float = 0.0,
                 bidirectional: bool = False):
        def build(features: int) -> HyperLSTMCell:
            return HyperLSTMCell(features, hidden_size, hyper_size, embedding, layer_norm=layer_norm,
                                 recurrent_dropout=recurrent_dropout, variant=variant)

        super().__init__(build, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional)


class HyperRNN(RecurrentLayers):
    """Simple recurrent layers whose weights change at every step, each by a hyper network of its own. The state is a
    `HyperRNNState`, and may be given as h alone. See `HyperRNNCell` for the equations and options."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, hyper_size: int = 128,
                 embedding: int | None = None, *, layer_norm: bool = True, variant: str = "paper",
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False):
        def build(features: int) -> HyperRNNCell:
            return HyperRNNCell(features, hidden_size, hyper_size, embedding, layer_norm=layer_norm, variant=variant)

        super().__init__(build, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional)
