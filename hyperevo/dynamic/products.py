"""Products with one weight at every step of a sequence, whose gradient is one product too.

    p_t = W h_t,   t = 1 … T        ∂L/∂W = Σ_t g_t h_tᵀ        g_t = ∂L/∂p_t

Autograd makes a matrix as large as W at every step and adds it up, which moves more memory than all else a step does.
Here step t hands g_t and h_t back through rows of zeros, as if they were these rows' gradients, and all of them meet in
one product. Nothing is kept on the side, so second derivatives, `torch.func` and `vmap` work as ever.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LONG = 16
"""Steps from which on Wᵀ is laid out as it is read: h Wᵀ then takes a CPU a tenth less, and the copy pays."""


def every_step(weight: Tensor, sizes: Sequence[int]) -> Callable[[Tensor, int], Tensor]:
    """A function of h_t (sizes[t], in) and t that answers with h_t Wᵀ (sizes[t], out); weight (out, in).

    It may be called once for each t, in any order.
    """
    if torch.compiler.is_compiling():  # It does not take functions with a forward derivative of their own.
        return lambda vector, step: F.linear(vector, weight)
    gradients, vectors = _Gather.apply(weight, sum(sizes))
    places = list(zip(gradients.split(sizes), vectors.split(sizes), strict=True))
    columns = weight.detach().mT
    if len(sizes) >= LONG:
        columns = columns.contiguous()
    return lambda vector, step: _Product.apply(vector, weight, columns, *places[step])


class _Gather(torch.autograd.Function):
    """W (out, in) → zeros (N, out) and (N, in), whose gradients are the g and h of all steps."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        return _zeros(weight, rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.rows = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradients: Tensor, vectors: Tensor) -> tuple[Tensor, None]:
        return gradients.mT @ vectors, None

    @staticmethod
    def jvp(ctx: Any, weight: Tensor, _: None) -> tuple[Tensor, Tensor]:
        return _zeros(weight, ctx.rows)


class _Product(torch.autograd.Function):
    """h (B, in), W and Wᵀ → h Wᵀ (B, out), with W's gradient left to `_Gather`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(vector: Tensor, weight: Tensor, columns: Tensor, *places: Tensor) -> Tensor:
        return vector @ columns

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, Tensor, Tensor]:
        vector, weight = ctx.saved_tensors
        # Under autocast the gradient is of half precision, and the weight is not.
        return gradient @ weight.to(gradient.dtype), None, None, gradient, vector

    @staticmethod
    def jvp(ctx: Any, vector: Tensor, weight: Tensor, *_: Any) -> Tensor:
        saved_vector, saved_weight = ctx.saved_tensors
        return vector @ saved_weight.mT + saved_vector @ weight.mT


def _zeros(weight: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """(rows, out) and (rows, in) that take no memory."""
    return weight.new_zeros(()).expand(rows, weight.shape[0]), weight.new_zeros(()).expand(rows, weight.shape[1])
