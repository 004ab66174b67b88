"""EGGROLL updates by the noise it never builds, climbs, is restored bit for bit, and stays small."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from hyperevo.components import load_component
from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import DirectEncoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.search.eggroll import Settings, build, centred_ranks
from hyperevo.weights import Factored

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((2, 3)), Sheet((4,))),
            "hidden.bias": ParameterGeometry(Sheet((2, 3))),
            "readout.weight": ParameterGeometry(Sheet((2,)), Sheet((2, 3)))}
ENCODING = DirectEncoding(DirectSettings(scale=1.0), GEOMETRY)
GENES = ENCODING.genes


def make(seed=0, **options):
    return build(Settings(**{"population": 20, **options}), ENCODING, seed)


def genes(population):
    """(P, genes) of the neighbours asked for."""
    return torch.cat([value.flatten(1) for value in ENCODING.express(population).dense().values()], 1)


def fitness_of(population):
    return -(genes(population) - 0.7).square().sum(1)


def run(search, rounds):
    for _ in range(rounds):
        search.tell(fitness_of(search.ask()))
    return search


@pytest.mark.parametrize("rank", [1, 3])
def test_noise_is_of_low_rank_in_pairs_and_of_the_wanted_size(rank):
    search = make(population=4000, rank=rank, deviation=0.3)
    noise = genes(search.ask()) - search.candidates()
    torch.testing.assert_close(noise[:2000], -noise[2000:], atol=1e-5, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.full((GENES,), 0.3), atol=0.05, rtol=0)
    first = search.ask().noise["hidden.weight"][:50].dense()
    assert (torch.linalg.matrix_rank(first, rtol=1e-4) == rank).all()


@pytest.mark.parametrize("rank", [1, 3])
def test_update_equals_the_sum_over_every_noise_matrix(rank):
    search = make(rank=rank, deviation=0.3, learning_rate=0.5, optimizer="sgd")
    before, population = search.candidates()[0], search.ask()
    fitness = torch.randn(20, generator=torch.Generator().manual_seed(1))
    search.tell(fitness)
    ranks = {index: place / 19 - 0.5 for place, index in enumerate(fitness.argsort().tolist())}
    slope = torch.zeros(GENES, dtype=torch.float64)
    for index in range(20):
        own = (genes(population)[index].double() - before.double()) / 0.3
        slope += ranks[index] * own / 20
    torch.testing.assert_close(search.candidates()[0], (before.double() + 0.5 * slope).float(), atol=1e-5, rtol=0)


def test_first_step_of_adam_has_the_sign_of_the_slope():
    plain, adam = make(optimizer="sgd", learning_rate=0.1), make(optimizer="adam", learning_rate=0.1)
    before = plain.candidates()
    steps = [run(search, 1).candidates() - before for search in (plain, adam)]
    torch.testing.assert_close(steps[1], 0.1 * steps[0].sign(), atol=1e-3, rtol=0)


def test_update_points_along_the_gradient():
    search = make(population=20_000, deviation=0.05, optimizer="sgd")
    centre = search.candidates()
    run(search, 1)
    step, gradient = (search.candidates() - centre)[0], 2 * (0.7 - centre)[0]
    assert float(torch.cosine_similarity(step, gradient, dim=0)) > 0.98


def test_ties_share_their_rank():
    assert centred_ranks(torch.tensor([3.0, 1.0, 2.0, 2.0])).tolist() == [0.5, -0.5, 0.0, 0.0]
    assert centred_ranks(torch.tensor([5.0, 5.0])).tolist() == [0.0, 0.0]
    search = make(optimizer="sgd")
    before = search.candidates()
    search.tell(torch.ones(20))
    assert torch.equal(search.candidates(), before)


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adam", 0.05), ("sgd", 0.5)])
def test_moves_towards_the_optimum(optimizer, learning_rate):
    search = make(optimizer=optimizer, learning_rate=learning_rate, deviation=0.1, decay=0.99)
    before = float((search.candidates() - 0.7).square().mean())
    run(search, 300)
    assert float((search.candidates() - 0.7).square().mean()) < before / 100


def test_decay_shrinks_noise_and_steps():
    search = make(decay=0.5, optimizer="sgd")
    first = genes(search.ask()).sub(search.candidates()).std()
    run(search, 3)
    assert search.statistics()["step_size"] == Settings().deviation * 0.5**3
    assert 0.05 < float(genes(search.ask()).sub(search.candidates()).std() / first) < 0.2


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("rounds", [0, 1, 7])
def test_restored_search_goes_on_bit_for_bit(optimizer, rounds):
    options = dict(optimizer=optimizer, decay=0.9, rank=2)
    unbroken = run(make(**options), rounds)
    state = unbroken.state()
    torch.manual_seed(123)  # neither reads nor disturbs the global generator
    restored = make(**options)
    restored.restore(state, [])
    for _ in range(4):
        assert torch.equal(genes(restored.ask()), genes(unbroken.ask()))
        assert restored.generation == unbroken.generation
        run(unbroken, 1)
        run(restored, 1)
        assert torch.equal(restored.candidates(), unbroken.candidates())
        assert restored.statistics() == unbroken.statistics()


def test_state_is_plain_and_keeps_what_it_was():
    search = run(make(), 2)
    state = search.state()
    assert all(isinstance(value, torch.Tensor | int) for value in state.values())
    centre = state["centre"].clone()
    run(search, 2)
    assert torch.equal(state["centre"], centre)


def test_the_population_asked_for_does_not_move_when_it_is_told():
    search = make()
    population = search.ask()
    before = genes(population)
    run(search, 1)
    assert torch.equal(genes(population), before)


def test_seed_and_generation_decide_the_noise():
    first, same, other = make(1), make(1), make(2)
    assert torch.equal(genes(run(first, 3).ask()), genes(run(same, 3).ask()))
    assert not torch.equal(genes(first.ask()), genes(run(other, 3).ask()))
    noise = genes(first.ask()) - first.candidates()
    run(first, 1)
    assert not torch.allclose(noise, genes(first.ask()) - first.candidates(), atol=1e-3)


MEMORY = """
import sys
import torch
from hyperevo.encodings.direct import DirectEncoding, Settings as DirectSettings
from hyperevo.geometry import Sheet
from hyperevo.runs.environment import peak_memory_gb
from hyperevo.runs.evaluate import evaluate
from hyperevo.search.eggroll import Settings, build
from hyperevo.targets.mlp import Settings as MlpSettings, build as build_target

torch.set_num_threads(1)
target = build_target(MlpSettings(), Sheet((28, 28)), 10)
encoding = DirectEncoding(DirectSettings(), target.geometry)
batch = torch.randn(100, 784), torch.randint(10, (100,))

def one_round(population):
    search = build(Settings(population=population), encoding, 0)
    asked = search.ask() if sys.argv[1] == "neighbours" else torch.randn(population, encoding.genes)
    accuracy = lambda outputs, labels: (outputs.argmax(2) == labels).float().mean(1)
    search.tell(evaluate(encoding, target, asked, batch, accuracy, 1.0))

one_round(2)
before = peak_memory_gb()
one_round(1000)
print(peak_memory_gb() - before)
"""
# A process starts with the peak of the one it came from, so the measured one comes from a small one.
START = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', *sys.argv[1:]]))"


def memory_of_a_round(population):
    done = subprocess.run([sys.executable, "-c", START, MEMORY, population], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_round_of_a_large_population_takes_little_memory():
    """1,000 × 203,530 weights are 814 MB; the values of a block of networks, 3 MB."""
    assert memory_of_a_round("neighbours") < 0.1
    assert memory_of_a_round("genotypes") > 0.8


@pytest.mark.parametrize("name", ["embedding", "coordinate"])
def test_other_encodings_are_refused_in_one_line(name):
    encoding = build_encoding(load_component("encoding", name).Settings(), GEOMETRY, torch.device("cpu"))
    with pytest.raises(UserError, match=f"search.name: eggroll .* needs encoding.name = direct or dct, not {name}"):
        build(Settings(), encoding, 0)


@pytest.mark.parametrize("direct", [(), ("hidden.bias", "readout.weight")])
@pytest.mark.parametrize("rank", [1, 3])
def test_neighbours_are_expressed_as_the_genes_they_stand_for(direct, rank):
    settings = load_component("encoding", "dct").Settings(coefficients=(2,), scale=0.7, direct=direct)
    encoding = build_encoding(settings, GEOMETRY, torch.device("cpu"))
    search = build(Settings(population=6, rank=rank), encoding, 0)
    population, centre = search.ask(), search.candidates()[0]
    noise = torch.cat([(own.dense() if isinstance(own, Factored) else own).flatten(1)
                       for own in population.noise.values()], 1)
    assert noise.shape == (6, encoding.genes) and float(noise.abs().min(1).values.max()) > 0
    expected = encoding.express(centre + noise).dense()
    for name, value in encoding.express(population).dense().items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


def test_cosine_coefficients_move_towards_weights_in_their_span():
    encoding = build_encoding(load_component("encoding", "dct").Settings(coefficients=(2,)), GEOMETRY,
                              torch.device("cpu"))
    wanted = encoding.express(torch.ones(1, encoding.genes)).dense()
    search = build(Settings(population=40, deviation=0.1, learning_rate=0.05, decay=0.99), encoding, 0)
    distances = []
    for _ in range(300):
        found = encoding.express(search.ask()).dense()
        distance = sum((found[name] - wanted[name]).square().flatten(1).sum(1) for name in found)
        distances.append(float(distance.mean()))
        search.tell(-distance)
    assert distances[-1] < distances[0] / 50


def test_graph_encodings_are_refused():
    with pytest.raises(UserError, match="not graphs"):
        build(Settings(), SimpleNamespace(settings=SimpleNamespace(name="graphs")), 0)


def test_odd_population_is_refused_by_key():
    with pytest.raises(UserError, match=r"search.population: input should be a multiple of 2 \(given: 7\)"):
        load_config("eggroll-mnist", ["search.population=7"])


def test_wrong_number_of_fitness_values_is_refused():
    with pytest.raises(ValueError, match="population of 20"):
        make().tell(torch.zeros(3))
