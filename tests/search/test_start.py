"""Warm starts: a search begins with the champion or the population of an earlier run, which it needs only once."""

import json
import shutil
import tomllib
from types import SimpleNamespace

import pytest
import torch

from hyperevo.components import load_component
from hyperevo.config import load_config
from hyperevo.encodings.direct import DirectEncoding
from hyperevo.encodings.direct import Settings as DirectSettings
from hyperevo.errors import UserError
from hyperevo.genotypes import pack_genotype, read_champion
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import activate
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.checkpoint import latest_checkpoint
from hyperevo.runs.files import write_folder
from hyperevo.search._neat_genomes import Genome, fill_genome, graph_from_genome
from hyperevo.search.neat import NeatSearch
from hyperevo.search.neat import Settings as NeatSettings

ENCODING = DirectEncoding(DirectSettings(), {"weight": ParameterGeometry(Sheet((3,)), Sheet((2,)))})
GENES = torch.linspace(-3, 3, 6)
GAUSSIAN, POPULATIONS = ["cmaes", "pgpe", "snes", "xnes"], ["cosyne", "genetic"]


def run_of(folder, genotype) -> str:
    """A folder as a finished run leaves it."""
    plain, tensors = pack_genotype(genotype)
    folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder / "champion", {"genotype": plain}, tensors)
    return str(folder)


def build(name, start, **options):
    module = load_component("search", name)
    return module.build(module.Settings(start=start, population=20, **options), ENCODING, 0)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_a_gaussian_has_the_champion_for_its_first_centre(name, tmp_path):
    search = build(name, run_of(tmp_path, GENES), deviation=1e-4)
    torch.testing.assert_close(search.ask(), GENES.expand(20, -1), atol=1e-3, rtol=0)
    search.close()
    search = build(name, run_of(tmp_path, GENES), deviation=1e-4, centre=1.0)
    assert (search.ask().mean(0) - GENES).abs().max() > 0.1
    search.close()


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_population_holds_the_champion_and_neighbours_of_it(name, tmp_path):
    search = build(name, run_of(tmp_path, GENES), mutation=0.01)
    population = search.ask()
    assert torch.equal(population[0], GENES) and 0.003 < (population[1:] - GENES).std() < 0.03
    search.tell(-(population - GENES).square().sum(1))
    assert torch.equal(search.candidates()[0], GENES)
    search.close()


def test_a_gradient_and_eggroll_start_there(tmp_path):
    start = run_of(tmp_path, GENES)
    assert torch.equal(build("gradient", start).ask(), GENES.expand(20, -1))
    assert torch.equal(build("eggroll", start).candidates()[0], GENES)


@pytest.mark.parametrize("name", [*GAUSSIAN, *POPULATIONS, "gradient", "eggroll"])
def test_genes_that_do_not_fit_are_one_line_with_both_numbers(name, tmp_path):
    with pytest.raises(UserError, match="search.start: the champion of .* has 5 genes, and encoding direct needs 6"):
        build(name, run_of(tmp_path, GENES[:5]))


def test_a_start_that_is_no_run_is_one_line(tmp_path):
    for start, line in (("smaple", "smaple: is not a finished run: .*No such file.*; zero is a start too; sample is"),
                        (str(tmp_path), "is not a finished run")):
        with pytest.raises(UserError, match=f"search.start: .*{line}"):
            load_config("dct-mnist", [f"search.start={start}"])
    run_of(tmp_path, torch.tensor([1.0, torch.nan]))
    with pytest.raises(UserError, match="its champion is damaged: genes are finite numbers"):
        load_config("dct-mnist", [f"search.start={tmp_path}"])
    (tmp_path / "champion" / "state.json").write_text('{"genotype": {"kind": "graph", "inputs": 2}}')
    with pytest.raises(UserError, match="its champion is damaged: 'weights'"):
        read_champion(tmp_path)
    (tmp_path / "champion" / "tensors.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="tensors.safetensors: is cut short or damaged"):
        read_champion(tmp_path)


SMALL = ["task.name=digits", "task.images=50", "target.hidden=[[3,3]]", "run.validate_every=1", "threads=1"]


def small(*more):
    return load_config("dct-mnist", [*SMALL, "search.population=10", *more]).config


@pytest.mark.parametrize("search", ["snes", "genetic", "gradient"])
def test_a_run_needs_the_run_it_began_from_only_once(search, tmp_path, monkeypatch, run_until):
    monkeypatch.chdir(tmp_path)
    execute(create_run(small("run.rounds=3"), tmp_path / "first"))
    config = small("run.rounds=4", f"search={{name='{search}', population=10, start='first'}}")
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 2)
    shutil.rmtree(tmp_path / "first")
    assert tomllib.loads((tmp_path / "cut" / "config.toml").read_text())["search"]["start"] == "first"
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "champion/tensors.safetensors", "start/tensors.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    # Without a checkpoint a run is made anew, from its own copy.
    shutil.rmtree(tmp_path / "cut" / "checkpoint")
    execute(open_run(tmp_path / "cut"))
    assert (tmp_path / "cut" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    create_run(small(), tmp_path / "cut", overwrite=True).close()
    assert not (tmp_path / "cut" / "start").exists()


def test_a_warm_start_begins_as_good_as_the_champion(tmp_path):
    trained = small("run.rounds=30", "search={name='gradient', learning_rate=0.05}")
    first = execute(create_run(trained, tmp_path / "first"))
    start = f"search={{name='snes', population=10, deviation=1e-5, start='{tmp_path / 'first'}'}}"
    again = execute(create_run(small("run.rounds=1", start), None))
    assert again["validation_accuracy"] == pytest.approx(first["validation_accuracy"], abs=0.02)
    assert first["validation_accuracy"] > 0.5


# NEAT

NAMES = SimpleNamespace(inputs=["x1", "y1", "x2", "y2", "one"], outputs=["weight", "bias"])
NEAT = {"population": 12, "hidden": 2, "add_node": 0.5, "add_link": 0.5, "target_species": 3}


def neat(**options):
    return NeatSearch(NeatSettings(**{**NEAT, **options}), NAMES.inputs, NAMES.outputs, 1)


def tell(search, times=1):
    for _ in range(times):
        graphs = search.ask()
        search.tell(torch.tensor([-abs(float(graph.weights.sum()) - 1) + 0.05 * graph.genes for graph in graphs]))
    return search


@pytest.fixture
def evolved(tmp_path):
    """A run of NEAT on CPPNs, and its folder."""
    config = load_config("cppn-mnist", [*SMALL, "search={name='neat', population=12, hidden=2}", "run.rounds=4",
                                        "search.refine.rounds=2", "search.refine.population=4"]).config
    execute(create_run(config, tmp_path / "neat"))
    return tmp_path / "neat"


def test_neat_goes_on_with_the_last_population(evolved, run_until, tmp_path):
    def config(**options):
        return load_config("cppn-mnist", [*SMALL, f"search={{name='neat', population=20, start='{evolved}'}}",
                                          "run.rounds=4", "seed=5"]).config

    run = create_run(config(), None)
    before = latest_checkpoint(evolved).search
    search = run.parts.search
    assert len(search.ask()) == 12 and search.generation == 0 and sorted(search.population) == list(range(1, 13))
    old = NeatSearch(NeatSettings(population=12, hidden=2), search.input_names, search.output_names, 0)
    old.restore(before)
    with_old_numbers = [graph_from_genome(genome, old.genome_config).key() for genome in old.population.values()]
    assert [graph.key() for graph in search.ask()] == with_old_numbers
    innovations = [link.innovation for genome in search.population.values() for link in genome.connections.values()]
    assert search._reproduction.innovation_tracker.global_counter >= max(innovations)
    nodes = [key for genome in search.population.values() for key in genome.nodes]
    assert search.genome_config.node_indexer.value > max(nodes)
    execute(create_run(config(), tmp_path / "whole"))
    run_until(config(), tmp_path / "cut", 2)
    shutil.rmtree(evolved)
    execute(open_run(tmp_path / "cut"))
    assert (tmp_path / "cut" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_without_checkpoints_neat_starts_from_the_champion_and_mutants(tmp_path):
    graph = tell(neat(), 12).candidates()[0]
    search = neat(start=run_of(tmp_path, graph))
    first, *others = search.ask()
    inputs = [torch.randn(1, 50, dtype=torch.float64) for _ in NAMES.inputs]
    for before, after in zip(activate(graph, inputs, [0, 1]), activate(first, inputs, [0, 1]), strict=True):
        torch.testing.assert_close(after, before)
    assert len(others) == 11 and len({own.key() for own in search.ask()}) > 6
    restored = neat(start=str(tmp_path))
    restored.restore(search.state(), [])
    assert [own.key() for own in tell(search, 3).ask()] == [own.key() for own in tell(restored, 3).ask()]


def test_a_genome_of_a_graph_encodes_it():
    search = tell(neat(aggregations=("sum", "product")), 15)
    inputs = [torch.randn(1, 50, dtype=torch.float64) for _ in NAMES.inputs]
    for graph in search.ask():
        again = graph_from_genome(fill_genome(Genome(1), graph, search.genome_config), search.genome_config)
        for before, after in zip(activate(graph, inputs, [0, 1]), activate(again, inputs, [0, 1]), strict=True):
            torch.testing.assert_close(after, before)


def test_graphs_that_do_not_fit_are_one_line(evolved, tmp_path):
    with pytest.raises(UserError, match="search.start: graphs of .* have 5 inputs, and the encoding needs 7"):
        create_run(load_config("cppn-mnist", [*SMALL, "encoding.delta=true",
                                              f"search={{name='neat', start='{evolved}'}}"]).config, None)
    with pytest.raises(UserError, match=r"the champion of .* is 6 genes, and neat evolves graphs"):
        neat(start=run_of(tmp_path / "genes", GENES))
    with pytest.raises(UserError, match=r"the champion of .* is a graph of \d+ numbers, and encoding direct needs 6"):
        build("snes", str(evolved))
    state = json.loads((latest := sorted((evolved / "checkpoint").iterdir())[-1] / "state.json").read_text())
    del state["search"]["next_node"]
    latest.write_text(json.dumps(state))
    with pytest.raises(ValueError, match="is damaged or was changed"):
        neat(start=str(evolved))
