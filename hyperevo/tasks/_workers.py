"""Worker processes that step episodes. Networks are computed in one process, all at once: the division of episodes
among workers changes nothing, and any number of workers gives the same bits."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from hyperevo.errors import RunFailed, UserError
from hyperevo.tasks._episodes import Episodes, Stepped, World

SECONDS_BETWEEN_LOOKS = 1.0
"""Time between two looks whether a process that has not answered is still there."""


class Workers:
    """Episodes as in `Episodes`, dealt to worker processes in turn. The processes start with the first episodes, and
    end with `close` or with this process."""

    def __init__(self, world: World, count: int):
        self.world, self.count = world, count
        self._workers: list[tuple[Any, Connection]] = []

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
            self._with(worker, partial(Connection.send, obj=message(own)))
        answers = [self._with(worker, partial(_received, self._workers[worker][0])) for worker, _ in asked]
        for answer in answers:
            if isinstance(answer, str):
                self.close()
                raise RunFailed(answer)
        order = np.argsort(np.concatenate([own for _, own in asked]))
        return tuple(np.concatenate(parts)[order] for parts in zip(*answers, strict=True))

    def _with(self, worker: int, use: Callable[[Connection], Any]) -> Any:
        process, connection = self._workers[worker]
        try:
            return use(connection)
        except (EOFError, OSError) as error:
            process.join(1)
            self.close()
            raise RunFailed(f"worker process {worker + 1} of {self.count} for {self.world.name} died (exit code "
                            f"{process.exitcode}); `hyperevo resume` goes on from the last whole round") from error

    def close(self) -> None:
        """End the workers."""
        for _, connection in self._workers:
            connection.close()
        for process, _ in self._workers:
            process.join(5)
            process.kill()
        self._workers = []


def _received(process: Any, connection: Connection) -> Any:
    """Next message of a process; raises EOFError where it has died, also if a child of its own holds the connection."""
    while not connection.poll(SECONDS_BETWEEN_LOOKS):
        if not process.is_alive() and not connection.poll():
            raise EOFError
    return connection.recv()


def _start(world: World, number: int) -> tuple[Any, Connection]:
    # A fork would copy locks that other threads of this process hold, such as torch's.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(world, there), name=f"episodes-{number + 1}", daemon=True)
    process.start()
    there.close()
    return process, here


def _serve(world: World, connection: Connection) -> None:
    """Answer until the other end is closed. Ctrl-C is for the process there, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    episodes = Episodes(world)
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
