"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

import io
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from hyperevo import __version__
from hyperevo.cli_data import AsJson, data_app
from hyperevo.errors import RunFailed, UserError, one_line, reason, shown_path
from hyperevo.signals import end, stopping_at_once

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Pit ways of writing down a network's weights against each other: direct, DCT, coordinates, evolved CPPNs.",
    epilog="\b\nExamples:\n  python -m hyperevo run cppn-mnist\n"
           "  python -m hyperevo run dct-mnist task.name=fashion")
app.add_typer(data_app, name="data")

NOTES = logging.Handler(logging.WARNING)

USAGE_ERROR: type[Exception] = typer.BadParameter.mro()[1]
"""Base of typer's complaints about what was typed."""

Overrides = Annotated[list[str] | None, typer.Argument(
    metavar="[KEY=VALUE]...", help="Overrides, such as search.population=512 seed=3.")]
LAST_SEED = 2**31 - 1
Workers = Annotated[int | None, typer.Option(
    min=1, help="Worker processes that evaluate the networks, here or on the cluster. Default there: a CPU, or "
                "--gpus-per-worker, each.")]
Ray = Annotated[str | None, typer.Option(metavar="ADDRESS|local", help="A Ray cluster for the workers.")]
GpusPerWorker = Annotated[float, typer.Option(min=0, help="GPUs of each worker on the cluster.")]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that came with the folder.")]


class Format(StrEnum):
    """Formats of figures."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hyperevo {__version__}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True,
                                                   help="Print the version.")] = False) -> None:
    pass


@app.command(short_help="Run one search from start to finish.")
def run(
    config: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="A shipped config (see list) or a file.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/NAME, or the next free runs/NAME-2, …")]
    = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. Default: auto.")] = None,
    seed: Annotated[int | None, typer.Option(help="Default: the config's, or 0.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the run in the folder given by --out.")] = False,
    fallback: Annotated[bool, typer.Option(help="Without data or network, go on with small digits.")] = True,
    figures: Annotated[bool, typer.Option(help="Draw the figures at the end.")] = True,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_worker: GpusPerWorker = 0,
) -> None:
    """Run one search from start to finish.

    \b
    Examples:
      hyperevo run cppn-mnist
      hyperevo run dct-mnist task.name=fashion \\
          search.population=100 --seed 3
    """
    with stopping_at_once():
        from hyperevo import terminal
        from hyperevo.runs.load import load_fitting
        from hyperevo.runs.spread import Spread

        spread = Spread(ray, workers, gpus_per_worker)
        options = [f"{key}={value}" for key, value in (("device", device), ("seed", seed)) if value is not None]
        loaded = load_fitting(config, [*(overrides or []), *options])
        terminal.say(loaded.notes)
        begun = terminal.create_with_fallback(loaded.config, out, overwrite, fallback, spread) if out else \
            terminal.create_in_free_folder(loaded.config, fallback, spread)
    _go(begun, figures)


@app.command(short_help="Go on with a run, or extend it.")
def resume(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    changes: Annotated[list[str] | None, typer.Argument(
        metavar="[KEY=VALUE]...", help="New limits, such as run.rounds=80; they extend a run, done or not.")] = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures at the end.")] = True,
    trust: Trust = False,
    workers: Workers = None,
    ray: Ray = None,
    gpus_per_worker: GpusPerWorker = 0,
) -> None:
    """Go on with a run that was interrupted or killed, from its checkpoint, or extend one that is finished.

    \b
    Examples:
      hyperevo resume runs/cppn-mnist
      hyperevo resume runs/cppn-mnist run.rounds=80
    """
    with stopping_at_once():
        from hyperevo.runs import finished, open_run
        from hyperevo.runs.folder import read_run_config, tidy
        from hyperevo.runs.spread import Spread

        read_run_config(folder, trust)
        if finished(folder) and not changes:
            tidy(folder)
            typer.echo(f"{folder} is finished; its figures are drawn by: python -m hyperevo plot {folder}")
            typer.echo(folder)
            return
        opened = open_run(folder, trust, changes or [], Spread(ray, workers, gpus_per_worker))
    _go(opened, figures, trust)


def _go(run: Any, figures: bool, trust: bool = False) -> None:
    from hyperevo import terminal
    from hyperevo.runs import Interrupted

    try:
        result = terminal.execute_with_progress(run)
    except Interrupted as interruption:
        typer.echo(terminal.stopped_line(run.folder), err=True)
        end(128 + interruption.signum)
    terminal.print_result(result)
    if figures:
        _draw(run.folder, trust)
    typer.echo(run.folder)


def _draw(folder: Path, trust: bool, formats: Sequence[str] = ()) -> None:
    from hyperevo.plots import save_run_figures
    from hyperevo.runs.progress import counted

    with counted("figures") as show:
        paths = save_run_figures(folder, trust, formats, show)
    for path in paths:
        typer.echo(path)


@app.command("list", short_help="List the configs, by task.")
def list_configs(as_json: AsJson = False) -> None:
    """List the configs that come with hyperevo, by task."""
    from hyperevo.config import shipped_configs
    from hyperevo.listing import listed, terminal_width
    from hyperevo.toml import read_toml

    configs = {name: read_toml(path) for name, path in shipped_configs().items()}
    if as_json:
        typer.echo(json.dumps({name: values.get("description", "") for name, values in configs.items()}, indent=1))
        return
    for line in listed(configs, terminal_width()):
        typer.echo(line)


@app.command(short_help="Show a config's settings and their meaning.")
def show(
    config: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="A shipped config (see list) or a file.")],
    overrides: Overrides = None,
    as_json: AsJson = False,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print TOML, which `run` takes.")] = False,
    trust: Trust = False,
) -> None:
    """Show a config's settings with their origin and meaning, and how many genes become how many weights.

    \b
    Example:
      hyperevo show dct-mnist task.name=fashion --toml > \\
          mine.toml
    """
    from hyperevo import terminal
    from hyperevo.config import config_text, config_values, explained
    from hyperevo.guests import Code, UntrustedCode
    from hyperevo.runs.compose import count_without_data
    from hyperevo.runs.load import load_fitting

    if as_json and as_toml:
        raise UserError("--json and --toml: one of the two")
    loaded = load_fitting(config, overrides or [], Code(trust))
    terminal.say(loaded.notes)
    if as_toml:
        typer.echo(config_text(loaded.config), nl=False)
        return
    try:
        counts = count_without_data(loaded.config)
    except UntrustedCode as error:
        counts = {}
        typer.echo(f"note: genes and weights are not counted: {error}", err=True)
    if not as_json:
        terminal.print_config(loaded, counts)
        return
    meanings = {setting.key: setting.meaning for table in explained(loaded) for setting in table.settings}
    typer.echo(json.dumps({"config": config_values(loaded.config), "origins": loaded.origins, "meanings": meanings,
                           **counts}, indent=1))


@app.command(short_help="Hold a part to its contract.")
def check(
    name: Annotated[str, typer.Argument(metavar="PART", help="mine.py, mine.py:Name, package.module, or a name.")],
    options: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The part's settings.")] = None,
    kind: Annotated[str | None, typer.Option(
        help="task, target, encoding, search, environment or data-set, where PART does not tell it.")] = None,
) -> None:
    """Hold a part to its contract, and say what is missing or wrong; exit code 1 where anything is.

    \b
    Examples:
      hyperevo check mine.py
      hyperevo check embedding tile=[4,4]
      hyperevo check digits --kind task
    """
    from hyperevo import contracts
    from hyperevo.config import assigned

    kind = kind.replace("-", " ") if kind else contracts.kind_of(name)
    found = contracts.check(name, kind, **assigned({}, options or []))
    for finding in found:
        typer.echo(f"{name}: {finding}")
    if found:
        raise SystemExit(1)
    typer.echo(f"{name}: {kind}, holds to all {len(contracts.rules_of(kind))} rules of its contract")


@app.command(short_help="Draw a run's figures again.")
def plot(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    formats: Annotated[list[Format] | None, typer.Option(
        "--format", help="png, svg or pdf; repeatable. Default: the run's run.figures.")] = None,
    trust: Trust = False,
) -> None:
    """Draw a run's figures again, into its folder `figures`.

    \b
    Example:
      hyperevo plot runs/cppn-mnist --format svg --format \\
          pdf
    """
    _draw(folder, trust, formats or ())


@app.command(short_help="Let a champion write or draw; draw networks.")
def sample(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run whose network writes, or is drawn.")],
    length: Annotated[int | None, typer.Option(min=1, help="Characters of text, 500 by default; points of a drawing, "
                                                           "by default as many as test drawings have.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Text: below 1 likelier, above 1 bolder. Default: 1.")]
    = None,
    prompt: Annotated[str | None, typer.Option(help="Text that the network goes on from, or translates.")] = None,
    bias: Annotated[float | None, typer.Option(help="Handwriting: above 0 neater. Default: 0.5.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Drawings, or networks. Default: 8.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED)] = 0,
    out: Annotated[Path | None, typer.Option(
        help="Handwriting: a figure .png, an animated page .html, or strokes .npz. Default: RUN/samples.png. "
             "Translation: a text file. Networks: a folder. Default: RUN/networks.")] = None,
    input: Annotated[Path | None, typer.Option(help="Translation: a text file, a sentence in every line.")] = None,
    trust: Trust = False,
) -> None:
    """Let the champion write: text or a translation to the terminal, or pen strokes to a file. Of a run that trained a
    generator of networks, draw networks: a state_dict each, in a folder.

    \b
    Examples:
      hyperevo sample runs/char-ptb-hyperlstm --prompt \\
          "the company " --temperature 0.7
      hyperevo sample runs/handwriting-omniglot-hyperlstm \\
          --bias 1 --out pen.html
      hyperevo sample runs/translation-multi30k-hyperlstm \\
          --prompt "a man rides a bicycle"
      hyperevo sample runs/hypergan-mnist --count 100
    """
    from hyperevo.plots.run_samples import sampled

    options = {"temperature": temperature, "prompt": prompt, "bias": bias, "count": count, "out": out,
               "input": input}
    given = {name: value for name, value in options.items() if value is not None}
    typer.echo(sampled(folder, length, seed, given, trust))


@app.command(short_help="Film a champion in its environment.")
def watch(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, of a task with an environment.")],
    out: Annotated[Path | None, typer.Option(
        metavar="FILE.gif|FILE.mp4", help="The film; .mp4 needs ffmpeg. Default: champion.gif in the run's figures.")]
    = None,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Of the episode.")] = 0,
    trust: Trust = False,
) -> None:
    """Film the champion of a run at work in its environment, and draw a strip of pictures, frames.png.

    \b
    Example:
      hyperevo watch runs/cartpole-dct --seed 7
    """
    from hyperevo.plots import save_watched

    for path in save_watched(folder, out, seed, trust):
        typer.echo(path)


@app.command(short_help="Compare encodings side by side over seeds.")
def compare(
    configs: Annotated[list[str], typer.Argument(
        metavar="NAME|FILE.toml|KEY=VALUE...", help="Configs, and overrides for all of them.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, with the seeds 0, 1, …")] = 3,
    budget: Annotated[str | None, typer.Option(
        metavar="KIND=NUMBER", help="evaluations=…, images=… or seconds=… of every run, instead of its rounds.")]
    = None,
    vary: Annotated[list[str] | None, typer.Option(
        metavar="KEY=VALUE,VALUE,…", help="A row for every value, such as search.population=64,256. Repeatable.")]
    = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs side by side, through Ray.")] = 1,
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster to run on.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs, tables, figures and report.html.")]
    = Path("runs/compare"),
    runs: Annotated[bool, typer.Option(help="Run what is missing, or only report what is there.")] = True,
    trust: Trust = False,
) -> None:
    """Compare encodings side by side over seeds: run what is missing, resume what broke, write a report.

    \b
    Examples:
      hyperevo compare dct-mnist direct-mnist --budget \\
          images=5000000
      hyperevo compare dct-mnist --vary \\
          encoding.coefficients=[2],[4],[8] --jobs 2
    """
    from hyperevo import terminal
    from hyperevo.guests import Code

    names = [text for text in configs if "=" not in text]
    overrides = [text for text in configs if "=" in text]
    if not names:
        raise UserError("compare: no config is named; see `list`")
    entries = terminal.plan_comparison(names, overrides, seeds, budget, vary or [], out, Code(runs or trust))
    with terminal.comparing(out) if runs else nullcontext():
        failed = terminal.run_comparison(entries, jobs, ray, trust) if runs else {}
        terminal.report_comparison(entries, out, trust)
    if failed:
        raise SystemExit(1)


@app.command(short_help="Measure how fast this machine is.")
def bench(
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures to this file.")]
    = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; by default torch's choice.")] = None,
    quick: Annotated[bool, typer.Option(help="Tiny sizes: shows that all runs, not how fast.")] = False,
) -> None:
    """Measure how fast populations are expressed and evaluated here, beside the matrix product alone and others."""
    from hyperevo import terminal

    terminal.run_benchmark(device, threads, quick, json_file)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise SystemExit(code)


def _fail_usage(error: Any) -> NoReturn:
    """End with typer's complaint in one line; with the help text, where a command lacks everything."""
    message = error.format_message()
    if message.startswith("Usage: "):
        typer.echo(message, err=True)
        raise SystemExit(2)
    hint = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
    _fail(one_line(message).removesuffix(".") + hint, 2)


def _say_warnings() -> None:
    """Print what the package warns of as notes."""
    NOTES.setFormatter(logging.Formatter("note: %(message)s"))
    NOTES.emit = lambda record: typer.echo(NOTES.format(record), err=True)  # type: ignore[method-assign]
    logging.getLogger("hyperevo").addHandler(NOTES)


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 the run failed, 2 bad usage, config or input, 128 + signal."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another code page shows what it can
    _say_warnings()
    try:
        code = app(prog_name="hyperevo", standalone_mode=False)
    except USAGE_ERROR as error:
        _fail_usage(error)
    except UserError as error:
        _fail(" ".join(str(error).split()), 2)
    except RunFailed as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        _fail(" ".join(filter(None, [f"{shown_path(error.filename)}:" if error.filename else "", reason(error)])), 1)
    except KeyboardInterrupt:
        code = 130
    if code == 130:  # typer's too, of a KeyboardInterrupt
        typer.echo("Stopped.", err=True)
        end(130)
    raise SystemExit(code or 0)
