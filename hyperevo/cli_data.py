"""The command line's commands on data sets: parse, call, print."""

from typing import Annotated

import typer

data_app = typer.Typer(no_args_is_help=True, help="List, fetch and verify data sets.", rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@data_app.command("list", short_help="List data sets and where they are.")
def data_list(as_json: AsJson = False) -> None:
    """List the data sets, and where each is on this machine."""
    from hyperevo import terminal

    terminal.print_datasets(as_json)


@data_app.command("fetch", short_help="Download data sets.")
def data_fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    force: Annotated[bool, typer.Option(help="Download again over what lies in the cache.")] = False,
) -> None:
    """Download data sets into the user's cache, with checksums; what is there and right is left alone."""
    from hyperevo.data import fetch

    for name in names:
        fetch(name, force)
        typer.echo(f"{name}: complete")


@data_app.command("verify", short_help="Check data sets' files.")
def data_verify(names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None) -> None:
    """Check the files of data sets against their published checksums; exit code 2 where one is missing or wrong."""
    from hyperevo import terminal

    if not terminal.verify_datasets(names or []):
        raise SystemExit(2)
