"""Checkpoints: a folder each, written whole, the last two kept."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from hyperevo.config import Values
from hyperevo.errors import UserError, shortened
from hyperevo.genotypes import Genotype, pack_genotype, unpack_genotype
from hyperevo.parts import State
from hyperevo.runs.files import KEPT, read_folder, remove_folder, write_folder
from hyperevo.runs.schemas import CheckpointFile, checked
from hyperevo.seal import STATE


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on: config, counters, the search's state, lengths of the logs, and the
    champion."""

    config: Values
    round: int
    evaluations: int
    seconds: float
    search: State
    lengths: dict[str, int]
    champion: Genotype | None
    champion_round: int
    champion_score: float
    carried: tuple[Tensor, ...] | None = None
    """State of a target that reads on from batch to batch; None for others."""
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the logs, up to their lengths, and of the files that stay as they are; none in those of earlier
    versions."""
    limits_before: Values = field(default_factory=dict)
    """Limits by key that the config had before the run was extended, where this is the extended run's first checkpoint.
    """
    constants: str | None = None
    """SHA-256 of the target's numbers that are not searched; None where there are none."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint/<round>`, and remove all but the last two."""
    tensors = {f"search.{key}": value for key, value in checkpoint.search.items() if isinstance(value, Tensor)}
    plain = {key: value for key, value in checkpoint.search.items() if not isinstance(value, Tensor)}
    tensors |= {f"carried.{place}": part for place, part in enumerate(checkpoint.carried or ())}
    champion = None
    if checkpoint.champion is not None:
        champion, parts = pack_genotype(checkpoint.champion)
        tensors |= {f"champion.{name}": tensor for name, tensor in parts.items()}
    values = {"config": checkpoint.config, "round": checkpoint.round, "evaluations": checkpoint.evaluations,
              "seconds": checkpoint.seconds, "search": plain, "lengths": checkpoint.lengths, "champion": champion,
              "champion_round": checkpoint.champion_round, "champion_accuracy": checkpoint.champion_score,
              "hashes": checkpoint.hashes, "limits_before": checkpoint.limits_before, "constants": checkpoint.constants}
    write_folder(folder / "checkpoint" / f"{checkpoint.round:08d}", values, tensors)
    prune(folder)


def prune(folder: Path) -> None:
    """Remove all checkpoints but the last two."""
    for old in checkpoints(folder)[:-2]:
        remove_folder(old, KEPT)


def checkpoints(folder: Path) -> list[Path]:
    """Folders of a run's whole checkpoints, oldest first."""
    return sorted(path for path in (folder / "checkpoint").glob("[0-9]" * 8)
                  if (path / STATE).exists() and not path.is_symlink())


def latest_checkpoint(folder: Path) -> Checkpoint:
    """Newest checkpoint of a run; raises UserError naming the file where there is none or it is damaged."""
    found = checkpoints(folder)
    if not found:
        raise UserError(f"{folder / 'checkpoint'}: holds no checkpoint")
    try:
        return _read(found[-1])
    except UserError as error:
        mend = f"; delete {found[-1]} to go on from round {int(found[-2].name)}" if len(found) > 1 else ""
        raise UserError(f"{error}{mend}") from error


def _read(folder: Path) -> Checkpoint:
    values, tensors = read_folder(folder)
    found = checked(CheckpointFile, values, folder / STATE)
    if found.round != int(folder.name):
        raise UserError(f"{folder / STATE}: round: is {found.round}, and the folder's name says {int(folder.name)}")
    carried = _with_prefix(tensors, "carried.")
    try:
        champion = values["champion"] and unpack_genotype(values["champion"], _with_prefix(tensors, "champion."))
        places = sorted(carried, key=int)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: champion: {shortened(error)}") from error
    return Checkpoint(found.config, found.round, found.evaluations, found.seconds,
                      found.search | _with_prefix(tensors, "search."), found.lengths, champion, found.champion_round,
                      found.champion_accuracy, tuple(carried[place] for place in places) or None,
                      found.hashes, found.limits_before, found.constants)


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
