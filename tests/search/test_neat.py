"""NEAT: graphs mean what neat-python's own networks mean, and a restored search continues bit by bit."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import neat
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from neat.genome import DefaultGenome

from hyperevo.encodings._painting import Canvas, build_painted, plan
from hyperevo.encodings._program import answer, graph_numbers
from hyperevo.encodings._separable import SIDES, stays_separable
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.encodings.cppn import Settings as CppnSettings
from hyperevo.encodings.es_hyperneat import EsHyperneatEncoding
from hyperevo.encodings.es_hyperneat import Settings as EsHyperneatSettings
from hyperevo.errors import UserError
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, activate
from hyperevo.search._neat_breeding import mutate
from hyperevo.search._neat_genomes import gather, graph_from_genome, settle, write_back
from hyperevo.search._neat_python import neat_config
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search.neat import NeatSearch, Settings, build

ENCODING = SimpleNamespace(matrix_outputs=lambda: None, input_names=["x1", "y1", "x2", "y2", "one", "dx", "dy"],
                           output_names=["hidden.weight", "hidden.weight expressed", "hidden.bias"])
SMALL = dict(population=12, hidden=2, target_species=3, add_node=0.5, add_link=0.5, delete_node=0.2, delete_link=0.2,
             function_rate=0.1, replace_rate=0.05, toggle_rate=0.1, stagnation=3, species_elitism=1)
REFINED = Settings(**SMALL, refine=RefineSettings(rounds=4, population=6, champions=2))
PLAIN = Settings(**SMALL, refine=RefineSettings(rounds=0))
SEARCHES = {"refined": REFINED, "plain": PLAIN,
            "separable": Settings(**{**SMALL, "functions": ("sin", "cos", "square", "gauss")}, separable=True,
                                  hidden_function="sin", neutral_growth=False,
                                  refine=RefineSettings(rounds=2, population=4)),
            "everything": Settings(**SMALL, aggregations=tuple(AGGREGATIONS), aggregation_rate=0.1, locality="xy",
                                   output_function=None, refine=RefineSettings(rounds=3, population=4, share=1.0))}


def made_up_fitness(graphs: list[Graph]) -> torch.Tensor:
    """Something that depends on every number of a graph, and on its size."""
    return torch.tensor([-abs(graph.weights.sum().item() - 1) - graph.biases.square().sum().item()
                         + 0.05 * len(graph.topology.nodes) for graph in graphs], dtype=torch.float64)


def step(search: NeatSearch) -> str:
    """One ask and tell; returns what happened in exact text."""
    graphs = search.ask()
    search.tell(made_up_fitness(graphs))
    return repr([(graph.topology, graph.weights.tolist(), graph.biases.tolist()) for graph in graphs]
                + [(graph.topology, graph.weights.tolist()) for graph in search.candidates()]
                + [search.statistics(), search.species_sizes()])


def to_disk(state: dict, folder: Path) -> None:
    """As a checkpoint does: tensors at the top, the rest as JSON."""
    torch.save({name: value for name, value in state.items() if isinstance(value, torch.Tensor)}, folder / "tensors")
    rest = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    (folder / "rest.json").write_text(json.dumps(rest, allow_nan=False))


def from_disk(folder: Path) -> dict:
    """The state that `to_disk` wrote."""
    return json.loads((folder / "rest.json").read_text()) | torch.load(folder / "tensors", weights_only=True)


# Resume and determinism


@pytest.mark.parametrize("name", SEARCHES)
def test_same_seed_same_bits_and_other_seed_other_bits(name):
    runs = [build(SEARCHES[name], ENCODING, seed) for seed in (3, 3, 4)]
    first, second, other = ([step(search) for _ in range(12)] for search in runs)
    assert first == second
    assert first[0] != other[0]


@pytest.mark.parametrize("name", SEARCHES)
def test_restored_at_every_point_continues_bit_identically(name, tmp_path):
    unbroken = build(SEARCHES[name], ENCODING, 5)
    told, states = [], []
    for _ in range(30):
        states.append(unbroken.state())
        told.append(step(unbroken))
    for point, state in enumerate(states):
        to_disk(state, tmp_path)
        restored = build(SEARCHES[name], ENCODING, 5)
        restored.restore(from_disk(tmp_path))
        assert [step(restored) for _ in range(7)][: 30 - point] == told[point : point + 7]


def test_fresh_processes_continue_bit_identically(tmp_path):
    unbroken = build(REFINED, ENCODING, 6)
    for _ in range(10):  # Ten: in the middle of a refinement.
        step(unbroken)
    assert unbroken.phase == 1
    unbroken.ask()
    to_disk(unbroken.state(), tmp_path)
    expected = [step(unbroken) for _ in range(20)]
    script = ("import sys, pathlib; sys.path.insert(0, sys.argv[2]); import test_neat as t\n"
              "search = t.build(t.REFINED, t.ENCODING, 6); search.restore(t.from_disk(pathlib.Path(sys.argv[1])))\n"
              "print('\\n'.join(t.step(search) for _ in range(20)))")
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)],
                          capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected


def test_state_does_not_change_the_run_and_holds_plain_data():
    watched, alone = (build(REFINED, ENCODING, 1) for _ in range(2))
    for _ in range(12):
        state = watched.state()
        assert step(watched) == step(alone)
        for value in state.values():
            assert isinstance(value, (int, float, str, list, dict)) or value.dim() >= 1


def test_global_random_is_neither_read_nor_disturbed():
    random.seed(11)
    before = random.getstate()
    search = build(REFINED, ENCODING, 2)
    first = [step(search) for _ in range(12)]
    assert random.getstate() == before
    random.seed(12)
    again = build(REFINED, ENCODING, 2)
    assert [step(again) for _ in range(12)] == first


def test_undefined_fitness_counts_as_worst():
    search = build(PLAIN, ENCODING, 0)
    fitness = torch.linspace(-1, 0, 12)
    fitness[-1], fitness[3] = math.nan, -math.inf
    graphs = search.ask()
    search.tell(fitness)
    assert torch.equal(search.candidates()[0].weights, graphs[10].weights)
    search.tell(torch.full((12,), math.nan))


def test_extinction_starts_a_new_population(caplog):
    search = build(Settings(population=12, compatibility_threshold=1e6, target_species=0, stagnation=1,
                            species_elitism=0, refine=RefineSettings(rounds=0)), ENCODING, 0)
    for _ in range(6):
        search.tell(torch.zeros(12))
        assert len(search.ask()) == 12
    assert "died out" in caplog.text


# Species and refinement


@pytest.mark.parametrize("wished", [3, 6])
def test_species_stay_near_the_wished_number(wished):
    search = build(Settings(population=40, target_species=wished, refine=RefineSettings(rounds=0)), ENCODING, 0)
    counts = []
    for _ in range(40):
        step(search)
        counts.append(search.statistics()["species"])
        assert sum(search.species_sizes().values()) == 40
    assert abs(sum(counts[10:]) / 30 - wished) < 1.5  # no number is as near to both


def test_more_species_than_there_is_room_for():
    search = build(Settings(population=10, compatibility_threshold=1e-9, target_species=0, minimum_species=2,
                            refine=RefineSettings(rounds=0)), ENCODING, 0)
    for _ in range(5):
        step(search)
    assert search.statistics()["species"] <= 10


def test_refinement_improves_the_champion_and_writes_it_back():
    search = build(Settings(population=12, hidden=3, add_node=0, add_link=0, delete_node=0, delete_link=0,
                            refine=RefineSettings(rounds=60, population=20)), ENCODING, 0)
    step(search)
    start = made_up_fitness(search.candidates())
    for _ in range(60):
        assert search.statistics()["phase"] in (0, 1)
        step(search)
    refined = search.candidates()[0]
    assert made_up_fitness([refined]) > start + 0.1
    assert search.phase == 0
    assert any(torch.equal(graph.weights, refined.weights) and torch.equal(graph.biases, refined.biases)
               for graph in search.ask())


@pytest.mark.parametrize("kept", [True, False])
def test_refinement_begins_with_the_steps_that_the_last_one_left_or_anew(kept):
    refine = RefineSettings(rounds=5, population=6, champions=3, share=1.0, step=0.7, keep_steps=kept)
    search = build(Settings(**SMALL, refine=refine), ENCODING, 0)
    begun = []
    for _ in range(34):
        if search._refinement is not None and search._refinement.rounds_left == refine.rounds:
            begun.append(search._refinement.steps)
        step(search)
    assert len(begun) > 3
    assert bool((begun[0] == 0.7).all()) and all(bool((own == 0.7).all()) for own in begun) is not kept


def test_neutral_growth_changes_structure_and_not_the_function():
    search = build(Settings(population=4, hidden=2, connection="full_direct", add_node=1, add_link=1, delete_node=0,
                            delete_link=0, mutate_rate=0, toggle_rate=0, function_rate=0), ENCODING, 0)
    config, genome = search.genome_config, next(iter(search.population.values()))
    inputs = [*coordinates(torch.float64), torch.zeros(1, 1), torch.zeros(1, 1)]
    before = spread(activate(graph_from_genome(genome, config), inputs, range(3)))
    links, pool = len(genome.connections), gather([genome])
    for seed in range(20):
        pool = mutate(pool, config, np.random.default_rng(seed))
    settle([genome], pool)
    assert len(genome.nodes) == 3 + 2 + 20
    assert len(genome.connections) > links + 40
    assert all(link.enabled for link in genome.connections.values())
    after = spread(activate(graph_from_genome(genome, config), inputs, range(3)))
    assert torch.allclose(before, after, atol=1e-12)


def test_separable_search_stays_separable_and_grows():
    encoding = CppnEncoding(CppnSettings(patterns=("readout.weight",), threshold=0), GEOMETRY)
    settings = Settings(population=16, hidden=3, functions=("sin", "cos", "gauss", "identity", "square", "tanh"),
                        separable=True, add_node=0.7, add_link=0.7, function_rate=0.05, hidden_function="sin",
                        refine=RefineSettings(rounds=2, population=4))
    search = build(settings, encoding, 0)
    for _ in range(30):
        graphs = search.ask()
        assert all(stays_separable(graph.topology, encoding.input_names, [0]) for graph in graphs)
        assert all(isinstance(painted, tuple) for painted in planned(graphs, [0]))
        step(search)
    assert search.statistics()["mean_nodes"] > 3 + 5


def test_wrong_number_of_fitness_values():
    with pytest.raises(ValueError, match="fitness has shape"):
        build(PLAIN, ENCODING, 0).tell(torch.zeros(5))


def test_locality_seed_needs_delta_inputs():
    bare = SimpleNamespace(matrix_outputs=lambda: None, input_names=["x1", "y1", "x2", "y2", "one"],
                           output_names=["weight"])
    with pytest.raises(UserError, match=r"search\.locality"):
        build(Settings(locality="xy"), bare, 0)
    genome = next(iter(build(Settings(locality="xy"), ENCODING, 0).population.values()))
    gaussians = [key for key, node in genome.nodes.items() if node.activation == "gauss" and key >= 3]
    assert len(gaussians) == 2
    assert genome.nodes[1].bias == -1
    assert all((key, 1) in genome.connections for key in gaussians)


def test_locality_was_once_a_switch():
    assert [Settings(locality=before).locality for before in (False, True)] == ["", "xy"]


@pytest.mark.parametrize("connection", ["unconnected", "full_direct"])
def test_locality_along_x_expresses_what_lies_above_each_other(connection):
    geometry = {"hidden.weight": ParameterGeometry(Sheet((2, 4)), Sheet((2, 4)))}
    encoding = CppnEncoding(CppnSettings(delta=True, link_expression=True, threshold=0.0), geometry)
    search = build(Settings(locality="x", connection=connection, population=4), encoding, 0)
    for genome in search.population.values():
        genome.nodes[0].bias = 1.0
    expressed = encoding.express(search.ask()).tensor("hidden.weight") != 0
    column = torch.arange(8) % 4
    assert torch.equal(expressed, (column[:, None] == column).expand(4, 8, 8))


def test_layering_leads_connections_a_third_of_the_way_up():
    place = ParameterGeometry(Sheet((2,)), Sheet((8,)))
    encoding = EsHyperneatEncoding(EsHyperneatSettings(delta=True, initial_depth=3), place)
    with pytest.raises(UserError, match=r"search\.layering"):
        build(Settings(layering=True), EsHyperneatEncoding(EsHyperneatSettings(), place), 0)
    graph = build(Settings(layering=True, connection="unconnected", population=4), encoding, 0).ask()[0]
    heights = torch.linspace(-1, 1, 601, dtype=torch.float64)
    targets = torch.stack([torch.zeros_like(heights), heights], 1)
    weights, = encoding.asked(graph, encoding.inputs[:1].expand_as(targets), targets)
    assert float(heights[weights.argmax()]) == pytest.approx(-2 / 3, abs=0.01)


def test_local_fields_are_products_of_gaussians_around_every_unit():
    geometry = {"hidden.weight": ParameterGeometry(Sheet((5, 5)), Sheet((5, 5)))}
    encoding = CppnEncoding(CppnSettings(threshold=0.0, maximum_weight=1.0), geometry)
    with pytest.raises(UserError, match=r"search\.local_fields: needs \"product\""):
        build(Settings(local_fields=True), encoding, 0)
    search = build(Settings(local_fields=True, aggregations=("sum", "product"), connection="unconnected",
                            population=4), encoding, 0)
    weights = encoding.express(search.ask()).tensor("hidden.weight")
    places = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 5)] * 2, indexing="ij"), -1).reshape(25, 2)
    biases = weights[:, 0, -1:]  # far away, where nothing but the output's own bias is
    expected = torch.exp(-5 * torch.cdist(places, places).square())
    torch.testing.assert_close(weights - biases[:, :, None], expected.expand(4, 25, 25), atol=1e-4, rtol=1e-4)


def test_spawn_counts_add_up_where_one_species_has_nearly_all():
    reproduction = build(PLAIN, ENCODING, 0)._reproduction
    assert reproduction._adjust_spawn_exact([2, 2, 60], 60, 2) == [2, 2, 56]
    assert reproduction._adjust_spawn_exact([2, 3], 12, 2) == [6, 6]


@pytest.mark.parametrize("wrong", [{"hidden_function": "gauss"}, {"output_function": "tanh"}])
def test_separable_search_refuses_seeds_that_are_not(wrong):
    with pytest.raises(UserError, match=r"search\.separable"):
        build(Settings(**{"hidden": 2, "hidden_function": "sin", "separable": True, **wrong}), ENCODING, 0)


def test_an_encoding_without_graphs_is_refused():
    with pytest.raises(UserError, match=r"search\.name: .*not direct"):
        build(Settings(), SimpleNamespace(settings=SimpleNamespace(name="direct")), 0)


# Graphs against neat-python's own networks

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((2, 2)), Sheet((3, 2))),
            "hidden.bias": ParameterGeometry(Sheet((2, 2))),
            "readout.weight": ParameterGeometry(Sheet((1, 2)), Sheet((2, 2)))}

EVERY = Settings(functions=tuple(ACTIVATIONS), aggregations=tuple(AGGREGATIONS), output_function=None, hidden=3,
                 deviation=1.0, add_node=0.6, add_link=0.9, delete_node=0.05, delete_link=0.1, toggle_rate=0.1,
                 aggregation_rate=0.2, function_rate=0.2, replace_rate=0.1, population=2)
INPUTS, OUTPUTS = 5, 3
GRIDS = (3, 2), (2, 2)
PLACES = Sheet(GRIDS[0]).places, Sheet(GRIDS[1]).places


def evolved_genome(seed: int, mutations: int, config: neat.Config) -> DefaultGenome:
    """A genome after so many mutations, with responses other than one in half of the cases."""
    before = random.getstate()
    random.seed(seed)
    try:
        tracker = neat.innovation.InnovationTracker()
        config.genome_config.innovation_tracker, config.genome_config.node_indexer = tracker, None
        genome = DefaultGenome(1)
        genome.configure_new(config.genome_config)
        for _ in range(mutations):
            genome.mutate(config.genome_config)
        for node in genome.nodes.values():
            node.response = random.gauss(1, 0.5) if seed % 2 else 1.0
        return genome
    finally:
        random.setstate(before)


def coordinates(dtype: torch.dtype) -> list[torch.Tensor]:
    """x1, y1, x2, y2 and one over two small sheets."""
    source, target = (places.to(dtype) for places in PLACES)
    return [source[:, 0][None], source[:, 1][None], target[:, 0][:, None], target[:, 1][:, None],
            torch.ones(1, 1, dtype=dtype)]


def queried(genome: DefaultGenome, config: neat.Config) -> torch.Tensor:
    """(outputs, T, S) from neat-python's own network, one connection at a time."""
    network = neat.nn.FeedForwardNetwork.create(genome, config)
    source, target = (places.tolist() for places in PLACES)
    return torch.tensor([[network.activate([*first, *second, 1.0]) for first in source] for second in target],
                        dtype=torch.float64).permute(2, 0, 1)


def tame(values: torch.Tensor) -> bool:
    """Whether values can be compared: towers of exp and cube overflow, and amplify every rounding."""
    return bool(torch.isfinite(values).all()) and float(values.abs().max()) < 1e6


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> bool:
    """Equal up to a tolerance relative to the largest value."""
    return float((ours - theirs).abs().max()) <= tolerance * max(1.0, float(theirs.abs().max()))


def spread(values: list[torch.Tensor]) -> torch.Tensor:
    """Outputs over all connections."""
    return torch.stack([value.expand(len(PLACES[1]), len(PLACES[0])) for value in values])


def reference(graphs: list[Graph]) -> torch.Tensor:
    """(P, outputs, T, S), node by node."""
    return torch.stack([spread(activate(graph, coordinates(torch.float64), range(OUTPUTS))) for graph in graphs])


def planned(graphs: list[Graph], outputs, together: bool = False) -> list:
    """What `plan` makes of the outputs, over the whole grid of places."""
    inputs = coordinates(torch.float64)
    sides = tuple(SIDES[name] for name in ("x1", "y1", "x2", "y2", "one"))
    source, target = ([values.flatten().expand(units) if side in (own, "constant") else torch.zeros(units).double()
                       for values, side in zip(inputs, sides, strict=True)]
                      for own, units in (("source", len(PLACES[0])), ("target", len(PLACES[1]))))
    grid = torch.Size((*GRIDS[1], *GRIDS[0]))
    canvas = Canvas(("x1", "y1", "x2", "y2", "one"), grid, torch.stack(source), torch.stack(target), ())
    numbers, starts = graph_numbers(graphs)
    pieces = plan(graphs, numbers, starts, canvas, tuple(outputs), together)
    built = [[part if isinstance(part, tuple) else part.clone() for part in (piece() if callable(piece) else piece)]
             for piece in pieces]
    return [part for piece in built for part in piece]


def one_by_one(graphs: list[Graph], together: bool = False) -> torch.Tensor:
    """(P, outputs, T, S): each graph's spread nodes in turn."""
    painted = [[build_painted(part)[0] for part in planned([graph], range(OUTPUTS), together)] for graph in graphs]
    return torch.stack([torch.stack(outputs) for outputs in painted])


def together(graphs: list[Graph]) -> torch.Tensor:
    """(P, outputs, T, S): the spread nodes of all graphs level by level."""
    return one_by_one(graphs, together=True)


def point_by_point(graphs: list[Graph]) -> torch.Tensor:
    """(P, outputs, T, S): every node at every connection."""
    inputs = torch.stack([values.flatten() for values in torch.broadcast_tensors(*coordinates(torch.float64))])
    answers = answer(graphs, *graph_numbers(graphs), inputs, tuple(range(OUTPUTS)))
    return answers.unflatten(2, (len(PLACES[1]), len(PLACES[0])))


WAYS = (one_by_one, together, point_by_point)


def test_graphs_equal_neat_pythons_networks():
    compared = []

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.integers(0, 10**6), st.integers(0, 25))
    @example(564, 13)  # its inv is of a gaussian's tail
    def equal(seed, mutations):
        config = neat_config(EVERY, INPUTS, OUTPUTS)
        genome = evolved_genome(seed, mutations, config)
        try:
            theirs = queried(genome, config)
        except OverflowError:
            reject()
        assume(tame(theirs))
        graph = graph_from_genome(genome, config.genome_config)
        ours = spread(activate(graph, coordinates(torch.float64), range(OUTPUTS)))
        assert close(ours, theirs, 1e-9)
        for way in WAYS:
            assert close(way([graph, graph])[1], theirs, 1e-8), way
        compared.append((seed, mutations))

    equal()
    assert len(set(compared)) >= 150


def single_node_genome(activation: str, aggregation: str, config: neat.Config) -> DefaultGenome:
    """All inputs into one hidden node, that into every output."""
    genome = DefaultGenome(1)
    links = [(key, 3, 0.4 + 0.3 * key) for key in config.genome_config.input_keys]
    links += [(3, output, 0.7 - output) for output in range(OUTPUTS)]
    for key in range(OUTPUTS + 1):
        node = DefaultNodeGene(key)
        node.bias, node.response, node.time_constant = 0.1 * key, 1.0, 1.0
        node.activation, node.aggregation = (activation, aggregation) if key == 3 else ("identity", "sum")
        genome.nodes[key] = node
    for number, (source, target, weight) in enumerate(links):
        link = DefaultConnectionGene((source, target), innovation=number + 1)
        link.weight, link.enabled = weight, True
        genome.connections[link.key] = link
    return genome


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_function_and_aggregation_equals_neat_pythons(activation, aggregation):
    config = neat_config(EVERY, INPUTS, OUTPUTS)
    genome = single_node_genome(activation, aggregation, config)
    graph = graph_from_genome(genome, config.genome_config)
    ours = spread(activate(graph, coordinates(torch.float64), range(OUTPUTS)))
    assert close(ours, queried(genome, config), 1e-9)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_painted_weights_equal_neat_pythons_queries(seed, mutations):
    """Champion-like genomes: the functions of the default config, identity outputs, weights of the usual size."""
    geometry = {"weight": ParameterGeometry(Sheet((2, 2)), Sheet((3, 2)))}
    encoding = CppnEncoding(CppnSettings(), geometry)
    config = neat_config(Settings(hidden=3, add_node=0.5, add_link=0.5), INPUTS, 1)
    genome = evolved_genome(2 * seed, mutations, config)
    genome.nodes[0].activation = "identity"
    graph = graph_from_genome(genome, config.genome_config)
    painted, rounded = (encoding.express([graph], dtype).dense()["weight"][0]
                        for dtype in (torch.float64, torch.float32))
    network = neat.nn.FeedForwardNetwork.create(genome, config)
    for target, second in enumerate(PLACES[1].tolist()):
        for source, first in enumerate(PLACES[0].tolist()):
            output = network.activate([*first, *second, 1.0])[0]
            size = max(0.0, abs(output) - 0.2) / 0.8 * 3.0
            assert abs(painted[target, source].item() - math.copysign(size, output)) <= 1e-9 * max(1.0, size)
    # float32 differs by its rounding alone, which sines of sines multiply.
    assert (rounded - painted).abs().max().item() <= 1e-3 * max(1.0, painted.abs().max().item())
    assert (rounded - painted).abs().median().item() <= 1e-5 * max(1.0, painted.abs().max().item())


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6), st.integers(0, 25))
def test_numbers_written_back_are_read_again(seed, mutations):
    config = neat_config(EVERY, INPUTS, OUTPUTS)
    genome = evolved_genome(seed, mutations, config)
    graph = graph_from_genome(genome, config.genome_config)
    other = Graph(graph.topology, graph.weights * 0.5 - 0.1, graph.biases + 1 / 3, graph.responses * 2)
    write_back(genome, config.genome_config, other)
    again = graph_from_genome(genome, config.genome_config)
    assert again.topology == other.topology
    for name in ("weights", "biases", "responses"):
        assert torch.equal(getattr(again, name), getattr(other, name))


@pytest.mark.parametrize("seed", range(20))
def test_gradients_agree_however_a_graph_is_evaluated(seed):
    config = neat_config(Settings(hidden=3, aggregations=("sum", "product", "mean"), aggregation_rate=0.2,
                                  add_node=0.6), INPUTS, OUTPUTS)
    graph = graph_from_genome(evolved_genome(2 * seed, 6, config), config.genome_config)
    gradients = []
    for way in (reference, *WAYS):
        weights = graph.weights.clone().requires_grad_()
        biases = graph.biases.clone().requires_grad_()
        total = way([Graph(graph.topology, weights, biases, graph.responses)]).square().sum()
        gradients.append(torch.cat(torch.autograd.grad(total, [weights, biases], allow_unused=False)))
    for other in gradients[1:]:
        assert torch.allclose(gradients[0], other, rtol=1e-6, atol=1e-8)


# neat-python INI files

INI = """
[NEAT]
fitness_criterion = max
fitness_threshold = 1
pop_size = 14
reset_on_extinction = False
no_fitness_termination = True

[DefaultGenome]
num_inputs = 7
num_outputs = 3
num_hidden = 1
feed_forward = True
initial_connection = full_direct
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
conn_add_prob = 0.3
conn_delete_prob = 0.1
node_add_prob = 0.3
node_delete_prob = 0.1
activation_default = cos
activation_options = sin cos step gauss
activation_mutate_rate = 0.1
aggregation_default = sum
aggregation_options = sum product
aggregation_mutate_rate = 0.1
bias_init_mean = 0.0
bias_init_stdev = 1.0
bias_max_value = 30.0
bias_min_value = -30.0
bias_mutate_power = 0.5
bias_mutate_rate = 0.7
bias_replace_rate = 0.1
response_init_mean = 1.0
response_init_stdev = 0.1
response_max_value = 30.0
response_min_value = -30.0
response_mutate_power = 0.1
response_mutate_rate = 0.1
response_replace_rate = 0.0
weight_init_mean = 0.0
weight_init_stdev = 1.0
weight_max_value = 30.0
weight_min_value = -30.0
weight_mutate_power = 0.5
weight_mutate_rate = 0.8
weight_replace_rate = 0.1
enabled_default = True
enabled_mutate_rate = 0.01

[DefaultSpeciesSet]
compatibility_threshold = 3.0

[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 2

[DefaultReproduction]
elitism = 2
survival_threshold = 0.2
min_species_size = 2
"""


def ini_search(folder: Path, text: str) -> NeatSearch:
    """A search by an INI file, refined."""
    file = folder / "neat.ini"
    file.write_text(text)
    return build(Settings(ini=str(file), refine=RefineSettings(rounds=3, population=5)), ENCODING, 0)


def test_ini_file_is_used_and_refined(tmp_path):
    search = ini_search(tmp_path, INI)
    assert len(search.ask()) == 14
    assert {node.activation for node in search.ask()[0].topology.nodes} == {"cos"}
    assert search.genome_config.single_structural_mutation is False
    phases = [step(search) and search.statistics()["phase"] for _ in range(12)]
    assert phases == [0, 1, 1, 1] * 3


def test_ini_file_resumes(tmp_path):
    search = ini_search(tmp_path, INI)
    for _ in range(10):
        step(search)
    restored = ini_search(tmp_path, INI)
    restored.restore(search.state())
    assert [step(restored) for _ in range(8)] == [step(search) for _ in range(8)]


@pytest.mark.parametrize(("old", "new", "said"), [
    ("num_inputs = 7", "num_inputs = 4", "num_inputs = 4"),
    ("num_outputs = 3", "num_outputs = 1", "num_outputs = 1"),
    ("feed_forward = True", "feed_forward = False", "feed_forward"),
    ("pop_size = 14", "pop_size = many", "many"),
    ("pop_size = 14", "pop_size = 1", "pop_size = 1"),
    ("pop_size = 14", "", "pop_size"),
    ("pop_size = 14", "pop_size = 14\nsize = 3", "size"),
    ("weight_max_value = 30.0", "", "weight_max_value"),
    ("activation_options = sin cos step gauss", "activation_options = sin cos wobble", "wobble"),
    ("activation_default = cos", "activation_default = tanh", "tanh"),
    ("aggregation_options = sum product", "aggregation_options = sum avarage", "avarage"),
    ("initial_connection = full_direct", "initial_connection = everything", "initial_connection = everything"),
    ("species_fitness_func = max", "species_fitness_func = most", "most"),
    ("[NEAT]", "NEAT", "no section headers"),
    ("[DefaultSpeciesSet]", "[Species]", "DefaultSpeciesSet"),
    ("elitism = 2\nsurvival", "elites = 2\nsurvival", "elites"),
    ("bias_mutate_rate = 0.7", "bias_mutate_rate = nan", "[DefaultGenome] bias_mutate_rate = nan: input should be a"),
    ("bias_mutate_rate = 0.7", "bias_mutate_rate = -0.1", "[DefaultGenome] bias_mutate_rate = -0.1: input should be"),
    ("bias_mutate_rate = 0.7", "bias_mutate_rate = 1.5", "bias_mutate_rate = 1.5: input should be less than or equal"),
    ("bias_mutate_rate = 0.7", "bias_mutate_rate =", "[DefaultGenome] bias_mutate_rate = : input should be a valid"),
    ("conn_add_prob = 0.3", "conn_add_prob = -1", "[DefaultGenome] conn_add_prob = -1: input should be greater"),
    ("bias_init_stdev = 1.0", "bias_init_stdev = -1", "[DefaultGenome] bias_init_stdev = -1: input should be greater"),
    ("bias_max_value = 30.0", "bias_max_value = inf", "[DefaultGenome] bias_max_value = inf: input should be a finite"),
    ("bias_max_value = 30.0", "bias_max_value = 1e300", "[DefaultGenome] bias_max_value = 1e300: input should be less"),
    ("bias_max_value = 30.0", "bias_max_value = -31", "[DefaultGenome] bias_min_value = -30.0 is above bias_max_value"),
    ("weight_init_stdev = 1.0", "weight_init_type = triangle\nweight_init_stdev = 1", "weight_init_type = triangle"),
    ("enabled_default = True", "enabled_default = maybe", "[DefaultGenome] enabled_default = maybe"),
    ("num_hidden = 1", "num_hidden = 1000000000", "[DefaultGenome] num_hidden = 1000000000: input should be less"),
    ("num_hidden = 1", "num_hiden = 1\nnum_hidden = 1", "[DefaultGenome] num_hiden = 1: unknown key; did you mean"),
    ("pop_size = 14", "pop_size = " + "9" * 900, "[NEAT] pop_size = 999"),
    ("threshold = 3.0", "threshold = inf", "[DefaultSpeciesSet] compatibility_threshold = inf: input should"),
    ("max_stagnation = 20", "max_stagnation = -2", "[DefaultStagnation] max_stagnation = -2"),
    ("survival_threshold = 0.2", "survival_threshold = 2", "[DefaultReproduction] survival_threshold = 2"),
    ("min_species_size = 2", "min_species_size = 99", "min_species_size = 99: is more than pop_size"),
    ("pop_size = 14", "pop_size = 14\npop_size = 14", "option 'pop_size' in section 'NEAT' already exists"),
    ("[NEAT]", "[NEAT]\n" + "x\n" * 2000, "Source contains parsing errors"),
    ("pop_size = 14", "pop_size = %(seed)s", "[NEAT] pop_size = %(seed)s"),
    ("[NEAT]", "x" + " " * 50_000 + "x\n[NEAT]", "is too large: at most 65,536 characters, and 1,000 in a line"),
])
def test_bad_ini_is_one_line_that_names_the_file(old, new, said, tmp_path):
    assert old in INI
    with pytest.raises(UserError) as caught:
        ini_search(tmp_path, INI.replace(old, new, 1))
    before, file, message = str(caught.value).partition(f"{tmp_path}/neat.ini: ")
    assert (before, file) == ("search.ini: ", f"{tmp_path}/neat.ini: ")
    assert said in message
    assert message.isprintable() and len(message) < 600 and "/tmp/tmp" not in message


def test_ini_file_may_begin_with_a_byte_order_mark_and_be_in_its_config(tmp_path):
    (tmp_path / "neat.ini").write_text(INI, encoding="utf-8-sig")
    assert Settings(ini=str(tmp_path / "neat.ini")).ini == f"# {tmp_path}/neat.ini\n{INI}"
    assert len(build(Settings(ini=INI), ENCODING, 0).ask()) == 14
    with pytest.raises(UserError, match=r"search.ini: its text: the section \[NEAT\] is missing"):
        build(Settings(ini="\n"), ENCODING, 0)


def test_missing_ini():
    with pytest.raises(ValueError, match=r"/nowhere\.ini: cannot be read: No such file"):
        Settings(ini="/nowhere.ini")


def test_ini_file_is_needed_only_once(tmp_path):
    (tmp_path / "neat.ini").write_text(INI)
    settings = Settings(ini=str(tmp_path / "neat.ini"))
    (tmp_path / "neat.ini").unlink()
    again = Settings.model_validate(settings.model_dump())
    assert len(build(again, ENCODING, 0).ask()) == 14


@pytest.mark.parametrize(("key", "value"), [("functions", ["sine"]), ("functions", []), ("aggregations", ["summ"]),
                                            ("hidden_function", "gaus"), ("output_function", "none"),
                                            ("survival", 0.0), ("population", 1), ("refine", {"step": 0}),
                                            ("compatibility_threshold", math.inf), ("mutation", 1)])
def test_bad_settings_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        Settings.model_validate({key: value})
