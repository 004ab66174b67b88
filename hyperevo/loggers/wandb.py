"""Weights & Biases, offline: `wandb sync runs/NAME/log/wandb/offline-run-…` uploads it when you want it."""

from collections.abc import Mapping
from pathlib import Path

from hyperevo.loggers import Logger

PACKAGE = "wandb"


class WeightsAndBiases(Logger):
    """One offline run; a run that is resumed begins another one from its checkpoint on."""

    def __init__(self, folder: Path):
        self._folder = folder

    def begin(self, settings: Mapping[str, object], round_: int) -> None:
        """Open an offline run."""
        import wandb

        self._run = wandb.init(project="hyperevo", name=str(settings["name"]), dir=str(self._folder), mode="offline",
                               config=dict(settings), settings=wandb.Settings(silent=True, console="off"))

    def log(self, round_: int, values: Mapping[str, float]) -> None:
        """Add numbers."""
        self._run.log(dict(values), step=round_)

    def end(self, result: Mapping[str, object] | None) -> None:
        """Add the test score, and end the run."""
        if result is not None:
            self._run.summary["test_accuracy"] = result["test_accuracy"]
        self._run.finish(exit_code=0 if result is not None else 1)


build = WeightsAndBiases
