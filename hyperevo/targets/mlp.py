"""Multi-layer perceptron whose layers are sheets: inputs → hidden sheets → one output unit per class."""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.geometry import ParameterGeometry, Sheet, near_square
from hyperevo.weights import Weights, project


def tanh_in_place(values: Tensor) -> Tensor:
    """tanh, as 2 sigmoid(2z) - 1 where that is faster: on the CPU, where no gradient is wanted. Right to 1e-7."""
    if torch.is_grad_enabled() or values.device.type != "cpu" or values.dtype != torch.float32:
        return values.tanh_()
    return values.mul_(2).sigmoid_().mul_(2).sub_(1)


def sin_in_place(values: Tensor) -> Tensor:
    """sin, in place where no gradient is wanted, which needs what it was computed from."""
    return values.sin() if torch.is_grad_enabled() else values.sin_()


# In place: a product's result is nobody else's, and its gradient does not need it.
ACTIVATIONS = {"tanh": tanh_in_place, "relu": torch.relu_, "sin": sin_in_place, "identity": lambda values: values}


class Settings(ComponentSettings):
    """Options of the multi-layer perceptron."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[tuple[PositiveInt, PositiveInt], ...] = ((16, 16),)
    """Rows and columns of every hidden sheet."""
    activation: Literal["tanh", "relu", "sin", "identity"] = "tanh"
    biases: bool = True


class MlpTarget:
    """P perceptrons at once. `geometry` names and places their parameters; `units` counts the values of one example."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int):
        sheets = [inputs, *(Sheet(sizes) for sizes in settings.hidden), near_square(outputs)]
        hidden = len(settings.hidden)
        names = ["hidden"] if hidden == 1 else [f"hidden{layer + 1}" for layer in range(hidden)]
        self.layers = [*names, "readout"]
        self.activation = ACTIVATIONS[settings.activation]
        self.geometry: dict[str, ParameterGeometry] = {}
        self.units = sum(sheet.units for sheet in sheets[1:])
        for name, source, target in zip(self.layers, sheets[:-1], sheets[1:], strict=True):
            self.geometry[f"{name}.weight"] = ParameterGeometry(target, source)
            if settings.biases:
                self.geometry[f"{name}.bias"] = ParameterGeometry(target)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, features), the same for all networks → outputs (P, N, classes), not normalised."""
        values = inputs.T
        for layer in self.layers:
            values = project(weights[f"{layer}.weight"], values)
            bias = weights.get(f"{layer}.bias")
            if isinstance(bias, Tensor):
                values.add_(bias[:, :, None])
            if layer != self.layers[-1]:
                values = self.activation(values)
        return values.transpose(1, 2)


def build(settings: Settings, inputs: Sheet, outputs: int) -> MlpTarget:
    """The target for a task with one image or vector `inputs` and `outputs` classes."""
    return MlpTarget(settings, inputs, outputs)
