"""A readout that is neither generated nor searched but fitted in closed form (after Verbancsics & Harguess 2013)."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def ridge_readout(features: Tensor, labels: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    """Ridge regression from hidden units to classes, of P networks at once, in float64, differentiable:

        W = Yᵀ H (Hᵀ H + penalty · N v I)⁻¹        b = ȳ - W h̄        H, Y centred; v the mean variance of the features

    features (P, N, units), labels (N,) → weights (P, classes, units) and biases (P, classes). With v in it the penalty
    does not depend on how large the features are.
    """
    dtype, features = features.dtype, features.double()
    wanted = one_hot(labels, classes).double()
    means, mean_wanted = features.mean(1, keepdim=True), wanted.mean(0)
    centred = features - means
    gram = centred.transpose(1, 2) @ centred
    variance = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    ridge = penalty * variance[:, None, None] * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    moments = centred.transpose(1, 2) @ (wanted - mean_wanted)
    weights = torch.linalg.solve(gram + ridge, moments).transpose(1, 2)
    biases = mean_wanted - (weights @ means.transpose(1, 2)).squeeze(2)
    return weights.to(dtype), biases.to(dtype)
