"""Workers of a run: how many, and on which machines."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from hyperevo.abilities import FollowsGradient
from hyperevo.config import RunConfig, config_values
from hyperevo.errors import UserError
from hyperevo.guests import Code
from hyperevo.parts import Parts, Task
from hyperevo.runs.crew import Carrier, Crew
from hyperevo.runs.worker import BUILT, Facts, Order


@dataclass(frozen=True)
class Spread:
    """Workers that are wanted.

    ray: address of a Ray cluster, or `local` for one of this run's own; None for processes of this machine. workers:
    their number; by default as many as the cluster has room for, or as the task says. gpus_per_worker: of a cluster.
    """

    ray: str | None = None
    workers: int | None = None
    gpus_per_worker: float = 0.0

    def __post_init__(self) -> None:
        if self.gpus_per_worker and self.ray is None:
            raise UserError("--gpus-per-worker: needs --ray; `--ray local` makes the GPUs of this machine workers")


HERE = Spread()
"""Workers as the task says; for most tasks none."""


def closing(crew: Crew | None) -> list[Callable[[], object]]:
    """Functions that end a run's workers, if there are any."""
    return [] if crew is None else [crew.close]


def hire(spread: Spread, config: RunConfig, parts: Parts, memory_gb: float) -> Crew | None:
    """Workers for a run, started where they are a cluster's; None where there shall be none."""
    count = config.task.worker_processes() if spread.workers is None else spread.workers
    if spread.ray is None and not count:
        return None
    loss = parts.search.loss() if isinstance(parts.search, FollowsGradient) else None
    order = Order(config_values(config), code_elsewhere(config), os.getcwd(), memory_gb, str(parts.device), loss)
    expected = Facts.of(parts.task, parts.target, [config.part(kind) for kind in BUILT])
    if spread.ray is None:
        from hyperevo.runs.local_workers import LocalWorkers

        return Crew(LocalWorkers(order, count), expected)
    crew = Crew(_on_cluster(spread, order, parts.task), expected)
    try:
        crew.gather()
    except BaseException:
        crew.close()
        raise
    return crew


def _on_cluster(spread: Spread, order: Order, task: Task) -> Carrier:
    """Workers on a Ray cluster; each sees its own GPUs alone."""
    from hyperevo.runs.ray_workers import RayWorkers, connect

    if order.device.startswith("cuda") and not spread.gpus_per_worker:
        raise UserError("--ray: the run's device is cuda, and its workers have no GPUs; --gpus-per-worker 1 gives each "
                        "one, --device cpu does without")
    ray = connect(spread.ray or "", spread.workers)
    try:
        order = replace(order, device=order.device.partition(":")[0])
        return RayWorkers(ray, order, task, spread.workers, spread.gpus_per_worker)
    except BaseException:
        ray.shutdown()
        raise


def code_elsewhere(config: RunConfig) -> Code:
    """Code that a config names, for a process with another working directory."""
    return Code(True, places={source.spelled: (str(source.root.absolute()), source.main)
                              for source in config.sources() if not source.installed})
