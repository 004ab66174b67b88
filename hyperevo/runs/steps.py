"""Steps of a search along the gradient, operation by operation, or each as one launch of a CUDA graph.

A captured step reads and writes memory that stays where it is: a batch is copied into its inputs, the state of a target
that reads on into its own, and the learning rate into the optimiser's; dropout is drawn from generators that are seeded
before each launch. Nothing of a graph is kept on disk: a run that is resumed captures its step anew.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperevo.abilities import FollowsGradient, Loss, StepsInPlace
from hyperevo.errors import RunFailed
from hyperevo.parts import Batch, Parts
from hyperevo.randomness import Streams
from hyperevo.runs.launch import Launch, cuda_graphs
from hyperevo.runs.learn import Carried, Fitness, differentiable_fitness

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captured:
    """A captured step, the memory from which it reads a batch, and the generators from which it draws."""

    launch: Launch
    batch: Batch
    streams: Streams


class Steps:
    """Steps of a search along the gradient of its fitness.

    make: maker of what captures a step; None for one operation after the other. Steps on batches of another shape than
    the run's first are never captured, so that a run that is resumed captures what the whole run did.
    """

    def __init__(self, parts: Parts, search: FollowsGradient, seed: int, make: Callable[[], Launch] | None = None):
        self.parts, self.search, self.loss, self._make = parts, search, search.loss(), make
        self.fitness: Fitness = differentiable_fitness(parts.encoding, parts.target, parts.task, self.loss)
        self._shapes = _shapes(parts.task.batch(seed, 0)) if make is not None else None
        self._captured: dict[bool, Captured] = {}
        self._written: dict[str, tuple[Tensor, ...]] = {}

    def take(self, batch: Batch, carried: Carried | None = None) -> Tensor:
        """Take one step on a batch: fitness (P,) before it. The state in `carried` becomes the one after the batch;
        the next step overwrites it."""
        with products(self.loss):
            captured = self._captured_for(batch, carried)
            return self._by_operations(batch, carried) if captured is None else self._launched(captured, batch, carried)

    def _by_operations(self, batch: Batch, carried: Carried | None) -> Tensor:
        fitness = self.fitness(self.parts.search.ask(), *batch, carried)
        self.parts.search.tell(fitness)
        return fitness.detach()

    def _launched(self, captured: Captured, batch: Batch, carried: Carried | None) -> Tensor:
        search = self._in_place()
        search.begin_step()
        _copy(captured.batch, batch)
        if carried is not None:
            captured.streams.seed(carried.draw)
        if carried is not None and carried.state is not None:
            _copy(self._written["state"], carried.state)
        captured.launch.replay()
        search.end_step()
        if carried is not None and "state" in self._written:
            carried.state = self._written["state"]
        return self._written["fitness"][0].clone()

    def _captured_for(self, batch: Batch, carried: Carried | None) -> Captured | None:
        """Captured step for such a batch, made where it is missing; None where steps are not captured. A step that
        reads on from a state is another than one that begins."""
        if self._make is None or _shapes(batch) != self._shapes:
            return None
        begins = carried is None or carried.state is None
        if begins not in self._captured:
            try:
                self._captured[begins] = self._capture(self._make(), batch, carried)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                if self.loss.graph == "on":
                    raise RunFailed(f"search.graph: a step cannot be captured as a CUDA graph: {reason}") from error
                log.warning("steps cannot be captured as a CUDA graph, which would be faster: %s", reason)
                self._make = None
                return None
        return self._captured[begins]

    def _capture(self, launch: Launch, batch: Batch, carried: Carried | None) -> Captured:
        """Try the step, capture it, and leave everything as it was."""
        captured = Captured(launch, (batch[0].clone(), batch[1].clone()), Streams(self.parts.device))
        state = None if carried is None or carried.state is None else tuple(part.clone() for part in carried.state)

        def work() -> None:
            own = None if carried is None else Carried(None if state is None else self._written["state"])
            with captured.streams.used():
                fitness = self.fitness(self.parts.search.ask(), *captured.batch, own)
                self._in_place().step(fitness)
            self._write("fitness", (fitness,))
            if own is not None and own.state is not None:
                self._write("state", own.state)

        if state is not None:
            self._write("state", state)
        with self._in_place().rehearsal():
            launch.warm_up(work)
            launch.capture(work, captured.streams.generators)
        if carried is not None and state is not None:
            carried.state = state
        return captured

    def _write(self, name: str, values: tuple[Tensor, ...]) -> None:
        """Write tensors where those of this name are, which are made the first time."""
        if name in self._written:
            _copy(self._written[name], tuple(value.detach() for value in values))
        else:
            self._written[name] = tuple(value.detach().clone() for value in values)

    def _in_place(self) -> StepsInPlace:
        assert isinstance(self.search, StepsInPlace)
        return self.search


def steps_of(parts: Parts, search: FollowsGradient, seed: int) -> Steps:
    """Steps of a search, as CUDA graphs on a CUDA device, unless its options say otherwise."""
    graphs = search.loss().graph != "off" and parts.device.type == "cuda" and isinstance(search, StepsInPlace)
    return Steps(parts, search, seed, cuda_graphs(parts.device) if graphs else None)


@contextmanager
def products(loss: Loss) -> Iterator[None]:
    """Context in which a GPU computes float32 products as the loss's precision says: in TF32, or in float32."""
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = loss.precision == "tf32"
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


def _shapes(batch: Batch) -> list[tuple[torch.Size, torch.dtype]]:
    return [(part.shape, part.dtype) for part in batch]


def _copy(own: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> None:
    for one, value in zip(own, values, strict=True):
        if one is not value:
            one.copy_(value)
