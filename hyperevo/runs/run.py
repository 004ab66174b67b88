"""One search on disk: made, run, resumed, finished.

A run folder holds config.toml, environment.json, task.json (what the network reads and answers), metrics.csv (without a
budget in seconds nothing in it depends on time: a resumed run's is the same byte for byte), timing.csv, species.csv for
searches with species, fitness.bin (every fitness ever told), checkpoint/ (the last two), filmstrip/ (the champion on
the way), champion/, result.json, figures/ and run.log.
"""

import csv
import io
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperevo.components import load_component
from hyperevo.config import RunConfig, check_config, config_text, config_values, flatten, read_toml
from hyperevo.errors import RunFailed, UserError
from hyperevo.geometry import Frame, Ring, Sheet
from hyperevo.graph import Graph
from hyperevo.measure import measure_named
from hyperevo.randomness import mixed
from hyperevo.runs.checkpoint import Checkpoint, checkpoints, latest_checkpoint, write_checkpoint
from hyperevo.runs.compose import Parts, compose, follows_gradient, gene_counts, planned_rounds, weight_origins
from hyperevo.runs.cost import operations, total
from hyperevo.runs.environment import (
    environment,
    forget_peak_memory,
    free_memory_gb,
    keep_freed_memory,
    peak_memory_gb,
)
from hyperevo.runs.evaluate import Batch, Play, calibrated, evaluate, fitting_half
from hyperevo.runs.files import AppendLog, read_json, write_folder, write_json, write_tensors, write_text
from hyperevo.runs.fitness_log import pack_fitness, read_fitness
from hyperevo.runs.genotypes import Genotype, pack_genotype, stack
from hyperevo.runs.learn import Carried, Fitness, differentiable_fitness, learn
from hyperevo.runs.retest import retested
from hyperevo.search._neat_learn import Learning
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

EXAMPLES = 10
"""Test examples that are kept, of tasks that have something to show: with what an autoencoder makes of them."""

LOGS = ("metrics.csv", "timing.csv", "fitness.bin")


class Interrupted(Exception):
    """A signal ended the run after a whole generation; its checkpoint is written."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@dataclass(frozen=True)
class Round:
    """What one round of ask, evaluate and tell came to."""

    number: int
    spent: float
    """Share of the run's rounds or budget that is used up, whichever ends it first; 1 after the last round."""
    best: float
    mean: float
    validation_accuracy: float | None
    champion_accuracy: float | None
    seconds: float
    learned: bool = False
    """Whether the round was steps along a gradient, and fitness is minus their loss."""


@dataclass
class Champion:
    """The genotype with the best validation accuracy so far, and the round it was found in."""

    genotype: Genotype
    round: int
    validation_accuracy: float


@dataclass
class Run:
    """A run in memory: its folder, config and parts, and how far it is."""

    folder: Path
    config: RunConfig
    parts: Parts
    memory_gb: float
    round: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    champion: Champion | None = None
    logs: dict[str, AppendLog] = field(default_factory=dict)
    fitness: Fitness | None = None
    carried: Carried | None = None
    """Where a gradient trains a target that reads sequences."""

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, round {self.round} of {self.config.run.rounds})"


def create_run(config: RunConfig, folder: Path, overwrite: bool = False) -> Run:
    """Compose a run, then make its folder; raises UserError, with nothing written, where either cannot be done."""
    _set_threads(config)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise UserError(f"{folder} exists; resume it, choose another --out, or pass --overwrite")
    if overwrite and folder.exists() and any(folder.iterdir()) and not (folder / "config.toml").exists():
        raise UserError(f"{folder} is not a run (it has no config.toml) and is not overwritten")
    parts = compose(config)
    if config.data_checksum not in (None, parts.task.checksum):
        raise UserError(f"data_checksum: the config wants {config.data_checksum[:12]}…, "
                        f"{parts.task.data_name} here has {parts.task.checksum[:12]}…")
    config = config.model_copy(update={"data_checksum": parts.task.checksum})
    memory_gb = config.run.memory_gb or round(free_memory_gb(parts.device) / 2, 3)
    _make_folder(folder, overwrite)
    write_text(folder / "config.toml", config_text(config))
    write_json(folder / "environment.json", environment(parts.device) | {"memory_gb": memory_gb})
    write_json(folder / "task.json", {"data": parts.task.data_name, "inputs": _sheet_values(parts.task.inputs),
                                      "classes": parts.task.classes, "class_names": _class_names(config),
                                      "measure": parts.task.measure, **_alphabet(parts.task),
                                      **({"outputs": _sheet_values(parts.task.outputs)}
                                         if hasattr(parts.task, "outputs") else {})})
    run = Run(folder, config, parts, memory_gb)
    run.logs = {file: AppendLog(folder / file) for file in _log_files(parts)}
    _checkpoint(run)
    return run


def _class_names(config: RunConfig) -> list[str]:
    return list(load_component("task", config.part("task").name).CLASS_NAMES)


def _sheet_values(sheet: Sheet) -> Any:
    if isinstance(sheet, Frame):
        return {"frame": list(sheet.sizes)}
    return {"ring": sheet.units, "radius": sheet.radius} if isinstance(sheet, Ring) else list(sheet.sizes)


def _alphabet(task: Any) -> dict[str, list[str | int]]:
    """A text's symbols in order: characters, or the numbers of bytes."""
    return {"alphabet": [symbol if isinstance(symbol, str) else symbol[0] for symbol in task.alphabet]} \
        if hasattr(task, "alphabet") else {}


def _make_folder(folder: Path, overwrite: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.rglob("*"), reverse=True) if overwrite else ():
            old.rmdir() if old.is_dir() and not old.is_symlink() else old.unlink()
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _log_files(parts: Parts) -> tuple[str, ...]:
    return (*LOGS, "species.csv") if hasattr(parts.search, "species_sizes") else LOGS


def _set_threads(config: RunConfig) -> None:
    keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)


def read_run_config(folder: Path) -> RunConfig:
    """The resolved config of a run folder; raises UserError where the folder is not a run."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder")
    if not (folder / "config.toml").is_file():
        raise UserError(f"{folder}: is not a run: it has no config.toml")
    return check_config(read_toml(folder / "config.toml"), str(folder / "config.toml"))


def open_run(folder: Path) -> Run:
    """A run at its newest checkpoint, ready to go on; rejects a config that was changed, by key.

    A run that was killed before it wrote its first checkpoint is made anew.
    """
    config = read_run_config(folder)
    if not checkpoints(folder):
        return create_run(config, folder, overwrite=True)
    checkpoint = latest_checkpoint(folder)
    _reject_changes(folder, config, checkpoint.config)
    _set_threads(config)
    parts = compose(config)
    _reject_other_alphabet(folder, parts.task)
    if parts.task.checksum != config.data_checksum:
        raise UserError(f"{folder}: was made on other data: {parts.task.data_name} here has checksum "
                        f"{parts.task.checksum[:12]}…, the run {str(config.data_checksum)[:12]}…")
    # The same memory as before means the same blocks, and so the same bits.
    recorded = read_json(folder / "environment.json").get("memory_gb")
    if not isinstance(recorded, int | float):
        raise UserError(f"{folder / 'environment.json'}: has no memory_gb")
    memory_gb = float(recorded)
    run = Run(folder, config, parts, memory_gb, checkpoint.round, checkpoint.evaluations, checkpoint.seconds)
    if checkpoint.champion is not None:
        run.champion = Champion(checkpoint.champion, checkpoint.champion_round, checkpoint.champion_accuracy)
    if checkpoint.carried is not None:
        run.carried = Carried(tuple(part.to(parts.device) for part in checkpoint.carried))
    run.logs = {file: AppendLog(folder / file, checkpoint.lengths[file]) for file in _log_files(parts)}
    parts.search.restore(checkpoint.search, read_fitness(folder / "fitness.bin"))
    return run


def _reject_changes(folder: Path, config: RunConfig, before: dict[str, Any]) -> None:
    # An option that is newer than the checkpoint was then what it is by default.
    then_config = check_config(before, str(folder / "checkpoint"))
    now, then = (dict(flatten(config_values(own))) for own in (config, then_config))
    for key in sorted(now.keys() | then.keys()):
        if now.get(key) != then.get(key):
            raise UserError(f"{folder / 'config.toml'}: {key} was changed from {then.get(key)!r} to {now.get(key)!r} "
                            "since the checkpoint; start a new run for that")


def _reject_other_alphabet(folder: Path, task: Any) -> None:
    now, then = _alphabet(task).get("alphabet"), read_json(folder / "task.json").get("alphabet")
    if now is not None and now != then:
        other = next((symbol for symbol in now if symbol not in (then or ())), None)
        what = f"{task.data_name} here has {len(now)}" + (f", {other!r} among them" if other is not None else "")
        raise UserError(f"{folder}: was trained on another alphabet, of {len(then or ())} symbols: {what}")


def finished(folder: Path) -> bool:
    """Whether the run in a folder has its result."""
    return (folder / "result.json").is_file()


def execute(run: Run, observe: Callable[[Round], None] = lambda _: None) -> dict[str, Any]:
    """Go through the remaining rounds and finish: returns what result.json holds.

    Every round ends with a checkpoint. SIGINT and SIGTERM are honoured between rounds by raising `Interrupted`; a
    second one acts at once.
    """
    forget_peak_memory()
    try:
        with signals() as received:
            while spent(run) < 1:
                observe(_one_round(run))
                if received:
                    raise Interrupted(received[0])
        return _finish(run)
    finally:
        for handle in run.logs.values():
            handle.close()
        for part in (run.parts.search, run.parts.task):
            if hasattr(part, "close"):
                part.close()


def spent(run: Run) -> float:
    """Share of the rounds or the budget that a run has used up, whichever ends it first; all where its champion is as
    good as is wanted."""
    wanted, champion = run.config.run.until, run.champion
    if wanted is not None and champion is not None and champion.validation_accuracy >= wanted:
        return 1.0
    return share_spent(run.config, run.round, run.evaluations, run.seconds)


def share_spent(config: RunConfig, rounds: int, evaluations: int, seconds: float) -> float:
    """Share of the limits of a config that so many rounds, evaluations and seconds are."""
    limits = config.run
    used = ((rounds, limits.rounds), (evaluations, limits.evaluations), (seconds, limits.seconds),
            (evaluations * config.part("task").images, limits.images))
    return max(have / limit for have, limit in used if limit is not None)


def images_seen(run: Run) -> int:
    """Examples shown to networks in training, each counted once for each of them."""
    return run.evaluations * run.config.part("task").images


def _one_round(run: Run) -> Round:
    started = time.perf_counter()
    settings, generation = run.config.run, run.parts.search.generation
    _plan_by_clock(run)
    fitness, failed = _learn(run) if hasattr(run.parts.search, "learns") else _evolve(run)
    run.round += 1
    before, run.seconds = run.seconds, run.seconds + time.perf_counter() - started
    accuracy = _validate(run) if run.round % settings.validate_every == 0 or spent(run) >= 1 else None
    _record(run, generation, fitness, failed, accuracy)
    seconds = time.perf_counter() - started
    run.seconds = before + seconds
    _append_row(run, "timing.csv", {"round": run.round, "seconds": round(seconds, 6)})
    _checkpoint(run)
    champion = run.champion.validation_accuracy if run.champion else None
    return Round(run.round, spent(run), float(fitness.max()), float(fitness.mean()), accuracy, champion, seconds,
                 hasattr(run.parts.search, "learns"))


def _plan_by_clock(run: Run) -> None:
    """Of seconds nobody knows beforehand how many rounds they are: from each round to the next, schedules end where
    the speed so far says the run will."""
    limit = run.config.run.seconds
    if limit is None or not run.seconds or not hasattr(run.parts.search, "plan"):
        return
    known = planned_rounds(run.config, run.parts.search.evaluations_per_round)
    run.parts.search.plan(min(known, math.ceil(run.round * limit / run.seconds)))


def _evolve(run: Run) -> tuple[Tensor, int]:
    """One generation: fitness (P,), and how many networks failed."""
    parts = run.parts
    learning = parts.search.learning() if hasattr(parts.search, "learning") else None
    genotypes = parts.search.ask() if learning is None else _taught(run, learning)
    fitting, batch = fitting_half(parts.target, parts.task.batch(run.config.seed, parts.search.generation))
    fitness, failed = _finite(evaluate(parts.encoding, parts.target, genotypes, batch, parts.task.fitness,
                                       run.memory_gb, fitting, _play(parts)))
    parts.search.tell(fitness, *([] if learning is None else [genotypes]))
    run.evaluations += len(fitness)
    return fitness, failed


def _taught(run: Run, learning: Learning) -> list[Graph]:
    """The graphs of a generation after their steps along the gradient."""
    parts = run.parts
    if run.fitness is None:
        run.fitness = differentiable_fitness(parts.encoding, parts.target, parts.task)
    run.evaluations += len(learning) * learning.settings.steps
    return learn(learning, run.fitness, parts.target, parts.task, run.config.seed, parts.search.generation,
                 run.memory_gb)


def _learn(run: Run) -> tuple[Tensor, int]:
    """A round's steps along the gradient: mean fitness (P,) over them."""
    parts, settings = run.parts, run.config.part("search")
    if run.fitness is None:
        run.fitness = differentiable_fitness(parts.encoding, parts.target, parts.task, settings)
    seen = []
    for _ in range(settings.steps_per_round):
        images, labels = parts.task.batch(run.config.seed, parts.search.generation)
        fitness = run.fitness(parts.search.ask(), images, labels, *_carried(run))
        parts.search.tell(fitness)
        seen.append(fitness.detach())
        run.evaluations += len(fitness)
    mean = torch.stack(seen).mean(0).float().cpu()
    if not torch.isfinite(mean).all():
        raise RunFailed(f"the loss is not finite after step {parts.search.generation}; a smaller search.learning_rate "
                        "or search.clip may help")
    return mean, 0


def _carried(run: Run) -> list[Carried]:
    """What a target that reads sequences takes along, if it does: from the batch before where this one continues it."""
    if not hasattr(run.parts.target, "read"):
        return []
    run.carried, generation = run.carried or Carried(), run.parts.search.generation
    run.carried.draw = mixed(run.config.seed, generation)
    if not (hasattr(run.parts.task, "continues") and run.parts.task.continues(generation)):
        run.carried.state = None
    return [run.carried]


def _finite(fitness: Tensor) -> tuple[Tensor, int]:
    """Networks whose outputs overflowed count as worse than all others; how many there were goes into the metrics."""
    good = torch.isfinite(fitness)
    if not good.any():
        raise RunFailed("no network of the population has a finite fitness; smaller weights may help")
    worst = fitness[good].min() - 1
    return torch.where(good, fitness, worst), int((~good).sum())


def _validate(run: Run) -> float:
    """Validation accuracy of the search's best candidate; it becomes the champion where it beats the last one."""
    parts = run.parts
    candidates = parts.search.candidates()
    accuracies = evaluate(parts.encoding, parts.target, candidates, parts.task.validation, parts.task.accuracy,
                          run.memory_gb, _calibration(parts), _play(parts))
    if hasattr(parts.search, "validated"):
        parts.search.validated(accuracies)
    best = int(accuracies.argmax())
    accuracy = float(accuracies[best])
    if run.champion is None or accuracy > run.champion.validation_accuracy:
        run.champion = Champion(candidates[best], run.round, accuracy)
    return accuracy


def _play(parts: Parts) -> Play | None:
    """How networks act in the task's environment, if it has one."""
    return getattr(parts.task, "play", None)


def _calibration(parts: Parts) -> Batch:
    """As many training images as the target takes anything from; none for most targets."""
    return parts.task.calibration(getattr(parts.target, "calibration_images", 0))


def _record(run: Run, generation: int, fitness: Tensor, failed: int, accuracy: float | None) -> None:
    search = run.parts.search
    row = {"round": run.round, "generation": generation, "evaluations": run.evaluations,
           "population": len(fitness), "best": float(fitness.max()), "mean": float(fitness.mean()),
           "deviation": float(fitness.std(correction=0)), "worst": float(fitness.min()), "failed": failed,
           "validation_accuracy": "" if accuracy is None else accuracy,
           "champion_accuracy": run.champion.validation_accuracy if run.champion else "", **search.statistics()}
    _append_row(run, "metrics.csv", row)
    run.logs["fitness.bin"].append(pack_fitness(fitness))
    if hasattr(search, "species_sizes"):
        for species, members in search.species_sizes().items():
            _append_row(run, "species.csv", {"round": run.round, "species": species, "members": members})
    if run.champion and run.round in filmstrip_rounds(run.config):
        folder = run.folder / "filmstrip" / f"{run.round:06d}"
        write_folder(folder, *pack_genotype(run.champion.genotype))


def filmstrip_rounds(config: RunConfig) -> set[int]:
    """Rounds after which the champion is kept for the filmstrip: spread evenly on a log scale, each a validation. A run
    that a budget may end sooner keeps one whenever half as many rounds again are done."""
    last, every, wanted = config.run.rounds, config.run.validate_every, config.run.filmstrip
    most = max(last / every, 1.0)
    if config.run.ends_with_rounds:
        steps = [most ** (frame / max(wanted - 1, 1)) for frame in range(wanted)]
    else:
        steps = [1.5**frame for frame in range(math.ceil(math.log(most, 1.5)) if wanted else 0)]
    return {min(round(step) * every, last) for step in steps}


def _append_row(run: Run, file: str, row: dict[str, Any]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, row, lineterminator="\n")
    if run.logs[file].length() == 0:
        writer.writeheader()
    writer.writerow(row)
    run.logs[file].append(text.getvalue().encode())


def _checkpoint(run: Run) -> None:
    champion = run.champion
    write_checkpoint(run.folder, Checkpoint(
        config_values(run.config), run.round, run.evaluations, run.seconds, run.parts.search.state(),
        {file: handle.length() for file, handle in run.logs.items()},
        champion.genotype if champion else None, champion.round if champion else 0,
        champion.validation_accuracy if champion else 0.0, run.carried.state if run.carried else None))


def _finish(run: Run) -> dict[str, Any]:
    """Look at the test images, once, and write the champion and the result."""
    champion, parts = run.champion, run.parts
    if champion is None:
        raise RunFailed("the run ended without a validation")
    population = stack(champion.genotype)
    images = parts.task.test()
    calibration = _calibration(parts)
    test = evaluate(parts.encoding, parts.target, population, images, parts.task.accuracy, run.memory_gb, calibration,
                    _play(parts))
    with torch.no_grad():
        networks = calibrated(parts.target, parts.encoding.express(population), calibration)
    weights = networks.network(0)
    geometry = parts.target.geometry
    weights = {name: value.reshape(geometry[name].tensor_shape) if name in geometry else value
               for name, value in weights.items()} | getattr(parts.target, "constants", {})
    plain, tensors = pack_genotype(champion.genotype)
    write_folder(run.folder / "champion", {"genotype": plain, "round": champion.round,
                                           "validation_accuracy": champion.validation_accuracy}, tensors)
    write_tensors(run.folder / "champion" / "weights.safetensors", weights)
    if hasattr(parts.task, "examples_of"):
        _keep_examples(run, networks, images)
    result = {"name": run.config.name, "data": parts.task.data_name, "test_accuracy": float(test[0]),
              "test_images": _count(parts.task, images), "examples": getattr(parts.task, "examples", "images"),
              "measure": parts.task.measure,
              "validation_accuracy": champion.validation_accuracy, "champion_round": champion.round,
              "rounds": run.round, "evaluations": run.evaluations,
              "images": images_seen(run), "operations": _operations(run, population),
              "seconds": round(run.seconds, 3), "peak_memory_gb": round(peak_memory_gb(), 3), "seed": run.config.seed,
              **_as_read(parts.task.measure, test=float(test[0]), validation=champion.validation_accuracy),
              **gene_counts(parts, champion.genotype), "origins": weight_origins(parts),
              **retested(run.config, parts, champion.genotype), **_described(parts, networks),
              **_of_everyone(parts, images, calibration, run.memory_gb)}
    write_json(run.folder / "result.json", result)
    log.info("test %s %.4f on %s after %d evaluations", parts.task.measure, result["test_accuracy"], result["data"],
             run.evaluations)
    return result


def _as_read(measure: str, **accuracies: float) -> dict[str, float]:
    """What is not an accuracy also under its own name, such as test_bits_per_character."""
    known = measure_named(measure)
    return {} if known.is_share else {f"{part}_{known.name.replace(' ', '_')}": known.drawn(accuracy)
                                      for part, accuracy in accuracies.items()}


def _described(parts: Parts, networks: Weights) -> dict[str, float]:
    """What a task has to say of the champion's network besides how good it is."""
    return parts.task.describe(parts.target, networks) if hasattr(parts.task, "describe") else {}


def _count(task: Any, examples: Batch) -> int:
    """How many answers a task asks for: one an example, where it does not say otherwise."""
    return task.count(examples[1]) if hasattr(task, "count") else len(examples[1])


@torch.no_grad()
def _keep_examples(run: Run, networks: Weights, images: Batch) -> None:
    """The first test examples, and what the champion makes of them, for figures."""
    first = images[0][:EXAMPLES], images[1][:EXAMPLES]
    write_tensors(run.folder / "champion" / "examples.safetensors",
                  run.parts.task.examples_of(run.parts.target, networks, first))


def _operations(run: Run, population: Any) -> int:
    """Floating-point operations of the whole run, counted on its champion."""
    counted = operations(run.parts.encoding, run.parts.target, population, run.parts.task.calibration(6))
    # An episode counts as if it went on to its end.
    examples = images_seen(run) * getattr(run.parts.task, "most_steps", 1)
    return total(run.evaluations, examples, *counted, learns=follows_gradient(run.parts.search, run.config))


def _of_everyone(parts: Parts, images: Batch, calibration: Batch, memory_gb: float) -> dict[str, list[float]]:
    """Test accuracy of the best genotype of everyone in the population, where the search keeps it: of all the seeds
    that a gradient trained."""
    if not hasattr(parts.search, "selected"):
        return {}
    accuracies = evaluate(parts.encoding, parts.target, parts.search.selected(), images, parts.task.accuracy, memory_gb,
                          calibration)
    return {"test_accuracies": accuracies.tolist()}


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM; after the first, the next has its usual effect."""
    received: list[int] = []
    before: dict[int, Any] = {}

    def note(signum: int, _: Any) -> None:
        received.append(signum)
        for known, handler in before.items():
            signal.signal(known, handler)

    try:
        for signum in (signal.SIGINT, signal.SIGTERM):
            before[signum] = signal.signal(signum, note)
    except ValueError:  # not in the main thread: the caller handles signals
        before.clear()
    try:
        yield received
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
