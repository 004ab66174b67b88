"""Trained generators of networks: read from a run's folder, and turned from codes into weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperevo.errors import UserError, shortened, shown_path
from hyperevo.genotypes import Packed
from hyperevo.reading import is_there
from hyperevo.tensors import read_tensors
from hyperevo.toml import read_toml

DECODER = "decoder"
"""Beginning of the names of a decoder's parameters: NAME1.weight, NAME1.bias, NAME2.weight, …"""

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def perceptron(weights: Mapping[str, Tensor], part: str, inputs: Tensor, activation: str) -> Tensor:
    """Outputs (P, N, …) of P chains of layers, whose parameters' names begin with `part`, for inputs (N, units) or
    (P, N, units)."""
    depth = sum(name.startswith(part) and name.endswith(".weight") for name in weights)
    values = inputs
    for layer in range(1, depth + 1):
        values = values @ weights[f"{part}{layer}.weight"].transpose(1, 2) + weights[f"{part}{layer}.bias"][:, None]
        values = ACTIVATIONS[activation](values) if layer < depth else values
    return values


@dataclass(frozen=True)
class Decoder:
    """Decoder of a variational autoencoder on the standardised weights of networks."""

    weights: Mapping[str, Tensor]
    mean: Tensor
    spread: Tensor
    activation: str
    condition: bool

    def __post_init__(self) -> None:
        names = {name for layer in range(1, 1 + len(self.weights) // 2)
                 for name in (f"{DECODER}{layer}.weight", f"{DECODER}{layer}.bias")}
        if set(self.weights) != names or self.activation not in ACTIVATIONS or self.codes < 1:
            raise ValueError("it is not a decoder's")
        if len(self.mean) != self.size + self.condition or len(self.spread) != len(self.mean):
            raise ValueError("its preprocessing is of another size")

    @property
    def size(self) -> int:
        """Number of weights of a network that is generated."""
        return len(self.weights[f"{DECODER}{len(self.weights) // 2}.bias"])

    @property
    def codes(self) -> int:
        """Length of a code."""
        return self.weights[f"{DECODER}1.weight"].shape[1] - int(self.condition)

    def networks(self, codes: Tensor, score: float | None = None) -> Tensor:
        """Networks as vectors (P, weights) from codes (P, length), asked for a score where that is a condition."""
        if self.condition:
            asked = (torch.tensor(score, device=codes.device) - self.mean[-1]) / self.spread[-1]
            codes = torch.cat([codes, asked.expand(len(codes), 1)], 1)
        weights = {name: value[None] for name, value in self.weights.items()}
        decoded = perceptron(weights, DECODER, codes, self.activation)[0]
        return decoded * self.spread[: self.size] + self.mean[: self.size]

    def to(self, device: torch.device) -> "Decoder":
        """Copy on a device."""
        return Decoder({name: value.to(device) for name, value in self.weights.items()}, self.mean.to(device),
                       self.spread.to(device), self.activation, self.condition)


def read_trained(run: Path) -> Packed:
    """Plain data and tensors of the decoder that a finished run trained; raises UserError, which names the folder,
    where there is none."""
    if not is_there(run / "result.json"):
        raise UserError(f"{shown_path(run)}: is not a finished run")
    config = read_toml(run / "config.toml")
    target, task = config.get("target", {}), config.get("task", {})
    if (target.get("name"), task.get("name")) != ("variational-autoencoder", "networks"):
        raise UserError(f"{shown_path(run)}: trained no generator of networks: its target is not "
                        "variational-autoencoder, or its task not networks")
    trained = read_tensors(run / "champion" / "weights.safetensors")
    first = read_tensors(run / "champion" / "preprocessing.safetensors")
    tensors = {name: value.contiguous() for name, value in trained.items() if name.startswith(DECODER)}
    packed = ({"generator": {"activation": target.get("activation"), "condition": task.get("condition")}},
              tensors | {name: first[name] for name in ("mean", "spread") if name in first})
    decoder_of(*packed, run)
    return packed


def decoder_of(plain: Any, tensors: Mapping[str, Tensor], run: Path) -> Decoder:
    """Decoder from what `read_trained` gave; raises UserError, which names the run, where that is none."""
    try:
        own = plain["generator"]
        for name, value in tensors.items():
            if not value.is_floating_point() or not torch.isfinite(value).all():
                raise ValueError(f"{name}: has values that are no finite numbers")
        return Decoder({name: value for name, value in tensors.items() if name.startswith(DECODER)}, tensors["mean"],
                       tensors["spread"], str(own["activation"]), bool(own["condition"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{shown_path(run)}: its generator is damaged: {shortened(error)}") from error
