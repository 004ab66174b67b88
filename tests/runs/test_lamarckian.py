"""Runs whose genomes learn within their generation: gradients, counting, and a cut run that ends as an unbroken one."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from hyperevo.config import load_config
from hyperevo.errors import UserError
from hyperevo.graph import Graph
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.compose import compose
from hyperevo.runs.learn import differentiable_fitness, learn
from hyperevo.search._neat_learn import Learning, LearnSettings
from hyperevo.weights import Weights

SMALL = ["task.name=digits", "task.images=40", "task.validation=200", "target.hidden=[[3,3]]", "search.population=6",
         "search.hidden=4", "search.learn.steps=4", "run.rounds=4", "run.validate_every=1", "threads=1"]


def small_config(*overrides):
    return load_config("dppn-mnist", [*SMALL, *overrides]).config


def with_numbers(graph: Graph, numbers: torch.Tensor) -> Graph:
    links = graph.topology.links
    return Graph(graph.topology, numbers[:links], numbers[links:], graph.responses)


def grown_parts(*overrides):
    """Parts whose population has grown to graphs of different shapes, and its graphs."""
    parts = compose(small_config(*overrides))
    for number in range(3):
        graphs = parts.search.ask()
        parts.search.tell_learned(torch.arange(len(graphs)).float() * (-1) ** number, graphs)
    return parts, parts.search.ask()


def learned_by(parts, graphs):
    """The graphs after three steps taken together."""
    unlimited = [(torch.full((graph.genes,), -9.0), torch.full((graph.genes,), 9.0)) for graph in graphs]
    learning = Learning(graphs, unlimited, LearnSettings(steps=3))
    fitness = differentiable_fitness(parts.encoding, parts.target, parts.task)
    return learn(learning, fitness, parts.target, parts.task, 0, 2, 4.0)


class Still(Learning):
    """Notes the gradient of every step and takes none."""

    def step(self, gradient):
        self.seen = [*getattr(self, "seen", []), gradient]


@pytest.mark.parametrize("separable", ["true", "false"])
@pytest.mark.parametrize("memory_gb", [4.0, 1e-9])
def test_every_step_has_each_graphs_own_gradient_on_images_of_its_own(separable, memory_gb):
    parts, graphs = grown_parts(f"search.separable={separable}", "search.functions=['sin','gauss','identity']")
    assert len({graph.topology for graph in graphs}) > 2
    learning = Still(graphs, [(torch.zeros(graph.genes), torch.zeros(graph.genes)) for graph in graphs],
                     LearnSettings(steps=3))
    fitness = differentiable_fitness(parts.encoding, parts.target, parts.task)
    learn(learning, fitness, parts.target, parts.task, 5, 2, memory_gb)
    for step, together in enumerate(learning.seen):
        images, labels = parts.task.batch(5, (1 << 40) + 2 * 3 + step)
        for graph, seen in zip(graphs, together.split([graph.genes for graph in graphs]), strict=True):
            alone = torch.cat([graph.weights, graph.biases]).requires_grad_()
            outputs = parts.target.forward(parts.encoding.express([with_numbers(graph, alone)]), images)[0]
            (-torch.nn.functional.cross_entropy(outputs, labels)).backward()
            torch.testing.assert_close(seen, alone.grad, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(learning.seen[0], learning.seen[1], atol=1e-4)


def test_a_graph_that_overflows_does_not_poison_its_neighbours():
    parts, graphs = grown_parts()
    expected = learned_by(parts, graphs)
    huge = torch.full((graphs[1].genes,), 1e30, dtype=torch.float64)
    ill = [graphs[0], with_numbers(graphs[1], huge), *graphs[2:]]
    for place, (sane, seen) in enumerate(zip(expected, learned_by(parts, ill), strict=True)):
        assert torch.isfinite(seen.weights).all()
        if place != 1:
            torch.testing.assert_close(seen.weights, sane.weights, atol=1e-4, rtol=1e-4)


def test_threads_share_the_work_and_change_little():
    parts, graphs = grown_parts()
    alone = learned_by(parts, graphs)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = learned_by(parts, graphs)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one.weights, other.weights, atol=2e-4, rtol=1e-4)


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_network_counts_and_learning_helps(tmp_path):
    result = execute(create_run(small_config("search.learn.learning_rate=0.1"), tmp_path / "learned"))
    execute(create_run(small_config("search.learn.steps=0"), tmp_path / "evolved"))
    assert result["evaluations"] == 4 * 6 * 5
    assert [int(row["evaluations"]) for row in rows_of(tmp_path / "learned")] == [30, 60, 90, 120]
    learned, evolved = (float(rows_of(tmp_path / name)[-1]["mean"]) for name in ("learned", "evolved"))
    assert learned > evolved + 0.1


@pytest.mark.parametrize("options", [(), ("search.learn.inherit=false",),
                                     ("search.refine.rounds=2", "search.refine.population=4", "run.rounds=7")])
def test_a_cut_run_ends_as_the_unbroken_one(options, tmp_path, run_until):
    config = small_config(*options)
    execute(create_run(config, tmp_path / "whole"))
    champion = (tmp_path / "whole" / "champion" / "tensors.safetensors").read_bytes()
    for rounds in range(1, config.run.rounds):
        folder = tmp_path / f"cut{rounds}"
        run_until(config, folder, rounds)
        execute(open_run(folder))
        for file in ("metrics.csv", "fitness.bin", "species.csv", "champion/weights.safetensors"):
            assert (tmp_path / "whole" / file).read_bytes() == (folder / file).read_bytes(), file
        assert champion == (folder / "champion" / "tensors.safetensors").read_bytes()


def test_the_champion_is_a_graph_that_learned(tmp_path):
    """In a Baldwinian run too: its fitness is the best of its round, its accuracy the one that was validated."""
    run = create_run(small_config("search.learn.inherit=false"), tmp_path / "run")
    result, task = execute(run), run.parts.task
    champion = load_file(tmp_path / "run" / "champion" / "weights.safetensors")
    network = Weights({name: value[None] for name, value in champion.items()})
    rows = rows_of(tmp_path / "run")
    row = rows[result["champion_round"] - 1]
    images, labels = task.batch(run.config.seed, int(row["generation"]))
    assert float(task.fitness(run.parts.target.forward(network, images), labels)) == pytest.approx(float(row["best"]))
    images, labels = task.validation
    validated = float(task.score(run.parts.target.forward(network, images), labels))
    assert validated == result["validation_accuracy"] == max(float(row["validation_accuracy"]) for row in rows)
    state = json.loads((tmp_path / "run" / "champion" / "state.json").read_text())
    assert state["validation_accuracy"] == validated


@pytest.mark.parametrize("config", ["dppn-mnist", "appendix-a1"])
def test_accuracy_has_no_gradient(config, tmp_path):
    config = load_config(config, ["task.name=digits", "task.fitness=accuracy"]).config
    with pytest.raises(UserError, match=r"task\.fitness: accuracy has no gradient .* use cross-entropy"):
        create_run(config, tmp_path / "run")
