"""Activation and aggregation functions of CPPN nodes, over tensors.

Names and definitions are neat-python's (its `sin` is sin(5z), its `gauss` exp(-5z²), …), so that a genome computes the
same in both. `cos` and `step` are ours and are registered with neat-python where its genomes are used.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def _selu(z: Tensor) -> Tensor:
    scale, alpha = 1.0507009873554804934, 1.6732632423543772848
    return torch.where(z > 0, scale * z, scale * alpha * (torch.exp(z.clamp(max=0)) - 1))


def _inverse(z: Tensor) -> Tensor:
    return torch.where(z == 0, torch.zeros_like(z), 1 / torch.where(z == 0, torch.ones_like(z), z))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sin": lambda z: (5 * z).clamp(-60, 60).sin(),
    "cos": lambda z: (5 * z).clamp(-60, 60).cos(),
    "gauss": lambda z: torch.exp(-5 * z.clamp(-3.4, 3.4).square()),
    "sigmoid": lambda z: torch.sigmoid((5 * z).clamp(-60, 60)),
    "tanh": lambda z: torch.tanh((2.5 * z).clamp(-60, 60)),
    "abs": torch.abs,
    "identity": lambda z: z,
    "relu": torch.relu,
    "square": torch.square,
    "step": lambda z: (z > 0).to(z.dtype),
    "clamped": lambda z: z.clamp(-1, 1),
    "hat": lambda z: (1 - z.abs()).clamp(min=0),
    "softplus": lambda z: 0.2 * torch.log1p(torch.exp((5 * z).clamp(-60, 60))),
    "elu": lambda z: torch.where(z > 0, z, torch.exp(z.clamp(max=0)) - 1),
    "lelu": lambda z: torch.where(z > 0, z, 0.005 * z),
    "selu": _selu,
    "inv": _inverse,
    "log": lambda z: torch.log(z.clamp(min=1e-7)),
    "exp": lambda z: torch.exp(z.clamp(-60, 60)),
    "cube": lambda z: z**3,
}


def cosine_activation(z: float) -> float:
    """cos(5z), the scalar twin of `cos` for neat-python's own networks."""
    return math.cos(max(-60.0, min(60.0, 5.0 * z)))


def step_activation(z: float) -> float:
    """1 above zero, else 0, the scalar twin of `step` for neat-python's own networks."""
    return 1.0 if z > 0.0 else 0.0


OWN_SCALAR_ACTIVATIONS = {"cos": cosine_activation, "step": step_activation}


def _stacked(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*values))


def _pairwise(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
    def reduce(values: Sequence[Tensor]) -> Tensor:
        # Small tensors first: values that depend on one unit only are combined before they spread over all connections.
        ordered = sorted(values, key=torch.numel)
        result = ordered[0]
        for value in ordered[1:]:
            result = operation(result, value)
        return result

    return reduce


def _largest_magnitude(values: Sequence[Tensor]) -> Tensor:
    stacked = _stacked(values)
    return stacked.gather(0, stacked.abs().argmax(0, keepdim=True)).squeeze(0)


def _median(values: Sequence[Tensor]) -> Tensor:
    # The mean of the two middle values where their count is even, as in neat-python.
    ordered = _stacked(values).sort(dim=0).values
    middle = len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


_total = _pairwise(torch.add)

# Each takes the weighted inputs of a node, one tensor per link, of shapes that broadcast.
AGGREGATIONS: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {
    "sum": _total,
    "product": _pairwise(torch.mul),
    "max": _pairwise(torch.maximum),
    "min": _pairwise(torch.minimum),
    "maxabs": _largest_magnitude,
    "median": _median,
    "mean": lambda values: _total(values) / len(values),
}

# The value of each aggregation for a node without links, as in neat-python.
EMPTY_AGGREGATION = {name: 1.0 if name == "product" else 0.0 for name in AGGREGATIONS}
