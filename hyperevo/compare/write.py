"""Everything a comparison leaves in its folder: results, tables, figures and the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperevo.compare.fairness import remarks
from hyperevo.compare.figures import save_figures
from hyperevo.compare.outcomes import Outcome, by_name, read_outcomes, rows, unfinished, write_results
from hyperevo.compare.plan import Entry
from hyperevo.compare.report import write_report
from hyperevo.compare.tables import HEAD, latex, latex_columns, markdown, plain_markdown, table
from hyperevo.errors import RunFailed, UserError, one_line, reason
from hyperevo.plots.run_figures import Observe
from hyperevo.runs.files import write_text


def missing_runs(outcomes: Sequence[Outcome]) -> list[str]:
    """A sentence on runs that are not finished, in a list; empty where all are."""
    missing = unfinished(outcomes)
    if not missing:
        return []
    seeds = "; ".join(f"{name} (seed{'s' * (len(own) > 1)} {', '.join(str(run.entry.seed) for run in own)})"
                      for name, own in by_name(missing))
    return [f"Unfinished: {len(missing)} of {len(outcomes)} runs have no result yet: {seeds}."]


def make_folder(out: Path) -> None:
    """Make the folder of a comparison; raises UserError where it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {reason(error)}") from error


@dataclass(frozen=True)
class Written:
    """Table of a written comparison, one line per row; remarks on it; and paths of its files, the report last."""

    lines: list[tuple[str, ...]]
    remarks: list[str]
    paths: list[Path]


def write_comparison(entries: Sequence[Entry], out: Path, title: str, trust: bool = False,
                     observe: Observe = lambda *_: None) -> Written:
    """Write results.csv, table.md, table.tex, figures and report.html, from the runs as they are on disk.

    observe: called before each figure with the number of those drawn, the number of all, and its name.

    Raises RunFailed where no run is finished, UserError where the folder cannot be written, and UntrustedCode where a
    figure needs code that came with a run and may not run; with `trust` it may.
    """
    outcomes = read_outcomes(entries)
    finished = rows(outcomes)
    if not finished:
        raise RunFailed(f"none of the {len(entries)} runs is finished: there is nothing to compare")
    lines, notes = table(finished), remarks(entries, outcomes)
    said = [*missing_runs(outcomes), *notes]
    paths = [out / name for name in ("results.csv", "table.md", "table.tex", "report.html")]
    make_folder(out)
    try:
        write_results(outcomes, paths[0])
        write_text(paths[1], "".join(f"{plain_markdown(note)}\n\n" for note in said) + markdown(HEAD, lines))
        write_text(paths[2], "".join(f"% {one_line(note)}\n" for note in said) + latex(*latex_columns(HEAD, lines)))
        figures = save_figures(finished, outcomes, out / "figures", trust, observe)
        write_report(outcomes, paths[3], title, notes, [path for path in figures if path.suffix == ".png"])
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {reason(error)}") from error
    return Written(lines, said, [*paths[:3], *figures, paths[3]])
