"""Workers that are processes of this machine."""

import multiprocessing
import signal
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from hyperevo.runs.crew import Lost
from hyperevo.runs.worker import Order, Request, Worker, answer


class LocalWorkers:
    """Worker processes, each with a pipe of its own. They end with `close` or with this process."""

    ahead = 1  # a pipe is full before a block is in it, and both ends would wait for each other

    def __init__(self, order: Order, count: int):
        self.order, self.count = order, count
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}

    def start(self, worker: int) -> None:
        """Start a process."""
        # A fork would copy locks that other threads of this process hold, such as torch's.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(self.order, there), name=f"worker-{worker + 1}", daemon=True)
        process.start()
        there.close()
        self._workers[worker] = process, here

    def send(self, worker: int, request: Request) -> None:
        """Give a block to a process."""
        with suppress(OSError):  # of one that is no more, which `answers` says
            self._workers[worker][1].send(request)

    def answers(self, seconds: float) -> list[tuple[int, object]]:
        """Answers that come within so many seconds, by worker."""
        connections = {connection: worker for worker, (_, connection) in self._workers.items()}
        ready = wait(list(connections), seconds)
        found = [(connections[own], self._received(connections[own])) for own in ready if isinstance(own, Connection)]
        # A process of a worker's own may hold its pipe and outlive it.
        dead = [worker for worker, (process, connection) in self._workers.items()
                if connection not in ready and not process.is_alive() and not connection.poll()]
        return found + [(worker, self._lost(worker)) for worker in dead]

    def _received(self, worker: int) -> object:
        try:
            return self._workers[worker][1].recv()
        except (EOFError, OSError):
            return self._lost(worker)

    def _lost(self, worker: int) -> Lost:
        process, connection = self._workers.pop(worker)
        connection.close()
        process.join(1)
        process.kill()
        return Lost(f"exit code {process.exitcode}")

    def name(self, worker: int) -> str:
        """Name of a process, for messages."""
        return f"worker process {worker + 1} of {self.count}"

    def record(self) -> dict[str, str | int]:
        """Number of the processes."""
        return {"workers": self.count}

    def close(self) -> None:
        """End the processes."""
        for _, connection in self._workers.values():
            connection.close()
        for process, _ in self._workers.values():
            process.join(5)
            process.kill()
        self._workers = {}


def _serve(order: Order, connection: Connection) -> None:
    """Answer until the other end is closed. Ctrl-C is for the process there, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        worker = answer(lambda: Worker(order))
        connection.send(worker.facts() if isinstance(worker, Worker) else worker)
        while isinstance(worker, Worker):
            connection.send(answer(partial(worker.work, connection.recv())))
