"""Variational autoencoder (Kingma & Welling 2014): an encoder gives the mean and log-variance of a code, a decoder what
was encoded. Inputs beyond the number of outputs are conditions, which the decoder reads beside the code.

While a gradient is followed codes are drawn, and the answer is what is decoded, then the means and the log-variances of
the code, for a task whose fitness is the evidence lower bound. Otherwise the code is its mean, and the answer is
what is decoded from it.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.generative.trained import DECODER, perceptron
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Form, Target, output_units
from hyperevo.randomness import drawing
from hyperevo.weights import Weights

ENCODER = "encoder"
"""Beginning of the names of the encoder's parameters: NAME1.weight, NAME1.bias, NAME2.weight, …"""


class Settings(ComponentSettings):
    """Options of the variational autoencoder."""

    name: Literal["variational-autoencoder"] = "variational-autoencoder"
    latent: int = Field(32, ge=1, le=1_000_000)
    """Numbers of a code."""
    hidden: tuple[PositiveInt, ...] = (128, 128)
    """Units of the hidden layers of the encoder; the decoder has the same in reverse."""
    activation: Literal["relu", "tanh"] = "relu"
    """Function of the hidden units."""


class VariationalAutoencoder(Target):
    """P autoencoders at once. A code is drawn with the same noise for all of them."""

    forms: frozenset[Form] = frozenset({"networks"})
    own_inputs = True
    drops = True
    """True: codes are drawn while a gradient is followed."""

    def __init__(self, settings: Settings, inputs: int, outputs: int):
        self.latent, self.conditions, self.activation = settings.latent, inputs - outputs, settings.activation
        encoder = [inputs, *settings.hidden, 2 * settings.latent]
        decoder = [settings.latent + self.conditions, *reversed(settings.hidden), outputs]
        geometry: dict[str, ParameterGeometry] = {}
        for part, sizes in ((ENCODER, encoder), (DECODER, decoder)):
            for layer, (source, target) in enumerate(zip(sizes, sizes[1:], strict=False), 1):
                geometry[f"{part}{layer}.weight"] = ParameterGeometry(Sheet((target,)), Sheet((source,)))
                geometry[f"{part}{layer}.bias"] = ParameterGeometry(Sheet((target,)))
        self.geometry, self.units = geometry, sum(encoder[1:]) + sum(decoder[1:])

    def start(self, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Parameters as those of torch's linear layers begin: within ±1 / √inputs, weights and biases."""
        reach = {name.partition(".")[0]: place.source.units ** -0.5 for name, place in self.geometry.items()
                 if place.source is not None}
        return {name: reach[name.partition(".")[0]] * torch.empty(place.shape).uniform_(-1, 1, generator=generator)
                for name, place in self.geometry.items()}

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Decoded values (P, N, outputs) from the mean codes of inputs (N, units) or (P, N, units)."""
        means, _ = self.encode(weights, inputs)
        return self.decode(weights, means, inputs)

    def forward_dropping(self, weights: Weights, inputs: Tensor, draw: int) -> Tensor:
        """Decoded values from drawn codes, then the means and log-variances of codes, (P, N, outputs + 2 · latent)."""
        means, logarithms = self.encode(weights, inputs)
        with drawing(draw, means.device):
            noise = torch.randn(means.shape[1:], dtype=means.dtype, device=means.device)
        decoded = self.decode(weights, means + (logarithms / 2).exp() * noise, inputs)
        return torch.cat([decoded, means, logarithms], 2)

    def encode(self, weights: Weights, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances (P, N, latent) of codes."""
        means, logarithms = perceptron(weights.dense(), ENCODER, inputs, self.activation).chunk(2, 2)
        return means, logarithms

    def decode(self, weights: Weights, codes: Tensor, inputs: Tensor) -> Tensor:
        """Decoded values (P, N, outputs) from codes (P, N, latent), under the conditions in the inputs."""
        if self.conditions:
            conditions = inputs[..., inputs.shape[-1] - self.conditions :]
            codes = torch.cat([codes, conditions.expand(*codes.shape[:2], -1)], 2)
        return perceptron(weights.dense(), DECODER, codes, self.activation)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> VariationalAutoencoder:
    """The target for examples that are to be answered with themselves; raises ValueError where there are more outputs
    than inputs."""
    if inputs.units < output_units(outputs):
        raise ValueError(f"target.name: an autoencoder answers with its inputs, and {inputs.units} inputs are fewer "
                         f"than {output_units(outputs)} outputs")
    return VariationalAutoencoder(settings, inputs.units, output_units(outputs))
