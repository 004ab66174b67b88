"""Products with one weight at every step of a sequence, whose gradient is one product too.

    p_t = W h_t,   t = 1 … T        ∂L/∂W = Σ_t g_t h_tᵀ        g_t = ∂L/∂p_t

Autograd builds g_t h_tᵀ, as large as W, at every step and sums these matrices, which moves more memory than the rest of
the step. Here every step is given rows of zeros, and its backward pass returns g_t and h_t as the gradients of these
rows; one product over all rows is then the gradient of W. No state is kept outside the graph, so second derivatives,
`torch.func` and `vmap` work as ever. Under autocast W is cast once, and not at every step.

A weight may have leading axes, as a stack of matrices that attention reads at every step: h_t has them too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

LONG = 16
"""Fewest steps for which Wᵀ is copied into contiguous memory: h Wᵀ then takes a tenth less time on a CPU."""


def every_step(weight: Tensor, sizes: Sequence[int]) -> Callable[[Tensor, int], Tensor]:
    """The function from h_t (…, sizes[t], in) and t to h_t Wᵀ (…, sizes[t], out), for a weight (…, out, in).

    It may be called once for each t, in any order.
    """
    if torch.compiler.is_compiling():  # Compilers take no autograd functions with a jvp.
        return lambda vector, step: vector @ weight.mT
    own = weight.to(dtype_of_products(weight))
    gradients, vectors = _Gather.apply(own, sum(sizes))
    places = list(zip(gradients.split(sizes, -2), vectors.split(sizes, -2), strict=True))
    columns = own.detach().mT
    if len(sizes) >= LONG:
        columns = columns.contiguous()
    return lambda vector, step: _Product.apply(vector.to(own.dtype), own, columns, *places[step])


def dtype_of_products(weight: Tensor) -> torch.dtype:
    """dtype of a weight's products: half precision for float32 under autocast, else the weight's own."""
    device = weight.device.type
    if weight.dtype == torch.float32 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype


class _Gather(torch.autograd.Function):
    """W (…, out, in) → zeros (…, N, out) and (…, N, in), whose gradients are the g and h of all steps."""

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
    """h (…, B, in), W and Wᵀ → h Wᵀ (…, B, out), with W's gradient left to `_Gather`."""

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
        return gradient @ weight, None, None, gradient, vector

    @staticmethod
    def jvp(ctx: Any, vector: Tensor, weight: Tensor, *_: Any) -> Tensor:
        saved_vector, saved_weight = ctx.saved_tensors
        return vector @ saved_weight.mT + saved_vector @ weight.mT


def _zeros(weight: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Zeros (…, rows, out) and (…, rows, in), expanded from one number, so that they take no memory."""
    *leading, out, features = weight.shape
    return weight.new_zeros(()).expand(*leading, rows, out), weight.new_zeros(()).expand(*leading, rows, features)
