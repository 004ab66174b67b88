"""Files of a run that grow while it runs: logs, checkpoints and the filmstrip; held by a lock."""

import csv
import io
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hyperevo.config import RunConfig
from hyperevo.errors import RunFailed, UserError, reason
from hyperevo.genotypes import Genotype, pack_genotype
from hyperevo.runs.checkpoint import Checkpoint, checkpoints, write_checkpoint
from hyperevo.runs.files import AppendLog, write_folder
from hyperevo.seal import file_hash
from hyperevo.signals import writing_whole

LOGS = ("metrics.csv", "timing.csv", "fitness.bin")
SUBWORDS = "subwords.model"
"""Model of the sub-words of a task whose symbols are some."""
FIXED = ("environment.json", "task.json", "inputs.json", SUBWORDS, "code/sources.json", "start/state.json",
         "start/tensors.safetensors", "generator/state.json", "generator/tensors.safetensors")
"""Files that stay as they are while the run goes on, if they are there."""
LOCK = "run.lock"


class Locked(UserError):
    """A folder that another process writes."""


def log_handler(path: Path) -> logging.Handler:
    """Handler that writes messages into a run's run.log, which is made with the first of them. A message that cannot be
    written is no reason to end a run."""
    if path.is_symlink():
        raise UserError(f"{path}: is a symbolic link; a run's own files are none")
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    vars(handler)["handleError"] = lambda record: None
    return handler


def lock_folder(folder: Path, name: str = LOCK, what: str = "run") -> FileLock:
    """Lock of a folder, held until it is released or its process ends; raises Locked where another process holds it.
    """
    if (folder / name).is_symlink():
        raise UserError(f"{folder / name}: is a symbolic link; a run's own files are none")
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Locked(f"{folder}: another process is writing this {what}") from None
    except (OSError, NotImplementedError) as error:
        cause = reason(error) if isinstance(error, OSError) else error
        raise UserError(f"{folder}: cannot be locked: {cause}") from error
    return lock


class Writer:
    """Writes a run's rounds into its folder."""

    def __init__(self, folder: Path, config: RunConfig, lock: FileLock, has_species: bool,
                 last: Checkpoint | None = None):
        """last: the checkpoint that the run goes on from; raises UserError where a file is not as it says."""
        self.folder, self.config, self._lock = folder, config, lock
        names = (*LOGS, "species.csv") if has_species else LOGS
        lengths, hashes = (last.lengths, last.hashes) if last else ({}, {})
        self._fixed = {name: file_hash(folder / name) for name in FIXED if (folder / name).is_file()}
        self._logs: dict[str, AppendLog] = {}
        self._frames = filmstrip_rounds(config)
        with ExitStack() as opened:
            for name in names:
                self._logs[name] = AppendLog(folder / name, lengths.get(name, 0), hashes.get(name))
                opened.callback(self._logs[name].close)
            for name in ("checkpoint", "filmstrip")[: 1 + bool(self._frames)]:
                (folder / name).mkdir(exist_ok=True)
            opened.pop_all()

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
            plain, tensors = pack_genotype(champion)
            write_folder(self.folder / "filmstrip" / f"{round_:06d}", plain, tensors)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint."""
        write_checkpoint(self.folder, checkpoint)

    def lengths(self) -> dict[str, int]:
        """Number of bytes in every log."""
        return {name: log.length() for name, log in self._logs.items()}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every log, and of the files that stay as they are."""
        return self._fixed | {name: log.sha256() for name, log in self._logs.items()}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write all of it before a signal is heard; tell what cannot be written as RunFailed, in one line that says
        from which round `resume` goes on."""
        try:
            with writing_whole():
                yield
        except OSError as error:
            found = checkpoints(self.folder)
            then = f"`resume` goes on from round {int(found[-1].name)}" if found else "no checkpoint is left there"
            raise RunFailed(f"{self.folder}: cannot be written: {reason(error)}; {then}") from error

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
