"""Workers that are actors of a Ray cluster, and the cluster itself, which runs and comparisons share."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np

from hyperevo.errors import RunFailed, UserError, reason, shortened
from hyperevo.parts import Task
from hyperevo.runs.crew import RESUME, Lost
from hyperevo.runs.shared_data import Arrays, large_arrays
from hyperevo.runs.worker import Order, Request, Worker, answer, differences

CPUS_PER_WORKER = 0.5
"""CPUs that a worker, or a run of a comparison, asks Ray for. Neither runs nor comparisons have more of them than the
cluster has CPUs, so that each finds room beside the other."""
GONE = 20.0
"""Seconds without a connection to the cluster's head after which it is taken to be gone."""
SECONDS_BETWEEN_LOOKS = 2.0
"""Time between two looks whether the cluster's head is there."""
LOCAL = "local"
"""Address of a cluster that is started on this machine, and ends with the process."""


@contextmanager
def cluster(address: str, cpus: int | None = None) -> Iterator[ModuleType]:
    """Ray, connected to the cluster at an address, or to one of its own with so many CPUs; raises UserError where it
    cannot be reached."""
    ray = connect(address, cpus)
    try:
        yield ray
    finally:
        ray.shutdown()


def connect(address: str, cpus: int | None = None) -> ModuleType:
    """Ray, connected as `cluster` says, until it is shut down."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers of a cluster started here would give way to all others
    _check_reachable(address)
    import ray

    own: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"--ray {address}: {shortened(error)}") from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise UserError where nobody listens at HOST:PORT; Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        raise UserError(f"--ray {address}: no cluster answers there: {why}") from error


def capacity(ray: ModuleType) -> int:
    """Number of workers, or of runs of a comparison, that a cluster has CPUs for."""
    return max(int(ray.cluster_resources().get("CPU", 0)), 1)


@dataclass(frozen=True)
class Node:
    """A machine of a cluster: its id, its name for messages, and its CPUs and GPUs."""

    id: str
    name: str
    cpus: int
    gpus: int

    def __str__(self) -> str:
        return f"{self.name}: {self.cpus} CPUs" + (f", {self.gpus} GPUs" if self.gpus else "")


def nodes_of(ray: ModuleType) -> list[Node]:
    """Nodes of a cluster; raises UserError, which names node and difference, where one's software is another."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [Node(own["NodeID"], f"node {own['NodeManagerHostname']} ({own['NodeID'][:6]})",
                  int(own["Resources"].get("CPU", 0)), int(own["Resources"].get("GPU", 0)))
             for own in ray.nodes() if own["Alive"]]
    probe, here = ray.remote(num_cpus=0, max_retries=2)(_probe()), _probe()()
    asked = [probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote()
             for node in nodes]
    for node, reference in zip(nodes, asked, strict=True):
        try:
            there = ray.get(reference)
        except ray.exceptions.RayError as error:
            raise UserError(f"{node.name} does not answer: {_brief(error)}") from error
        if other := differences(here, there):
            raise UserError(f"{node.name} {other}")
    return nodes


def _probe() -> Callable[[], dict[str, object]]:
    """Function that tells a node's versions, and the hash of its hyperevo's code. It travels by value: a node may have
    no hyperevo, or another."""

    def software() -> dict[str, object]:
        import hashlib
        import importlib.metadata
        import importlib.util
        from pathlib import Path

        there = [name for name in ("hyperevo", "torch") if importlib.util.find_spec(name)]
        found: dict[str, object] = {name: importlib.metadata.version(name) for name in there if name == "torch"}
        if "hyperevo" in there:
            import hyperevo

            folder, digest = Path(str(hyperevo.__file__)).parent, hashlib.sha256()
            for file in sorted(folder.rglob("*.py")):
                digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
            found |= {"hyperevo": hyperevo.__version__, "code of hyperevo with SHA-256": digest.hexdigest()[:12]}
        return found

    return software


class Host:
    """Actor that holds a worker."""

    def prepare(self, order: Order, data: Arrays) -> tuple[str, object]:
        """Id of the node, and the worker's facts, or the error that says why there is none. data: the task's large
        arrays, which lie in the node's memory once."""
        import ray

        self.worker = answer(lambda: Worker(order, data))
        facts = self.worker.facts() if isinstance(self.worker, Worker) else self.worker
        return ray.get_runtime_context().get_node_id(), facts

    def work(self, request: Request, common: Sequence[np.ndarray]) -> object:
        """Values of a block, or an error."""
        assert isinstance(self.worker, Worker)
        worker = self.worker
        return answer(lambda: worker.work(replace(request, common=common)))


class LastWord:
    """A line on stderr for the case that this process ends before it is withdrawn: Ray ends a process, without a word,
    whose own node's part of the cluster is gone. A small process waits to print it."""

    def __init__(self, line: str):
        code = f"import sys; sys.stdin.read() or print({line!r}, file=sys.stderr)"
        self._process = subprocess.Popen([sys.executable, "-IS", "-c", code], stdin=subprocess.PIPE,
                                         start_new_session=True)  # Ctrl-C is not for it

    def withdraw(self) -> None:
        """Print nothing."""
        self._process.communicate(b"withdrawn")


class RayWorkers:
    """Actors, each with half a CPU or whole GPUs of its own. They end with `close` or with this process."""

    ahead = 2

    def __init__(self, ray: ModuleType, order: Order, task: Task, count: int | None, gpus: float):
        """task: the run's own, whose data workers share; count: number of workers; by default as many as the cluster
        has CPUs, or GPUs, for."""
        self._ray, self._address = ray, ray.get_runtime_context().gcs_address
        self.nodes = nodes_of(ray)
        self.count = count or self._most(gpus)
        self._check_room(gpus)
        self._order, self._data = ray.put(order), ray.put(large_arrays(task))
        self._actor = ray.remote(Host).options(num_cpus=CPUS_PER_WORKER, num_gpus=gpus, max_restarts=0,
                                               scheduling_strategy="SPREAD")
        self._actors: dict[int, Any] = {}
        self._asked: dict[int, deque[Any]] = {}
        self._places: dict[int, str] = {}
        self._common: tuple[object, Any] = (None, None)
        self._seen = self._looked = time.monotonic()
        self._last_word = LastWord(f"error: the connection to the Ray cluster at {self._address} broke, and this "
                                   f"process ended with it; {RESUME}")

    def _most(self, gpus: float) -> int:
        return max(int(sum(node.gpus for node in self.nodes) / gpus), 1) if gpus else capacity(self._ray)

    def _check_room(self, gpus: float) -> None:
        cpus, there = sum(node.cpus for node in self.nodes), sum(node.gpus for node in self.nodes)
        if gpus * self.count > there:
            raise UserError(f"--workers {self.count}, --gpus-per-worker {gpus:g}: the cluster has {there} GPUs")
        if CPUS_PER_WORKER * self.count > cpus:
            raise UserError(f"--workers {self.count}: the cluster has {cpus} CPUs, two workers for each at most")

    def start(self, worker: int) -> None:
        """Start an actor."""
        self._actors[worker] = self._actor.remote()
        self._asked[worker] = deque([self._actors[worker].prepare.remote(self._order, self._data)])

    def send(self, worker: int, request: Request) -> None:
        """Give a block to an actor; what all blocks share goes to every node once."""
        if self._common[0] is not request.common:
            self._common = request.common, self._ray.put(request.common)
        self._asked[worker].append(self._actors[worker].work.remote(replace(request, common=()), self._common[1]))

    def answers(self, seconds: float) -> list[tuple[int, object]]:
        """Answers that come within so many seconds, by worker; raises RunFailed where the cluster is gone."""
        self._check_head()
        first = {own[0]: worker for worker, own in self._asked.items() if own}
        ready, _ = self._ray.wait(list(first), num_returns=1, timeout=seconds)
        if ready and len(first) > 1:  # perhaps others are by now
            ready, _ = self._ray.wait(list(first), num_returns=len(first), timeout=0)
        return [(first[reference], self._result(first[reference], reference)) for reference in ready]

    def _result(self, worker: int, reference: object) -> object:
        self._asked[worker].popleft()
        try:
            found = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            return RunFailed(f"{self.name(worker)}: {_brief(error)}")
        except self._ray.exceptions.RayError as error:
            return Lost(_brief(error))
        if isinstance(found, tuple):
            self._places[worker], found = found
        return found

    def _check_head(self) -> None:
        """Raise RunFailed where the cluster's head cannot be reached for a while."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        host, _, port = self._address.rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            self._seen = now
        if now - self._seen > GONE:
            raise RunFailed(f"the Ray cluster at {self._address} is gone; {RESUME}")

    def name(self, worker: int) -> str:
        """Name of a worker's node, for messages."""
        names: Mapping[str, str] = {node.id: node.name for node in self.nodes}
        return names.get(self._places.get(worker, ""), f"worker {worker + 1} of {self.count}")

    def record(self) -> dict[str, str | int]:
        """Number of the workers, and the cluster's nodes."""
        return {"workers": self.count, "ray": version("ray"), "cluster": "; ".join(map(str, self.nodes))}

    def close(self) -> None:
        """End the actors, and the connection."""
        with suppress(Exception):  # of a cluster that is gone
            for actor in self._actors.values():
                self._ray.kill(actor)
        self._ray.shutdown()
        self._last_word.withdraw()


def _brief(error: Exception) -> str:
    return shortened(" ".join(str(error).split()))
