"""Progress of a run, round by round: in words, as a bar in a terminal, as a line below a notebook's cell."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from hyperevo.errors import shortened
from hyperevo.runs.pulse import listening
from hyperevo.runs.rounds import spent
from hyperevo.runs.state import Round, Run

Show = Callable[[Round], object]

SECONDS_BETWEEN_UPDATES = 0.1
"""Least time between two updates of a notebook's line."""

SECONDS_BEFORE_SHARES = 0.5
"""Time that a round has to take before a bar or a notebook's line says how much of it is done."""

NARROWEST_BAR = 8
"""Least width of a bar, in columns."""


def plain_console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool = False,
                  file: IO[str] | None = None) -> Console:
    """A console that shows text as it is: no square bracket is markup, and no colon the name of a picture."""
    return Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=width,
                   soft_wrap=soft_wrap, file=file)


@contextmanager
def shown(run: Run) -> Iterator[Show]:
    """Function that shows a round: below a notebook's cell, or on stderr if that is a terminal; elsewhere nothing."""
    console = plain_console(stderr=True)
    if console.is_jupyter:
        show, say = _notebook_line(run)
        with lively(run, show, say, SECONDS_BEFORE_SHARES) as show:
            yield show
    elif console.is_terminal:
        with bar(run, console) as show:
            yield show
    else:
        yield lambda round_: None


@contextmanager
def bar(run: Run, console: Console) -> Iterator[Show]:
    """Function that moves a progress bar on a terminal; the bar goes when the context ends. What is said beside the bar
    fits the terminal's width."""
    name = cut(shortened(run.config.name), max(console.width // 5, 8))
    room = console.width - len(name) - NARROWEST_BAR - len("-:--:--") - 5
    columns = (SpinnerColumn(), _words("description"), BarColumn(None, table_column=Column(ratio=1)),
               _words("fields[text]"), TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)))
    with Progress(*columns, console=console, expand=True) as progress:
        place = progress.add_task(name, total=1.0, text="")
        progress.update(place, completed=spent(run))

        def move(round_: Round) -> None:
            progress.update(place, completed=round_.spent, text=round_text(round_, run, room))

        with lively(run, move, lambda text: progress.update(place, text=text), SECONDS_BEFORE_SHARES) as show:
            yield show


def _words(what: str) -> TextColumn:
    return TextColumn(f"{{task.{what}}}", markup=False, table_column=Column(no_wrap=True))


def cut(text: str, width: int) -> str:
    """Text in so many columns at most, with an ellipsis where it is longer."""
    return text if len(text) <= width else f"{text[:width - 1]}…"


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int, str], object]]:
    """Function of (number done, number of all, name of the next) that moves a bar on stderr, if that is a terminal."""
    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total, name: None
        return
    columns = (_words("description"), BarColumn(None, table_column=Column(ratio=1)), _words("fields[text]"))
    with Progress(*columns, console=console, expand=True, transient=True) as progress:
        place = progress.add_task(what, total=None, text="")

        def show(done: int, total: int, name: str) -> None:
            room = max(console.width - len(what) - NARROWEST_BAR - 2, 8)
            progress.update(place, completed=done, total=total, text=cut(f"{done}/{total}  {name}", room))

        yield show


@contextmanager
def lively(run: Run, show: Show, say: Callable[[str], object], pause: float) -> Iterator[Show]:
    """Function that shows a round; and while it lasts, `say` is called with how much of a long round is done, such as
    "round 21: 40%", every `pause` seconds."""
    last, number = [time.monotonic()], [run.round + 1]

    def shown(round_: Round) -> None:
        last[0], number[0] = time.monotonic(), round_.number + 1
        show(round_)

    def share(done: int, whole: int) -> None:
        if time.monotonic() - last[0] >= pause:
            last[0] = time.monotonic()
            flight = "" if run.crew is None else f"  {run.crew.in_flight} blocks in flight"
            say(f"round {number[0]}: {done / whole:.0%}{flight}")

    with listening(share):
        yield shown


def _notebook_line(run: Run) -> tuple[Show, Callable[[str], object]]:
    """Functions that show a round, and a text, below a notebook's cell."""
    from IPython.display import display  # there, if this is a notebook

    name = shortened(run.config.name)
    handle = display({"text/plain": name}, raw=True, display_id=True)
    last = [0.0]

    def show(round_: Round) -> None:
        now = time.monotonic()
        if now - last[0] >= SECONDS_BETWEEN_UPDATES or round_.spent >= 1:
            last[0] = now
            handle.update({"text/plain": f"{name}: {round_text(round_, run)}"}, raw=True)

    return show, lambda text: handle.update({"text/plain": f"{name}: {text}"}, raw=True)


def round_text(round_: Round, run: Run, width: int | None = None) -> str:
    """Line such as "round 20/100  validation 71.2 %  best -1.234  mean -1.345  35 ms/round", and of a run with workers
    "4 workers  812 networks/s"; in a narrow width without its end."""
    workers = [] if run.crew is None else [f"{run.crew.workers} workers", f"{run.crew.per_second:.0f} networks/s"]
    parts = [_round(round_, run), *_numbers(round_, run), *workers]
    while width is not None and len(parts) > 1 and len("  ".join(parts)) > width:
        parts.pop()
    return "  ".join(parts)


def _round(round_: Round, run: Run) -> str:
    """Round of all rounds, or the share of the budget where that may end the run first."""
    limits = run.config.run
    return f"round {round_.number}/{limits.rounds}" if limits.ends_with_rounds \
        else f"round {round_.number}, {round_.spent:.0%} of the budget"


def _numbers(round_: Round, run: Run) -> list[str]:
    """Score, fitness and pace, the most important first."""
    measure = run.parts.task.measure
    score = [] if round_.champion_score is None else [
        f"validation {measure.text(round_.champion_score, 1 if measure.is_share else None)}"]
    fitness = [f"loss {-round_.mean:.4f}"] if round_.learned else [f"best {round_.best:.3f}", f"mean {round_.mean:.3f}"]
    pace = f"{1000 * round_.seconds:.0f} ms" if round_.seconds < 10 else f"{round_.seconds:.0f} s"
    return [*score, *fitness, f"{pace}/round"]
