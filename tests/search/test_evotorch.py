"""evotorch's searches behind ask and tell: their populations are those of evotorch's own loop, a restored one goes on
from its tensors alone, they search, and what does not fit is said."""

import logging
import warnings
from types import SimpleNamespace

import pytest
import torch

from hyperevo.components import component_names, load_component
from hyperevo.errors import UserError
from hyperevo.search._evotorch import import_evotorch

GENES = 6
ENCODING = SimpleNamespace(genes=GENES, settings=SimpleNamespace(name="made-up"), device=torch.device("cpu"),
                           sample=lambda size, generator: torch.randn(size, GENES, generator=generator))

VARIANTS = [("cmaes", {}), ("cmaes", {"separable": True}), ("cmaes", {"start": "sample"}), ("cosyne", {}),
            ("cosyne", {"permute_all": False, "elites": 7}), ("genetic", {}), ("genetic", {"elitist": False}),
            ("pgpe", {}), ("pgpe", {"optimizer": "clipup"}), ("snes", {}),
            ("snes", {"learning_rate": 0.5, "deviation_learning_rate": 3.0}), ("xnes", {}),
            ("xnes", {"deviation_learning_rate": 2.0})]
NAMED = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value))

pytestmark = pytest.mark.usefixtures("one_thread")


def make(name, options=None, seed=0, population=20):
    module = load_component("search", name)
    return module.build(module.Settings(population=population, **(options or {})), ENCODING, seed)


def fitness_of(population):
    return -(population - 0.7).square().sum(1)


def run(search, rounds):
    for _ in range(rounds):
        search.tell(fitness_of(search.ask()))
    return search


def evotorch_algorithm(name, options, problem, centre):
    """The algorithm as evotorch's users make it."""
    algorithms, operators = import_evotorch().algorithms, import_evotorch().operators
    rates = {"stdev_init": 0.1, "popsize": 20, "center_init": centre}
    if name in ("snes", "xnes"):
        return {"snes": algorithms.SNES, "xnes": algorithms.XNES}[name](
            problem, center_learning_rate=options.get("learning_rate"),
            stdev_learning_rate=options.get("deviation_learning_rate"), **rates)
    if name == "pgpe":
        return algorithms.PGPE(problem, center_learning_rate=0.05, stdev_learning_rate=0.1,
                               optimizer=options.get("optimizer", "adam"), **rates)
    if name == "cmaes":
        return algorithms.CMAES(problem, separable=options.get("separable", False), **rates)
    if name == "genetic":
        cross = operators.OnePointCrossOver(problem, tournament_size=4)
        mutate = operators.GaussianMutation(problem, stdev=0.05)
        return algorithms.GeneticAlgorithm(problem, operators=[cross, mutate], popsize=20,
                                           elitist=options.get("elitist", True))
    return algorithms.Cosyne(problem, popsize=20, tournament_size=4, mutation_stdev=0.3, mutation_probability=0.1,
                             permute_all=options.get("permute_all", True), num_elites=options.get("elites", 1))


def evotorch_populations(name, options, centre, seed, rounds):
    """Populations that evotorch's own loop asks the fitness of."""
    asked = []

    def fitness(population):
        asked.append(population.clone().as_subclass(torch.Tensor))
        return fitness_of(asked[-1])

    problem = import_evotorch().Problem("max", fitness, solution_length=GENES, initial_bounds=(-1, 1), vectorized=True,
                                        seed=seed, dtype=torch.float32)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="To copy construct from a tensor")
        algorithm = evotorch_algorithm(name, options, problem, centre)
        while len(asked) < rounds:
            algorithm.step()
    return asked[:rounds]


def test_all_are_found():
    found = [name for name in component_names("search") if hasattr(load_component("search", name), "check_genes")
             or "BreedingSearch" in vars(load_component("search", name))]
    assert found == ["cmaes", "cosyne", "genetic", "pgpe", "snes", "xnes"] == sorted({name for name, _ in VARIANTS})


@NAMED
@pytest.mark.parametrize("seed", [0, 7])
def test_populations_are_those_of_evotorchs_own_loop(name, options, seed):
    search, rounds = make(name, options, seed), 40
    sampled = ENCODING.sample(1, torch.Generator().manual_seed(seed))[0]
    centre = sampled if options.get("start") == "sample" else torch.zeros(GENES)
    clipped = options.get("optimizer") == "clipup"  # its functional form rounds otherwise than its class
    for number, expected in enumerate(evotorch_populations(name, options, centre, seed, rounds)):
        own = search.ask()
        assert torch.allclose(own, expected, rtol=1e-4, atol=1e-5) if clipped else torch.equal(own, expected), number
        search.tell(fitness_of(own))


@NAMED
def test_a_restored_search_needs_its_tensors_alone(name, options):
    """Nothing that was told is read: opening takes as long at any generation."""
    class Unread(list):
        def __iter__(self):
            raise AssertionError("the fitness told is read")

    search = run(make(name, options), 9)
    search.ask()
    restored = make(name, options)
    restored.restore(search.state(), Unread())
    assert restored.generation == 9
    assert torch.equal(restored.candidates(), search.candidates())
    assert restored.statistics() == search.statistics()
    for _ in range(5):
        assert torch.equal(restored.ask(), search.ask())
        run(search, 1), run(restored, 1)


@NAMED
def test_a_state_does_not_grow(name, options):
    sizes = [sum(value.numel() for value in run(make(name, options), rounds).state().values()
                 if isinstance(value, torch.Tensor)) for rounds in (1, 30)]
    assert sizes[0] == sizes[1]


@NAMED
def test_an_empty_state_of_an_earlier_version_is_led_to_by_what_was_told(name, options):
    search, told = make(name, options), []
    for _ in range(9):
        told.append(fitness_of(search.ask()))
        search.tell(told[-1])
    restored = make(name, options)
    restored.prepare()
    restored.restore({}, told)
    assert restored.generation == 9 and torch.equal(restored.ask(), search.ask())


def test_draws_of_a_device_that_is_not_there_are_replaced_and_that_is_said(caplog):
    search = run(make("snes"), 3)
    moved = {**search.state(), "device": "cuda", "generator": torch.zeros(16, dtype=torch.uint8)}
    restored, again = make("snes"), make("snes")
    with caplog.at_level(logging.WARNING, "hyperevo"):
        restored.restore(moved, [])
        again.restore(moved, [])
    assert "drawn on cuda until generation 3" in caplog.text
    assert torch.equal(restored.candidates(), search.candidates())
    assert torch.equal(restored.ask(), again.ask()) and not torch.equal(restored.ask(), search.ask())


@pytest.mark.parametrize("change", [{"mu": torch.zeros(3)}, {"sigma": torch.zeros(GENES, dtype=torch.float64)},
                                    {"generator": torch.zeros(7, dtype=torch.uint8)}])
def test_a_state_that_does_not_fit_is_refused(change):
    state = run(make("snes"), 3).state()
    with pytest.raises((ValueError, RuntimeError)):
        make("snes").restore({**state, **change}, [])


@pytest.mark.parametrize("name", sorted({name for name, _ in VARIANTS}))
def test_moves_towards_the_optimum(name):
    search = make(name)
    before = fitness_of(search.ask()).mean()
    run(search, 150)
    after = fitness_of(search.candidates()).max()
    assert after > before / 2
    assert after > -0.5


@pytest.mark.parametrize("name", sorted({name for name, _ in VARIANTS}))
def test_graphs_are_refused_in_one_line(name):
    module = load_component("search", name)
    graphs = SimpleNamespace(settings=SimpleNamespace(name="graphs"), device=torch.device("cpu"), genes=0)
    with pytest.raises(UserError, match=r"search.name: encoding 'graphs' has no genotypes of fixed length"):
        module.build(module.Settings(), graphs, 0)


@pytest.mark.parametrize(("name", "options"), [("xnes", {}), ("cmaes", {})])
def test_a_covariance_that_is_too_large_is_refused_in_one_line(name, options):
    module = load_component("search", name)
    long = SimpleNamespace(**{**vars(ENCODING), "genes": 20_000})
    with pytest.raises(UserError, match="a covariance of 20,000 genes is too large"):
        module.build(module.Settings(**options), long, 0)


def test_wrong_number_of_fitness_values_is_refused():
    with pytest.raises(ValueError, match="population of 20"):
        make("snes").tell(torch.zeros(3))


@pytest.mark.parametrize("name", ["cmaes", "cosyne", "genetic", "snes"])
def test_populations_are_not_written_into_later(name):
    search, asked = make(name), []
    for _ in range(6):
        asked.append(search.ask())
        run(search, 1)
    copies = [own.clone() for own in asked]
    run(search, 4)
    assert all(map(torch.equal, asked, copies))
