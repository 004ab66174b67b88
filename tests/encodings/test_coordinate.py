"""The coordinate encoding against an MLP that is asked for one connection at a time."""

import math

import pytest
import torch

from hyperevo import devices
from hyperevo.encodings import build_encoding
from hyperevo.encodings.coordinate import Settings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry, Sheet

CPU = torch.device("cpu")
GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((1, 3)), Sheet((3, 4))),
            "readout.bias": ParameterGeometry(Sheet((1, 3)))}


def query(genes, widths, activation, frequency, place):
    """Float64, one place at a time: weights before biases in every layer, a gene scaled by 1/√inputs."""
    values, start = torch.tensor(place, dtype=torch.float64), 0
    for layer, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        block = genes[start : start + (before + 1) * after].double() / math.sqrt(before)
        values = block[: before * after].view(after, before) @ values + block[before * after :]
        if layer < len(widths) - 2:
            values = torch.sin(frequency * values) if activation == "sine" else values.clamp(min=0)
        start += (before + 1) * after
    return values


@pytest.mark.parametrize("activation", ["sine", "relu"])
@pytest.mark.parametrize("hidden", [(5,), (5, 4), (4, 3, 5)])
def test_equals_one_query_per_connection(activation, hidden):
    settings = Settings(hidden=hidden, activation=activation, frequency=2.0, patterns=("readout.weight",),
                        direct=("readout.bias",))
    encoding = build_encoding(settings, GEOMETRY, CPU)
    genes = torch.randn(2, encoding.genes, generator=torch.Generator().manual_seed(0))
    weights = encoding.express(genes).dense()
    pair, single = (4, *hidden, 1), (2, *hidden, 4)
    first = sum((before + 1) * after for before, after in zip(pair, pair[1:], strict=False))
    pixels, units = GEOMETRY["hidden.weight"].source.places, GEOMETRY["hidden.weight"].target.places
    for network in range(2):
        for unit in range(12):
            for pixel in range(10):
                place = [*pixels[pixel].tolist(), *units[unit].tolist()]
                expected = query(genes[network, :first], pair, activation, 2.0, place)[0]
                assert weights["hidden.weight"][network, unit, pixel] == pytest.approx(float(expected), abs=1e-5)
            painted = query(genes[network, first:-3], single, activation, 2.0, units[unit].tolist())
            assert weights["hidden.bias"][network, unit] == pytest.approx(float(painted[0]), abs=1e-5)
            for output in range(3):
                found = weights["readout.weight"][network, output, unit]
                assert found == pytest.approx(float(painted[1 + output]), abs=1e-5)
    torch.testing.assert_close(weights["readout.bias"], genes[:, -3:] * 0.05)


def test_appendix_a1_has_801_genes():
    geometry = {"hidden.weight": ParameterGeometry(Sheet((16, 16)), Sheet((28, 28)))}
    assert build_encoding(Settings(hidden=(25, 25), activation="relu"), geometry, CPU).genes == 801


@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_blocks_of_networks_are_computed_as_each_alone(activation, monkeypatch):
    encoding = build_encoding(Settings(hidden=(5, 4), activation=activation, patterns=("readout.weight",)), GEOMETRY,
                              CPU)
    genes = torch.randn(5, encoding.genes, generator=torch.Generator().manual_seed(0))
    alone = encoding.express(genes).dense()
    monkeypatch.setattr(devices, "takes_all_at_once", lambda device: True)
    monkeypatch.setattr(devices, "MOST_NUMBERS", 2 * 120 * 10)  # two of the largest pair's networks
    for name, values in encoding.express(genes).dense().items():
        torch.testing.assert_close(values, alone[name])


@pytest.mark.parametrize("activation", ["sine", "relu"])
def test_gradient_equals_finite_differences(activation):
    geometry = {"w": ParameterGeometry(Sheet((2, 2)), Sheet((2, 3)))}
    encoding = build_encoding(Settings(hidden=(3, 3), activation=activation), geometry, CPU)
    for generator in encoding.generators:
        object.__setattr__(generator, "source", generator.source.double())
        object.__setattr__(generator, "target", generator.target.double())
    genes = torch.randn(2, encoding.genes, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.autograd.gradcheck(lambda values: encoding.express(values).dense()["w"], (genes.requires_grad_(),))


def test_unknown_names_are_one_line():
    with pytest.raises(UserError, match=r"encoding.patterns: no weight matrix called 'output.weight'"):
        build_encoding(Settings(patterns=("output.weight",)), GEOMETRY, CPU)
    with pytest.raises(UserError, match=r"encoding.direct: .*'readout.bia'; did you mean 'readout.bias'"):
        build_encoding(Settings(direct=("readout.bia",)), GEOMETRY, CPU)
    with pytest.raises(UserError, match="names every parameter"):
        build_encoding(Settings(direct=tuple(GEOMETRY)), GEOMETRY, CPU)
