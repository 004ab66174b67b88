"""Blocks of a population, dealt to worker processes of this machine or of a Ray cluster.

The blocks are those of a single process, whatever the number of workers, so that no bit depends on it. A free worker
gets the next block: a slow one holds its own block and no other. Where a worker dies, another takes up its block, and a
new worker its place.
"""

import logging
import math
import pickle
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hyperevo.abilities import Lessons
from hyperevo.errors import RunFailed, UserError
from hyperevo.genotypes import Genotypes
from hyperevo.runs.learn import Carried, Slope
from hyperevo.runs.parcels import common_part, pack, packed_state
from hyperevo.runs.pulse import beat
from hyperevo.runs.worker import Facts, Kind, Request, differences

log = logging.getLogger(__name__)

TRIES = 3
"""Workers that may die at one block, or one after the other before they have begun, until the run ends."""
PATIENCE = 0.5
"""Seconds between two looks at workers that do not answer."""
LITTLE = 0.5
"""Seconds of evaluation up to which several blocks travel together, and a worker gets blocks ahead."""
LIGHT = 2**24
"""Bytes up to which several blocks travel together."""
SHARES = 2
"""Smallest number of times that every other worker could still be given as many blocks as one is given."""
LATE = 30.0
"""Seconds that a run waits for the last of its workers, once the first is there."""

RESUME = "`hyperevo resume` goes on from the last whole round"


@dataclass(frozen=True)
class Lost:
    """Answer of a worker that is no more, and why."""

    reason: str


@dataclass(frozen=True)
class Load:
    """Seconds and bytes of a block."""

    seconds: float
    bytes: float


class Carrier(Protocol):
    """Workers by number, and the way that requests take to them."""

    count: int
    ahead: int
    """Number of requests that a worker may have in hand: one, or one more that it finds when it is done."""

    def start(self, worker: int) -> None:
        """Start a worker, or one in the place of one that was lost; its first answer is its `Facts`."""

    def send(self, worker: int, request: Request) -> None:
        """Give a block to a worker that has fewer than `ahead` in hand."""

    def answers(self, seconds: float) -> list[tuple[int, object]]:
        """Answers that come within so many seconds, by worker: `Facts`, values, an error, or `Lost`, which is the last
        one of a worker. A worker answers in the order in which it was asked."""

    def name(self, worker: int) -> str:
        """Name of a worker, for messages."""

    def record(self) -> dict[str, str | int]:
        """Facts about the workers for environment.json."""

    def close(self) -> None:
        """End the workers."""


@dataclass
class Traffic:
    """Counts since the run was begun or resumed: blocks and bytes that were sent, bytes of the genotypes alone, and
    workers lost."""

    blocks: int = 0
    sent: int = 0
    genotypes: int = 0
    lost: int = 0

    def add(self, request: Request) -> None:
        """Count a block; arrays that all blocks share travel apart from it."""
        self.blocks += max(len(request.sizes), 1)
        self.genotypes += request.parcel.bytes
        head = pickle.dumps(replace(request, common=()), protocol=5, buffer_callback=lambda _: None)
        self.sent += len(head) + request.parcel.bytes


class Crew:
    """Workers of a run. They start with `gather`, or with the first blocks."""

    def __init__(self, carrier: Carrier, expected: Facts):
        """expected: data and constants of the run, which every worker must have."""
        self.carrier, self.expected, self.traffic = carrier, expected, Traffic()
        self._starting: set[int] = set()
        self._free: deque[int] = deque()
        self._busy: dict[int, deque[int]] = {}
        self._blocks: list[int] = []
        self._false_starts: Counter[int] = Counter()
        self._begun = False
        self._loads: dict[Kind, Load] = {}
        self.per_second = 0.0
        """Networks that came back a second, of the population last evaluated."""

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            for worker in range(self.carrier.count):
                self._start(worker)

    def gather(self) -> None:
        """Start the workers and wait for them, but not long for the last ones. Raises UserError, which names it, where
        a worker has other data than the run."""
        self._begin()
        until: float | None = None
        while self._starting and (until is None or time.monotonic() < until):
            for worker, answer in self.carrier.answers(PATIENCE):
                self._take(worker, answer)
            if self._free and until is None:
                until = time.monotonic() + LATE

    def evaluate(self, kind: Kind, generation: int, genotypes: Genotypes, blocks: Sequence[slice]) -> list[Tensor]:
        """Values of every block of genotypes, in order. Raises RunFailed where that cannot be had."""
        common = common_part(genotypes)
        self.traffic.genotypes += sum(own.nbytes for own in common)
        self.traffic.sent += sum(own.nbytes for own in common)
        requests = [Request(kind, generation, pack(genotypes[own[0].start : own[-1].stop]), common,
                            tuple(len(genotypes[block]) for block in own)) for own in self._bundles(kind, blocks)]
        started = time.monotonic()
        found = [values for arrays in self._arrays(requests, self.carrier.ahead if self._most(kind) else 1)
                 for values in arrays]
        self._loads[kind] = Load((time.monotonic() - started) * max(self.workers, 1) / len(blocks),
                                 sum(request.parcel.bytes for request in requests) / len(blocks))
        return found

    def _most(self, kind: Kind) -> int:
        """Number of blocks that take little time and memory together, as those of this kind did the last time; 0 where
        one takes long, or nobody knows."""
        last = self._loads.get(kind)
        if last is None or last.seconds > LITTLE:
            return 0
        return max(int(min(LITTLE / last.seconds, LIGHT / last.bytes)), 1)

    def _bundles(self, kind: Kind, blocks: Sequence[slice]) -> list[Sequence[slice]]:
        """Blocks that travel together: as many as take little, and fewer towards the end, so that no worker waits long
        for the last of them (guided self-scheduling)."""
        bundles, start, most = list[Sequence[slice]](), 0, max(self._most(kind), 1)
        while start < len(blocks):
            size = min(most, math.ceil((len(blocks) - start) / (1 + SHARES * max(self.workers - 1, 0))))
            bundles.append(blocks[start : start + size])
            start += size
        return bundles

    def gradients(self, lessons: Lessons, generation: int, blocks: Sequence[slice]) -> list[Tensor]:
        """Gradient (numbers,) of every block of graphs that learn, in order."""
        with torch.no_grad():
            requests = [Request("gradient", generation, pack(lessons.leaf(block)[1])) for block in blocks]
        return [arrays[0] for arrays in self._arrays(requests)]

    def slopes(self, genotypes: Tensor, generation: int, carried: Carried | None,
               blocks: Sequence[slice]) -> list[Slope]:
        """Fitness, gradient and next state of every block of genotypes, in order."""
        requests = []
        for block in blocks:
            own = None if carried is None else carried.part(block)
            state = None if own is None or own.state is None else packed_state(own.state)
            requests.append(Request("slope", generation, pack(genotypes[block]), state=state,
                                    draw=None if own is None else own.draw))
        return [(values.to(genotypes.device), gradient.to(genotypes.device), self._after(carried, state, genotypes))
                for values, gradient, *state in self._arrays(requests)]

    @staticmethod
    def _after(carried: Carried | None, state: Sequence[Tensor], genotypes: Tensor) -> Carried | None:
        return None if carried is None else \
            Carried(tuple(part.to(genotypes.device) for part in state) or None, carried.draw)

    def _arrays(self, requests: Sequence[Request], ahead: int = 1) -> list[list[Tensor]]:
        """Arrays of every request; ahead: number of them that a worker may have in hand."""
        self._begin()
        self._blocks = [max(len(request.sizes), 1) for request in requests]
        started, networks, whole = time.monotonic(), 0, sum(len(request.parcel) for request in requests)
        waiting, done, tries = deque(range(len(requests))), dict[int, list[Tensor]](), Counter[int]()
        while len(done) < len(requests):
            self._deal(waiting, requests, ahead)
            for worker, answer in self.carrier.answers(PATIENCE):
                own = self._busy.pop(worker, deque())
                if isinstance(answer, Lost) and own:
                    tries[own[0]] += 1
                    if tries[own[0]] == TRIES:
                        raise RunFailed(f"{TRIES} workers died at one block of {len(requests[own[0]].parcel)} "
                                        f"networks, the last: {self.carrier.name(worker)} ({answer.reason}); {RESUME}")
                    waiting.extendleft(reversed(own))
                if (values := self._take(worker, answer)) is not None:
                    block = own.popleft()
                    if own:
                        self._busy[worker] = own
                    else:
                        self._free.append(worker)
                    done[block] = [torch.from_numpy(array.copy()) for array in values]
                    networks += len(requests[block].parcel)
                    beat(networks, whole)
                    self.per_second = networks / max(time.monotonic() - started, 1e-6)
        return [done[block] for block in range(len(requests))]

    def _deal(self, waiting: deque[int], requests: Sequence[Request], ahead: int) -> None:
        """Send blocks to workers that are free, and then a second one to each, if there are enough for all."""
        while waiting and self._free:
            self._send(self._free.popleft(), waiting.popleft(), requests)
        if len(waiting) >= len(self._busy):
            for worker in [worker for worker, own in self._busy.items() if len(own) < ahead][:len(waiting)]:
                self._send(worker, waiting.popleft(), requests)

    def _send(self, worker: int, block: int, requests: Sequence[Request]) -> None:
        self._busy.setdefault(worker, deque()).append(block)
        self.carrier.send(worker, requests[block])
        self.traffic.add(requests[block])

    def _start(self, worker: int) -> None:
        self._starting.add(worker)
        self.carrier.start(worker)

    def _take(self, worker: int, answer: object) -> list[np.ndarray] | None:
        """Note what a worker's answer says of it; returns the values in it, if there are any."""
        if isinstance(answer, UserError | RunFailed):
            raise type(answer)(f"{self.carrier.name(worker)}: {answer}" if isinstance(answer, UserError) else answer)
        if isinstance(answer, Lost):
            self._replace(worker, answer)
            return None
        if isinstance(answer, Facts):
            self._welcome(worker, answer)
            return None
        assert isinstance(answer, list)
        return answer

    def _welcome(self, worker: int, facts: Facts) -> None:
        if other := differences(vars(self.expected), vars(facts)):
            raise UserError(f"{self.carrier.name(worker)} {other}")
        self._starting.discard(worker)
        self._false_starts.clear()
        self._free.append(worker)

    def _replace(self, worker: int, lost: Lost) -> None:
        """Start another worker in the place of one that was lost; raises RunFailed where none could begin."""
        self.traffic.lost += 1
        log.info("%s is lost: %s", self.carrier.name(worker), lost.reason)
        if worker in self._starting:
            self._false_starts[worker] += 1
        if self._false_starts[worker] == TRIES:
            raise RunFailed(f"{self.carrier.name(worker)} died {TRIES} times before it had begun ({lost.reason}); "
                            f"{RESUME}")
        self._start(worker)

    @property
    def workers(self) -> int:
        """Number of workers that are there."""
        return len(self._free) + len(self._busy)

    @property
    def in_flight(self) -> int:
        """Number of blocks that workers have in hand."""
        return sum(self._blocks[index] for own in self._busy.values() for index in own)

    def close(self) -> None:
        """End the workers."""
        self.carrier.close()
