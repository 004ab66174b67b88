"""Genotypes → weights → outputs → fitness with its gradient, all networks at once, or a block of graphs at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hyperevo.graph import Graph
from hyperevo.runs.evaluate import by_blocks, calibrated, fitting_half
from hyperevo.search._neat_learn import Learning
from hyperevo.search.gradient import Settings
from hyperevo.weights import Weights

Fitness = Callable[..., Tensor]
"""Of genotypes, inputs, labels and, where the target reads sequences, what it carries from the batch before."""


@dataclass
class Carried:
    """What a target that reads sequences takes from one step along the gradient to the next: its state, without the
    past's gradient; and the number that dropout is drawn from at this step."""

    state: tuple[Tensor, ...] | None = None
    draw: int = 0

    def read(self, target: Any, weights: Weights, inputs: Tensor) -> Tensor:
        """Outputs from the state on, which becomes the one after these inputs."""
        outputs, after = target.read(weights, inputs, self.state, self.draw)
        self.state = tuple(part.detach() for part in after)
        return outputs


LEARNING_STREAM = 1 << 40
"""Batches numbered from here on are for learning within generations, those below for judging."""


def differentiable_fitness(encoding: Any, target: Any, task: Any, settings: Any = None) -> Fitness:
    """A function of P genotypes, inputs and labels, and of what is `Carried` where that is: fitness (P,) less the decay
    of generated weights, as the gradient search's `settings` want it computed; by default, plainly."""
    settings = settings or Settings()
    decayed = [name for name, parameter in getattr(encoding, "inner", encoding).geometry.items()
               if parameter.source is not None] if settings.generated_decay else []
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else None

    def fitness(genotypes: Any, inputs: Tensor, labels: Tensor, carried: Carried | None = None) -> Tensor:
        with torch.autocast(inputs.device.type, dtype=dtype, enabled=dtype is not None):
            fitting, (inputs, labels) = fitting_half(target, (inputs, labels))
            weights = calibrated(target, encoding.express(genotypes), fitting)
            outputs = carried.read(target, weights, inputs) if carried else target.forward(weights, inputs)
        return task.fitness(outputs.float(), labels) - settings.generated_decay / 2 * _squares(weights, decayed)

    return torch.compile(fitness, dynamic=False) if settings.compile else fitness


def learn(learning: Learning, fitness: Fitness, target: Any, task: Any, seed: int, generation: int,
          memory_gb: float) -> list[Graph]:
    """The graphs of a NEAT generation after their steps; the images of a step depend on seed, generation and step."""
    first = LEARNING_STREAM + generation * learning.settings.steps
    for step in range(learning.settings.steps):
        learning.step(_gradient(learning, fitness, target, task.batch(seed, first + step), memory_gb))
    return learning.graphs()


def _gradient(learning: Learning, fitness: Fitness, target: Any, batch: tuple[Tensor, Tensor],
              memory_gb: float) -> Tensor:
    """(numbers,): of every graph's own fitness, forwards and backwards a block of graphs at a time."""
    def of_block(block: slice) -> Tensor:
        numbers, graphs = learning.leaf(block)
        values = fitness(graphs, *batch)
        # What is not finite has no gradient to add to; what it did to its own graph's, `Learning.step` takes out.
        gradient, = torch.autograd.grad(values.where(torch.isfinite(values), 0.0).sum(), numbers)
        return gradient

    return torch.cat(by_blocks(of_block, len(learning), target, batch[0], memory_gb, learning.widest))


def _squares(weights: Weights, names: list[str]) -> Tensor | float:
    """(P,): Σ w² over some parameters."""
    return sum((weights.tensor(name).float().square().flatten(1).sum(1) for name in names), start=0.0)
