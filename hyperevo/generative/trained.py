"""Trained generators of networks: read from a run's folder, and turned from codes into weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from hyperevo.errors import UserError, shortened, shown_path
from hyperevo.generative.hypergan import HyperGAN, Plan
from hyperevo.genotypes import MOST_BYTES, Packed, read_champion
from hyperevo.reading import as_json, is_there, read_bytes
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


class Model(Protocol):
    """A trained generator of networks."""

    @property
    def condition(self) -> bool:
        """True where it is asked for networks of a score."""

    @property
    def size(self) -> int:
        """Number of weights of a network that is generated."""

    @property
    def parameters(self) -> Mapping[str, int]:
        """Number of values of every parameter by name; empty where the model knows no names."""

    @property
    def codes(self) -> int:
        """Length of a code."""

    def networks(self, codes: Tensor, score: float | None = None) -> Tensor:
        """Networks as vectors (P, weights), in the order of their parameters' names, from codes (P, length)."""

    def to(self, device: torch.device) -> "Model":
        """Copy on a device."""


@dataclass(frozen=True)
class TrainedHyperGAN:
    """HyperGAN with the numbers that were trained."""

    model: HyperGAN
    numbers: Tensor
    condition: bool = False

    def __post_init__(self) -> None:
        if self.numbers.shape != (self.model.numbers,):
            raise ValueError(f"has {self.numbers.numel():,} numbers, and {self.model.numbers:,} are wanted")

    @property
    def size(self) -> int:
        """Number of weights of a network that is generated."""
        return sum(self.parameters.values())

    @property
    def parameters(self) -> Mapping[str, int]:
        """Number of values of every parameter by name."""
        return self.model.sizes

    @property
    def codes(self) -> int:
        """Length of a code, the network's noise."""
        return self.model.noise

    def networks(self, codes: Tensor, score: float | None = None) -> Tensor:
        """Networks as vectors (P, weights) from codes (P, length)."""
        weights = self.model.networks(self.numbers, codes)
        return torch.cat([weights[name].flatten(1) for name in sorted(weights)], 1)

    def to(self, device: torch.device) -> "TrainedHyperGAN":
        """Copy on a device."""
        return TrainedHyperGAN(self.model, self.numbers.to(device))


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
    def parameters(self) -> Mapping[str, int]:
        """No names: a network is one vector."""
        return {}

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
    """Plain data and tensors of the generator that a finished run trained, a decoder or a HyperGAN; raises UserError,
    which names the folder, where there is none."""
    if not is_there(run / "result.json"):
        raise UserError(f"{shown_path(run)}: is not a finished run")
    config = read_toml(run / "config.toml")
    target, task, encoding = (config.get(part, {}) for part in ("target", "task", "encoding"))
    if encoding.get("name") == "hypergan":
        packed = _read_hypergan(run, encoding)
    elif (target.get("name"), task.get("name")) == ("variational-autoencoder", "networks"):
        packed = _read_decoder(run, target, task)
    else:
        raise UserError(f"{shown_path(run)}: trained no generator of networks: its encoding is not hypergan, and its "
                        "target is not variational-autoencoder, or its task not networks")
    model_of(*packed, run)
    return packed


def _read_decoder(run: Path, target: Mapping[str, Any], task: Mapping[str, Any]) -> Packed:
    trained = read_tensors(run / "champion" / "weights.safetensors")
    first = read_tensors(run / "champion" / "preprocessing.safetensors")
    tensors = {name: value.contiguous() for name, value in trained.items() if name.startswith(DECODER)}
    return ({"generator": {"activation": target.get("activation"), "condition": task.get("condition")}},
            tensors | {name: first[name] for name in ("mean", "spread") if name in first})


def _read_hypergan(run: Path, encoding: Mapping[str, Any]) -> Packed:
    """Sizes and numbers of a HyperGAN; its champion's genes end with the noise of one network."""
    weights, genes = read_tensors(run / "champion" / "weights.safetensors"), read_champion(run)
    result = as_json(read_bytes(run / "result.json", MOST_BYTES), run / "result.json")
    keys = {"code": "layer_code", "mixer_normalised": "mixer_normalisation",
            "generator_normalised": "generator_normalisation"}
    try:
        plan = {name: encoding[keys.get(name, name)] for name in Plan.__dataclass_fields__}
        numbers = torch.as_tensor(genes)[: -int(plan["noise"])].clone()
        shapes = {name: list(weights[name].shape) for name in result["origins"]["generated"]}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{shown_path(run)}: its generator is damaged: {shortened(error)}") from error
    return {"generator": {"plan": plan, "shapes": shapes}}, {"numbers": numbers}


def model_of(plain: Any, tensors: Mapping[str, Tensor], run: Path) -> Model:
    """Generator from what `read_trained` gave; raises UserError, which names the run, where that is none."""
    try:
        own = plain["generator"]
        for name, value in tensors.items():
            if not value.is_floating_point() or not torch.isfinite(value).all():
                raise ValueError(f"{name}: has values that are no finite numbers")
        if "plan" in own:
            shapes = {str(name): tuple(map(int, shape)) for name, shape in own["shapes"].items()}
            return TrainedHyperGAN(Plan(**own["plan"]).of(shapes), tensors["numbers"])
        return Decoder({name: value for name, value in tensors.items() if name.startswith(DECODER)}, tensors["mean"],
                       tensors["spread"], str(own["activation"]), bool(own["condition"]))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise UserError(f"{shown_path(run)}: its generator is damaged: {shortened(error)}") from error
