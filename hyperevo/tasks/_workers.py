"""Worker processes that step episodes. Networks are computed in one process, all at once: the division of episodes
among workers changes nothing, and any number of workers gives the same bits."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from hyperevo.errors import RunFailed, UserError
from hyperevo.tasks._episodes import Episodes, Stepped, World

SECONDS_BETWEEN_LOOKS = 1.0
"""Time between two looks whether a process that has not answered is still there."""

LONGEST = 300.0
"""Seconds that one call of an environment may take."""


class Worker(NamedTuple):
    """A process, the pipe to it, and what it is at: number of calls of environments, seed and step of the last one."""

    process: Any
    connection: Connection
    at: Any


class TooLong(Exception):
    """An environment's call has taken longer than it may."""


class Workers:
    """Episodes as in `Episodes`, dealt to worker processes in turn. The processes start with the first episodes, and
    end with `close` or with this process."""

    def __init__(self, world: World, count: int):
        self.world, self.count = world, count
        self._workers: list[Worker] = []

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begin episodes with these seeds in place of all others; returns their first observations (n, …)."""
        self._workers = self._workers or [_start(self.world, number) for number in range(self.count)]
        dealt = self._deal(range(len(seeds)))
        return self._ask(dealt, lambda own: ("reset", [int(seeds[place]) for place in own], own))[0]

    def step(self, numbers: Sequence[int], actions: Sequence[np.ndarray], times: int) -> Stepped:
        """Take each episode's action; arguments, result and errors are those of `Episodes.step`."""
        dealt = self._deal(numbers)
        seen, rewards, taken, over = self._ask(dealt, lambda own: ("step", [numbers[place] for place in own],
                                                                   [part[own] for part in actions], times))
        return seen, rewards, taken, over

    def _deal(self, numbers: Sequence[int]) -> list[list[int]]:
        """Indices, among these episodes, of the episodes of every worker."""
        return [[place for place, number in enumerate(numbers) if number % self.count == worker]
                for worker in range(self.count)]

    def _ask(self, dealt: list[list[int]], message: Callable[[list[int]], tuple[Any, ...]]) -> tuple[np.ndarray, ...]:
        """Arrays that workers answer with, in the order of the episodes; raises RunFailed where a worker fails."""
        asked = [(worker, own) for worker, own in enumerate(dealt) if own]
        for worker, own in asked:
            self._with(worker, partial(_send, message(own)))
        answers = [self._with(worker, _received) for worker, _ in asked]
        for answer in answers:
            if isinstance(answer, str):
                self.close()
                raise RunFailed(answer)
        order = np.argsort(np.concatenate([own for _, own in asked]))
        return tuple(np.concatenate(parts)[order] for parts in zip(*answers, strict=True))

    def _with(self, worker: int, use: Callable[[Worker], Any]) -> Any:
        there = self._workers[worker]
        try:
            return use(there)
        except TooLong as error:
            calls, seed, step = there.at
            there.process.kill()
            there.process.join(1)
            self.close()
            what = f"step {step} has not returned" if step else "no episode has begun"
            raise RunFailed(f"{self.world.name}: {what} after {LONGEST:g} seconds"
                            + f" (episode with seed {seed})" * bool(calls)) from error
        except (EOFError, OSError) as error:
            there.process.join(1)
            self.close()
            raise RunFailed(f"worker process {worker + 1} of {self.count} for {self.world.name} died (exit code "
                            f"{there.process.exitcode}); `hyperevo resume` goes on from the last whole round"
                            ) from error

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.process.join(5)
            worker.process.kill()
        self._workers = []


def _send(message: tuple[Any, ...], worker: Worker) -> None:
    worker.connection.send(message)


def _received(worker: Worker) -> Any:
    """Next message of a worker. Raises EOFError where it has died, also if a child of its own holds the connection, and
    TooLong where its environment does not return."""
    calls, looks = worker.at[0], 0  # counted, not timed: time goes on for a process that is stopped
    while not worker.connection.poll(SECONDS_BETWEEN_LOOKS):
        if not worker.process.is_alive() and not worker.connection.poll():
            raise EOFError
        calls, looks = worker.at[0], looks + 1 if worker.at[0] == calls else 0
        if looks * SECONDS_BETWEEN_LOOKS >= LONGEST:
            raise TooLong
    return worker.connection.recv()


def _start(world: World, number: int) -> Worker:
    # A fork would copy locks that other threads of this process hold, such as torch's.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    at = context.RawArray("q", 3)
    process = context.Process(target=_serve, args=(world, there, at), name=f"episodes-{number + 1}", daemon=True)
    process.start()
    there.close()
    return Worker(process, here, at)


def _serve(world: World, connection: Connection, at: Any) -> None:
    """Answer until the other end is closed. Ctrl-C is for the process there, which ends this one."""
    def note(seed: int, step: int) -> None:
        at[:] = at[0] + 1, seed, step

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    episodes = Episodes(world, note)
    with suppress(EOFError, OSError):
        while True:
            request, *arguments = connection.recv()
            connection.send(_answer(episodes, request, arguments))


def _answer(episodes: Episodes, request: str, arguments: list[Any]) -> Any:
    """Arrays, or a line that says what went wrong."""
    try:
        return (episodes.reset(*arguments),) if request == "reset" else episodes.step(*arguments)
    except (RunFailed, UserError) as error:
        return str(error)
