"""Rounds told to loggers: that of `run.log`, and those that Python gives."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hyperevo.config import config_values
from hyperevo.errors import UserError
from hyperevo.loggers import Logger, make_logger
from hyperevo.runs.state import Round, Run
from hyperevo.toml import flatten

Tell = Callable[[Round], None]
"""Function that tells a round to all loggers."""


def loggers_of(run: Run) -> list[Logger]:
    """Loggers of a run's settings; raises UserError where it has no folder to write them to."""
    name = run.config.run.log
    if not name:
        return []
    if run.writer is None:
        raise UserError(f"run.log: {name} writes into the run's folder, and this run has none (out)")
    return [make_logger(name, run.folder)]


@contextmanager
def told(run: Run, loggers: Sequence[Logger] = ()) -> Iterator[Tell]:
    """Function that tells a round to the run's loggers and to those given; they end with the context, with the result
    where the run has one by then."""
    every, begun = [*loggers_of(run), *loggers], []
    try:
        for logger in every:
            logger.begin(dict(flatten(config_values(run.config))), run.round)
            begun.append(logger)
        yield lambda round_: _tell(every, round_.number, values_of(round_, run))
    finally:
        for logger in begun:
            logger.end(run.result)


def _tell(loggers: Sequence[Logger], round_: int, values: dict[str, float]) -> None:
    for logger in loggers:
        logger.log(round_, values)


def values_of(round_: Round, run: Run) -> dict[str, float]:
    """Numbers of a round that are finite, by the names that metrics.csv has for them."""
    values = {"evaluations": run.evaluations, "best": round_.best, "mean": round_.mean, "failed": round_.failed,
              "validation_accuracy": round_.validation_score, "champion_accuracy": round_.champion_score,
              "seconds": round_.seconds, **run.parts.search.statistics()}
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
