"""Output of the command line: progress on stderr, results on stdout."""

import json
import logging
import re
import shutil
import signal
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
import typer
from rich.table import Table

from hyperevo.compare.plan import Entry
from hyperevo.config import LoadedConfig, RunConfig, Setting, as_toml, explained
from hyperevo.data import DataMissing, data_source, dataset_names, verify
from hyperevo.errors import UserError, one_line, shortened
from hyperevo.guests import Code
from hyperevo.measure import Measure
from hyperevo.reading import is_there
from hyperevo.runs import Interrupted, Result, Round, Run, create_run, execute, finished, spent
from hyperevo.runs.checkpoint import checkpoints
from hyperevo.runs.compose import choose_device, remarks
from hyperevo.runs.files import write_json
from hyperevo.runs.own_files import FolderTaken
from hyperevo.runs.progress import bar, counted, lively, plain_console, round_text
from hyperevo.runs.spread import Spread
from hyperevo.runs.writer import Locked, lock_folder, log_handler
from hyperevo.signals import answering, end

SECONDS_BETWEEN_LINES = 10.0

WIDTH_OF_FILES = 130
"""Columns of a table that goes into a file or a pipe."""


def create_with_fallback(config: RunConfig, folder: Path, overwrite: bool, fallback: bool, spread: Spread) -> Run:
    """Create a run; where its data cannot be had and `fallback` allows it, on digits, after a line that says so."""
    try:
        return create_run(config, folder, overwrite, spread)
    except DataMissing as error:
        if not fallback or config.task.without_data() is None:
            raise
        typer.echo(f"note: {error}. Going on with scikit-learn's 8 × 8 digits; --no-fallback makes this an error.",
                   err=True)
    return create_run(config.model_copy(update={"task": config.task.without_data()}), folder, overwrite, spread)


def create_in_free_folder(config: RunConfig, fallback: bool, spread: Spread) -> Run:
    """A new run in runs/NAME, or the next of runs/NAME-2, … that is free and that no other process takes first."""
    for folder in run_folders(config.name):
        if is_there(folder):
            continue
        with suppress(FolderTaken, Locked):
            return create_with_fallback(config, folder, False, fallback, spread)
    raise UserError(f"{folder}: is taken, and so are all names before it; choose a folder with --out")


def run_folders(name: str) -> list[Path]:
    """Folders for a run of a name, one component below runs/ whatever the name is."""
    plain = re.sub(r"[^\w.+-]+", "-", name)[:60].strip(".-") or "run"
    return [Path("runs") / plain, *(Path("runs") / f"{plain}-{number}" for number in range(2, 10_000))]


def execute_with_progress(run: Run) -> Result:
    """Run to the end under a progress bar, or with a line every few seconds where stderr is no terminal."""
    config = run.config
    title = shortened(f"{config.name} on {run.parts.task.data_name}")
    typer.echo(f"{title}: {run.folder}, device {run.parts.device}, seed {config.seed}", err=True)
    say(remarks(run.parts, config.run.precision))
    console = plain_console(stderr=True)
    with _log_to(run.folder / "run.log"), answering(lambda: stopped_line(run.folder)):
        if console.is_terminal:
            with bar(run, console) as show:
                return execute(run, show)
        with lively(run, _line_printer(title, run), lambda text: _print_line(f"{title}: {text}"),
                    SECONDS_BETWEEN_LINES) as show:
            return execute(run, show)


def stopped_line(folder: Path) -> str:
    """Line of a run that a signal ended: its last checkpoint, and the command that goes on."""
    done = int(checkpoints(folder)[-1].name)
    return f"Stopped after round {done}. Go on with: python -m hyperevo resume {folder}"


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _line_printer(title: str, run: Run) -> Callable[[Round], None]:
    started, spent_before = time.monotonic(), spent(run)
    last = [0.0]

    def show(round_: Round) -> None:
        now = time.monotonic()
        if now - last[0] < SECONDS_BETWEEN_LINES and round_.spent < 1:
            return
        last[0] = now
        left = (now - started) / (round_.spent - spent_before) * max(1 - round_.spent, 0.0)
        _print_line(f"{title}: {round_text(round_, run)}  {left:.0f} s left")

    return show


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Write messages to a file while it lasts."""
    logger = logging.getLogger("hyperevo")
    logger.setLevel(logging.INFO)
    handler = log_handler(path)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):
            handler.close()


def print_result(result: Mapping[str, Any]) -> None:
    """Print the result in words, test accuracy first."""
    measure = Measure.read(result)
    typer.echo(f"test {measure.name} {measure.text(result['test_accuracy'])} on all {result['test_images']:,} test "
               f"{result.get('examples', 'images')} of {shortened(result['data'])}")
    if len(seeds := result.get("test_accuracies", [])) > 1:
        numbers = ["none" if seed is None else measure.number(seed) for seed in seeds]
        mean = "none" if None in seeds else measure.text(statistics.mean(seeds))
        typer.echo(f"all {len(seeds)}: {', '.join(numbers)}{measure.unit}, mean {mean}")
    fitted = result.get("fitted_parameters")
    typer.echo(f"{result['encoded_genes']:,} encoded genes and {result['direct_parameters']:,} direct parameters for "
               f"{result['generated_weights']:,} generated weights"
               f"{f', {fitted:,} readout weights fitted by ridge regression' if fitted else ''}; "
               f"{result['evaluations']:,} evaluations in "
               f"{result['seconds']:.0f} s; champion of round {result['champion_round']}, validation {measure.name} "
               f"{measure.text(result['validation_accuracy'])}")


def say(notes: Iterable[str]) -> None:
    """Print one line on stderr for every note, each once."""
    for note in dict.fromkeys(notes):
        typer.echo(f"note: {one_line(note)}", err=True)


def print_config(loaded: LoadedConfig, counts: dict[str, int]) -> None:
    """Print every setting, table by table, with its origin and meaning; then the gene counts."""
    width = max(60, min(100, shutil.get_terminal_size((100, 24)).columns))
    space = max(24, min(48, width - max(map(len, loaded.origins.values()), default=0) - 2))
    for table in explained(loaded):
        if table.key:
            typer.echo("\n" + textwrap.fill(f"[{table.key}] {table.meaning}", width, subsequent_indent="    "))
        for setting in table.settings:
            _print_setting(setting, width, space)
    typer.echo("")
    for name, count in counts.items():
        typer.echo(f"{name}: {count:,}")


def _print_setting(setting: Setting, width: int, space: int) -> None:
    """Print key and value in `space` columns, then the origin; below them the meaning."""
    value = shortened(as_toml(setting.value))
    lines = textwrap.wrap(f"{setting.key} = {value}", space, subsequent_indent="    ")
    typer.echo("\n".join([*lines[:-1], f"{lines[-1]:{space}}  {setting.origin}"]))
    meaning = textwrap.fill(setting.meaning, width - 4, break_on_hyphens=False)
    typer.echo(typer.style(textwrap.indent(meaning, "    "), dim=True))


def print_datasets(as_json: bool) -> None:
    """Print every data set: its title, its terms, and its location on this machine."""
    rows = [{"name": name, "title": data_source(name).TITLE, "terms": data_source(name).TERMS, "state": _state(name)}
            for name in dataset_names()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    width = max(len(row["name"]) for row in rows) + 2
    for row in rows:
        typer.echo(f"{row['name']:{width}}{row['title']} ({row['terms']}): {row['state']}")


def _state(name: str) -> str:
    files = verify(name)
    if wrong := [file for file in files if file.path is not None and file.problem]:
        return f"{wrong[0].path} {wrong[0].problem}"
    if any(file.path is None for file in files):
        by_hand = f"to be placed by hand, as this says: hyperevo data fetch {name}"
        return f"not here; {'fetched when it is needed' if data_source(name).MIRRORS else by_hand}"
    folders = {str(file.path.parent) for file in files if file.path}
    return f"in {', '.join(sorted(folders))}" if folders else "comes with hyperevo"


def verify_datasets(names: list[str]) -> bool:
    """Print one line per file; returns True if all are there and right. Without names, check the data sets that are
    partly here."""
    checked = {name: verify(name) for name in names or dataset_names()}
    good = True
    for name, files in checked.items():
        for file in files if names or any(file.path for file in files) else ():
            good &= file.problem is None
            typer.echo(f"{name}/{file.name}: {file.problem or 'right'}{f' ({file.path})' if file.path else ''}")
    return good


@contextmanager
def comparing(out: Path) -> Iterator[None]:
    """Hold the folder of a comparison while it lasts; raises UserError where another process does."""
    lock = lock_folder(out, "compare.lock", "comparison")
    try:
        yield
    finally:
        lock.release()


def plan_comparison(names: Sequence[str], overrides: Sequence[str], seeds: int, budget: str | None,
                    vary: Sequence[str], out: Path, code: Code) -> list[Entry]:
    """Plan the runs of a comparison and make its folder; raises UserError where they cannot be compared."""
    from hyperevo.compare.fairness import check_comparable
    from hyperevo.compare.plan import parse_budget, parse_vary, plan
    from hyperevo.compare.write import make_folder

    varied = parse_vary(vary)
    entries = plan(names, seeds, out, overrides, varied, parse_budget(budget) if budget else None, code)
    check_comparable(entries, [key for key, _ in varied])
    say(note for entry in entries for note in entry.notes)
    make_folder(out)
    return entries


def run_comparison(entries: Sequence[Entry], jobs: int, address: str | None, trust: bool) -> dict[Path, str]:
    """Run what is missing, under a table that follows, and print one line for each run that failed; returns the reasons
    by folder. A signal ends it with SystemExit."""
    from hyperevo.compare.execute import run_all
    from hyperevo.compare.live import shown_live

    try:
        # Other processes have to be told that it is over, which takes as long as it takes.
        own = jobs == 1 and address is None
        with answering(lambda: _stopped(entries)) if own else nullcontext(), shown_live(entries) as follow:
            failed = run_all(entries, jobs, address, follow, trust)
    except (Interrupted, KeyboardInterrupt) as interruption:
        signum = interruption.signum if isinstance(interruption, Interrupted) else signal.SIGINT
        typer.echo(_stopped(entries), err=True)
        end(128 + signum)
    for folder, reason in failed.items():
        typer.echo(f"error: {folder}: {reason}", err=True)
    return failed


def _stopped(entries: Sequence[Entry]) -> str:
    done = sum(finished(entry.folder) for entry in entries)
    return (f"Stopped; {done} of {len(entries)} runs are finished. The same command goes on, with --no-runs it reports "
            "what is there.")


TERMINAL_COLUMNS = ("", "test accuracy", "encoded genes", "direct parameters", "evaluations", "images", "seconds",
                    "seeds", "where weights come from")


def report_comparison(entries: Sequence[Entry], out: Path, trust: bool) -> None:
    """Write tables, figures and the report; print the table, remarks on its fairness, and the paths."""
    from hyperevo.compare.shown import fitting_table
    from hyperevo.compare.tables import HEAD
    from hyperevo.compare.write import write_comparison

    varied = " and ".join(key for key, _ in entries[0].varied)
    title = ", ".join(dict.fromkeys(entry.config_name for entry in entries)) + (f" by {varied}" if varied else "")
    with counted("figures") as show:
        written = write_comparison(entries, out, title, trust, show)
    places = [HEAD.index(name) for name in TERMINAL_COLUMNS]
    console = plain_console()
    width = max(console.width, 60) if console.is_terminal else WIDTH_OF_FILES
    table, left_out = fitting_table(TERMINAL_COLUMNS, [[line[place] for place in places] for line in written.lines],
                                    width)
    plain_console(width=width, soft_wrap=True).print(table)
    more = [f"in table.md too: {', '.join(left_out)}"] if left_out else []
    for text in (*more, *written.remarks):
        console.print(text, soft_wrap=not console.is_terminal)
    for path in written.paths:
        typer.echo(path)


def run_benchmark(device: str, threads: int | None, quick: bool, json_file: Path | None) -> None:
    """Measure, print tables, and write the figures to a file where one is wanted."""
    from hyperevo.benchmark import measure

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UserError(f"--json {json_file}: its folder does not exist")
    if threads is not None:
        torch.set_num_threads(threads)
    figures = measure(choose_device(device), quick)
    if json_file is not None:
        write_json(json_file, figures)
    for title, rows in _benchmark_tables(figures).items():
        table = Table(*rows[0], title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for row in rows[1:]:
            table.add_row(*row)
        plain_console(soft_wrap=True).print(table)
        typer.echo("")


def _benchmark_tables(figures: dict[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    cppn, dct, neat, growth, machine = (figures[key] for key in ("cppn", "dct", "neat", "growth", "machine"))
    spent, gradient = cppn["seconds_per_network"], figures["gradient"]
    steps = gradient["seconds_per_step"]
    where = f"{machine['device_name']}, {machine['threads']} threads" + (", quick: sizes too small to mean anything"
                                                                        if machine["quick"] else "")
    return {
        f"784-256-10, {cppn['population']} CPPNs of {cppn['hidden']} hidden nodes that all differ, {cppn['images']} "
        f"images ({where})": [
            ("", "ms per network", "against express + evaluate"),
            ("matrix product of the first layer alone", _ms(spent["matrix_product"]),
             f"{cppn['ratio_to_matrix_product']:.2f} × this"),
            ("express + evaluate", _ms(spent["express_and_evaluate"]),
             f"{cppn['networks_per_second']:,.0f} networks a second"),
            ("express, every matrix built and kept", _ms(spent["express"]), ""),
            ("evaluate, of matrices already built", _ms(spent["evaluate"]), ""),
            ("the same by torch.vmap", _ms(spent["evaluate_by_vmap"]),
             f"{cppn['evaluate_speedup_over_vmap']:.2f} × the time of evaluate"),
            ("one torch call per node, network by network", _ms(spent["node_by_node"]),
             f"{cppn['speedup_over_node_by_node']:.1f} × slower"),
            (f"neat-python ({cppn['neat_python_sampled_queries']} queries and {cppn['neat_python_sampled_images']} "
             "image timed, scaled up)", _ms(cppn["neat_python_seconds_per_network_scaled_up"]),
             f"{cppn['speedup_over_neat_python']:,.0f} × slower")],
        "First layer from 8 × 8 × 8 × 8 cosine coefficients": [
            ("", "ms per network", "against the factored product"),
            ("factored", _ms(dct["seconds_per_network"]["factored"]),
             f"{dct['ratio_to_matrix_product']:.2f} × the matrix product alone"),
            ("matrix built, then multiplied", _ms(dct["seconds_per_network"]["dense"]),
             f"{dct['factored_speedup']:.1f} × slower, differs by {dct['largest_relative_difference']:.0e}")],
        f"NEAT's bookkeeping, population {neat['population']}": [
            ("", "ms per generation", ""),
            ("hyperevo, ask + tell", _ms(neat["seconds"]),
             f"{neat['bookkeeping_ratio_to_neat_python']:.2f} × neat-python's"),
            ("neat-python, reproduce + speciate", _ms(neat["neat_python_seconds"]), ""),
            ("graphs of all genomes, as one table", _ms(neat["table_seconds"]), ""),
            ("graphs of all genomes, one by one", _ms(neat["graph_seconds"]), "")],
        f"A step along the gradient, forwards and backwards, {gradient['wide_resnet_images']} photographs": [
            ("", "ms per step", ""),
            ("wide residual network, trained directly", _ms(steps["wide_resnet_direct"]), ""),
            ("the same, its kernels generated from embeddings", _ms(steps["wide_resnet_generated"]),
             f"{gradient['generated_ratio_to_direct']:.2f} × direct"),
            ("MNIST ConvNet with a generated kernel", _ms(steps["convnet_alone"]), ""),
            ("five of these at once", _ms(steps["five_convnets"]),
             f"{gradient['five_at_once_ratio_to_five_in_turn']:.2f} × five in turn")],
        "Growth": [("", "", "ms per network"), *(
            (name if place == 0 else "", f"{row[name]:,}", _ms(row["seconds_per_network"]) + (
                f"  {row['nanoseconds_per_connection']:.1f} ns per connection" if name == "connections" else ""))
            for name, rows in growth.items() for place, row in enumerate(rows))],
        f"Peak memory of all this: {figures['peak_memory_gb']:.2f} GB": [("",)],
    }


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.2f}"
