"""Run what is missing of a comparison: one run after the other, or side by side through Ray."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from hyperevo.compare.plan import Entry
from hyperevo.config import Values, check_config, config_values
from hyperevo.errors import RunFailed, UserError
from hyperevo.guests import Code, UntrustedCode
from hyperevo.runs import Interrupted, Round, create_run, execute, finished, open_run
from hyperevo.runs.folder import read_run_config
from hyperevo.runs.spread import code_elsewhere
from hyperevo.signals import signals

log = logging.getLogger(__name__)

Observe = Callable[[dict[Path, str]], None]
"""Function called as runs go on, with those that have failed so far and why."""

RETRIES = 5
"""Number of times that another worker takes up a run whose worker died."""

PATIENCE = 0.5
"""Seconds between two looks at runs in other processes."""


def run_all(entries: Sequence[Entry], jobs: int = 1, address: str | None = None,
            observe: Observe = lambda _: None, trust: bool = False) -> dict[Path, str]:
    """Complete every run that is not finished: new ones from the start, broken ones from their checkpoint. Returns one
    line for each that failed, by folder; the others are not held up.

    jobs: number of runs at a time; address: a Ray cluster to run them on; trust: run code that came with run folders.
    Raises UntrustedCode, before any run goes on, where one needs such code and it may not run.
    """
    missing = [entry for entry in entries if not finished(entry.folder)]
    _check_trust([entry.folder for entry in missing], trust)
    if jobs > 1 or address is not None:
        return _run_through_ray(missing, jobs, address, observe, trust)
    failed: dict[Path, str] = {}
    for entry in missing:
        if reason := complete(config_values(entry.config), str(entry.folder), Code(True), trust,
                              lambda _: observe(failed)):
            failed[entry.folder] = reason
        observe(failed)
    return failed


def _check_trust(folders: Sequence[Path], trust: bool) -> None:
    """Raise UntrustedCode where a run that was begun needs code that came with it and may not run."""
    for folder in folders:
        try:
            sources = read_run_config(folder, trust).sources() if (folder / "config.toml").is_file() else []
        except UntrustedCode:
            raise
        except UserError:  # of one run, said when it is its turn
            continue
        for source in sources:
            source.check_trust()


def complete(values: Values, folder: str, code: Code, trust: bool = False,
             observe: Callable[[Round], None] = lambda _: None) -> str | None:
    """Complete a run of these config values, from the start or from its checkpoint; returns the reason where it failed,
    else None.

    code: location of the code that the values name; trust: run code that came with the folder.
    """
    path = Path(folder)
    try:
        begun = (path / "config.toml").exists()
        execute(open_run(path, trust) if begun else create_run(check_config(values, folder, code=code), path), observe)
    except (UserError, RunFailed) as error:
        return str(error)
    except Interrupted:
        raise
    except Exception as error:  # whatever is wrong with one run, the others are not to suffer
        log.exception("%s", folder)
        return f"{type(error).__name__}: {_brief(error)}"
    return None


def _run_through_ray(entries: Sequence[Entry], jobs: int, address: str | None, observe: Observe,
                     trust: bool) -> dict[Path, str]:
    if not entries:
        return {}
    from hyperevo.runs.ray_workers import LOCAL, cluster

    # A KeyboardInterrupt that is raised within Ray's own calls is not sure to get out of them.
    with cluster(address or LOCAL, jobs) as ray, signals() as received:
        return _follow(ray, entries, observe, received, trust)


def _follow(ray: ModuleType, entries: Sequence[Entry], observe: Observe, received: Sequence[int],
            trust: bool) -> dict[Path, str]:
    """Hand all runs out and wait for them, until a signal is received."""
    from hyperevo.runs.ray_workers import CPUS_PER_WORKER, capacity

    # A worker that dies leaves a checkpoint behind, which the next one finds.
    task = ray.remote(num_cpus=CPUS_PER_WORKER, max_retries=RETRIES)(complete)
    left, most = deque(entries), capacity(ray)
    waiting: dict[object, Entry] = {}
    failed: dict[Path, str] = {}
    while waiting or left:
        while left and len(waiting) < most:
            entry = left.popleft()
            waiting[task.remote(config_values(entry.config), str(entry.folder.absolute()),
                                code_elsewhere(entry.config), trust)] = entry
        done, _ = ray.wait(list(waiting), timeout=PATIENCE)
        if received:
            raise Interrupted(received[0])
        for reference in done:
            entry = waiting.pop(reference)
            if reason := _reason(ray, reference):
                failed[entry.folder] = reason
        observe(failed)
    return failed


def _reason(ray: ModuleType, reference: object) -> str | None:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        return f"its worker failed: {_brief(error)}"


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
