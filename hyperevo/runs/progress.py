"""Progress of a run, round by round: in words, as a bar in a terminal, as a line below a notebook's cell."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from hyperevo.errors import shortened
from hyperevo.runs.crew import Crew
from hyperevo.runs.rounds import spent
from hyperevo.runs.state import Round, Run

Show = Callable[[Round], object]

SECONDS_BETWEEN_UPDATES = 0.1
"""Least time between two updates of a notebook's line."""


def plain_console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool = False) -> Console:
    """A console that shows text as it is: no square bracket is markup, and no colon the name of a picture."""
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=width,
                   soft_wrap=soft_wrap)


@contextmanager
def shown(run: Run) -> Iterator[Show]:
    """Function that shows a round: below a notebook's cell, or on stderr if that is a terminal; elsewhere nothing."""
    console = plain_console(stderr=True)
    if console.is_jupyter:
        yield _notebook_line(run)
    elif console.is_terminal:
        with bar(run, console) as show:
            yield show
    else:
        yield lambda round_: None


@contextmanager
def bar(run: Run, console: Console) -> Iterator[Show]:
    """Function that moves a progress bar on a terminal; the bar goes when the context ends."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(),
               TextColumn("{task.fields[text]}", markup=False), *_in_flight(run), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        place = progress.add_task(shortened(run.config.name), total=1.0, text="")
        progress.update(place, completed=spent(run))
        yield lambda round_: progress.update(place, completed=round_.spent, text=round_text(round_, run))


class _InFlight(ProgressColumn):
    """Number of blocks that workers have in hand while a round goes on."""

    def __init__(self, crew: Crew):
        super().__init__()
        self.crew = crew

    def render(self, task: Task) -> Text:
        """Text such as "4 blocks in flight"."""
        return Text(f"{self.crew.in_flight} blocks in flight")


def _in_flight(run: Run) -> list[ProgressColumn]:
    return [] if run.crew is None else [_InFlight(run.crew)]


def _notebook_line(run: Run) -> Show:
    from IPython.display import display  # there, if this is a notebook

    name = shortened(run.config.name)
    handle = display({"text/plain": name}, raw=True, display_id=True)
    last = [0.0]

    def show(round_: Round) -> None:
        now = time.monotonic()
        if now - last[0] >= SECONDS_BETWEEN_UPDATES or round_.spent >= 1:
            last[0] = now
            handle.update({"text/plain": f"{name}: {round_text(round_, run)}"}, raw=True)

    return show


def round_text(round_: Round, run: Run) -> str:
    """Line such as "round 20/100  best -1.234  mean -1.345  validation 71.2 %  35 ms/round", and of a run with workers
    "4 workers  812 networks/s"."""
    crew = run.crew
    workers = "" if crew is None else f"  {crew.workers} workers  {crew.per_second:.0f} networks/s"
    return f"{_round(round_, run)}  {_numbers(round_, run)}{workers}"


def _round(round_: Round, run: Run) -> str:
    """Round of all rounds, or the share of the budget where that may end the run first."""
    limits = run.config.run
    return f"round {round_.number}/{limits.rounds}" if limits.ends_with_rounds \
        else f"round {round_.number}, {round_.spent:.0%} of the budget"


def _numbers(round_: Round, run: Run) -> str:
    measure = run.parts.task.measure
    score = "" if round_.champion_score is None else \
        f"  validation {measure.text(round_.champion_score, 1 if measure.is_share else None)}"
    fitness = f"loss {-round_.mean:.4f}" if round_.learned else f"best {round_.best:.3f}  mean {round_.mean:.3f}"
    pace = f"{1000 * round_.seconds:.0f} ms" if round_.seconds < 10 else f"{round_.seconds:.0f} s"
    return f"{fitness}{score}  {pace}/round"
