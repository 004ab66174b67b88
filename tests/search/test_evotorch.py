"""evotorch's searches behind ask and tell: they search, and what does not fit is said."""

from types import SimpleNamespace

import pytest
import torch

from hyperevo.components import component_names, load_component
from hyperevo.errors import UserError

GENES = 6
ENCODING = SimpleNamespace(genes=GENES, settings=SimpleNamespace(name="made-up"),
                           sample=lambda size, generator: torch.randn(size, GENES, generator=generator))


SEARCHES = [name for name in component_names("search") if hasattr(load_component("search", name), "build_evotorch")]


def make(name, seed=0):
    module = load_component("search", name)
    return module.build(module.Settings(population=20), ENCODING, seed)


def fitness_of(population):
    return -(population - 0.7).square().sum(1)


def run(search, rounds):
    for _ in range(rounds):
        search.tell(fitness_of(search.ask()))
    return search


def test_all_are_found():
    assert SEARCHES == ["cmaes", "cosyne", "genetic", "pgpe", "snes", "xnes"]


@pytest.mark.parametrize("name", SEARCHES)
def test_moves_towards_the_optimum(name):
    search = make(name)
    before = fitness_of(search.ask()).mean()
    run(search, 150)
    after = fitness_of(search.candidates()).max()
    assert after > before / 2
    assert after > -0.5
    search.close()


@pytest.mark.parametrize("name", SEARCHES)
def test_graphs_are_refused_in_one_line(name):
    module = load_component("search", name)
    with pytest.raises(UserError, match=r"search.name: encoding 'graphs' has no genotypes of fixed length"):
        module.build(module.Settings(), SimpleNamespace(settings=SimpleNamespace(name="graphs")), 0)


def test_wrong_number_of_fitness_values_is_refused():
    search = make("snes")
    with pytest.raises(ValueError, match="population of 20"):
        search.tell(torch.zeros(3))
    search.close()


def test_an_error_inside_evotorch_reaches_the_caller():
    search = make("snes")
    search.prepare()
    search._algorithm._update_distribution = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run(search, 3)
