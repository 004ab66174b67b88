"""A hyper network around any recurrent cell (after Ha, Dai & Le 2016, section 3.2).

    ĥ_t, ĉ_t = LSTM([h_{t−1}; x_t], ĥ_{t−1}, ĉ_{t−1})
    z = W_z ĥ_{t−1} + b_z        d = W_d z        W(t) = d ⊙ W

for each weight matrix W of the cell: d holds a factor for every row. Each gate, a block of hidden_size rows, has its
own z; a matrix that does not consist of such blocks has one z. Biases do not change.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hyperevo.dynamic.cells import LayerNormLSTMCell, check_input
from hyperevo.dynamic.updates import check_count


class HyperState(NamedTuple):
    """State of a cell in `Hyper`: the cell's own state, as it returns it, and (ĥ, ĉ), (B, hyper_size) each."""

    main: Any
    hyper: tuple[Tensor, Tensor]


class Hyper(nn.Module):
    """A recurrent cell whose weights change at every step: `Hyper(nn.GRUCell(10, 20), hyper_size=8, embedding=4)`.

    The cell has an input_size and a hidden_size, is called as `cell(input, state)`, and returns a tensor h or a tuple
    (h, …). `hyper(input, state)` returns a `HyperState`. Its state is a `HyperState`, a state of the cell alone, or
    None; its input is (B, input_size), or (input_size,).

    All d are 1 at first, so that the cell's behaviour does not change, whether it is trained or not. It becomes a
    submodule. No weight is built where the cell is one of torch's, or uses its matrices through `F.linear` only, as
    `nn.Linear` does. For any other cell, `vmap` builds the weights of every example, which is slow and takes B times
    their memory. `torch.compile` compiles either in one graph.
    """

    def __init__(self, cell: nn.Module, hyper_size: int = 128, embedding: int = 4):
        """Raises ValueError where the cell has no sizes or no weight matrices, or where a size is below 1."""
        super().__init__()
        if not all(isinstance(getattr(cell, name, None), int) for name in ("input_size", "hidden_size")):
            raise ValueError(f"{type(cell).__name__} does not tell its input_size and hidden_size")
        check_count("hyper_size", hyper_size)
        check_count("embedding", embedding)
        self.cell = cell
        self.input_size, self.hidden_size = cast(int, cell.input_size), cast(int, cell.hidden_size)
        self.rows = {name: len(weight) for name, weight in cell.named_parameters() if weight.dim() > 1}
        if not self.rows:
            raise ValueError(f"{type(cell).__name__} has no weight matrices")
        self.blocks = [own for rows in self.rows.values() for own in _blocks(rows, self.hidden_size)]
        self.hyper = LayerNormLSTMCell(self.hidden_size + self.input_size, hyper_size, layer_norm=False)
        like = next(cell.parameters())
        self.hyper.to(like)
        self.weight_z = nn.Parameter(like.new_zeros(len(self.blocks) * embedding, hyper_size))
        self.bias_z = nn.Parameter(like.new_ones(len(self.blocks) * embedding))
        self.weight_d = nn.Parameter(like.new_full((sum(self.blocks), embedding), 1 / embedding))
        self._opaque = False  # Until the cell uses a matrix in a way that is not in PRODUCTS.

    def forward(self, input: Tensor, state: Any = None) -> HyperState:
        """The state after one step; see the class. Raises ValueError where the input does not fit."""
        check_input(input, (1, 2), self.input_size)
        main, hyper = state if isinstance(state, HyperState) else (state, None)
        if input.dim() == 1:
            main, hyper = self(input[None], HyperState(_each(_batch, main), _each(_batch, hyper)))
            return HyperState(_each(_only, main), _each(_only, hyper))
        if hyper is None:
            hyper = (input.new_zeros(len(input), self.hyper.hidden_size),) * 2
        hidden = main[0] if isinstance(main, tuple) else main
        if hidden is None:
            hidden = input.new_zeros(len(input), self.hidden_size)
        after = self.hyper(torch.cat([hidden, input], 1), hyper)
        return HyperState(self._step(self.scaling(hyper[0]), input, main), after)

    def scaling(self, hyper_hidden: Tensor) -> dict[str, Tensor]:
        """ĥ (B, hyper_size) → d of every weight matrix, (B, rows), by its name in the cell."""
        z = F.linear(hyper_hidden, self.weight_z, self.bias_z).chunk(len(self.blocks), 1)
        d = torch.cat([F.linear(own, weight) for own, weight
                       in zip(z, self.weight_d.split(self.blocks), strict=True)], 1)
        return dict(zip(self.rows, d.split(list(self.rows.values()), 1), strict=True))

    def _step(self, scales: dict[str, Tensor], input: Tensor, main: Any) -> Any:
        if not self._opaque:
            weights: dict[str, Tensor] = {name: row_scaled(attrgetter(name)(self.cell), scale)
                                          for name, scale in scales.items()}
            try:
                return functional_call(self.cell, weights, (input, main))
            except UnknownUse:
                self._opaque = True
        return self._each_example(scales, input, main)

    def _each_example(self, scales: dict[str, Tensor], *given: Any) -> Any:
        """The cell's answer with weights built for every example, which is slow."""
        known = tuple(value for value in given if value is not None)

        def one(scales: dict[str, Tensor], *own: Any) -> Any:
            weights = {name: torch.einsum("r,r...->r...", scale, attrgetter(name)(self.cell))
                       for name, scale in scales.items()}
            return _each(_only, functional_call(self.cell, weights, tuple(_each(_batch, value) for value in own)))

        return vmap(one, randomness="different")(scales, *known)


class UnknownUse(Exception):
    """A `RowScaled` weight was passed to a function that is not in `PRODUCTS`."""


class RowScaled(Tensor):
    """A weight (out, in) whose rows are scaled by scale (B, out), for every example. The scaled matrices are never
    built: only the functions of `PRODUCTS` take it, and they scale the product instead."""

    weight: Tensor
    scale: Tensor

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raises UnknownUse for all functions but those of `PRODUCTS`."""
        if function not in PRODUCTS:
            raise UnknownUse(function)
        return PRODUCTS[function](*args, **(kwargs or {}))


def row_scaled(weight: Tensor, scale: Tensor) -> RowScaled:
    """A `RowScaled` tensor of the weight's shape without memory, so that an unnoticed use fails. (It is on the meta
    device because compilers take no other tensor without memory that overrides functions.)"""
    made = torch.empty_like(weight, device="meta").as_subclass(RowScaled)
    made.weight, made.scale = weight, scale
    return made


def _linear(input: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
    if not isinstance(weight, RowScaled) or input.shape[:-1] != weight.scale.shape[:-1]:
        raise UnknownUse(F.linear)
    product = F.linear(input, weight.weight) * weight.scale
    return product if bias is None else product + bias


def _rnn_tanh_cell(input: Tensor, hidden: Tensor, *weights: Any) -> Tensor:
    return torch.tanh(torch.add(*_products(input, hidden, *weights)))


def _rnn_relu_cell(input: Tensor, hidden: Tensor, *weights: Any) -> Tensor:
    return torch.relu(torch.add(*_products(input, hidden, *weights)))


def _lstm_cell(input: Tensor, state: tuple[Tensor, Tensor], *weights: Any) -> tuple[Tensor, Tensor]:
    i, f, g, o = torch.add(*_products(input, state[0], *weights)).chunk(4, 1)
    cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def _gru_cell(input: Tensor, hidden: Tensor, *weights: Any) -> Tensor:
    received, recurrent = _products(input, hidden, *weights)
    (r, z, n), (r_hidden, z_hidden, n_hidden) = received.chunk(3, 1), recurrent.chunk(3, 1)
    new = torch.tanh(n + torch.sigmoid(r + r_hidden) * n_hidden)
    return torch.lerp(new, hidden, torch.sigmoid(z + z_hidden))


def _products(input: Tensor, hidden: Tensor, weight_ih: Any, weight_hh: Any, bias_ih: Any = None,
              bias_hh: Any = None) -> tuple[Tensor, Tensor]:
    return _linear(input, weight_ih, bias_ih), _linear(hidden, weight_hh, bias_hh)


PRODUCTS: dict[Any, Callable[..., Any]] = {
    F.linear: _linear, torch.rnn_tanh_cell: _rnn_tanh_cell, torch.rnn_relu_cell: _rnn_relu_cell,
    torch.lstm_cell: _lstm_cell, torch.gru_cell: _gru_cell}


def _blocks(rows: int, hidden_size: int) -> list[int]:
    return [hidden_size] * (rows // hidden_size) if rows % hidden_size == 0 else [rows]


def _each(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """Apply the function to a tensor, or to every tensor of a tuple; None stays None."""
    if state is None:
        return None
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)


def _batch(value: Tensor) -> Tensor:
    return value[None]


def _only(value: Tensor) -> Tensor:
    return value[0]
