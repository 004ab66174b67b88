"""Progress of a comparison, read from its run folders: one line for each row, one cell for each seed."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from rich.live import Live
from rich.table import Table

from hyperevo.compare.plan import Entry
from hyperevo.measure import ACCURACY, Measure
from hyperevo.runs import finished
from hyperevo.runs.progress import plain_console
from hyperevo.runs.rounds import share_spent
from hyperevo.runs.schemas import METRICS, TIMING, ResultFile, TaskFile, read_checked, read_log

SECONDS_BETWEEN_TABLES = 0.5
SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class State:
    """State of one run: `finished`, `failed`, `begun` or `waiting`; its share done, and the accuracy known so far."""

    name: str
    seed: int
    state: str
    share: float
    score: float | None
    measure: Measure = ACCURACY

    def __str__(self) -> str:
        """Text of a cell: 92.81 %, 41 % done (90.1 %), failed, or a dot."""
        if self.state == "finished":
            return self.measure.text(self.score or 0.0)
        if self.state == "begun":
            known = "" if self.score is None else f" ({self.measure.text(self.score)})"
            return f"{self.share:.0%} done{known}"
        return {"failed": "failed", "waiting": "·"}[self.state]


def states(entries: Sequence[Entry], failed: Mapping[Path, str]) -> list[State]:
    """State of every run on disk. The accuracy of a finished run is that of the test, of any other the champion's on
    the validation examples."""
    return [_state(entry, entry.folder in failed) for entry in entries]


def _state(entry: Entry, failed: bool) -> State:
    if finished(entry.folder):
        result = read_checked(entry.folder / "result.json", ResultFile)
        return State(entry.name, entry.seed, "finished", 1.0, result["test_accuracy"],
                     Measure.read(result))
    metrics = read_log(entry.folder / "metrics.csv", METRICS)
    if failed or not metrics:
        return State(entry.name, entry.seed, "failed" if failed else "waiting", 0.0, None)
    seconds = sum(float(row["seconds"]) for row in read_log(entry.folder / "timing.csv", TIMING))
    score, task = metrics[-1]["champion_accuracy"], read_checked(entry.folder / "task.json", TaskFile)
    # Runs of earlier versions do not say how many examples a batch has.
    share = share_spent(entry.config, int(metrics[-1]["round"]), int(metrics[-1]["evaluations"]), seconds,
                        int(task.get("examples_per_batch", 0)))
    return State(entry.name, entry.seed, "begun", min(share, 1.0), float(score) if score else None, Measure.read(task))


def state_table(found: Sequence[State], width: int = 1000) -> Table:
    """A table of all runs' states, one line for each row, one column for each seed; in a narrow width one column of
    counts for all seeds."""
    seeds = sorted({state.seed for state in found})
    names = max((len(state.name) for state in found), default=0)
    if min(names, width // 3) + len(seeds) * (max((len(str(state)) for state in found), default=0) + 2) > width:
        return _counts_table(found)
    done = sum(state.state == "finished" for state in found)
    table = Table("", *(f"seed {seed}" for seed in seeds), title=f"{done} of {len(found)} runs finished", box=None,
                  title_justify="left", padding=(0, 2, 0, 0))
    cells = {(state.name, state.seed): str(state) for state in found}
    for name in dict.fromkeys(state.name for state in found):
        table.add_row(name, *(cells.get((name, seed), "") for seed in seeds))
    return table


def _counts_table(found: Sequence[State]) -> Table:
    """A table of states with one line for each row: how many seeds are finished, and their mean so far."""
    done = sum(state.state == "finished" for state in found)
    table = Table("", "finished", "mean", "under way", title=f"{done} of {len(found)} runs finished", box=None,
                  title_justify="left", padding=(0, 2, 0, 0))
    for name in dict.fromkeys(state.name for state in found):
        own = [state for state in found if state.name == name]
        scores = [state.score for state in own if state.state == "finished" and state.score is not None]
        begun = [f"seed {state.seed} {state.share:.0%}" if state.state == "begun" else f"seed {state.seed} failed"
                 for state in own if state.state in ("begun", "failed")]
        table.add_row(name, f"{len(scores)} of {len(own)}", own[0].measure.text(mean(scores)) if scores else "·",
                      ", ".join(begun))
    return table


@contextmanager
def shown_live(entries: Sequence[Entry]) -> Iterator[Callable[[Mapping[Path, str]], None]]:
    """Show the runs' progress on stderr: in a table, or, where stderr is no terminal, in a line every few seconds and
    one for every run that ends. Yields a function to call as runs go on, with the failed ones by folder."""
    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield _line_printer(entries)
        return
    with Live(state_table(states(entries, {}), console.width), console=console, auto_refresh=False) as live:
        last, known = [0.0], dict[Path, str]()

        def follow(failed: Mapping[Path, str]) -> None:
            known.update(failed)
            if time.monotonic() - last[0] >= SECONDS_BETWEEN_TABLES:
                last[0] = time.monotonic()
                live.update(state_table(states(entries, failed), console.width), refresh=True)

        yield follow
        live.update(state_table(states(entries, known), console.width), refresh=True)


def _line_printer(entries: Sequence[Entry]) -> Callable[[Mapping[Path, str]], None]:
    ended = {(state.name, state.seed) for state in states(entries, {}) if state.state == "finished"}
    last = [time.monotonic()]

    def follow(failed: Mapping[Path, str]) -> None:
        new = [entry for entry in entries if (entry.name, entry.seed) not in ended
               and (finished(entry.folder) or entry.folder in failed)]
        late = time.monotonic() - last[0] >= SECONDS_BETWEEN_LINES
        if not new and not late:
            return
        last[0] = time.monotonic()
        found = states(entries, failed)
        ended.update((entry.name, entry.seed) for entry in new)
        told = [state for state in found if state.state == "begun"] if late and not new else [
            state for state in found if (state.name, state.seed) in {(entry.name, entry.seed) for entry in new}]
        for state in told:
            print(f"{state.name}, seed {state.seed}: {state}", file=sys.stderr, flush=True)

    return follow
