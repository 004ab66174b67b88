"""Substrate: a network whose hidden nodes come with its weights, each network's its own (ES-HyperNEAT).

    h_t = φ(W x + U h_{t-1} + b)        o = V h_T        h_0 = 0        x: the same at every step

All hidden nodes are updated at once, T times, or fewer if nothing changes any more. So a network without cycles is
computed exactly, layer by layer, if no path through its hidden nodes is longer than T; one with cycles is a recurrent
network of T steps. Neither depends on the networks beside it, as a number of steps taken from the longest path would.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.devices import takes_all_at_once
from hyperevo.geometry import SUBSTRATE, ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet, output_units
from hyperevo.targets.mlp import ACTIVATIONS
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of the substrate."""

    name: Literal["substrate"] = "substrate"
    activation: Literal["tanh", "relu", "sin"] = "tanh"
    """φ, function of the hidden nodes."""
    steps: int = Field(10, ge=1, le=10_000)
    """T, number of updates of all hidden nodes; fewer where nothing changes any more."""


class SubstrateTarget(Target):
    """P networks at once, with input.weight (P, hidden, inputs), recurrent.weight (P, hidden, hidden), optionally
    recurrent.bias (P, hidden), and readout.weight (P, outputs, hidden). Networks with fewer hidden nodes than others
    have weights of 0 for the missing ones. There may be no hidden node at all."""

    own_inputs = True
    """True: every network may have inputs of its own."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        self.settings, self.activation = settings, ACTIVATIONS[settings.activation]
        self.geometry = {SUBSTRATE: ParameterGeometry(_opposite(inputs, output_sheet(outputs)), inputs)}
        self.units = settings.steps * inputs.units + output_units(outputs)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, values), or (P, N, values) where every network has its own → outputs (P, N, outputs), not
        normalised."""
        received = inputs @ weights.tensor("input.weight").transpose(1, 2)
        if "recurrent.bias" in weights:
            received = received + weights.tensor("recurrent.bias")[:, None, :]
        # A few examples times large matrices: on the CPU twice as fast as the matrices times the examples.
        recurrent = weights.tensor("recurrent.weight").transpose(1, 2).contiguous()
        state = self.activation(received.clone())
        for _ in range(self.settings.steps - 1):
            before, state = state, self.activation(torch.baddbmm(received, state, recurrent))
            # A network that is exported takes all steps: its path cannot depend on values. Nor is a GPU waited for.
            if not (torch.compiler.is_compiling() or takes_all_at_once(state.device)) and torch.equal(before, state):
                break
        return state @ weights.tensor("readout.weight").transpose(1, 2)

    def __repr__(self) -> str:
        ends = self.geometry[SUBSTRATE]
        assert ends.source is not None
        return f"{type(self).__name__}({ends.source.units} inputs → {ends.target.units} outputs, hidden nodes as found)"


def _opposite(inputs: Sheet, outputs: Sheet) -> Sheet:
    """Sheet of the outputs with as many axes as the inputs have, so that one more lies between them."""
    axes = inputs.coordinates.shape[1]
    if outputs.coordinates.shape[1] == axes:
        return outputs
    return Sheet((1,) * (axes - len(outputs.sizes)) + outputs.sizes if axes > 1 else (outputs.units,))


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> SubstrateTarget:
    """The target for a task with `inputs` and `outputs`."""
    return SubstrateTarget(settings, inputs, outputs)
