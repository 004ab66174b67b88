"""Loggers of rounds beside metrics.csv: `run.log` names one by its file here, and Python takes any `Logger`.

A logger's file defines `PACKAGE`, what it imports, which is also the name of hyperevo's extra, and `build(folder)`. It
writes below `folder`, and nowhere else, without a network.
"""

import importlib
import importlib.util
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from hyperevo.errors import UserError, shown

MARK = ".hyperevo"
"""File in a run's folder `log` that says whose it is."""


class Logger(ABC):
    """Receives what every round of a run comes to."""

    def begin(self, settings: Mapping[str, object], round_: int) -> None:
        """Take the run's resolved settings, by dotted key, and the number of rounds that are done already: those after
        it, if any were logged, come again."""

    @abstractmethod
    def log(self, round_: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a round, by the names that metrics.csv has for them."""

    def end(self, result: Mapping[str, object] | None) -> None:
        """Take the content of result.json, None where the run was interrupted or failed, and close what is open."""


def logger_names() -> list[str]:
    """Names of the loggers that come along: their files'."""
    return sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))


def check_logger(name: str) -> None:
    """Raise UserError, with the extra that brings it, where a logger's package is not installed."""
    package = _module(name).PACKAGE
    if importlib.util.find_spec(package) is None:
        raise UserError(f"run.log: {shown(name)} needs the package {package}, which is not installed: "
                        f"pip install 'hyperevo[{name}]'")


def make_logger(name: str, folder: Path) -> Logger:
    """Logger of a name, which writes into the folder `log` of a run's folder; raises UserError where its package is not
    installed."""
    check_logger(name)
    own = folder / "log"
    own.mkdir(exist_ok=True)
    (own / MARK).touch()
    logger: Logger = _module(name).build(own)
    return logger


def remove_logs(folder: Path) -> None:
    """Remove a run folder's `log`, if a logger made it."""
    own = folder / "log"
    if not own.is_symlink() and (own / MARK).is_file():
        shutil.rmtree(own)


def _module(name: str):
    return importlib.import_module(f"hyperevo.loggers.{name}")
