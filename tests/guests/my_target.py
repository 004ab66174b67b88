"""Two layers of sines, without biases."""

from hyperevo.components import ComponentSettings
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet


class Settings(ComponentSettings):
    hidden: int = 6


class Sines(Target):
    layers, own_inputs = ("hidden", "readout"), True

    def __init__(self, settings, inputs, outputs):
        hidden, readout = Sheet((settings.hidden,)), output_sheet(outputs)
        self.geometry = {"hidden.weight": ParameterGeometry(hidden, inputs),
                         "readout.weight": ParameterGeometry(readout, hidden)}
        self.units = hidden.units + readout.units

    def forward(self, weights, inputs):
        hidden = (inputs @ weights.tensor("hidden.weight").transpose(1, 2)).sin()
        return hidden @ weights.tensor("readout.weight").transpose(1, 2)


def build(settings, inputs, outputs):
    return Sines(settings, inputs, outputs)
