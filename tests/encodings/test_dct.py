"""The DCT encoding against scipy's inverse transform."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import idctn

from hyperevo.encodings import build_encoding
from hyperevo.encodings.dct import Settings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.weights import Factored, project

CPU = torch.device("cpu")


def padded_idctn(block: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    spectrum = np.zeros(grid)
    spectrum[tuple(slice(size) for size in block.shape)] = block
    return idctn(spectrum, norm="ortho")


@settings(max_examples=40, deadline=None)
@given(target=st.tuples(st.integers(1, 6), st.integers(1, 6)), source=st.tuples(st.integers(1, 7), st.integers(1, 5)),
       coefficients=st.integers(1, 8), axes=st.sampled_from(["matrix", "sheets"]), seed=st.integers(0, 1000))
def test_equals_scipy_idctn(target, source, coefficients, axes, seed):
    geometry = {"w": ParameterGeometry(Sheet(target), Sheet(source)), "b": ParameterGeometry(Sheet(target))}
    encoding = build_encoding(Settings(axes=axes, coefficients=(coefficients,)), geometry, CPU)
    genes = torch.randn(3, encoding.genes, generator=torch.Generator().manual_seed(seed))
    weights = encoding.express(genes).dense()
    start = 0
    for name, place in geometry.items():
        kept_target, kept_source = encoding.blocks[name]
        size = int(np.prod(kept_target + kept_source))
        sheets = place.grid if axes == "sheets" else place.shape
        for network in range(3):
            block = genes[network, start : start + size].double().numpy().reshape(kept_target + kept_source)
            expected = padded_idctn(block, sheets).reshape(place.shape)
            np.testing.assert_allclose(weights[name][network].numpy(), expected, atol=1e-5)
        start += size


def test_paper_sized_matrix_equals_scipy():
    geometry = {"w": ParameterGeometry(Sheet((16, 16)), Sheet((28, 28)))}
    encoding = build_encoding(Settings(coefficients=(8, 8, 8, 8)), geometry, CPU)
    assert encoding.genes == 4096
    genes = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0))
    expected = padded_idctn(genes.double().numpy().reshape(8, 8, 8, 8), (16, 16, 28, 28)).reshape(256, 784)
    np.testing.assert_allclose(encoding.express(genes).dense()["w"][0].numpy(), expected, atol=1e-5)


def test_factored_product_equals_dense_product():
    geometry = {"w": ParameterGeometry(Sheet((6, 5)), Sheet((7, 4)))}
    encoding = build_encoding(Settings(coefficients=(3,)), geometry, CPU)
    generator = torch.Generator().manual_seed(1)
    weight = encoding.express(torch.randn(4, encoding.genes, generator=generator))["w"]
    assert isinstance(weight, Factored)
    shared = torch.randn(28, 9, generator=generator)
    own = torch.randn(4, 28, 9, generator=generator)
    torch.testing.assert_close(project(weight, shared), weight.dense() @ shared, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(project(weight, own), weight.dense() @ own, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(project(weight.dense(), shared), weight.dense() @ shared)


def test_gradient_reaches_every_coefficient():
    geometry = {"w": ParameterGeometry(Sheet((4, 4)), Sheet((5, 5))), "b": ParameterGeometry(Sheet((4, 4)))}
    encoding = build_encoding(Settings(coefficients=(3,)), geometry, CPU)
    genes = torch.randn(2, encoding.genes, generator=torch.Generator().manual_seed(2)).requires_grad_()
    sum(value.square().sum() for value in encoding.express(genes).dense().values()).backward()
    assert (genes.grad != 0).all()


def test_wrong_number_of_axes_is_one_line():
    geometry = {"w": ParameterGeometry(Sheet((4, 4)), Sheet((5, 5)))}
    with pytest.raises(UserError, match=r"encoding.coefficients: 3 numbers, but w has 4 axes"):
        build_encoding(Settings(coefficients=(2, 2, 2)), geometry, CPU)
