"""Networks that compute the same with their hidden units in another order, or with signs changed on both sides of a
unit whose function is odd: brought into one form, or drawn at random.

Networks are perceptrons: layers in the order of data, each a weight matrix (N, out, in) and perhaps a bias (N, out).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Layer = tuple[Tensor, Tensor | None]
"""Weights (N, out, in) and biases (N, out) of one layer of N networks."""


def layer_names(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Names of a perceptron's layers in the order of data: hidden ones by name, then the readout. Raises ValueError
    where the parameters are no perceptron's."""
    names = sorted({name.rpartition(".")[0] for name in shapes} - {"readout"}, key=lambda name: (len(name), name))
    names.append("readout")
    known = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    matrices = [shapes.get(f"{name}.weight", ()) for name in names]
    chained = all(len(own) == 2 for own in matrices) and all(
        first[0] == second[1] for first, second in zip(matrices, matrices[1:], strict=False))
    if not set(shapes) <= known or not chained:
        raise ValueError("parameters are not those of target mlp, whose hidden units could be ordered")
    return names


def layers_of(weights: Mapping[str, Tensor]) -> list[Layer]:
    """Layers of N networks in the order of data."""
    names = layer_names({name: tuple(value.shape[1:]) for name, value in weights.items()})
    return [(weights[f"{name}.weight"], weights.get(f"{name}.bias")) for name in names]


def parameters_of(layers: list[Layer], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters by name from layers."""
    names = layer_names({name: tuple(value.shape[1:]) for name, value in like.items()})
    parameters: dict[str, Tensor] = {}
    for name, (matrix, bias) in zip(names, layers, strict=True):
        parameters |= {f"{name}.weight": matrix} | ({} if bias is None else {f"{name}.bias": bias})
    return parameters


def arranged(layers: list[Layer], hidden: int, order: Tensor, signs: Tensor) -> list[Layer]:
    """Layers with the units of one hidden layer in another order, by their indices (N, units), and times signs (N,
    units) before that."""
    (matrix, bias), (following, readout) = layers[hidden], layers[hidden + 1]
    matrix = (matrix * signs[:, :, None]).gather(1, order[:, :, None].expand_as(matrix))
    bias = None if bias is None else (bias * signs).gather(1, order)
    following = (following * signs[:, None]).gather(2, order[:, None].expand_as(following))
    return [*layers[:hidden], (matrix, bias), (following, readout), *layers[hidden + 2 :]]


def aligned(weights: Mapping[str, Tensor], odd: bool) -> dict[str, Tensor]:
    """N networks in one form. The units of every hidden layer are ordered by the contrast of what they send on, the
    last weight less the first (a single weight itself), the largest first. Where their function is odd, signs first
    make every contrast positive. Layers are settled from the last to the first."""
    layers = layers_of(weights)
    for hidden in reversed(range(len(layers) - 1)):  # what a unit sends on is settled first
        following = layers[hidden + 1][0]
        contrast = following[:, -1] - following[:, 0] if following.shape[1] > 1 else following[:, 0]
        signs = torch.where(contrast < 0, -1.0, 1.0) if odd else torch.ones_like(contrast)
        order = (contrast * signs).argsort(dim=1, descending=True, stable=True)
        layers = arranged(layers, hidden, order, signs.to(contrast.dtype))
    return parameters_of(layers, weights)


def permuted(weights: Mapping[str, Tensor], odd: bool, generator: torch.Generator) -> dict[str, Tensor]:
    """N networks with the units of every hidden layer in a random order, and with random signs where their function is
    odd."""
    layers = layers_of(weights)
    for hidden in range(len(layers) - 1):
        shape = layers[hidden][0].shape[:2]
        order = torch.rand(shape, generator=generator).argsort(1)
        signs = torch.randint(2, shape, generator=generator) * 2 - 1 if odd else torch.ones(shape)
        like = layers[hidden][0]
        layers = arranged(layers, hidden, order.to(like.device), signs.to(like.device, like.dtype))
    return parameters_of(layers, weights)
