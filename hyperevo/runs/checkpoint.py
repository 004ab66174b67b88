"""Checkpoints: a folder each, written whole, the last two kept."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hyperevo.config import Values
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, pack_genotype, unpack_genotype
from hyperevo.parts import State
from hyperevo.runs.files import is_temporary, read_folder, write_folder


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on: its config, counters, the search's state, the logs' lengths, the champion."""

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
    """The state of a target that reads on from batch to batch."""
    constants: str | None = None
    """SHA-256 of the target's numbers that are not searched."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint/<round>` and remove all but the last two."""
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
              "constants": checkpoint.constants}
    write_folder(folder / "checkpoint" / f"{checkpoint.round:08d}", values, tensors)
    unfinished = [path for path in (folder / "checkpoint").iterdir() if is_temporary(path) and path.is_dir()]
    for old in [*checkpoints(folder)[:-2], *unfinished]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """A run's whole checkpoints, oldest first."""
    return sorted(path for path in (folder / "checkpoint").glob("[0-9]" * 8)
                  if path.is_dir() and not path.is_symlink())


def latest_checkpoint(folder: Path) -> Checkpoint:
    """The newest checkpoint of a run; raises UserError naming the file where there is none or it is damaged."""
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
    try:
        search = values["search"] | _with_prefix(tensors, "search.")
        champion = values["champion"] and unpack_genotype(values["champion"], _with_prefix(tensors, "champion."))
        carried = _with_prefix(tensors, "carried.")
        return Checkpoint(values["config"], values["round"], values["evaluations"], values["seconds"], search,
                          values["lengths"], champion, values["champion_round"], values["champion_accuracy"],
                          tuple(carried[place] for place in sorted(carried)) or None, values.get("constants"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: is not a checkpoint: {error!r}") from error


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
