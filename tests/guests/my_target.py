"""Two layers of sines, without biases."""

import hyperevo as he


class Settings(he.Settings):
    hidden: int = 6


class Sines(he.Target):
    layers, own_inputs = ("hidden", "readout"), True

    def __init__(self, settings, inputs, outputs):
        hidden = he.Sheet((settings.hidden,))
        readout = outputs if isinstance(outputs, he.Sheet) else he.Sheet((outputs,))
        self.geometry = {"hidden.weight": he.ParameterGeometry(hidden, inputs),
                         "readout.weight": he.ParameterGeometry(readout, hidden)}
        self.units = hidden.units + readout.units

    def forward(self, weights, inputs):
        hidden = (inputs @ weights.tensor("hidden.weight").transpose(1, 2)).sin()
        return hidden @ weights.tensor("readout.weight").transpose(1, 2)


def build(settings, inputs, outputs):
    return Sines(settings, inputs, outputs)
