"""Files of a run that grow while it runs: logs, checkpoints and the filmstrip; held by a lock."""

import csv
import io
import logging
import math
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from hyperevo.config import RunConfig
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, pack_genotype
from hyperevo.runs.checkpoint import Checkpoint, write_checkpoint
from hyperevo.runs.files import AppendLog, write_folder

LOGS = ("metrics.csv", "timing.csv", "fitness.bin")
LOCK = "run.lock"


def log_handler(path: Path) -> logging.Handler:
    """Handler that writes messages into a run's run.log, which is made with the first of them."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def lock_folder(folder: Path) -> FileLock:
    """Lock of a run folder, held until it is released or its process ends; raises UserError where another process holds
    it."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder}: another process is writing this run") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be locked: {error.strerror or error}") from error
    return lock


class Writer:
    """Writes a run's rounds into its folder."""

    def __init__(self, folder: Path, config: RunConfig, lock: FileLock, has_species: bool,
                 lengths: Mapping[str, int] | None = None):
        """lengths: of the logs, at the checkpoint that the run goes on from."""
        self.folder, self.config, self._lock = folder, config, lock
        names = (*LOGS, "species.csv") if has_species else LOGS
        self._logs = {name: AppendLog(folder / name, None if lengths is None else lengths.get(name, 0))
                      for name in names}
        self._frames = filmstrip_rounds(config)

    def row(self, file: str, values: Mapping[str, object]) -> None:
        """Add a row to a CSV log, after a head where it is the first."""
        text = io.StringIO()
        writer = csv.DictWriter(text, values, lineterminator="\n")
        if self._logs[file].length() == 0:
            writer.writeheader()
        writer.writerow(values)
        self._logs[file].append(text.getvalue().encode())

    def fitness(self, record: bytes) -> None:
        """Add a record to fitness.bin."""
        self._logs["fitness.bin"].append(record)

    def frame(self, round_: int, champion: Genotype) -> None:
        """Keep the champion for the filmstrip, if this round is one of its frames."""
        if round_ in self._frames:
            write_folder(self.folder / "filmstrip" / f"{round_:06d}", *pack_genotype(champion))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        write_checkpoint(self.folder, checkpoint)

    def lengths(self) -> dict[str, int]:
        """Number of bytes in every log."""
        return {name: log.length() for name, log in self._logs.items()}

    def close(self) -> None:
        """Close the logs and release the folder's lock."""
        for log in self._logs.values():
            log.close()
        self._lock.release()


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
