"""The evolution strategy that refines a champion's numbers: separable NES (Schaul, Glasmachers & Schmidhuber 2011)."""

import math
from dataclasses import dataclass

import torch
from neat.genome import DefaultGenome
from pydantic import Field
from torch import Tensor

from hyperevo.components import NotNegative, Options, Positive
from hyperevo.encodings._table import TabledGraphs, repeated_graph
from hyperevo.graph import Graph
from hyperevo.search._neat_genomes import GenomeConfig, float64, genes_in_graph


class RefineSettings(Options):
    """Options of the evolution strategy that refines champions between NEAT generations."""

    rounds: int = Field(40, ge=0, le=1_000_000)
    """Rounds on the best species' champion after every NEAT generation; 0 is plain NEAT."""
    population: int = Field(60, ge=2)
    """Perturbed copies of the champion per round."""
    champions: int = Field(1, ge=1)
    """Count of species whose champions are refined, best first."""
    share: float = Field(0.5, gt=0, le=1)
    """Rounds of every further champion, as a share of those of the champion before."""
    step: Positive = 0.1
    """Standard deviation of the perturbation of a gene that was never refined."""
    keep_steps: bool = True
    """true: a gene goes on with the standard deviation that the last refinement left it, in whichever genome that was;
    false: every refinement begins with `step`, so that a champion does not suffer from one that got stuck."""
    learning_rate: Positive = 1.0
    """Learning rate of the champion's weights and biases."""
    step_learning_rate: NotNegative | None = None
    """Learning rate of the standard deviations; by default separable NES's (3 + ln n) / (5 √n) for n genes."""


def step_keys(genome: DefaultGenome, config: GenomeConfig) -> list[tuple[int, int]]:
    """One key per number that is refined: a link's (source, target), a node's (key, -1)."""
    nodes, links = genes_in_graph(genome, config)
    return [link.key for link in links] + [(node.key, -1) for node in nodes]


def limits_of(graph: Graph, config: GenomeConfig) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of every refined number."""
    links, nodes = graph.weights.numel(), graph.biases.numel()
    return (float64([config.weight_min_value] * links + [config.bias_min_value] * nodes),
            float64([config.weight_max_value] * links + [config.bias_max_value] * nodes))


def _utilities(size: int) -> Tensor:
    """NES's rank weights, best first; they sum to zero."""
    raw = (math.log(size / 2 + 1) - torch.arange(1, size + 1, dtype=torch.float64).log()).clamp(min=0)
    return raw / raw.sum() - 1 / size


@dataclass
class Refinement:
    """Separable NES on the numbers of one graph, its weights and then its biases: `centre` is their mean, `steps` are
    their standard deviations."""

    genome: int
    graph: Graph
    rounds_left: int
    centre: Tensor
    steps: Tensor

    def population(self, noise: Tensor) -> TabledGraphs:
        """The perturbed graphs of one round, for standard normal noise (population, numbers)."""
        numbers, links = self.centre + self.steps * noise, self.graph.topology.links
        return repeated_graph(self.graph.topology, numbers[:, :links], numbers[:, links:], self.graph.responses)

    def at(self, numbers: Tensor) -> Graph:
        """The graph with these numbers."""
        links = self.graph.topology.links
        return Graph(self.graph.topology, numbers[:links], numbers[links:], self.graph.responses)

    def tell(self, noise: Tensor, fitness: Tensor, settings: RefineSettings, limits: tuple[Tensor, Tensor]) -> None:
        """Update the centre and the steps from the fitness (population,) of the perturbed graphs."""
        order = torch.argsort(fitness, descending=True, stable=True)
        utilities = torch.empty(len(noise), dtype=torch.float64)
        utilities[order] = _utilities(len(noise))
        size = len(self.centre)
        rate = settings.step_learning_rate
        rate = (3 + math.log(size)) / (5 * math.sqrt(size)) if rate is None else rate
        move = (utilities[:, None] * noise).sum(0)
        growth = (utilities[:, None] * (noise.square() - 1)).sum(0)
        self.centre = (self.centre + settings.learning_rate * self.steps * move).clamp(*limits)
        self.steps = self.steps * torch.exp(rate / 2 * growth)
        self.rounds_left -= 1
