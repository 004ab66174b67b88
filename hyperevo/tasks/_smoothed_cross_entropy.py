"""Cross-entropy with label smoothing, whose gradient is made along with it, while a block of scores is in cache.

    L = −1/n Σ_r ((1 − s) log p_r,w + s/K Σ_k log p_r,k)        ∂L/∂y_r = (p_r − (1 − s) δ_w − s/K) / n

over the n rows whose symbol w is wanted, with p = softmax(y) and smoothing s. torch's own goes five times through all
scores, and wants half precision copied to float32 before.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from hyperevo import devices

BLOCK = 2**19
"""Scores of a block on the CPU: two megabytes."""


def smoothed_cross_entropy(scores: Tensor, wanted: Tensor, ignored: int, smoothing: float) -> Tensor:
    """Mean over the rows of scores (R, K), of any precision, whose wanted symbol (R,) is not `ignored`, in float32 at
    least. It can be derived once."""
    return _SmoothedCrossEntropy.apply(scores, wanted, wanted != ignored, smoothing)


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Scores (R, K), wanted symbols (R,), whether they count, and the smoothing → the mean."""

    @staticmethod
    def forward(ctx: FunctionCtx, scores: Tensor, wanted: Tensor, counted: Tensor, smoothing: float) -> Tensor:
        symbols, exact = scores.shape[1], torch.promote_types(scores.dtype, torch.float32)
        shares = counted.to(exact) / counted.sum()
        gradient, loss = torch.empty_like(scores), shares.new_zeros(())
        size = len(scores) if devices.takes_all_at_once(scores.device) else max(1, BLOCK // symbols)
        for rows in (slice(first, first + size) for first in range(0, len(scores), size)):
            own, symbol, share = scores[rows].to(exact), wanted[rows, None], shares[rows, None]
            chances = own.softmax(1)
            # The likeliest symbol's chance is at least 1 / K, so that its logarithm is exact.
            total = own.amax(1, keepdim=True) - chances.amax(1, keepdim=True).log()
            gained = (1 - smoothing) * own.gather(1, symbol) + smoothing * own.mean(1, keepdim=True)
            loss += ((total - gained) * share).sum()
            chances.sub_(smoothing / symbols).scatter_add_(1, symbol, (smoothing - 1) * torch.ones_like(share))
            gradient[rows] = chances.mul_(share)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, outer: Tensor) -> tuple[Tensor, None, None, None]:
        gradient, = ctx.saved_tensors
        return gradient * outer, None, None, None
