"""Steps of a search along the gradient, operation by operation, or each as one launch of a CUDA graph.

A captured step reads and writes memory that stays where it is: a batch is copied into its inputs, the state of a target
that reads on into its own, and the learning rate into the optimiser's; dropout is drawn from generators that are seeded
before each launch. Nothing of a graph is kept on disk: a run that is resumed captures its step anew.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from hyperevo.abilities import FollowsGradient, Loss, StepsInPlace
from hyperevo.genotypes import as_genes
from hyperevo.parts import Batch, Parts
from hyperevo.runs.captures import Captured, Captures, copy_tensors, shapes_of
from hyperevo.runs.launch import Launch, cuda_graphs
from hyperevo.runs.learn import Carried, Fitness, Slopes, differentiable_fitness, fitness_by_blocks, step_blocks


class Steps:
    """Steps of a search along the gradient of its fitness.

    make: maker of what captures a step; None for one operation after the other. Steps on batches of another shape than
    the run's first are never captured, so that a run that is resumed captures what the whole run did. memory_gb: that
    of a block of genotypes. elsewhere: other processes, which may compute the gradients of blocks.
    """

    def __init__(self, parts: Parts, search: FollowsGradient, seed: int, make: Callable[[], Launch] | None = None,
                 memory_gb: float = 1e6, elsewhere: Slopes = lambda genotypes, carried, blocks: None):
        self.memory_gb, self.elsewhere = memory_gb, elsewhere
        self.parts, self.search, self.loss = parts, search, search.loss()
        self.fitness: Fitness = differentiable_fitness(parts.encoding, parts.target, parts.task, self.loss)
        self._captures = Captures(make, parts.device, parts.encoding, must=self.loss.graph == "on")
        self._shapes = shapes_of(parts.task.batch(seed, 0)) if make is not None else None
        self._written: dict[str, tuple[Tensor, ...]] = {}

    def take(self, batch: Batch, carried: Carried | None = None) -> Tensor:
        """Take one step on a batch: fitness (P,) before it. The state in `carried` becomes the one after the batch;
        the next step overwrites it."""
        with products(self.loss, self.parts.device):
            captured = self._captured_for(batch, carried)
            return self._by_operations(batch, carried) if captured is None else self._launched(captured, batch, carried)

    def _by_operations(self, batch: Batch, carried: Carried | None) -> Tensor:
        genotypes = self.parts.search.ask()
        if isinstance(genotypes, Tensor) and len(genotypes) > 1 and not (self.loss.compile or self._captures.wanted):
            blocks = step_blocks(genotypes, self.parts.target, batch, self.memory_gb)
            fitness = fitness_by_blocks(self.fitness, genotypes, batch, carried, blocks, self.elsewhere)
        else:
            fitness = self.fitness(genotypes, *batch, carried)
        self.parts.search.tell(fitness)
        return fitness.detach()

    def _launched(self, captured: Captured, batch: Batch, carried: Carried | None) -> Tensor:
        search = self._in_place()
        search.begin_step()
        if carried is not None and carried.state is not None:
            copy_tensors(self._written["state"], carried.state)
        captured.run(batch, 0 if carried is None else carried.draw)
        search.end_step()
        if carried is not None and "state" in self._written:
            carried.state = self._written["state"]
        return self._written["fitness"][0].clone()

    def _captured_for(self, batch: Batch, carried: Carried | None) -> Captured | None:
        """Captured step for such a batch; None where there is none. A step that reads on from a state is another than
        one that begins."""
        if not self._captures.wanted or shapes_of(batch) != self._shapes:
            return None
        key = carried is None or carried.state is None, self._captures.decisions(
            lambda: as_genes(self.parts.search.ask()).detach())
        return self._captures.known(key) or self._captured_anew(key, batch, carried)

    def _captured_anew(self, key: Hashable, batch: Batch, carried: Carried | None) -> Captured | None:
        """Captured step for such a batch, if it can be captured; what `carried` holds is as before."""
        state = None if carried is None or carried.state is None else tuple(part.clone() for part in carried.state)

        def work(own_batch: Batch) -> None:
            own = None if carried is None else Carried(None if state is None else self._written["state"])
            fitness = self.fitness(self.parts.search.ask(), *own_batch, own)
            self._in_place().step(fitness)
            self._write("fitness", (fitness,))
            if own is not None and own.state is not None:
                self._write("state", own.state)

        if state is not None:
            self._write("state", state)
        captured = self._captures.of(key, work, batch, self._in_place().rehearsal)
        if carried is not None and state is not None:
            carried.state = state
        return captured

    def _write(self, name: str, values: tuple[Tensor, ...]) -> None:
        """Write tensors where those of this name are, which are made the first time."""
        if name in self._written:
            copy_tensors(self._written[name], tuple(value.detach() for value in values))
        else:
            self._written[name] = tuple(value.detach().clone() for value in values)

    def _in_place(self) -> StepsInPlace:
        assert isinstance(self.search, StepsInPlace)
        return self.search


def captures_of(parts: Parts) -> Captures:
    """Captures of the steps within a generation, on a CUDA device."""
    return Captures(cuda_graphs(parts.device) if parts.device.type == "cuda" else None, parts.device, parts.encoding)


def steps_of(parts: Parts, search: FollowsGradient, seed: int, memory_gb: float, elsewhere: Slopes) -> Steps:
    """Steps of a search, as CUDA graphs on a CUDA device, unless its options say otherwise."""
    graphs = search.loss().graph != "off" and parts.device.type == "cuda" and isinstance(search, StepsInPlace)
    return Steps(parts, search, seed, cuda_graphs(parts.device) if graphs else None, memory_gb, elsewhere)


@contextmanager
def products(loss: Loss, device: torch.device) -> Iterator[None]:
    """Context in which a GPU computes float32 products as the loss's precision says: in TF32, or in float32."""
    if device.type != "cuda":
        yield
        return
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = loss.precision == "tf32"
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before
