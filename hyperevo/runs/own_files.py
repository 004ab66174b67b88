"""A run's own files in its folder: the only ones that are ever replaced or removed. A user's own files stay."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from hyperevo.config import PARTS
from hyperevo.errors import UserError, shown_path
from hyperevo.guests import read_sources
from hyperevo.loggers import remove_logs
from hyperevo.reading import is_there
from hyperevo.runs.files import KEPT, is_temporary, remove_folder, writer_of
from hyperevo.runs.writer import LOCK, LOGS, SUBWORDS
from hyperevo.seal import STATE
from hyperevo.toml import read_toml

FILES = ("environment.json", "task.json", "inputs.json", SUBWORDS, *LOGS, "species.csv", "run.log", "config.toml")
"""A run's own files, and result.json. The config is written first and removed last, for a folder with a config is a
run."""

PACKED = ("start", "generator")
"""Folders of what a config names and the run keeps a copy of: genotypes, a model of networks."""

FOLDERS = ("checkpoint", "filmstrip", "champion", "figures", "code", "log", *PACKED)

BEGUN = (LOCK, "environment.json", "result.json", "checkpoint")
"""Files and folders of which every run that was begun has one."""

MARKS = (b"Software\0hyperevo", b"\xfe\x08hyperevo", b'content="hyperevo"', b"<dc:title>hyperevo</dc:title>",
         b"/Creator (hyperevo)")
"""Texts that figures have near their beginning, PNG, GIF, HTML and SVG, or near their end, PDF."""

EARLIER = ("learning_curves", "species_over_time", "frames", "receptive_fields", "readout_maps", "projective_fields",
           "reconstructions", "filmstrip", "embeddings", "cppn_graph", "network_graph", "found_network", "written_text",
           "strokes_in_time", "drawings", "handwriting", "champion")
"""Names of figures, without suffix; those of earlier versions have no mark."""


class FolderTaken(UserError):
    """A folder that holds something already, or that another process writes."""


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise UserError where a folder holds anything that a new run must not replace."""
    if not is_there(folder):
        _check_name(folder)
        return
    if not folder.is_dir():
        raise FolderTaken(f"{folder} exists, and is not a folder")
    refuse_links(folder)
    if all(path.name == LOCK or is_temporary(path) for path in folder.iterdir()):
        return
    if not overwrite:
        raise FolderTaken(f"{folder} exists; resume it, choose another folder (--out), or replace it (--overwrite)")
    if not is_run(folder):
        raise UserError(f"{folder} is not a run and is not overwritten")


def _check_name(folder: Path) -> None:
    try:
        os.fsencode(folder)
        if "\0" in str(folder):
            raise ValueError
    except ValueError:
        raise UserError(f"{shown_path(folder)}: no folder can be called so") from None


def is_run(folder: Path) -> bool:
    """True where a run was begun: config.toml names the four parts of one, and is not alone."""
    if not (folder / "config.toml").is_file() or not any((folder / name).exists() for name in BEGUN):
        return False
    try:
        values = read_toml(folder / "config.toml")
    except UserError:
        return False
    return all(isinstance(values.get(kind), dict) and "name" in values[kind] for kind in PARTS)


def refuse_links(folder: Path) -> None:
    """Raise UserError where a file or folder of a run is a symbolic link, which may lead anywhere."""
    for path in [*(folder / name for name in (*FILES, "result.json", LOCK, *FOLDERS)), *_below(folder)]:
        refuse_link(path)


def refuse_link(path: Path) -> None:
    """Raise UserError where a run's own file or folder is a symbolic link."""
    if path.is_symlink():
        raise UserError(f"{path}: is a symbolic link; a run's own files are none")


def _below(folder: Path) -> Iterator[Path]:
    """Files and folders of a run in its folders, whether they are there or not."""
    for path in [*_numbered(folder / "checkpoint", 8), *_numbered(folder / "filmstrip", 6)]:
        yield path
        yield from [path / name for name in KEPT]
    yield from [folder / own / name for own in ("champion", *PACKED) for name in KEPT]
    yield from _figures(folder)
    for path in _code(folder):
        yield from [path, *path.parents[: len(path.relative_to(folder).parts) - 2]]


def _numbered(folder: Path, digits: int) -> list[Path]:
    return [] if folder.is_symlink() else sorted(folder.glob("[0-9]" * digits))


def _figures(folder: Path) -> list[Path]:
    """Figures that were drawn of a run; pictures of the user's are none of them."""
    figures = folder / "figures"
    return [] if figures.is_symlink() else [
        path for path in sorted(figures.glob("*")) if path.suffix in (".png", ".html", ".gif", ".svg", ".pdf")
        and (path.stem in EARLIER or _is_marked(path))]


def _is_marked(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        ends = file.read(4096)
        if path.suffix == ".pdf":
            file.seek(max(path.stat().st_size - 65536, 0))
            ends += file.read()
    return any(mark in ends for mark in MARKS)


def _code(folder: Path) -> list[Path]:
    """Copies of code, by their record."""
    code = folder / "code"
    try:
        record = read_sources(folder)
    except UserError:
        record = {}
    copies = [code / own["folder"] / name for own in record.values() if "folder" in own for name in own["files"]]
    return [*copies, code / "sources.json"]


def remove_run(folder: Path) -> None:
    """Remove a run's own files, the config last; a user's own in the folder stay. The result goes first and then the
    checkpoints, so that what is left of it at any time is a run to be made anew."""
    refuse_links(folder)
    (folder / "result.json").unlink(missing_ok=True)
    sweep(folder)
    for path in [*_numbered(folder / "checkpoint", 8), *_numbered(folder / "filmstrip", 6)]:
        remove_folder(path, KEPT)
    for name in ("champion", *PACKED):
        remove_folder(folder / name, KEPT)
    _remove_code(folder)
    remove_logs(folder)
    for path in _figures(folder):
        path.unlink(missing_ok=True)
    for name in FOLDERS:
        remove_folder(folder / name, ())
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _remove_code(folder: Path) -> None:
    code = folder / "code"
    for path in _code(folder):
        path.unlink(missing_ok=True)
        for parent in path.parents[: len(path.relative_to(folder).parts) - 2]:
            remove_folder(parent, ())
    remove_folder(code, ())


def sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished in a run folder that this process has locked. Figures are drawn
    without the lock: those that another living process draws stay."""
    for place in [folder, *(folder / name for name in ("checkpoint", "filmstrip", "champion", *PACKED)),
                  *{path.parent for path in _code(folder)}]:
        _sweep(place, living=False)
    sweep_figures(folder / "figures")


def sweep_figures(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder of figures."""
    _sweep(folder, living=True)


def _sweep(folder: Path, living: bool) -> None:
    for path in [] if folder.is_symlink() or not folder.is_dir() else list(folder.iterdir()):
        number = writer_of(path)
        if number is None or (living and psutil.pid_exists(number)):
            continue
        if path.is_dir() and not path.is_symlink():
            remove_folder(path, KEPT)
        else:
            path.unlink(missing_ok=True)


def frames(folder: Path) -> list[Path]:
    """Frames of the filmstrip, in order: a folder each, named by six digits."""
    return [path for path in _numbered(folder / "filmstrip", 6) if (path / STATE).exists() and not path.is_symlink()]
