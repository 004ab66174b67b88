"""Folder of a run on disk: made, opened, written.

A run folder holds config.toml, environment.json, task.json (what the network reads and answers), metrics.csv (without a
budget in seconds nothing in it depends on time: a resumed run's is the same byte for byte), timing.csv, species.csv for
searches with species, fitness.bin (every fitness ever told), checkpoint/ (the last two), filmstrip/ (the champion on
the way), champion/, code/ (files of guests), inputs.json (SHA-256 of the files of data that the config names),
result.json, figures/, run.log and run.lock. Only these are ever removed.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock

from hyperevo.config import RunConfig, Values, assigned, check_config, config_text, config_values
from hyperevo.errors import UserError
from hyperevo.guests import Code, copies_of, remember
from hyperevo.parts import HasSpecies, Parts, Task
from hyperevo.runs.checkpoint import Checkpoint, checkpoints, latest_checkpoint
from hyperevo.runs.compose import compose
from hyperevo.runs.environment import environment, free_memory_gb, keep_freed_memory
from hyperevo.runs.files import read_json, write_bytes, write_json, write_text
from hyperevo.runs.fitness_log import pack_fitness, read_fitness
from hyperevo.runs.inputs import constants_hash, input_hashes
from hyperevo.runs.learn import Carried
from hyperevo.runs.own_files import check_free, refuse_links, remove_run
from hyperevo.runs.state import Champion, Round, Run
from hyperevo.runs.task_facts import alphabet_facts, task_facts
from hyperevo.runs.writer import Writer, lock_folder
from hyperevo.toml import flatten, read_toml


def create_run(config: RunConfig, folder: Path | None, overwrite: bool = False) -> Run:
    """Compose a run, then make its folder, if it has one; raises UserError, with nothing written, where either cannot
    be done."""
    _set_threads(config)
    if folder is not None:
        check_free(folder, overwrite)
    parts = compose(config)
    if config.data_checksum not in (None, parts.task.checksum):
        raise UserError(f"data_checksum: the config wants {config.data_checksum[:12]}…, "
                        f"{parts.task.data_name} here has {parts.task.checksum[:12]}…")
    config = config.model_copy(update={"data_checksum": parts.task.checksum})
    memory_gb = config.run.memory_gb or round(free_memory_gb(parts.device) / 2, 3)
    if folder is None:
        return Run(config, parts, memory_gb)
    return _created(config, parts, memory_gb, folder, overwrite)


def _created(config: RunConfig, parts: Parts, memory_gb: float, folder: Path, overwrite: bool) -> Run:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    try:
        check_free(folder, overwrite)  # again: another process may have been quicker
        remove_run(folder)
        _write_start(config, parts, memory_gb, folder)
        run = Run(config, parts, memory_gb, Writer(folder, config, lock, isinstance(parts.search, HasSpecies)))
        write_checkpoint_of(run, _writer(run))
    except OSError as error:
        lock.release()
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        lock.release()
        raise
    return run


def _write_start(config: RunConfig, parts: Parts, memory_gb: float, folder: Path) -> None:
    """Files that stay as they are while the run goes on."""
    sources = config.sources()
    record, copies = copies_of(sources)
    write_text(folder / "config.toml", config_text(config))
    for path, content in copies.items():
        (folder / "code" / path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / "code" / path, content)
    if record:
        (folder / "code").mkdir(exist_ok=True)
        write_json(folder / "code" / "sources.json", record)
        remember(sources)
    write_json(folder / "environment.json", environment(parts.device) | {"memory_gb": memory_gb})
    write_json(folder / "task.json", task_facts(parts.task))
    if hashes := input_hashes(config):
        write_json(folder / "inputs.json", hashes)


def _writer(run: Run) -> Writer:
    assert run.writer is not None
    return run.writer


def _set_threads(config: RunConfig) -> None:
    keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)


# Opening


def read_run_config(folder: Path, trust: bool = False) -> RunConfig:
    """The resolved config of a run folder; raises UserError where the folder is not a run, and UntrustedCode where it
    names code of a guest that came with it."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder")
    if not (folder / "config.toml").is_file():
        raise UserError(f"{folder}: is not a run: it has no config.toml")
    return check_config(read_toml(folder / "config.toml"), str(folder / "config.toml"), code=Code(trust, folder=folder))


LIMITS = ("run.rounds", "run.evaluations", "run.images", "run.seconds", "run.until")
"""Keys that may change from one part of a run to the next: how long it goes on."""


def open_run(folder: Path, trust: bool = False, changes: Sequence[str] = ()) -> Run:
    """A run at its newest checkpoint, ready to go on; rejects a config that was changed, by key.

    changes: new limits as `key=value`, such as run.rounds=80, which extend a run, finished or not. A run that was
    killed before it wrote its first checkpoint is made anew. Raises UntrustedCode where the run needs code that came
    with its folder, did not run here before, and is not to be trusted.
    """
    refuse_links(folder)
    config = read_run_config(folder, trust)
    if changes:
        config = _extended(folder, config_values(config), changes, trust)
    if not checkpoints(folder):
        return create_run(config, folder, overwrite=True)
    lock = lock_folder(folder)
    try:
        run = _opened(folder, config, Code(trust, folder=folder), lock, changes)
        if changes:
            write_text(folder / "config.toml", config_text(config))
            (folder / "result.json").unlink(missing_ok=True)
        return run
    except BaseException:
        lock.release()
        raise


def _extended(folder: Path, values: Values, changes: Sequence[str], trust: bool) -> RunConfig:
    for text in changes:
        if (key := text.partition("=")[0].strip()) not in LIMITS:
            raise UserError(f"{key}: of a run that was begun only {', '.join(LIMITS)} can change")
    origins = {text.partition("=")[0].strip(): "command line" for text in changes}
    return check_config(assigned(values, changes), str(folder / "config.toml"), origins, Code(trust, folder=folder))


def _opened(folder: Path, config: RunConfig, code: Code, lock: FileLock, changes: Sequence[str]) -> Run:
    checkpoint = latest_checkpoint(folder)
    _reject_changes(folder, config, assigned(checkpoint.config, changes), code)
    _set_threads(config)
    parts = compose(config)
    remember(config.sources())
    _reject_other_alphabet(folder, parts.task)
    if checkpoint.constants not in (None, constants_hash(parts.target)):
        raise UserError(f"{folder}: the target's numbers that are not searched (buffers, and parameters with "
                        "requires_grad=False) are not those of the run; its module must make the same each time")
    if parts.task.checksum != config.data_checksum:
        raise UserError(f"{folder}: was made on other data: {parts.task.data_name} here has checksum "
                        f"{parts.task.checksum[:12]}…, the run {str(config.data_checksum)[:12]}…")
    # The same memory as before means the same blocks, and so the same bits.
    recorded = read_json(folder / "environment.json").get("memory_gb")
    if not isinstance(recorded, int | float):
        raise UserError(f"{folder / 'environment.json'}: has no memory_gb")
    writer = Writer(folder, config, lock, isinstance(parts.search, HasSpecies), checkpoint.lengths)
    run = Run(config, parts, float(recorded), writer, checkpoint.round, checkpoint.evaluations, checkpoint.seconds)
    if checkpoint.champion is not None:
        run.champion = Champion(checkpoint.champion, checkpoint.champion_round, checkpoint.champion_score)
    if checkpoint.carried is not None:
        run.carried = Carried(tuple(part.to(parts.device) for part in checkpoint.carried))
    parts.search.restore(checkpoint.search, read_fitness(folder / "fitness.bin"))
    return run


def _reject_changes(folder: Path, config: RunConfig, before: Values, code: Code) -> None:
    # An option that is newer than the checkpoint was then what it is by default.
    then_config = check_config(before, str(folder / "checkpoint"), code=code)
    now, then = (dict(flatten(config_values(own))) for own in (config, then_config))
    for key in sorted(now.keys() | then.keys()):
        if now.get(key) != then.get(key):
            raise UserError(f"{folder / 'config.toml'}: {key} was changed from {then.get(key)!r} to {now.get(key)!r} "
                            "since the checkpoint; start a new run for that")


def _reject_other_alphabet(folder: Path, task: Task) -> None:
    now, then = alphabet_facts(task).get("alphabet"), read_json(folder / "task.json").get("alphabet")
    if now is not None and now != then:
        other = next((symbol for symbol in now if symbol not in (then or ())), None)
        what = f"{task.data_name} here has {len(now)}" + (f", {other!r} among them" if other is not None else "")
        raise UserError(f"{folder}: was trained on another alphabet, of {len(then or ())} symbols: {what}")


def finished(folder: Path) -> bool:
    """Whether the run in a folder has its result."""
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


def write_checkpoint_of(run: Run, writer: Writer) -> None:
    """Write all that the run needs to go on."""
    champion = run.champion
    writer.checkpoint(Checkpoint(
        config_values(run.config), run.round, run.evaluations, run.seconds, run.parts.search.state(),
        writer.lengths(), champion.genotype if champion else None, champion.round if champion else 0,
        champion.validation_score if champion else 0.0, run.carried.state if run.carried else None,
        run.constants))
