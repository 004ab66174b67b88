"""Learning within a generation: every graph learns what it would alone, and genomes inherit it where they should."""

import math
from types import SimpleNamespace

import pytest
import torch

from hyperevo.graph import Graph
from hyperevo.search._neat_genomes import graphs_from_genomes
from hyperevo.search._neat_learn import Learning, LearnSettings
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search.neat import Settings, build

ENCODING = SimpleNamespace(input_names=["x1", "y1", "x2", "y2", "one"], output_names=["weight", "bias"],
                           matrix_outputs=lambda: None)
NO_REFINEMENT = RefineSettings(rounds=0)


def search_that_learns(refine=NO_REFINEMENT, limit=30.0, **learn):
    """A search some generations on, so that its graphs differ in shape."""
    search = build(Settings(population=8, hidden=2, target_species=2, add_node=0.8, add_link=0.8, limit=limit,
                            refine=refine, learn=LearnSettings(**{"steps": 5, **learn})), ENCODING, 0)
    for _ in range(3):
        graphs = search.ask()
        search.tell_learned(fitness_of(graphs), graphs)
    return search


def fitness_of(graphs: list[Graph]) -> torch.Tensor:
    """(P,): something that every number bends in a way of its own."""
    return torch.stack([-(graph.weights.sin() + graph.weights.square() / 9).sum()
                        - (graph.biases - 1).square().mul(torch.arange(len(graph.biases))).sum() for graph in graphs])


def take_steps(learning: Learning, block: int = 3) -> list[Graph]:
    for _ in range(learning.settings.steps):
        gradients = []
        for start in range(0, len(learning), block):
            numbers, graphs = learning.leaf(slice(start, start + block))
            gradients.append(torch.autograd.grad(fitness_of(graphs).sum(), numbers)[0])
        learning.step(torch.cat(gradients))
    return learning.graphs()


def numbers_of(graph: Graph) -> torch.Tensor:
    return torch.cat([graph.weights, graph.biases])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_graph_learns_what_adam_teaches_it_alone(schedule):
    search = search_that_learns(schedule=schedule, learning_rate=0.05, limit=0.8)
    graphs = search.ask()
    assert len({graph.topology for graph in graphs}) > 2
    learned = take_steps(search.lessons())
    for graph, together in zip(graphs, learned, strict=True):
        alone = numbers_of(graph).clone().requires_grad_()
        optimizer = torch.optim.Adam([alone], 0.05)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        for _ in range(5):
            optimizer.zero_grad()
            links = graph.topology.links
            (-fitness_of([Graph(graph.topology, alone[:links], alone[links:], graph.responses)])).sum().backward()
            optimizer.step()
            if schedule == "cosine":
                rates.step()
            alone.data.clamp_(-0.8, 0.8)
        torch.testing.assert_close(numbers_of(together), alone.detach(), atol=1e-12, rtol=1e-12)
    assert max(numbers_of(graph).abs().max() for graph in learned) == 0.8


def test_a_gradient_that_is_not_finite_stays_with_its_own_graph():
    search = search_that_learns()
    healthy, ill = search.lessons(), search.lessons()
    numbers, graphs = healthy.leaf(slice(None))
    gradient, = torch.autograd.grad(fitness_of(graphs).sum(), numbers)
    healthy.step(gradient)
    hurt = gradient.clone()
    hurt[graphs[0].genes + 1] = math.nan  # in the second graph
    ill.step(hurt)
    for place, (one, other, before) in enumerate(zip(healthy.graphs(), ill.graphs(), search.ask(), strict=True)):
        assert torch.equal(numbers_of(other), numbers_of(before if place == 1 else one))


@pytest.mark.parametrize("inherit", [True, False])
def test_genomes_inherit_exactly_what_was_learned_or_nothing(inherit, monkeypatch):
    search = search_that_learns(inherit=inherit)
    before, learned = search.ask(), take_steps(search.lessons())
    assert all(torch.equal(numbers_of(one), numbers_of(two)) for one, two in zip(before, search.ask(), strict=True))
    monkeypatch.setattr(search, "_reproduce", lambda: None)
    fitness = fitness_of(learned)
    search.tell_learned(fitness, learned)
    after = graphs_from_genomes(list(search.population.values()), search.genome_config)
    for kept, expected in zip(after, learned if inherit else before, strict=True):
        assert kept.topology == expected.topology
        assert torch.equal(numbers_of(kept), numbers_of(expected))
    packed = search.state()["link_weights"]
    assert all(weight in packed for graph in after for weight in graph.weights)
    champion, = search.candidates()
    assert torch.equal(numbers_of(champion), numbers_of(learned[int(fitness.argmax())]))


def test_what_is_learned_is_refined_after():
    search = search_that_learns(refine=RefineSettings(rounds=2, population=4))
    while search.phase == 1:
        assert search.lessons() is None
        search.tell(fitness_of(search.ask()))
    learned = take_steps(search.lessons())
    search.tell_learned(fitness_of(learned), learned)
    assert search.phase == 1
    best = learned[int(fitness_of(learned).argmax())]
    assert torch.equal(search._refinement.centre, numbers_of(best))


def test_without_steps_nothing_is_learned():
    assert search_that_learns(steps=0).lessons() is None


@pytest.mark.parametrize(("key", "value"), [("steps", -1), ("learning_rate", 0), ("schedule", "linear"),
                                            ("inherit", "maybe"), ("rounds", 3)])
def test_bad_settings_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        Settings.model_validate({"learn": {key: value}})
