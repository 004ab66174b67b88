"""What the command line shows: progress on stderr, results on stdout."""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hyperevo.components import load_component
from hyperevo.config import LoadedConfig, RunConfig, config_text, config_values, flatten
from hyperevo.data import DataMissing, data_source, dataset_names, verify
from hyperevo.runs import Round, Run, create_run, execute

SECONDS_BETWEEN_LINES = 10.0


def create_with_fallback(config: RunConfig, folder: Path, overwrite: bool, fallback: bool) -> Run:
    """A new run; where its data cannot be had and `fallback` allows it, on digits, after a line that says so."""
    try:
        return create_run(config, folder, overwrite)
    except DataMissing as error:
        if not fallback:
            raise
        typer.echo(f"note: {error}. Going on with scikit-learn's 8 × 8 digits; --no-fallback makes this an error.",
                   err=True)
    digits = load_component("task", "digits").Settings
    kept = {key: value for key, value in config.part("task").model_dump(exclude_unset=True).items()
            if key in digits.model_fields and key not in ("name", "validation")}
    return create_run(config.model_copy(update={"task": digits(**kept)}), folder, overwrite)


def execute_with_progress(run: Run) -> dict[str, Any]:
    """Run to the end under a progress bar, or with a line every few seconds where stderr is no terminal."""
    _log_to(run.folder / "run.log")
    config = run.config
    title = f"{config.name} on {run.parts.task.data_name}"
    typer.echo(f"{title}: {run.folder}, device {run.parts.device}, seed {config.seed}", err=True)
    console = Console(stderr=True)
    if not console.is_terminal:
        return execute(run, _line_printer(title, run.round))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TextColumn("{task.fields[numbers]}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(config.name, total=config.run.rounds, completed=run.round, numbers="")
        return execute(run, lambda round_: progress.update(bar, completed=round_.number, numbers=_numbers(round_)))


def _numbers(round_: Round) -> str:
    accuracy = "" if round_.champion_accuracy is None else f"  validation {100 * round_.champion_accuracy:.1f} %"
    return f"best {round_.best:.3f}  mean {round_.mean:.3f}{accuracy}  {1000 * round_.seconds:.0f} ms/round"


def _line_printer(title: str, done_before: int) -> Callable[[Round], None]:
    started = time.monotonic()
    last = [0.0]

    def show(round_: Round) -> None:
        now = time.monotonic()
        if now - last[0] < SECONDS_BETWEEN_LINES and round_.number < round_.of:
            return
        last[0] = now
        left = (now - started) / (round_.number - done_before) * (round_.of - round_.number)
        print(f"{title}: round {round_.number}/{round_.of}  {_numbers(round_)}  {left:.0f} s left",
              file=sys.stderr, flush=True)

    return show


def _log_to(path: Path) -> None:
    logger = logging.getLogger("hyperevo")
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)


def print_result(result: dict[str, Any]) -> None:
    """The result in words: test accuracy first."""
    typer.echo(f"test accuracy {100 * result['test_accuracy']:.2f} % on all {result['test_images']:,} test images of "
               f"{result['data']}")
    typer.echo(f"{result['encoded_genes']:,} encoded genes and {result['direct_parameters']:,} direct parameters for "
               f"{result['generated_weights']:,} generated weights; {result['evaluations']:,} evaluations in "
               f"{result['seconds']:.0f} s; champion of round {result['champion_round']}, validation accuracy "
               f"{100 * result['validation_accuracy']:.2f} %")


def print_config(loaded: LoadedConfig, counts: dict[str, int]) -> None:
    """The resolved config as TOML, the origin of each value that is not a default, and the gene counts."""
    typer.echo(config_text(loaded.config).rstrip())
    values = dict(flatten(config_values(loaded.config)))
    table = Table("key", "value", "from", box=None, padding=(0, 2, 0, 0))
    for key, origin in loaded.origins.items():
        table.add_row(key, str(values.get(key, "")), origin)
    console = Console(soft_wrap=True)
    console.print("\nset by (all other values are defaults):", markup=False)
    console.print(table)
    for name, count in counts.items():
        typer.echo(f"{name}: {count:,}")


def print_datasets(as_json: bool) -> None:
    """Every data set: what it is, its terms, and whether it is on this machine."""
    rows = [{"name": name, "title": data_source(name).TITLE, "terms": data_source(name).TERMS, "state": _state(name)}
            for name in dataset_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['name']:10}{row['title']} ({row['terms']}): {row['state']}")


def _state(name: str) -> str:
    files = verify(name)
    if wrong := [file for file in files if file.path is not None and file.problem]:
        return f"{wrong[0].path} {wrong[0].problem}"
    if any(file.path is None for file in files):
        return "not here; fetched when it is needed"
    folders = {str(file.path.parent) for file in files if file.path}
    return f"in {', '.join(sorted(folders))}" if folders else "comes with a library"


def verify_datasets(names: list[str]) -> bool:
    """One line per file; whether all are there and right. Without names: those data sets that are partly here."""
    checked = {name: verify(name) for name in names or dataset_names()}
    good = True
    for name, files in checked.items():
        for file in files if names or any(file.path for file in files) else ():
            good &= file.problem is None
            typer.echo(f"{name}/{file.name}: {file.problem or 'right'}{f' ({file.path})' if file.path else ''}")
    return good
