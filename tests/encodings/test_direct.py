"""The direct encoding writes genes down as they are; neighbours of one genotype without building any of them."""

import pytest
import torch

from hyperevo.encodings.direct import DirectEncoding, Neighbours, Settings
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.weights import Factored, Perturbed

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((2, 5)), Sheet((3, 4)))}
ENCODING = DirectEncoding(Settings(scale=0.25), GEOMETRY)


def neighbours(rank=2):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    return Neighbours(random(ENCODING.genes), {
        "hidden.weight": Factored(random(7, 12, rank), random(7, 10, rank)), "hidden.bias": random(7, 12),
        "readout.weight": Factored(random(7, 10, rank), random(7, 12, rank))})


def genes(population):
    """The (P, genes) that neighbours stand for."""
    noise = [part if isinstance(part, torch.Tensor) else part.dense() for part in population.noise.values()]
    return population.centre + torch.cat([part.flatten(1) for part in noise], 1)


@pytest.mark.parametrize("rank", [1, 3])
def test_neighbours_are_the_genotypes_they_stand_for(rank):
    population = neighbours(rank)
    weights, expected = ENCODING.express(population), ENCODING.express(genes(population))
    assert len(population) == weights.population == 7 and list(weights) == list(GEOMETRY)
    assert isinstance(weights["hidden.weight"], Perturbed) and isinstance(weights["readout.weight"], Perturbed)
    for name, value in weights.dense().items():
        torch.testing.assert_close(value, expected[name])


def test_a_slice_of_neighbours_holds_the_same_networks():
    population = neighbours()
    part = population[2:5]
    assert len(part) == 3 and torch.equal(genes(part), genes(population)[2:5])
    weights = ENCODING.express(part)
    assert weights.population == 3
    torch.testing.assert_close(weights.network(1)["hidden.bias"],
                               ENCODING.express(population).network(3)["hidden.bias"])


def test_gradient_reaches_the_centre():
    population = neighbours()
    population.centre.requires_grad_()
    sum(value.square().sum() for value in ENCODING.express(population).dense().values()).backward()
    assert (population.centre.grad != 0).all()
