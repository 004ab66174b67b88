"""Multi-layer perceptron whose layers are sheets: inputs → hidden sheets → one output unit per class."""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from hyperevo.components import ComponentSettings, Positive
from hyperevo.devices import takes_all_at_once
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet
from hyperevo.targets._ridge import ridge_readout
from hyperevo.weights import Weights, project, project_and_add


def tanh_in_place(values: Tensor) -> Tensor:
    """tanh, as 2 sigmoid(2z) - 1 where that is faster: on the CPU, where no gradient is wanted. Right to 1e-7."""
    if torch.is_grad_enabled() or takes_all_at_once(values.device) or values.dtype == torch.float64:
        return values.tanh_()
    if values.dtype == torch.bfloat16:
        return values.copy_(tanh_in_place(values.float()))
    return values.mul_(2).sigmoid_().mul_(2).sub_(1)


def sin_in_place(values: Tensor) -> Tensor:
    """sin; in place unless a gradient is wanted, which needs the argument."""
    return values.sin() if torch.is_grad_enabled() else values.sin_()


# In place: a product's result is nobody else's, and its gradient does not need it.
ACTIVATIONS = {"tanh": tanh_in_place, "relu": torch.relu_, "sin": sin_in_place, "identity": lambda values: values}


class Settings(ComponentSettings):
    """Options of the multi-layer perceptron."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[tuple[PositiveInt, PositiveInt], ...] = ((16, 16),)
    """Rows and columns of every hidden sheet."""
    activation: Literal["tanh", "relu", "sin", "identity"] = "tanh"
    """Function of the hidden units."""
    biases: bool = True
    """true: hidden and output units have biases; false: the parameters are weight matrices alone."""
    ridge: Positive | None = None
    """Penalty of a ridge regression that fits the readout in closed form; by default the readout comes from the
    genotype. In a generation the readout is fitted to half of the images and judged on the other half, for validation
    and test it is fitted to 10,000 training images."""


class MlpTarget(Target):
    """P perceptrons at once. `geometry` holds the positions of their parameters, `fitted` those of a fitted readout;
    `units` counts the values of one example."""

    own_inputs = True
    """True: every network may have inputs of its own."""
    takes_bfloat16 = True
    """True: layers are products, sums and functions of single values."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        readout = output_sheet(outputs)
        sheets = [inputs, *(Sheet(sizes) for sizes in settings.hidden), readout]
        hidden = len(settings.hidden)
        names = ["hidden"] if hidden == 1 else [f"hidden{layer + 1}" for layer in range(hidden)]
        self.layers = [*names, "readout"]
        self.activation = ACTIVATIONS[settings.activation]
        geometry: dict[str, ParameterGeometry] = {}
        fitted: dict[str, ParameterGeometry] = {}
        self.geometry, self.fitted, self.ridge, self.outputs = geometry, fitted, settings.ridge, readout.units
        self.calibration_examples = 0 if settings.ridge is None else 10_000
        self.units = sum(sheet.units for sheet in sheets[1:])
        for name, source, target in zip(self.layers, sheets[:-1], sheets[1:], strict=True):
            places = fitted if settings.ridge is not None and name == "readout" else geometry
            places[f"{name}.weight"] = ParameterGeometry(target, source)
            if settings.biases or places is fitted:
                places[f"{name}.bias"] = ParameterGeometry(target)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, features), or (P, N, features) where every network has its own → outputs (P, N, classes), not
        normalised."""
        return self._layer(weights, self._features(weights, inputs), "readout").transpose(1, 2)

    def calibrate(self, weights: Weights, inputs: Tensor, labels: Tensor) -> Weights:
        """Weights with every network's fitted readout added, from inputs (N, features) of classes (N,); unchanged
        without ridge."""
        if self.ridge is None:
            return weights
        features = self._features(weights, inputs).transpose(1, 2)
        matrix, biases = ridge_readout(features, labels, self.outputs, self.ridge)
        return Weights({**weights, "readout.weight": matrix, "readout.bias": biases})

    def _features(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Values (P, units, N) of the last hidden layer; without hidden layers the inputs, N last."""
        values = inputs.transpose(-1, -2)
        for layer in self.layers[:-1]:
            values = self.activation(self._layer(weights, values, layer))
        return values

    def _layer(self, weights: Weights, values: Tensor, layer: str) -> Tensor:
        weight, bias = weights[f"{layer}.weight"], weights.get(f"{layer}.bias")
        return project_and_add(weight, values, bias) if isinstance(bias, Tensor) else project(weight, values)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> MlpTarget:
    """The target for a task with one image or vector `inputs` and `outputs` classes, or units of a sheet."""
    return MlpTarget(settings, inputs, outputs)
