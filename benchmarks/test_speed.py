"""Regression benches of what `python -m hyperevo bench` measures side by side.

    pytest benchmarks --benchmark-enable --benchmark-autosave      # time, and keep the figures
    pytest benchmarks --benchmark-enable --benchmark-compare       # time, and set beside the figures kept last

Without `--benchmark-enable` every bench runs once, to see that it runs.
"""

import pytest
import torch

from hyperevo.benchmark import mnist_network, random_batch, random_graphs
from hyperevo.encodings import cppn, dct
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.runs.evaluate import evaluate
from hyperevo.search.neat import NeatSearch, Settings
from hyperevo.weights import Weights, project

POPULATION, IMAGES = 64, 1000
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_gradient():
    keep_freed_memory()
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def batch():
    return random_batch(IMAGES, CPU)


def mean_output(outputs, labels):
    return outputs.mean((1, 2))


def test_matrix_product_alone(benchmark, batch):
    weight, columns = torch.randn(256, 784), batch[0].T.contiguous()
    benchmark(lambda: [weight @ columns for _ in range(POPULATION)])


@pytest.mark.parametrize("threshold", [0.2, 0.0])
def test_express_and_evaluate_cppns(benchmark, batch, threshold):
    target = mnist_network()
    encoding = cppn.CppnEncoding(cppn.Settings(threshold=threshold), target.geometry)
    graphs = random_graphs(encoding, POPULATION)
    fitness = benchmark(evaluate, encoding, target, graphs, batch, mean_output, 4.0)
    assert fitness.shape == (POPULATION,) and torch.isfinite(fitness).all()


def test_express_cppns(benchmark):
    encoding = cppn.CppnEncoding(cppn.Settings(), mnist_network().geometry)
    graphs = random_graphs(encoding, POPULATION)
    assert benchmark(lambda: encoding.express(graphs).dense())["hidden.weight"].shape == (POPULATION, 256, 784)


def test_gradient_through_cppns(benchmark):
    encoding = cppn.CppnEncoding(cppn.Settings(), mnist_network().geometry)
    graphs = random_graphs(encoding, 8)

    def gradient():
        with torch.enable_grad():
            learned = [Graph(graph.topology, graph.weights.clone().requires_grad_(),
                             graph.biases.clone().requires_grad_(), graph.responses) for graph in graphs]
            total = sum(value.square().sum() for value in encoding.express(learned).dense().values())
            return torch.autograd.grad(total, [graph.weights for graph in learned])

    assert len(benchmark(gradient)) == len(graphs)


@pytest.mark.parametrize("built", [False, True], ids=["factored", "built"])
def test_multiply_by_cosine_coefficients(benchmark, batch, built):
    geometry = {"hidden.weight": ParameterGeometry(Sheet((16, 16)), Sheet((28, 28)))}
    encoding = dct.build(dct.Settings(coefficients=(8,)), geometry, CPU)
    genes, columns = torch.randn(POPULATION, encoding.genes), batch[0].T.contiguous()

    def multiply():
        weights = encoding.express(genes)
        return project((Weights(weights.dense()) if built else weights)["hidden.weight"], columns)

    assert benchmark(multiply).shape == (POPULATION, 256, IMAGES)


def test_neat_bookkeeping(benchmark):
    search = NeatSearch(Settings(population=300), ["x1", "y1", "x2", "y2", "one"], ["weight", "bias"], seed=0)
    search.settings = search.settings.model_copy(
        update={"refine": search.settings.refine.model_copy(update={"rounds": 0})})
    generator = torch.Generator().manual_seed(0)

    def generation():
        search.tell(torch.rand(len(search.ask()), generator=generator))

    benchmark(generation)
    assert search.neat_generation > 0
