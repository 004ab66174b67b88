"""TensorBoard: event files, for `tensorboard --logdir runs`."""

from collections.abc import Mapping
from pathlib import Path

from hyperevo.loggers import Logger

PACKAGE = "tensorboard"


class TensorBoard(Logger):
    """Scalars by round; the settings as text."""

    def __init__(self, folder: Path):
        self._folder = folder

    def begin(self, settings: Mapping[str, object], round_: int) -> None:
        """Open an event file, which takes the place of rounds after `round_`."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=round_ + 1)
        self._writer.add_text("config", "\n".join(f"    {key} = {value}" for key, value in settings.items()), round_)

    def log(self, round_: int, values: Mapping[str, float]) -> None:
        """Add scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, round_)

    def end(self, result: Mapping[str, object] | None) -> None:
        """Add the test score, and close the file."""
        if result is not None:
            self._writer.add_scalar("test_accuracy", result["test_accuracy"], int(str(result["rounds"])))
        self._writer.close()


build = TensorBoard
