"""Genotypes → weights → outputs → fitness with its gradient, all networks at once, or a block of graphs at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx

from hyperevo.abilities import DropsOut, Lessons, LessonsInPlace, Loss, ReadsOn
from hyperevo.genotypes import Genotypes
from hyperevo.parts import Batch, Encoding, Target, Task
from hyperevo.randomness import mixed
from hyperevo.runs.captures import Captures, shapes_of
from hyperevo.runs.evaluate import alone_or_few, calibrated, division, fitting_half, in_threads
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


    def part(self, block: slice) -> "Carried":
        """State of some networks."""
        return Carried(None if self.state is None else tuple(part[block] for part in self.state), self.draw)

    def join(self, parts: "Sequence[Carried]") -> None:
        """Take the states of all networks, block by block."""
        states = [part.state for part in parts if part.state is not None]
        self.state = tuple(torch.cat(own) for own in zip(*states, strict=True)) if states else None


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
        outputs = outputs.float() if task.exact_outputs else outputs
        return task.fitness(outputs, wanted) - loss.generated_decay / 2 * _squares(weights, decayed)

    return torch.compile(fitness, dynamic=False) if loss.compile else fitness


Gradients = Callable[[list[slice]], list[Tensor] | None]
"""Function that has other processes compute the gradients of blocks of graphs: one gradient (numbers,) for every block,
or None where this process shall."""

Teacher = Callable[[Lessons, int], Gradients]
"""Function of lessons and the generation whose batch they are on."""


def _nowhere(blocks: list[slice]) -> None:
    """Leave the gradients to this process."""


def learn(lessons: Lessons, fitness: Fitness, target: Target, task: Task, seed: int, generation: int,
          memory_gb: float, captures: Captures | None = None, elsewhere: Teacher = lambda lessons, generation: _nowhere
          ) -> Genotypes:
    """Graphs of a NEAT generation after their steps; the batch of a step depends on seed, generation and step alone.
    With `captures` a step is captured, if the lessons can be."""
    def gradient(batch: Batch, carried: Carried | None) -> Tensor:
        return _gradient(lessons, partial(fitness, carried=carried), target, batch, memory_gb,
                         elsewhere(lessons, current[0]))

    def step(batch: Batch, carried: Carried | None) -> None:
        lessons.step(gradient(batch, carried))

    if captures is not None and captures.wanted and isinstance(lessons, LessonsInPlace):
        step = _CapturedLessons(lessons, gradient, captures).step
    first = LEARNING_STREAM + generation * lessons.steps
    current = [first]
    for number in range(first, first + lessons.steps):
        current[0] = number
        step(task.batch(seed, number), dropping(target, seed, number))
    return lessons.graphs()


class _CapturedLessons:
    """Steps of one generation's lessons, each launched as one. Graphs of other structures need other captures."""

    def __init__(self, lessons: LessonsInPlace, gradient: Callable[[Batch, Carried | None], Tensor],
                 captures: Captures):
        self.lessons, self.gradient, self.captures = lessons, gradient, captures
        captures.forget()
        lessons.place(captures.device)

    def step(self, batch: Batch, carried: Carried | None) -> None:
        """Take one step on a batch."""
        def work(own: Batch) -> None:
            self.lessons.follow(self.gradient(own, None if carried is None else Carried()))

        key = shapes_of(batch), self.captures.decisions(self.lessons.graphs)
        captured = self.captures.known(key) or self.captures.of(key, work, batch, self.lessons.rehearsal)
        if captured is None:
            self.lessons.step(self.gradient(batch, carried))
            return
        self.lessons.begin_step()
        captured.run(batch, 0 if carried is None else carried.draw)
        self.lessons.end_step()


def _gradient(learning: Lessons, fitness: Fitness, target: Target, batch: Batch, memory_gb: float,
              elsewhere: Gradients) -> Tensor:
    """Gradient (numbers,) of every graph's own fitness, forwards and backwards for one block of graphs at a time."""
    blocks, threads = division(len(learning), target, batch[0], memory_gb, learning.widest)
    return torch.cat(elsewhere(blocks) or in_threads(
        lambda block: gradient_of(fitness, *learning.leaf(block), batch), blocks, threads))


def gradient_of(fitness: Fitness, numbers: Tensor, graphs: Genotypes, batch: Batch) -> Tensor:
    """Gradient (numbers,) of graphs' fitness by the leaf tensor that holds their numbers."""
    values = fitness(graphs, *batch)
    # What is not finite has no gradient to add to; what it did to its own graph's, `Learning.step` takes out.
    gradient, = torch.autograd.grad(values.where(torch.isfinite(values), 0.0).sum(), numbers)
    return gradient


Slope = tuple[Tensor, Tensor, Carried | None]
"""Fitness (B,) of a block of genotypes, its gradient (B, genes), and the state after it."""

Slopes = Callable[[Tensor, Carried | None, list[slice]], list[Slope] | None]
"""Function that has other processes compute what a step along the gradient needs of blocks of genotypes (P, genes), or
None where this process shall."""


def step_blocks(genotypes: Tensor, target: Target, batch: Batch, memory_gb: float) -> tuple[list[slice], int]:
    """Blocks of genotypes whose gradients are computed together, and the number of threads that share the blocks. On
    the CPU large networks go one by one: together they take as long, and more memory."""
    if batch[0].device.type != "cpu":
        return [slice(0, len(genotypes))], 1
    most = alone_or_few(target, batch[0])
    return division(len(genotypes), target, batch[0], memory_gb, most=most)


def fitness_by_blocks(fitness: Fitness, genotypes: Tensor, batch: Batch, carried: Carried | None,
                      division: tuple[list[slice], int], elsewhere: Slopes) -> Tensor:
    """Fitness (P,) with its graph, whose gradients are computed block by block, here or elsewhere."""
    blocks, threads = division
    if len(blocks) == 1:
        return fitness(genotypes, *batch, carried)
    found = elsewhere(genotypes, carried, blocks)
    if found is None:
        owned = {block.start: None if carried is None else carried.part(block) for block in blocks}
        slopes: dict[int, Slope] = {}

        def work(block: slice) -> Tensor:
            slopes[block.start] = slope(fitness, genotypes[block], batch, owned[block.start])
            return slopes[block.start][0]

        in_threads(work, blocks, threads)
        found = [slopes[block.start] for block in blocks]
    values, gradients, after = zip(*found, strict=True)
    if carried is not None:
        carried.join(after)
    return _Known.apply(genotypes, torch.cat(values), torch.cat(gradients))


def slope(fitness: Fitness, genotypes: Tensor, batch: Batch, carried: Carried | None) -> Slope:
    """Fitness of a block of genotypes, its gradient, and the state after it."""
    leaf = genotypes.detach().clone().requires_grad_()
    with torch.enable_grad():
        values = fitness(leaf, *batch, carried)
        gradient, = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient, carried


class _Known(torch.autograd.Function):
    """Values (P,) whose gradient by genotypes (P, genes) is known, each by its own genotype."""

    @staticmethod
    def forward(ctx: FunctionCtx, genotypes: Tensor, values: Tensor, gradients: Tensor) -> Tensor:
        """The values."""
        ctx.save_for_backward(gradients)
        return values

    @staticmethod
    def backward(ctx: BackwardCFunction, outer: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of what was made of the values."""
        gradients, = ctx.saved_tensors
        return outer[:, None] * gradients, None, None


def _squares(weights: Weights, names: list[str]) -> Tensor | float:
    """Sums (P,) of squares of the weights in some parameters."""
    return sum((weights.tensor(name).float().square().flatten(1).sum(1) for name in names), start=0.0)
