"""Parts and runs from Python: `hyperevo.task`, `target`, `encoding`, `search`, `fitness`, `test`, `run` and `load`.

Parts are made by the name that a config has for them, or by a guest's file or module, and settings are checked as a
config's are. Any of them works alone, and in any loop:

    es = hyperevo.search("snes", code)
    es.tell(hyperevo.fitness(code, net, task, es.ask(), batch=generation))
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperevo.components import ComponentSettings, nearest
from hyperevo.config import COMMAND_LINE, Override, flatten, part_settings
from hyperevo.encodings import build_encoding
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, Genotypes, stack
from hyperevo.graph import Graph
from hyperevo.guests import OWN
from hyperevo.loggers import Logger
from hyperevo.measure import Scores
from hyperevo.parts import Encoding, Search, Target, Task
from hyperevo.runs import Result, Round, Run, create_run, execute
from hyperevo.runs.compose import (
    build_search,
    build_target,
    build_task,
    check_encoding,
    check_gradient,
    check_target,
    choose_device,
    remarks,
)
from hyperevo.runs.environment import free_memory_gb
from hyperevo.runs.evaluate import acting_in, evaluate, fitting_half, judged_by
from hyperevo.runs.learn import differentiable_fitness, dropping
from hyperevo.runs.load import load_fitting
from hyperevo.runs.opened import OpenedRun
from hyperevo.runs.own_tasks import function_task, memory_task
from hyperevo.runs.progress import shown
from hyperevo.runs.rounds import finite
from hyperevo.runs.writer import log_handler
from hyperevo.targets.module import fitting_target

# Parts


def task(name: str | None = None, *, device: str = "auto", **settings: Any) -> Task:
    """Make the task of a name, or of a guest's file or module, with its data.

    settings: as in a config, `images=250`. device: auto (a GPU where there is one), cpu, mps, cuda or cuda:N. Raises
    UserError, in one line, for a name or setting that is wrong, and where data cannot be had.

    The task `arrays` takes arrays in memory too: `inputs` (N, …) and `labels` (N,) or (N, outputs), and perhaps
    `test_inputs`, `test_labels`, `validation_inputs`, `validation_labels`. Without a name a task has a function:

    - `task(fitness=function, inputs=X, labels=y)`: of outputs (P, N, outputs) and labels (N, …) → (P,), the higher the
      better;
    - `task(fitness=function, inputs=4, outputs=2)`: of networks → (P,); `networks(inputs)` takes inputs (N, 4), or each
      network's own (P, N, 4), to outputs (P, N, 2), and a loop gives one network after the other;
    - `task(genomes=eval_genomes, ini="config")`: a neat-python project's; see `hyperevo.search._neat_task`.
    """
    if name is None:
        return function_task(settings, choose_device(device))
    if name == "arrays" and "labels" in settings:
        return memory_task(lambda own: _settings("task", name, own), settings, choose_device(device))
    return build_task(_settings("task", name, settings), choose_device(device))


def target(name: str | nn.Module, task: Task, **settings: Any) -> Target:
    """Make the target of a name, or of a guest's file or module, for a task.

    A module of your own may stand in place of the name; a copy of it is used, and its only setting is `shape`, that of
    one example as it takes it. Raises UserError, in one line, for a name or setting that is wrong, and where target and
    task do not fit.
    """
    if isinstance(name, nn.Module):
        made, name = _target_of(name, task, **settings), type(name).__name__
    else:
        made = build_target(_settings("target", name, settings), task)
    check_target(task, made, name)
    return made


def _target_of(module: nn.Module, task: Task, shape: tuple[int, ...] | None = None, **unknown: Any) -> Target:
    for key in unknown:
        raise UserError(f"target.{key}: unknown key; {nearest(key, ['shape'])}")
    name = type(module).__name__
    try:
        return fitting_target(module, name, task.inputs, task.outputs, shape)
    except ValueError as error:
        raise UserError(str(error)) from error


def encoding(name: str, target: Target, *, device: str = "auto", **settings: Any) -> Encoding:
    """Make the encoding of a name, or of a guest's file or module, for a target's parameters.

    settings: as in a config, `coefficients=[8]`. device: the task's. Raises UserError, in one line, for a name or
    setting that is wrong, and where encoding and target do not fit.
    """
    checked = _settings("encoding", name, settings)
    made = build_encoding(checked, target.geometry, choose_device(device), target.start)
    check_encoding(target, made, type(target).__name__)
    return made


def search(name: str, encoding: Encoding, seed: int = 0, **settings: Any) -> Search:
    """Make the search of a name, or of a guest's file or module, over an encoding's genotypes.

    settings: as in a config, `population=200`. A schedule that ends with the run has to be told its length, by `plan`.
    Raises UserError, in one line, for a name or setting that is wrong, and where search and encoding do not fit.
    """
    return build_search(_settings("search", name, settings), encoding, seed)


def _settings(kind: str, name: str, settings: Mapping[str, Any]) -> ComponentSettings:
    if not isinstance(name, str):
        raise UserError(f"{kind}.name: {name!r} is not a name" + (" or an nn.Module" if kind == "target" else ""))
    with _by_key():
        return part_settings(kind, {"name": name, **settings}, COMMAND_LINE, {}, OWN)


@contextmanager
def _by_key() -> Iterator[None]:
    """While it lasts, errors name the key alone: in Python no file and no command line gave it."""
    try:
        yield
    except UserError as error:
        raise type(error)(str(error).removeprefix(f"{COMMAND_LINE}: ")) from error


# Evaluating


def fitness(encoding: Encoding, target: Target, task: Task, genotypes: Genotypes | Genotype, batch: int = 0,
            seed: int = 0, memory_gb: float | None = None) -> Tensor:
    """Fitness (P,) float32 on the CPU of P genotypes on one generation's training batch, higher is better.

    batch, seed: number of the generation and seed that the batch is drawn from, as runs draw it. memory_gb: 10⁹ bytes
    that evaluating may take, by default half of what was free at the first call. Networks whose outputs overflow count
    as worse than all others; raises RunFailed where no fitness is finite.

    Genotypes that want a gradient, as those that search `gradient` asks for, get fitness with its graph, on their
    device, all networks at once; raises UserError where the task has no gradient. The decay, precision and compilation
    that such a search may be set to are a run's, and are not applied here; nor are sequences read on from the batch
    before.
    """
    population, examples = _population(genotypes), task.batch(seed, batch)
    if isinstance(population, Tensor) and population.requires_grad and torch.is_grad_enabled():
        check_gradient(task)
        return differentiable_fitness(encoding, target, task)(population, *examples, dropping(target, seed, batch))
    fitting, judged = fitting_half(target, examples)
    return finite(evaluate(encoding, target, population, judged, task.fitness, _memory(encoding, memory_gb), fitting,
                           acting_in(task), task.act_together), task)[0]


def test(encoding: Encoding, target: Target, task: Task, genotypes: Genotypes | Genotype,
         memory_gb: float | None = None) -> Scores:
    """Test scores of P genotypes: they print as "test accuracy 92.81 %", and `float` takes the score of one.

    memory_gb: as for `fitness`.
    """
    calibration = task.calibration(target.calibration_examples)
    scores = evaluate(encoding, target, _population(genotypes), task.test(), task.score, _memory(encoding, memory_gb),
                      calibration, judged_by(task), task.act_together)
    return Scores(task.measure, tuple(scores.tolist()))


def _population(genotypes: Genotypes | Genotype) -> Genotypes:
    one = isinstance(genotypes, Graph) or (isinstance(genotypes, Tensor) and genotypes.dim() == 1)
    return stack(genotypes) if one else genotypes  # type: ignore[arg-type, return-value]


def _memory(encoding: Encoding, memory_gb: float | None) -> float:
    return memory_gb or _half_of_free_memory(encoding.device)


@cache
def _half_of_free_memory(device: torch.device) -> float:
    return free_memory_gb(device) / 2  # once for all calls: the same memory means the same bits


# Runs


def run(config: str | Path, task: Mapping[str, Any] | None = None, target: Mapping[str, Any] | None = None,
        encoding: Mapping[str, Any] | None = None, search: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None, *, seed: int | None = None, device: str | None = None,
        out: str | Path | None = None, callback: Callable[[Round], object] | None = None,
        loggers: Sequence[Logger] = (), overwrite: bool = False, progress: bool = True) -> Result:
    """Run one search from start to finish.

    config: a shipped config by name, or the path of a TOML file. task, target, encoding, search, run: keys of these
    tables, which take the place of the config's; another `name` replaces a part, and a warning says which of the
    config's keys the new one does not take. out: the run's folder, without which nothing is written; overwrite: replace
    the run in it. callback: called with every `Round`; the run ends early, with its result, where it returns True.
    loggers: get the numbers of every round, beside that of `run.log`.
    progress: shown below a notebook's cell, or on stderr if that is a terminal.

    Raises UserError, in one line, for all that is wrong with config or folder, RunFailed where a run cannot go on, and
    Interrupted at once after SIGINT (Ctrl-C) or SIGTERM; a run in a folder goes on from the last whole round.
    """
    tables = {"task": task, "target": target, "encoding": encoding, "search": search, "run": run, "seed": seed,
              "device": device}
    given: list[Override] = list(flatten({key: value for key, value in tables.items() if value is not None}))
    with _by_key():
        loaded = load_fitting(str(config), given)
    for note in loaded.notes:
        warnings.warn(note, stacklevel=2)
    created = create_run(loaded.config, None if out is None else Path(out), overwrite)
    for remark in remarks(created.parts, created.config.run.precision):
        warnings.warn(remark, stacklevel=2)
    with _logging(created), shown(created) if progress else nullcontext(lambda round_: None) as show:
        def observe(round_: Round) -> bool:
            show(round_)
            return callback is not None and bool(callback(round_))

        return execute(created, observe, loggers)


@contextmanager
def _logging(run: Run) -> Iterator[None]:
    """While it lasts, messages go into run.log too, if the run has a folder; their level is left as it is."""
    if run.writer is None:
        yield
        return
    logger, handler = logging.getLogger("hyperevo"), log_handler(run.folder / "run.log")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def load(folder: str | Path, trust: bool = False) -> OpenedRun:
    """Open a run folder: `.config`, `.metrics`, `.result`, `.genotype`, `.weights` and `.module()`.

    Raises UserError, in one line, where the folder is not a run, and where it needs code that came with it, did not run
    here before, and is not trusted.
    """
    return OpenedRun(Path(folder), trust)
