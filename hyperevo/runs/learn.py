"""Genotypes → weights → outputs → fitness with its gradient, all networks at once, or a block of graphs at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from hyperevo.abilities import DropsOut, Explores, FollowsPolicyGradient, Lessons, Loss, ReadsOn
from hyperevo.genotypes import Genotypes
from hyperevo.parts import Batch, Encoding, Parts, Target, Task
from hyperevo.randomness import generator_for, mixed
from hyperevo.runs.evaluate import by_blocks, calibrated, fitting_half
from hyperevo.weights import Weights

Fitness = Callable[..., Tensor]
"""Function of genotypes, inputs, wanted outputs and, for a target that reads on, its `Carried` state; gives fitness
(P,)."""


@dataclass
class Carried:
    """State of a target that reads on, from one step along the gradient to the next, detached from past steps; and the
    seed of the dropout at this step."""

    state: tuple[Tensor, ...] | None = None
    draw: int = 0

    def outputs(self, target: Target, weights: Weights, inputs: Tensor) -> Tensor:
        """Outputs of these inputs with dropout; of a target that reads on, read on from the state."""
        if isinstance(target, ReadsOn):
            return self._read(target, weights, inputs)
        if isinstance(target, DropsOut) and target.drops:
            return target.forward_dropping(weights, inputs, self.draw)
        return target.forward(weights, inputs)

    def _read(self, target: ReadsOn, weights: Weights, inputs: Tensor) -> Tensor:
        """Outputs from the state on, which becomes the one after these inputs."""
        outputs, after = target.read(weights, inputs, self.state, self.draw)
        self.state = tuple(part.detach() for part in after)
        return outputs


def dropping(target: Target, seed: int, step: int) -> Carried | None:
    """Seed of the dropout at a step; None for a target without."""
    return Carried(draw=mixed(seed, step)) if isinstance(target, DropsOut) and target.drops else None


LEARNING_STREAM = 1 << 40
"""Generation from which on batches are for learning within generations; smaller ones are for judging."""


def differentiable_fitness(encoding: Encoding, target: Target, task: Task, loss: Loss | None = None) -> Fitness:
    """Function of P genotypes, inputs, wanted outputs and, for a target that reads on, its `Carried` state; gives
    fitness (P,) less the decay of generated weights (of all weight matrices where none are generated)."""
    loss = loss or Loss()
    decayed = [name for name in encoding.generated() or encoding.geometry
               if encoding.geometry[name].source is not None] if loss.generated_decay else []
    dtype = torch.bfloat16 if loss.precision == "bfloat16" else None

    def fitness(genotypes: Genotypes, inputs: Tensor, wanted: Tensor, carried: Carried | None = None) -> Tensor:
        with torch.autocast(inputs.device.type, dtype=dtype, enabled=dtype is not None):
            fitting, (inputs, wanted) = fitting_half(target, (inputs, wanted))
            weights = calibrated(target, encoding.express(genotypes), fitting)
            outputs = target.forward(weights, inputs) if carried is None else carried.outputs(target, weights, inputs)
        return task.fitness(outputs.float(), wanted) - loss.generated_decay / 2 * _squares(weights, decayed)

    return torch.compile(fitness, dynamic=False) if loss.compile else fitness


def learn(lessons: Lessons, fitness: Fitness, target: Target, task: Task, seed: int, generation: int,
          memory_gb: float) -> Genotypes:
    """Graphs of a NEAT generation after their steps; the batch of a step depends on seed, generation and step alone."""
    first = LEARNING_STREAM + generation * lessons.steps
    for step in range(lessons.steps):
        work = partial(fitness, carried=dropping(target, seed, first + step))
        lessons.step(_gradient(lessons, work, target, task.batch(seed, first + step), memory_gb))
    return lessons.graphs()


DRAWING_STREAM = 1 << 61
"""Stream of the noise that draws actions, apart from that of first states."""


def learn_policy(search: FollowsPolicyGradient, parts: Parts, seed: int) -> Tensor:
    """Gather an experience and take the steps along the policy gradient that it is good for: mean return (P,) of its
    episodes. First states and noise depend on seed and generation alone."""
    task, target, encoding, own = parts.task, parts.target, parts.encoding, parts.search
    assert isinstance(task, Explores)
    generation = own.generation
    drawing = generator_for(seed, generation, DRAWING_STREAM)
    with torch.no_grad():
        weights = encoding.express(own.ask())
        experience = task.explore(target, weights, *task.batch(seed, generation), drawing)
    before: Tensor | None = None
    for _ in range(search.epochs):
        likelihoods = task.log_likelihoods(target, encoding.express(own.ask()), experience)
        before = likelihoods.detach() if before is None else before
        own.tell(search.surrogate(likelihoods, before, experience))
    return experience.rewards.sum(1).mean(1)


def _gradient(learning: Lessons, fitness: Fitness, target: Target, batch: Batch, memory_gb: float) -> Tensor:
    """Gradient (numbers,) of every graph's own fitness, forwards and backwards for one block of graphs at a time."""
    def of_block(block: slice) -> Tensor:
        numbers, graphs = learning.leaf(block)
        values = fitness(graphs, *batch)
        # What is not finite has no gradient to add to; what it did to its own graph's, `Learning.step` takes out.
        gradient, = torch.autograd.grad(values.where(torch.isfinite(values), 0.0).sum(), numbers)
        return gradient

    return torch.cat(by_blocks(of_block, len(learning), target, batch[0], memory_gb, learning.widest))


def _squares(weights: Weights, names: list[str]) -> Tensor | float:
    """Sums (P,) of squares of the weights in some parameters."""
    return sum((weights.tensor(name).float().square().flatten(1).sum(1) for name in names), start=0.0)
