"""One step of a HyperLSTM, a HyperRNN and an LSTM with layer normalisation (Ha, Dai & Le 2016, appendix A.2.2).

A small recurrent network reads the main one's input and hidden state, and scales the rows of the main network's weight
matrices anew at every step. For each gate y, of i, g, f and o (equations 10 to 13; h, c are the main network's state,
ĥ, ĉ the small one's):

    ĥ_t, ĉ_t = LSTM([h_{t−1}; x_t], ĥ_{t−1}, ĉ_{t−1})
    z_h = W_ĥh ĥ_{t−1} + b_ĥh        z_x = W_ĥx ĥ_{t−1} + b_ĥx        z_b = W_ĥb ĥ_{t−1}
    d_h = W_hz z_h                   d_x = W_xz z_x                   b = W_bz z_b + b_0
    y = LN(d_h ⊙ W_h h_{t−1} + d_x ⊙ W_x x_t + b)

Scaling a row of a matrix scales its product, so no weight matrix is ever built. `VARIANTS` lists the points where the
authors' code differs from their paper.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyperevo.dynamic.products import dtype_of_products, every_step
from hyperevo.dynamic.updates import LSTMUpdate, RNNUpdate, State, check_count, input_weights, orthogonal, variant_named


class Step(Protocol):
    """A step of a sequence: its index t, the state before it, and the features (B, fed) of its input that were not
    known before → the state after it."""

    def __call__(self, t: int, state: State, fed: Tensor | None = None) -> State:
        """Take the step."""



class HyperLSTMState(NamedTuple):
    """States (B, H) of the main network and (B, Ĥ) of the hyper network; `HyperLSTM` adds a leading axis of cells."""

    hidden: Tensor
    cell: Tensor
    hyper_hidden: Tensor
    hyper_cell: Tensor


class HyperRNNState(NamedTuple):
    """States (B, H) of the main network and (B, Ĥ) of the hyper network; `HyperRNN` adds a leading axis of cells."""

    hidden: Tensor
    hyper_hidden: Tensor


class RecurrentCell(nn.Module):
    """Base of all cells: they are called as torch's are, and a call is a sequence of one step.

    W_x and W_h of all gates are weight_ih (gates · H, input_size) and weight_hh (gates · H, H).
    """

    def __init__(self, input_size: int, hidden_size: int, update: LSTMUpdate | RNNUpdate, state_sizes: Sequence[int]):
        super().__init__()
        check_count("input_size", input_size)
        self.input_size, self.hidden_size, self.state_sizes = input_size, hidden_size, tuple(state_sizes)
        self.update = update
        self.weight_ih = nn.Parameter(torch.empty(update.gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(update.gates * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(update.gates * hidden_size))

    def begin(self, rows: Tensor, sizes: Sequence[int]) -> Step:
        """The step function for a sequence of inputs `rows` (N, known), of which step t reads the next sizes[t].

        Products with the inputs of all steps are computed here, at once. Where known is less than input_size, the last
        features of an input are fed to every step, as is what a decoder makes of the step before.
        """
        raise NotImplementedError

    def named(self, parts: State) -> Any:
        """The state in the form that callers see."""
        return parts

    def forward(self, input: Tensor, state: Any = None) -> Any:
        """Input (B, input_size) or (input_size,) and the state before → the state after.

        Parts of the state that are not given are zero. Raises ValueError where a size is not this cell's.
        """
        check_input(input, (1, 2), self.input_size)
        parts = complete(state, self.state_sizes, input.shape[:-1], input)
        if input.dim() == 2:
            return self.named(self.begin(input, [len(input)])(0, parts))
        after = self.begin(input[None], [1])(0, tuple(part[None] for part in parts))
        return self.named(tuple(part[0] for part in after))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


def check_input(input: Tensor, dimensions: Sequence[int], features: int) -> None:
    """Raises ValueError unless the input has that many dimensions and features."""
    if input.dim() not in dimensions or input.shape[-1] != features:
        wanted = " or ".join(str(number) for number in dimensions)
        raise ValueError(f"input has shape {tuple(input.shape)}, and not {wanted} dimensions with {features} features")


def complete(state: Any, sizes: Sequence[int], leading: Sequence[int], like: Tensor) -> State:
    """All parts of a state, (*leading, size) each, zero where they are not given; raises ValueError where one does not
    fit. A tensor alone is the first part."""
    given = () if state is None else (state,) if isinstance(state, Tensor) else tuple(state)
    expected = [(*leading, size) for size in sizes]
    shapes = [tuple(part.shape) for part in given]
    if shapes != expected[: len(given)]:
        raise ValueError(f"the state's parts have shapes {shapes}, and not {expected}")
    return given + tuple(like.new_zeros(shape) for shape in expected[len(given) :])


def columns(weight: Tensor, known: int) -> tuple[Tensor, Tensor | None]:
    """The columns of a weight (out, in) that read the first `known` inputs, and those that read the others, if any."""
    if known == weight.shape[1]:
        return weight, None
    first, others = weight.split([known, weight.shape[1] - known], 1)
    return first, others


class PlainCell(RecurrentCell):
    """A cell whose weights do not change: y = LN(W_h h_{t−1} + W_x x_t + b)."""

    def __init__(self, input_size: int, hidden_size: int, update: LSTMUpdate | RNNUpdate, variant: str):
        super().__init__(input_size, hidden_size, update, [hidden_size] * update.parts)
        self.variant = variant_named(variant)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset W_h to orthogonal matrices, W_x to the variant's initial values and the bias to 0."""
        input_weights(self.weight_ih, self.update.gates, self.variant)
        orthogonal(self.weight_hh, self.update.gates)
        nn.init.zeros_(self.bias)

    def begin(self, rows: Tensor, sizes: Sequence[int]) -> Step:
        """See `RecurrentCell.begin`."""
        weight_known, weight_fed = columns(self.weight_ih, rows.shape[1])
        inputs = F.linear(rows, weight_known, self.bias).split(sizes)
        # What is fed is read as h_{t−1} is: one product.
        recurrent = every_step(self.weight_hh if weight_fed is None else torch.cat([self.weight_hh, weight_fed], 1),
                               sizes)

        def step(t: int, state: State, fed: Tensor | None = None) -> State:
            sums = inputs[t] + recurrent(state[0] if fed is None else torch.cat([state[0], fed], 1), t)
            return self.update(sums.unflatten(1, (self.update.gates, -1)), state)

        return step


class HyperCell(RecurrentCell):
    """A cell whose weights' rows are scaled at every step by a smaller cell.

    W_ĥh, W_ĥx and W_ĥb of all gates are one matrix, weight_z (3 · gates · N_z, Ĥ); b_ĥh and b_ĥx are bias_z; W_hz, W_xz
    and W_bz, transposed, are weight_d (3 · gates, N_z, H); b_0 is bias.
    """

    def __init__(self, input_size: int, hidden_size: int, update: LSTMUpdate | RNNUpdate, hyper: PlainCell,
                 embedding: int | None):
        super().__init__(input_size, hidden_size, update, [hidden_size] * update.parts + list(hyper.state_sizes))
        self.hyper, self.variant = hyper, hyper.variant
        self.embedding = self.variant.embedding if embedding is None else embedding
        check_count("embedding", self.embedding)
        blocks = 3 * update.gates
        self.weight_z = nn.Parameter(torch.empty(blocks * self.embedding, hyper.hidden_size))
        self.bias_z = nn.Parameter(torch.empty(2 * update.gates * self.embedding))
        self.weight_d = nn.Parameter(torch.empty(blocks, self.embedding, hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Reset to appendix A.2.3's initial values: d_h and d_x are 0.1 and b is 0 for any ĥ. The hyper cell's stay."""
        gates = self.update.gates
        input_weights(self.weight_ih, gates, self.variant)
        orthogonal(self.weight_hh, gates)
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.bias_z)
        dynamic, bias = self.weight_z.split([2 * gates * self.embedding, gates * self.embedding])
        nn.init.zeros_(dynamic)
        nn.init.normal_(bias, std=0.01)
        nn.init.constant_(self.weight_d[: 2 * gates], 0.1 / self.embedding)
        nn.init.zeros_(self.weight_d[2 * gates :])

    def begin(self, rows: Tensor, sizes: Sequence[int]) -> Step:
        """See `RecurrentCell.begin`."""
        gates, parts, hyper = self.update.gates, self.update.parts, self.hyper
        weight_main, weight_input = self._hyper_weights()
        (weight_known, weight_fed), (hyper_known, hyper_fed) = (columns(own, rows.shape[1])
                                                                for own in (self.weight_ih, weight_input))
        inputs = F.linear(rows, weight_known).unflatten(1, (gates, -1)).split(sizes)
        hyper_inputs = F.linear(rows, hyper_known, hyper.bias).split(sizes)
        # Both networks read h_{t−1}, and what is fed: one product each.
        read = every_step(torch.cat([self.weight_hh, weight_main]), sizes)
        feed = every_step(torch.cat([weight_fed, hyper_fed]), sizes) \
            if weight_fed is not None and hyper_fed is not None else None
        heights = [len(self.weight_hh), len(weight_main)]
        scaling = self._begin_scaling(sizes)
        # So do both that read ĥ, where it is the same one.
        narrow = (hyper.weight_hh,) if self.variant.current else (hyper.weight_hh, self.weight_z)
        hyper_read = every_step(torch.cat(narrow), sizes)
        embed = every_step(self.weight_z, sizes) if self.variant.current else None

        def step(t: int, state: State, fed: Tensor | None = None) -> State:
            main, before, input = state[:parts], state[parts:], inputs[t]
            product, hyper_product = read(main[0], t).split(heights, 1)
            hyper_recurrent, *known = hyper_read(before[0], t).split([len(own) for own in narrow], 1)
            hyper_sums = hyper_inputs[t] + hyper_product + hyper_recurrent
            if feed is not None and fed is not None:
                fed_product, hyper_fed_product = feed(fed, t).split(heights, 1)
                input, hyper_sums = input + fed_product.unflatten(1, (gates, -1)), hyper_sums + hyper_fed_product
            after = hyper.update(hyper_sums.unflatten(1, (gates, -1)), before)
            d_h, d_x, b = scaling(t, known[0] if embed is None else embed(after[0], t))
            # A result has its first factor's memory layout, and that of d_h and d_x is not the one gates are read in.
            sums = product.unflatten(1, (gates, -1)) * d_h + input * d_x + b
            return self.update(sums, main) + after

        return step

    def _hyper_weights(self) -> tuple[Tensor, ...]:
        """The columns of W_x̂ that read h_{t−1}, and those that read x_t."""
        if self.variant.hidden_first:
            return self.hyper.weight_ih.split([self.hidden_size, self.input_size], 1)
        return self.hyper.weight_ih.split([self.input_size, self.hidden_size], 1)[::-1]

    def _begin_scaling(self, sizes: Sequence[int]) -> Callable[[int, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """The function from t and W_z ĥ (B, 3 · gates · N_z) to d_h, d_x and b of all gates, (B, gates, H) each."""
        gates = self.update.gates
        # In the products' precision: every change of it is an operation, and one more on the way back.
        dtype = dtype_of_products(self.weight_d)
        bias_z = F.pad(self.bias_z, (0, gates * self.embedding)).to(dtype)
        bias = self.bias.unflatten(0, (gates, 1, -1)).to(dtype)
        # Stacks of matrices have the gates first.
        scale = every_step(self.weight_d.mT, sizes)

        def scaling(t: int, product: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            z = (product + bias_z).unflatten(1, (3 * gates, -1)).transpose(0, 1)
            d_h, d_x, b = scale(z, t).split(gates)
            return d_h.transpose(0, 1), d_x.transpose(0, 1), (b + bias).transpose(0, 1)

        return scaling

    def hidden_scales(self, hyper_hidden: Tensor) -> Tensor:
        """d_h (..., gates, H), the factors of W_h's rows, from ĥ (..., Ĥ)."""
        gates = self.update.gates
        count = gates * self.embedding
        z = F.linear(hyper_hidden, self.weight_z[:count], self.bias_z[:count]).unflatten(-1, (gates, -1))
        return torch.einsum("...gz,gzh->...gh", z, self.weight_d[:gates])

    def extra_repr(self) -> str:
        """The sizes and N_z."""
        return f"{super().extra_repr()}, embedding={self.embedding}"


class LayerNormLSTMCell(PlainCell):
    """An LSTM with layer normalisation and recurrent dropout, called as `nn.LSTMCell` is; the state is (h, c).

    Without `layer_norm` it is the plain LSTM, with one bias. recurrent_dropout: probability of dropping a unit of
    tanh(g) at a step.
    """

    def __init__(self, input_size: int, hidden_size: int, *, layer_norm: bool = True, recurrent_dropout: float = 0.0,
                 variant: str = "paper"):
        update = LSTMUpdate(hidden_size, layer_norm, recurrent_dropout, variant_named(variant))
        super().__init__(input_size, hidden_size, update, variant)


class HyperLSTMCell(HyperCell):
    """An LSTM whose weights a smaller LSTM changes at every step, called as `nn.LSTMCell` is.

    The state is a `HyperLSTMState`; with a plain (h, c) the hyper network's state is zero. hyper_size: units of the
    hyper network; embedding: N_z, by default the variant's. layer_norm is for both networks. recurrent_dropout, the
    probability of dropping a unit of tanh(g) at a step, is for the main network, as in the paper; for the hyper
    network, set `hyper.update.recurrent_dropout`. Raises ValueError for sizes below 1 and for variants that are not in
    `VARIANTS`.
    """

    def __init__(self, input_size: int, hidden_size: int, hyper_size: int = 128, embedding: int | None = None, *,
                 layer_norm: bool = True, recurrent_dropout: float = 0.0, variant: str = "paper"):
        check_count("hyper_size", hyper_size)
        update = LSTMUpdate(hidden_size, layer_norm, recurrent_dropout, variant_named(variant))
        hyper = LayerNormLSTMCell(hidden_size + input_size, hyper_size, layer_norm=layer_norm, variant=variant)
        super().__init__(input_size, hidden_size, update, hyper, embedding)

    def named(self, parts: State) -> HyperLSTMState:
        """See `RecurrentCell.named`."""
        return HyperLSTMState(*parts)


class HyperRNNCell(HyperCell):
    """A simple recurrent network whose weights a smaller one changes at every step, called as `nn.RNNCell` is.

    h_t = tanh(LN(d_h ⊙ W_h h_{t−1} + d_x ⊙ W_x x_t + b)), and ĥ_t likewise without d_h, d_x (equations 6 and 8). The
    state is a `HyperRNNState`; with a tensor h alone, ĥ is zero. Options are those of `HyperLSTMCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, hyper_size: int = 128, embedding: int | None = None, *,
                 layer_norm: bool = True, variant: str = "paper"):
        check_count("hyper_size", hyper_size)
        point = variant_named(variant)
        update, hyper_update = (RNNUpdate(units, layer_norm, point) for units in (hidden_size, hyper_size))
        hyper = PlainCell(hidden_size + input_size, hyper_size, hyper_update, variant)
        super().__init__(input_size, hidden_size, update, hyper, embedding)

    def named(self, parts: State) -> HyperRNNState:
        """See `RecurrentCell.named`."""
        return HyperRNNState(*parts)
