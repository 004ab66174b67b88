"""State updates of the cells from the sums at their gates, and the points where the paper and its authors' code differ.
"""

from dataclasses import dataclass
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GATES = ("i", "g", "f", "o")
"""Gates of an LSTM in the paper's order, which is that of the rows of all weights here."""

State = tuple[Tensor, ...]
"""The parts of a state, (B, size) each; the first is h."""


@dataclass(frozen=True)
class Variant:
    """One of two descriptions of a HyperLSTM: Ha, Dai & Le (2016), or the code that its authors published."""

    embedding: int
    """Default N_z."""
    current: bool
    """z is computed from ĥ_t, and not from ĥ_{t−1}."""
    hidden_first: bool
    """The hyper network reads [h_{t−1}; x_t], and not [x_t; h_{t−1}]."""
    forget_bias: float
    """Added to the forget gate, after its normalisation. The paper names none."""
    epsilon: float
    """ε of the layer normalisation. The paper names none; here it has torch's."""
    orthogonal_inputs: bool
    """W_x starts orthogonal, and not uniform within ±√(3 / inputs), which was TensorFlow's default."""


VARIANTS = {"paper": Variant(4, False, True, 0.0, 1e-5, True), "reference": Variant(16, True, False, 1.0, 1e-3, False)}


def variant_named(name: str) -> Variant:
    """The variant of that name; raises ValueError where there is none."""
    if name not in VARIANTS:
        raise ValueError(f"variant {name!r} is not one of: {', '.join(VARIANTS)}")
    return VARIANTS[name]


def check_count(name: str, count: int) -> None:
    """Raises ValueError where a size is not at least 1."""
    if count < 1:
        raise ValueError(f"{name} is {count}, and not at least 1")


class GateNorm(nn.Module):
    """Layer normalisation of every gate by itself, with a gain and an offset for each of its units.

        LN(y) = gain ⊙ (y − mean(y)) / √(var(y) + ε) + offset
    """

    def __init__(self, gates: int, units: int, epsilon: float):
        super().__init__()
        self.epsilon = epsilon
        self.gain = nn.Parameter(torch.ones(gates, units))
        self.offset = nn.Parameter(torch.zeros(gates, units))

    def forward(self, sums: Tensor) -> Tensor:
        """Sums (B, gates, H) → the same shape, normalised along H."""
        return torch.addcmul(self.offset, F.layer_norm(sums, sums.shape[-1:], eps=self.epsilon), self.gain)

    def extra_repr(self) -> str:
        """Gates, units and ε."""
        return f"{', '.join(map(str, self.gain.shape))}, epsilon={self.epsilon}"


class LSTMUpdate(nn.Module):
    """Update of an LSTM's state from the sums at its gates (equations 9 and 13).

        i, g, f, o = LN of each gate's sum
        c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ Dropout(tanh(g))
        h_t = σ(o) ⊙ tanh(LN(c_t))

    The c_t that is carried on is not normalised. Dropout draws a new mask at every step and leaves the memory c_{t−1}
    alone (Semeniuta, Severyn & Barth 2016).
    """

    gates = len(GATES)
    parts = 2

    def __init__(self, units: int, layer_norm: bool, recurrent_dropout: float, variant: Variant):
        super().__init__()
        check_count("hidden_size", units)
        if not 0 <= recurrent_dropout < 1:
            raise ValueError(f"recurrent_dropout is {recurrent_dropout}, and not at least 0 and below 1")
        self.recurrent_dropout, self.forget_bias = recurrent_dropout, variant.forget_bias
        self.norm = GateNorm(self.gates, units, variant.epsilon) if layer_norm else nn.Identity()
        self.cell_norm = nn.LayerNorm(units, variant.epsilon) if layer_norm else nn.Identity()

    def forward(self, sums: Tensor, state: State) -> State:
        """Sums (B, 4, H) and (h, c) before → (h, c) after, (B, H) each."""
        i, g, f, o = self.norm(sums.to(state[1].dtype)).unbind(1)
        new = F.dropout(torch.tanh(g), self.recurrent_dropout, self.training)
        kept = torch.sigmoid(f + self.forget_bias if self.forget_bias else f)
        cell = kept * state[1] + torch.sigmoid(i) * new
        return torch.sigmoid(o) * torch.tanh(self.cell_norm(cell)), cell

    def extra_repr(self) -> str:
        """Dropout and the forget gate's bias."""
        return f"recurrent_dropout={self.recurrent_dropout}, forget_bias={self.forget_bias}"


class RNNUpdate(nn.Module):
    """Update of a simple recurrent network's state from its sums y (equation 4): h_t = tanh(LN(y))."""

    gates = 1
    parts = 1

    def __init__(self, units: int, layer_norm: bool, variant: Variant):
        super().__init__()
        check_count("hidden_size", units)
        self.norm = GateNorm(self.gates, units, variant.epsilon) if layer_norm else nn.Identity()

    def forward(self, sums: Tensor, state: State) -> State:
        """Sums (B, 1, H) → (h,), (B, H)."""
        return (torch.tanh(self.norm(sums)).squeeze(1),)


@torch.no_grad()
def orthogonal(weight: Tensor, gates: int) -> None:
    """Fill each gate's rows of a weight (gates · H, in) with an orthogonal matrix."""
    for block in weight.unflatten(0, (gates, -1)):
        # Orthogonalisation does not exist in half precision.
        exact = torch.promote_types(weight.dtype, torch.float32)
        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=exact)))


def input_weights(weight: Tensor, gates: int, variant: Variant) -> None:
    """Fill W_x (gates · H, in) with the variant's initial values."""
    if variant.orthogonal_inputs:
        orthogonal(weight, gates)
    else:
        bound = sqrt(3 / weight.shape[1])
        nn.init.uniform_(weight, -bound, bound)
