"""Work of a process that evaluates blocks of a population for a run in another process.

A worker holds task, target and encoding of the run, built once. Genotypes come to it and fitness goes back; batches it
draws itself, and weights never travel. It computes with one thread, as every thread of a single process does.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Literal

import numpy as np
import torch

from hyperevo.abilities import Calls, Loss
from hyperevo.components import ComponentSettings, component_of
from hyperevo.config import Values, part_settings
from hyperevo.encodings import build_encoding
from hyperevo.errors import RunFailed, UserError, shortened
from hyperevo.genotypes import Genotypes, as_genes, as_graphs
from hyperevo.guests import Code
from hyperevo.parts import Encoding, Target, Task
from hyperevo.runs.compose import build_target, build_task
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.runs.evaluate import acting_in, block_values, fitting_half, judged_by, precision_of
from hyperevo.runs.inputs import constants_hash
from hyperevo.runs.learn import Carried, Fitness, differentiable_fitness, dropping, gradient_of, slope
from hyperevo.runs.parcels import Parcel, packed_state, unpack, unpacked_state
from hyperevo.runs.shared_data import Arrays, share
from hyperevo.search._neat_learn import as_leaf

BUILT = ("task", "target", "encoding")
"""Parts that a worker has; the search stays with the run."""

SECONDS_BETWEEN_LOOKS = 1.0
"""Time between two looks whether an environment has returned."""

LONGEST = 300.0
"""Seconds that one call of an environment may take."""

Kind = Literal["fitness", "score", "gradient", "slope"]


@dataclass(frozen=True)
class Order:
    """All that a worker builds its parts from: a config's values, the location of the code that they name, the working
    directory for relative paths, the memory that one process would evaluate with, and the loss of a gradient search."""

    values: Values
    code: Code
    directory: str
    memory_gb: float
    device: str
    loss: Loss | None = None


@dataclass(frozen=True)
class Request:
    """One block, or a few: the values that are wanted, the generation whose batch gives them, and the genotypes.

    kind: fitness on the generation's training batch, score on the validation examples, the gradient of the fitness on
    the batch by the numbers of graphs, or fitness with its gradient by genes and the state after the batch. common:
    arrays that all blocks of a population share. sizes: numbers of genotypes of several blocks, each of which is
    evaluated by itself. state: that of networks which read on, and draw the seed of dropout.
    """

    kind: Kind
    generation: int
    parcel: Parcel
    common: Sequence[np.ndarray] = field(default=(), repr=False)
    sizes: tuple[int, ...] = ()
    state: list[np.ndarray] | None = None
    draw: int | None = None


@dataclass(frozen=True)
class Facts:
    """Data, constants and code of guests that a worker has, to be compared with those of the run."""

    checksum: str
    constants: str | None
    code: tuple[str, ...]

    @staticmethod
    def of(task: Task, target: Target, settings: Sequence[ComponentSettings]) -> "Facts":
        """Checksum of a task's data, and hashes of a target's constants and of the code that three parts name."""
        parts = [component_of(kind, own).source for kind, own in zip(BUILT, settings, strict=True)]
        named = [code.source for own in settings for code in own.code()]
        return Facts(task.checksum, constants_hash(target),
                     tuple(source.sha256 for source in [*parts, *named] if source is not None))


class Worker:
    """Evaluates blocks."""

    def __init__(self, order: Order, data: Arrays | None = None):
        """data: the task's large arrays, shared with other workers. Raises UserError, in one line, where a part cannot
        be built here."""
        torch.set_num_threads(1)
        with suppress(OSError):  # of a machine without this folder, which the config need not name anything in
            os.chdir(order.directory)
        self.device, self.order, self.seed = torch.device(order.device), order, int(order.values["seed"])
        self._settings = [part_settings(kind, order.values[kind], "run", {}, order.code) for kind in BUILT]
        self.task, self.target, self.encoding = _built(self._settings, self.device)
        share(self.task, data or {})
        keep_freed_memory()  # of blocks, from here on
        self._pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._calibration = self.task.calibration(self.target.calibration_examples)
        self._learned: Fitness | None = None
        self._trained: Fitness | None = None
        self._last: tuple[tuple[Kind, int], Callable[[Genotypes], torch.Tensor]] | None = None

    def facts(self) -> Facts:
        """Facts to be compared with those of the run."""
        return Facts.of(self.task, self.target, self._settings)

    def work(self, request: Request) -> list[np.ndarray]:
        """Arrays that a block's request asks for: fitness or scores (P,), or a gradient (numbers,). Raises RunFailed
        where a call of an environment does not return."""
        if not isinstance(self.task, Calls):
            return self._work(request)
        waiting = self._pool.submit(self._work, request)
        calls, looks = self.task.calls()[0], 0  # counted, not timed: time goes on for a process that is stopped
        while not wait([waiting], SECONDS_BETWEEN_LOOKS).done:
            now, where = self.task.calls()
            calls, looks = now, looks + 1 if now == calls else 0
            if looks * SECONDS_BETWEEN_LOOKS >= LONGEST:
                raise RunFailed(f"{where} has not returned after {LONGEST:g} seconds")
        return waiting.result()

    def _work(self, request: Request) -> list[np.ndarray]:
        genotypes = unpack(request.parcel, request.common, self.device)
        if request.kind == "slope":
            return self._slope(as_genes(genotypes), request)
        values, stops = self._values(request.kind, request.generation), list(accumulate(request.sizes))
        blocks = [genotypes[stop - size : stop] for size, stop in zip(request.sizes, stops, strict=True)]
        return [values(block).cpu().numpy() for block in blocks or [genotypes]]

    def _slope(self, genotypes: torch.Tensor, request: Request) -> list[np.ndarray]:
        """Fitness (B,), its gradient (B, genes), and the state after the batch."""
        self._trained = self._trained or differentiable_fitness(self.encoding, self.target, self.task, self.order.loss)
        carried = None if request.draw is None else Carried(unpacked_state(request.state, self.device), request.draw)
        values, gradient, after = slope(self._trained, genotypes, self.task.batch(self.seed, request.generation),
                                        carried)
        return packed_state((values, gradient, *((after.state if after else None) or ())))

    def _values(self, kind: Kind, generation: int) -> Callable[[Genotypes], torch.Tensor]:
        """Function of genotypes to their values; that of a generation's blocks keeps their batch."""
        if self._last is None or self._last[0] != (kind, generation):
            make = {"score": self._score, "gradient": self._gradient}.get(kind, self._fitness)
            self._last = (kind, generation), make(generation)
        return self._last[1]

    def _fitness(self, generation: int) -> Callable[[Genotypes], torch.Tensor]:
        fitting, batch = fitting_half(self.target, self.task.batch(self.seed, generation))
        precision = precision_of(self.order.values["run"]["precision"], self.task, self.target)
        return block_values(self.encoding, self.target, batch, self.task.fitness, self.order.memory_gb, fitting,
                            acting_in(self.task), precision)

    def _score(self, generation: int) -> Callable[[Genotypes], torch.Tensor]:
        return block_values(self.encoding, self.target, self.task.validation, self.task.score, self.order.memory_gb,
                            self._calibration, judged_by(self.task))

    def _gradient(self, generation: int) -> Callable[[Genotypes], torch.Tensor]:
        """Function of graphs to the gradient of their fitness by their numbers."""
        self._learned = self._learned or differentiable_fitness(self.encoding, self.target, self.task)
        work = partial(self._learned, carried=dropping(self.target, self.seed, generation))
        batch = self.task.batch(self.seed, generation)
        return lambda genotypes: gradient_of(work, *as_leaf(as_graphs(genotypes)), batch)


def _built(settings: Sequence[ComponentSettings], device: torch.device) -> tuple[Task, Target, Encoding]:
    task = build_task(settings[0], device)
    target = build_target(settings[1], task)
    return task, target, build_encoding(settings[2], target.geometry, device, target.start)


def answer(work: Callable[[], object]) -> object:
    """Result of some work, or the error that says in one line why there is none."""
    try:
        return work()
    except (UserError, RunFailed) as error:
        return error
    except Exception as error:  # a guest's part may raise anything
        return RunFailed(f"{type(error).__name__}: {shortened(error)}")


def differences(here: Mapping[str, object], there: Mapping[str, object]) -> str:
    """Sentence on the first fact that is not the same there; empty where all are."""
    for name, value in here.items():
        if there.get(name) != value:
            return f"has {name} {there.get(name)}, and the run {value}"
    return ""
