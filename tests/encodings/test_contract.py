"""What must hold for every encoding with genes of fixed length; a new file in encodings/ is tested without an edit.

Encodings whose genotypes are graphs are tested with the search that makes them."""

import pytest
import torch

from hyperevo.components import component_names, load_component
from hyperevo.encodings import build_encoding
from hyperevo.geometry import ParameterGeometry, Sheet

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((2, 5)), Sheet((3, 4))),
            "readout.bias": ParameterGeometry(Sheet((2, 5)))}


GROWING = ("es-hyperneat",)
"""Encodings that find hidden nodes of their own, and so generate the parameters of one target only."""

# Options without which an encoding cannot be built.
NEEDED = {"fixed-graph": {"graph": """{"inputs": 5, "outputs": [1, 2, 3, 4], "responses": [1, 1, 1, 1, 1],
    "nodes": [["sin", "sum", [0, 1, 2, 3]], ["identity", "sum", [5, 4]], ["identity", "sum", [5, 2]],
              ["identity", "sum", [5, 0]], ["identity", "sum", [5, 3]]],
    "weights": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "biases": [0, 0, 0, 0, 0]}"""}}


def build(name):
    settings = load_component("encoding", name).Settings(**NEEDED.get(name, {}))
    return build_encoding(settings, GEOMETRY, torch.device("cpu"))


@pytest.fixture(params=[name for name in component_names("encoding")
                        if name not in GROWING and build(name).genes])
def encoding(request):
    return build(request.param)


def test_shapes(encoding):
    weights = encoding.express(torch.randn(3, encoding.genes))
    assert weights.population == 3
    assert {name: tuple(value.shape) for name, value in weights.dense().items()} == {
        name: (3, *parameter.shape) for name, parameter in GEOMETRY.items()}


def test_networks_do_not_mix(encoding):
    genes = torch.randn(4, encoding.genes, generator=torch.Generator().manual_seed(0))
    together = encoding.express(genes).dense()
    alone = encoding.express(genes[2:3]).dense()
    for name in GEOMETRY:
        torch.testing.assert_close(together[name][2], alone[name][0], atol=1e-6, rtol=1e-5)


def test_gradient_reaches_the_genes(encoding):
    genes = torch.randn(2, encoding.genes, generator=torch.Generator().manual_seed(0)).requires_grad_()
    sum(value.square().sum() for value in encoding.express(genes).dense().values()).backward()
    assert torch.isfinite(genes.grad).all()
    assert (genes.grad != 0).float().mean() > 0.5


def test_does_not_change_its_genes(encoding):
    genes = torch.randn(2, encoding.genes)
    before = genes.clone()
    encoding.express(genes)
    assert torch.equal(genes, before)
