"""Recurrent network (Elman), a controller that acts step by step, or a reader of sequences and of images row by row.

    h_t = φ(W x_t + U h_{t-1} + b)        o_t = V h_t + c        h_0 = 0
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.geometry import Frame, ParameterGeometry, Sheet, near_square
from hyperevo.parts import Form, Target, output_sheet
from hyperevo.targets.mlp import ACTIVATIONS
from hyperevo.weights import Weights, project, project_and_add


class Settings(ComponentSettings):
    """Options of the recurrent network."""

    name: Literal["recurrent"] = "recurrent"
    hidden: int = Field(32, ge=1, le=1_000_000)
    """Number of units of the state; they lie on a sheet as near to a square as their number allows."""
    activation: Literal["tanh", "relu", "sin"] = "tanh"
    """φ, the function of the state's units."""


class RecurrentTarget(Target):
    """P networks at once. A step reads one row of the task's inputs; inputs on a line or in a frame are one step."""

    forms: frozenset[Form] = frozenset({"values", "sequences", "observations"})

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        one_step = isinstance(inputs, Frame) or len(inputs.sizes) == 1
        self.step_sheet = inputs if one_step else Sheet(inputs.sizes[-1:])
        hidden, readout = near_square(settings.hidden), output_sheet(outputs)
        self.activation = ACTIVATIONS[settings.activation]
        self.geometry = {
            "input.weight": ParameterGeometry(hidden, self.step_sheet),
            "recurrent.weight": ParameterGeometry(hidden, hidden),
            "recurrent.bias": ParameterGeometry(hidden),
            "readout.weight": ParameterGeometry(readout, hidden),
            "readout.bias": ParameterGeometry(readout),
        }
        self.units = (inputs.units // self.step_sheet.units) * settings.hidden + readout.units

    def initial(self, population: int, episodes: int, like: Tensor) -> Tensor:
        """First state (P, hidden, episodes), all zeros, on the device and in the dtype of `like`."""
        return like.new_zeros(population, self.geometry["recurrent.bias"].target.units, episodes)

    def step(self, weights: Weights, state: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        """State (P, hidden, N) and observations (N, features), or (P, N, features) where every network has its own →
        the next state, and outputs (P, N, outputs)."""
        state = self._next(weights, state, project(weights["input.weight"], observations.transpose(-1, -2)))
        return state, self._read(weights, state)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, steps · features) or (N, steps, features), the same for all networks → outputs (P, N, classes)
        after the last step."""
        features = self.step_sheet.units
        steps = inputs.flatten(1).unflatten(1, (-1, features)).transpose(0, 1)
        # The inputs of all steps are one product.
        received = project(weights["input.weight"], steps.reshape(-1, features).T)
        state = self.initial(weights.population, inputs.shape[0], inputs)
        for own in received.unflatten(2, steps.shape[:2]).unbind(2):
            state = self._next(weights, state, own)
        return self._read(weights, state)

    def _next(self, weights: Weights, state: Tensor, received: Tensor) -> Tensor:
        total = received + weights.tensor("recurrent.bias")[:, :, None]
        return self.activation(total.add_(project(weights["recurrent.weight"], state)))

    def _read(self, weights: Weights, state: Tensor) -> Tensor:
        return project_and_add(weights["readout.weight"], state, weights.tensor("readout.bias")).transpose(1, 2)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> RecurrentTarget:
    """The target for a task with `inputs` features a step, or (steps, features)."""
    return RecurrentTarget(settings, inputs, outputs)
