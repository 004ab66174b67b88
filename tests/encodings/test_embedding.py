"""The embedding encoding is the paper's static hypernetwork, tile by tile."""

import pytest
import torch

from hyperevo.encodings import build_encoding
from hyperevo.encodings.embedding import EmbeddingEncoding, Settings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.targets import convnet, mlp

CPU = torch.device("cpu")


def kernel(outputs, inputs, size):
    return ParameterGeometry(Sheet((outputs,)), Sheet((inputs, size, size)), (outputs, inputs, size, size))


GEOMETRY = {"first": kernel(8, 4, 3), "wide": kernel(10, 7, 3), "large": kernel(4, 4, 5),
            "dense": ParameterGeometry(Sheet((3, 3)), Sheet((2, 5)))}
SETTINGS = Settings(embedding=3, hidden=5, tile=(4, 8))


def by_hand(parts, sizes, name):
    """The paper's equations for one network and layer, in loops, float64."""
    (tile_in, tile_out), parameter = SETTINGS.tile, GEOMETRY[name]
    kernels = 1 if name == "dense" else parameter.tensor[2] ** 2
    outputs = parameter.target.units
    inputs = parameter.source.units // kernels
    grid = parts["embeddings of " + name]
    whole = torch.zeros(grid.shape[0] * tile_out, grid.shape[1] * tile_in, kernels, dtype=torch.float64)
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            z = grid[row, column]
            for channel in range(tile_in):
                a = parts["input weights"][channel] @ z + parts["input biases"][channel]
                made = parts["output weights"] @ a + parts["output biases"]
                whole[row * tile_out : (row + 1) * tile_out, column * tile_in + channel] = \
                    made.view(tile_out, kernels)
    return whole[:outputs, :inputs].flatten(1)


def test_every_tile_follows_the_papers_equations():
    encoding = EmbeddingEncoding(SETTINGS, GEOMETRY)
    genotypes = torch.randn(2, encoding.genes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights, embeddings = encoding.express(genotypes), encoding.embeddings(genotypes)
    assert {name: tuple(value.shape[1:]) for name, value in embeddings.items()} \
        == {"first": (1, 1, 3), "wide": (2, 2, 3), "large": (1, 1, 3), "dense": (2, 3, 3)}
    for generator, parts in zip(encoding.generators, encoding._parts(genotypes), strict=True):
        for layer in generator.layers:
            for network in range(2):
                own = {name: value[network] for name, value in parts.items()}
                own[f"embeddings of {layer.name}"] = embeddings[layer.name][network]
                torch.testing.assert_close(weights[layer.name][network], by_hand(own, generator.sizes, layer.name),
                                           atol=1e-12, rtol=1e-12)


def test_layers_with_one_kernel_size_share_a_generator():
    encoding = EmbeddingEncoding(SETTINGS, GEOMETRY)
    assert [[layer.name for layer in own.layers] for own in encoding.generators] \
        == [["first", "wide"], ["large"], ["dense"]]
    size, width, inputs, outputs = 3, 5, 4, 8
    expected = [width * (size + 1) * inputs + kernel * outputs * (width + 1) + tiles * size
                for kernel, tiles in ((9, 5), (25, 1), (1, 6))]
    assert [own.genes for own in encoding.generators] == expected


def test_the_papers_mnist_hypernetwork_has_4244_genes():
    target = convnet.build(convnet.Settings(), Sheet((28, 28)), 10)
    settings = Settings(embedding=4, direct=("convolution1.weight", "readout.weight"))
    encoding = build_encoding(settings, target.geometry, CPU)
    assert encoding.inner.genes == 4_244 and encoding.counts().direct_parameters == 21_210 - 12_544


def test_generated_weights_start_at_the_size_that_keeps_values_in_range():
    target = convnet.build(convnet.Settings(), Sheet((28, 28)), 10)
    encoding = build_encoding(Settings(embedding=16), target.geometry, CPU)
    weights = encoding.express(encoding.sample(50, torch.Generator().manual_seed(0)))
    assert weights.tensor("convolution2.weight").std().item() \
        == pytest.approx(target.geometry["convolution2.weight"].deviation, rel=0.1)


def test_gradients_reach_every_gene():
    encoding = EmbeddingEncoding(SETTINGS, {name: GEOMETRY[name] for name in ("first", "wide")})
    genotypes = torch.randn(2, encoding.genes, requires_grad=True)
    sum(value.square().sum() for value in encoding.express(genotypes).dense().values()).backward()
    assert (genotypes.grad != 0).all()


def test_parameters_without_a_source_are_direct():
    geometry = mlp.build(mlp.Settings(), Sheet((28, 28)), 10).geometry
    assert set(build_encoding(Settings(), geometry, CPU).inner.geometry) == {"hidden.weight", "readout.weight"}
    encoding = build_encoding(Settings(direct=("readout.*",)), geometry, CPU)
    assert set(encoding.inner.geometry) == {"hidden.weight"} and encoding.counts().direct_parameters == 256 + 2570
    with pytest.raises(UserError, match=r"no parameter '\*.gain'"):
        build_encoding(Settings(direct=("*.gain",)), geometry, CPU)
