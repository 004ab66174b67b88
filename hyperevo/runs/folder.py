"""Folder of a run on disk: made, opened, written.

A run folder holds config.toml, environment.json, task.json (what the network reads and answers), metrics.csv (without a
budget in seconds nothing in it depends on time: a resumed run's is the same byte for byte), timing.csv, species.csv for
searches with species, fitness.bin (every fitness ever told), checkpoint/ (the last two), filmstrip/ (the champion on
the way), champion/, code/ (files of guests), inputs.json (SHA-256 of the files of data that the config names),
subwords.model (of tasks with sub-words), start/ (what the search began from), generator/ (the model that an encoding
is), result.json, figures/, run.log and run.lock. Only these are ever removed. Each checkpoint records SHA-256 of all
that resuming depends on.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from hyperevo.abilities import HasSpecies
from hyperevo.config import PARTS, RunConfig, Values, assigned, check_config, config_text, config_values
from hyperevo.errors import RunFailed, UserError, reason, shortened, shown, shown_path
from hyperevo.guests import Code, copies_of, remember
from hyperevo.loggers import check_logger
from hyperevo.parts import Parts, Search, Task
from hyperevo.reading import is_there
from hyperevo.runs.checkpoint import Checkpoint, checkpoints, latest_checkpoint, prune
from hyperevo.runs.compose import compose
from hyperevo.runs.crew import Crew
from hyperevo.runs.environment import environment, free_memory_gb, keep_freed_memory
from hyperevo.runs.files import write_bytes, write_folder, write_json, write_text
from hyperevo.runs.fitness_log import Told, pack_fitness
from hyperevo.runs.inputs import constants_hash, input_hashes
from hyperevo.runs.learn import Carried
from hyperevo.runs.own_files import check_free, is_run, refuse_links, remove_run, sweep
from hyperevo.runs.schemas import EnvironmentFile, TaskFile, read_checked
from hyperevo.runs.spread import HERE, Spread, closing, hire
from hyperevo.runs.state import Champion, Round, Run
from hyperevo.runs.task_facts import alphabet_facts, task_facts
from hyperevo.runs.trial import check_state
from hyperevo.runs.writer import FIXED, SUBWORDS, Writer, lock_folder
from hyperevo.seal import STATE, check_hash, file_hash
from hyperevo.toml import flatten, read_toml


def create_run(config: RunConfig, folder: Path | None, overwrite: bool = False, spread: Spread = HERE) -> Run:
    """Compose a run, then make its folder, if it has one; raises UserError, with nothing written, where either cannot
    be done, and FolderTaken where the folder holds something or another process writes it. spread: the workers that
    evaluate its networks."""
    if folder is not None:
        with _told(folder, "written"):
            check_free(folder, overwrite)
    config, parts, memory_gb = _composed(config)
    crew = _hired(spread, config, parts, memory_gb)
    if folder is None:
        return Run(config, parts, memory_gb, crew=crew)
    with _told(folder, "written"), _closed(parts.search.close, parts.task.close, *closing(crew)):
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder)
        with _released(lock):
            check_free(folder, overwrite)  # again: another process may have been quicker
            return _created(config, parts, memory_gb, folder, lock, crew)


def _hired(spread: Spread, config: RunConfig, parts: Parts, memory_gb: float) -> Crew | None:
    with _closed(parts.search.close, parts.task.close):
        return hire(spread, config, parts, memory_gb)


def _composed(config: RunConfig) -> tuple[RunConfig, Parts, float]:
    """The config with the data's checksum, its parts, and the memory that evaluating may take."""
    _set_threads(config)
    if config.run.log:
        check_logger(config.run.log)
    parts = compose(config)
    if config.data_checksum not in (None, parts.task.checksum):
        raise UserError(f"data_checksum: the config wants {config.data_checksum[:12]}…, "
                        f"{parts.task.data_name} here has {parts.task.checksum[:12]}…")
    memory_gb = config.run.memory_gb or round(free_memory_gb(parts.device) / 2, 3)
    return config.model_copy(update={"data_checksum": parts.task.checksum}), parts, memory_gb


def _created(config: RunConfig, parts: Parts, memory_gb: float, folder: Path, lock: FileLock,
             crew: Crew | None) -> Run:
    remove_run(folder)
    _write_start(config, parts, memory_gb, folder, crew.carrier.record() if crew else {})
    writer = Writer(folder, config, lock, isinstance(parts.search, HasSpecies))
    run = Run(config, parts, memory_gb, writer, crew=crew)
    with _closed(writer.close):
        write_checkpoint_of(run, writer)
    return run


@contextmanager
def _told(folder: Path, tried: str = "read or written") -> Iterator[None]:
    """Tell what cannot be read or written as UserError, in one line that names the file or the folder."""
    try:
        yield
    except OSError as error:
        where = shown_path(error.filename or folder)
        raise UserError(f"{where}: cannot be {tried}: {reason(error)}") from error


@contextmanager
def _closed(*closing: Callable[[], object]) -> Iterator[None]:
    """Close what was opened where what is done with it first fails."""
    try:
        yield
    except BaseException:
        for close in closing:
            close()
        raise


@contextmanager
def _released(lock: FileLock) -> Iterator[None]:
    """Let a folder go where what is done first in it fails."""
    try:
        yield
    except BaseException:
        lock.release()
        raise


def _write_start(config: RunConfig, parts: Parts, memory_gb: float, folder: Path,
                 workers: Mapping[str, str | int]) -> None:
    """Write the files of a run that do not change while it goes on."""
    sources = config.sources()
    record, copies = copies_of(sources)
    write_text(folder / "config.toml", config_text(config))
    for name, packed in [own for kind in PARTS for own in config.part(kind).kept().items()]:
        write_folder(folder / name, *packed)
    if record:  # before the files that it names, which are a run's own by that
        (folder / "code").mkdir(exist_ok=True)
        write_json(folder / "code" / "sources.json", record)
        remember(sources)
    for path, content in copies.items():
        (folder / "code" / path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "code" / path, content)
    write_json(folder / "environment.json", environment(parts.device) | {"memory_gb": memory_gb, **workers})
    write_json(folder / "task.json", task_facts(parts.task))
    if hashes := input_hashes(config):
        write_json(folder / "inputs.json", hashes)
    if parts.task.subwords_model:
        write_bytes(folder / SUBWORDS, parts.task.subwords_model)


def _set_threads(config: RunConfig) -> None:
    keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)


# Opening


def read_run_config(folder: Path, trust: bool = False) -> RunConfig:
    """Resolved config of a run folder; raises UserError where the folder is not a run, and UntrustedCode where it names
    code of a guest that came with it."""
    _check_is_there(folder)
    if not is_there(folder / "config.toml"):
        raise UserError(f"{folder}: is not a run: it has no config.toml")
    return check_config(read_toml(folder / "config.toml"), str(folder / "config.toml"), code=Code(trust, folder=folder))


def _check_is_there(folder: Path) -> None:
    if not is_there(folder) or not folder.is_dir():
        raise UserError(f"{shown_path(folder)}: no such run folder")


LIMITS = ("run.rounds", "run.evaluations", "run.images", "run.seconds", "run.until", "run.patience")
"""Keys that may change when a run goes on: its limits."""


def open_run(folder: Path, trust: bool = False, changes: Sequence[str] = (), spread: Spread = HERE) -> Run:
    """Run at its newest checkpoint, ready to go on; raises UserError, naming the key or the file, for what was changed.

    changes: new limits as `key=value`, such as run.rounds=80, which extend a run, finished or not. spread: the workers
    that evaluate its networks. A run that was killed before it wrote its first checkpoint is made anew. Raises
    UntrustedCode where the run needs code that came with its folder, did not run here before, and is not to be trusted.
    """
    _check_is_there(folder)
    with _told(folder):
        refuse_links(folder)
        config = read_run_config(folder, trust)
        if not is_run(folder):
            raise UserError(f"{folder}: holds a config and no run; `run {folder / 'config.toml'}` begins one")
        lock = lock_folder(folder)
        with _released(lock):
            sweep(folder)
            if not checkpoints(folder):
                longer = _extended(folder, config_values(config), changes, trust)
                longer, parts, memory_gb = _composed(longer)
                crew = _hired(spread, longer, parts, memory_gb)
                with _closed(parts.search.close, parts.task.close, *closing(crew)):
                    return _created(longer, parts, memory_gb, folder, lock, crew)
            return _opened(folder, config, Code(trust, folder=folder), lock, changes, spread)


def _extended(folder: Path, values: Values, changes: Sequence[str], trust: bool) -> RunConfig:
    for text in changes:
        if (key := text.partition("=")[0].strip()) not in LIMITS:
            raise UserError(f"{key}: of a run that was begun only {', '.join(LIMITS)} can change")
    origins = {text.partition("=")[0].strip(): "command line" for text in changes}
    return check_config(assigned(values, changes), str(folder / "config.toml"), origins, Code(trust, folder=folder))


def _opened(folder: Path, config: RunConfig, code: Code, lock: FileLock, changes: Sequence[str],
            spread: Spread) -> Run:
    checkpoint = latest_checkpoint(folder)
    prune(folder)
    _reject_changes(folder, config, checkpoint, code)
    for name in [name for name in FIXED if name in checkpoint.hashes]:
        check_hash(folder / name, file_hash(folder / name), checkpoint.hashes[name])
    # An extension that was cut short has its first checkpoint, and not its config.
    before, config = config, _extended(folder, checkpoint.config, changes, code.trust)
    parts = _recomposed(folder, config, checkpoint.constants)
    with _closed(parts.search.close, parts.task.close):
        # The same memory as before means the same blocks, and so the same bits.
        memory_gb = float(read_checked(folder / "environment.json", EnvironmentFile)["memory_gb"])
        writer = Writer(folder, config, lock, isinstance(parts.search, HasSpecies), checkpoint)
        run = Run(config, parts, memory_gb, writer, checkpoint.round, checkpoint.evaluations, checkpoint.seconds)
        with _closed(writer.close):
            _bring_to(run, checkpoint)
            run.crew = hire(spread, config, parts, memory_gb)
        with _closed(writer.close, *closing(run.crew)):
            if config != before:
                _extend(run, writer, before)
    return run


def _bring_to(run: Run, checkpoint: Checkpoint) -> None:
    """Set what a run has found, and its search, to a checkpoint."""
    if checkpoint.champion is not None:
        run.champion = Champion(checkpoint.champion, checkpoint.champion_round, checkpoint.champion_score)
    if checkpoint.carried is not None:
        run.carried = Carried(tuple(part.to(run.parts.device) for part in checkpoint.carried))
    _restore(run, checkpoint)


def _recomposed(folder: Path, config: RunConfig, constants: str | None) -> Parts:
    """Parts of a run that was begun; raises UserError where its data or its constants are others now."""
    _set_threads(config)
    parts = compose(config)
    remember(config.sources())
    _reject_other_alphabet(folder, parts.task)
    if constants not in (None, constants_hash(parts.target)):
        raise UserError(f"{folder}: the target's numbers that are not searched (buffers, and parameters with "
                        "requires_grad=False) are not those of the run; its module must make the same each time")
    if parts.task.checksum != config.data_checksum:
        raise UserError(f"{folder}: was made on other data: {parts.task.data_name} here has checksum "
                        f"{parts.task.checksum[:12]}…, the run {str(config.data_checksum)[:12]}…")
    return parts


def _restore(run: Run, checkpoint: Checkpoint) -> None:
    """Bring the search where the checkpoint was taken; raises UserError where that does not fit the config."""
    told = Told(run.folder / "fitness.bin", checkpoint.round)
    place = run.folder / "checkpoint" / f"{checkpoint.round:08d}"
    try:
        run.parts.search.restore(checkpoint.search, told)
        if not checkpoint.hashes:  # of an earlier version: nothing says yet that it is whole
            len(told.records)
            check_state(run.parts, checkpoint.champion)
    except (UserError, RunFailed):
        raise
    except Exception as error:  # whatever a search makes of a state that is not one of its own
        raise UserError(f"{place}: does not fit the config: {type(error).__name__}: {shortened(error)}") from error
    _check_generation(run.parts.search, place)


def _check_generation(search: Search, place: Path) -> None:
    """Raise UserError where a search that took up a state has no number of tells: batches are drawn by it."""
    found: Any = None
    try:
        found = search.generation
        right = 0 <= operator.index(found) < 2**31
    except (AttributeError, TypeError):
        right = False
    if not right:
        raise UserError(f"{place / STATE}: search.generation: {shown(found)} is not an integer from 0 to {2**31 - 1:,}")


def _extend(run: Run, writer: Writer, before: RunConfig) -> None:
    """Write the longer run's config. The checkpoint goes first: it knows both configs."""
    limits = dict(flatten(config_values(before)))
    write_checkpoint_of(run, writer, {key: limits[key] for key in LIMITS if key in limits})
    write_text(run.folder / "config.toml", config_text(run.config))
    (run.folder / "result.json").unlink(missing_ok=True)


def _reject_changes(folder: Path, config: RunConfig, checkpoint: Checkpoint, code: Code) -> None:
    # An option that is newer than the checkpoint was then what it is by default.
    then_config = check_config(checkpoint.config, str(folder / "checkpoint"), code=code)
    now, then = (dict(flatten(config_values(own))) for own in (config, then_config))
    if checkpoint.limits_before and {key: now[key] for key in LIMITS if key in now} == checkpoint.limits_before:
        now = {key: value for key, value in now.items() if key not in LIMITS} \
            | {key: then[key] for key in LIMITS if key in then}
    for key in sorted(now.keys() | then.keys()):
        if now.get(key) != then.get(key):
            raise UserError(f"{folder / 'config.toml'}: {key} was changed from {shown(then.get(key))} to "
                            f"{shown(now.get(key))} since the checkpoint; start a new run for that")


def _reject_other_alphabet(folder: Path, task: Task) -> None:
    now = alphabet_facts(task).get("alphabet")
    then = read_checked(folder / "task.json", TaskFile).get("alphabet")
    if now is not None and now != then:
        other = next((symbol for symbol in now if symbol not in (then or ())), None)
        what = f"{task.data_name} here has {len(now)}" + (f", {other!r} among them" if other is not None else "")
        raise UserError(f"{folder}: was trained on another alphabet, of {len(then or ())} symbols: {what}")


def tidy(folder: Path) -> None:
    """Remove what killed processes left unfinished in a run folder, unless another process writes it, or nobody can."""
    refuse_links(folder)
    with suppress(UserError), _told(folder):
        lock = lock_folder(folder)
        with suppress(OSError):
            sweep(folder)
        lock.release()


def finished(folder: Path) -> bool:
    """True where the run in a folder has its result."""
    return (folder / "result.json").is_file()


# Writing


def record_round(run: Run, writer: Writer, round_: Round) -> None:
    """Write a round's rows, its fitness and, for the filmstrip, the champion."""
    fitness, champion = round_.fitness, run.champion
    writer.row("metrics.csv", {
        "round": round_.number, "generation": round_.generation, "evaluations": run.evaluations,
        "population": len(fitness), "best": round_.best, "mean": round_.mean,
        "deviation": float(fitness.std(correction=0)), "worst": float(fitness.min()), "failed": round_.failed,
        "validation_accuracy": "" if round_.validation_score is None else round_.validation_score,
        "champion_accuracy": champion.validation_score if champion else "", **run.parts.search.statistics()})
    writer.fitness(pack_fitness(fitness))
    for species, members in run.species_sizes().items():
        writer.row("species.csv", {"round": round_.number, "species": species, "members": members})
    if champion is not None:
        writer.frame(round_.number, champion.genotype)
    writer.row("timing.csv", {"round": round_.number, "seconds": round(round_.seconds, 6)})


def write_checkpoint_of(run: Run, writer: Writer, limits_before: Values | None = None) -> None:
    """Write everything that the run needs to go on. limits_before: those of a run that is extended here."""
    champion = run.champion
    writer.checkpoint(Checkpoint(
        config_values(run.config), run.round, run.evaluations, run.seconds, run.parts.search.state(),
        writer.lengths(), champion.genotype if champion else None, champion.round if champion else 0,
        champion.validation_score if champion else 0.0, run.carried.state if run.carried else None, writer.hashes(),
        limits_before or {}, run.constants))
