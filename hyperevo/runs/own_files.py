"""A run's own files in its folder: the only ones that are ever replaced or removed. A user's own files stay."""

from collections.abc import Iterator
from pathlib import Path

from hyperevo.config import PARTS
from hyperevo.errors import UserError
from hyperevo.runs.checkpoint import checkpoints
from hyperevo.runs.files import is_temporary
from hyperevo.runs.writer import LOCK, LOGS
from hyperevo.toml import read_toml

FILES = ("environment.json", "task.json", "inputs.json", *LOGS, "species.csv", "result.json", "run.log", "config.toml")
"""A run's own files. The config is written first and removed last, for a folder with a config is a run."""

CHAMPION = ("state.json", "tensors.safetensors", "weights.safetensors", "preprocessing.safetensors",
            "examples.safetensors")
KEPT = ("state.json", "tensors.safetensors")
"""Files of a checkpoint, of a frame of the filmstrip, and of the start of a search."""

FOLDERS = ("checkpoint", "filmstrip", "champion", "figures", "code", "start")

DRAWN = ("learning_curves", "species_over_time", "frames", "receptive_fields", "readout_maps", "projective_fields",
         "reconstructions", "filmstrip", "embeddings", "cppn_graph", "cppn_nodes", "found_network", "dct_coefficients",
         "written_text", "strokes_in_time", "drawings", "handwriting", "champion", "map_")
"""Beginnings of the names of figures."""


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise UserError where a folder holds anything that a new run must not replace."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} exists, and is not a folder")
    others = [path for path in folder.iterdir() if path.name != LOCK and not is_temporary(path)]
    if not others:
        return
    if not overwrite:
        raise UserError(f"{folder} exists; resume it, choose another folder (--out), or replace it (--overwrite)")
    if not _has_run_config(folder):
        raise UserError(f"{folder} is not a run (it has no config.toml of one) and is not overwritten")
    refuse_links(folder)


def _has_run_config(folder: Path) -> bool:
    """True where config.toml names the four parts of a run."""
    if not (folder / "config.toml").is_file():
        return False
    try:
        values = read_toml(folder / "config.toml")
    except UserError:
        return False
    return all(isinstance(values.get(kind), dict) and "name" in values[kind] for kind in PARTS)


def refuse_links(folder: Path) -> None:
    """Raise UserError where a file or folder of a run is a symbolic link, which may lead anywhere."""
    for path in [*(folder / name for name in (*FILES, LOCK, *FOLDERS)), *_known_below(folder)]:
        if path.is_symlink():
            raise UserError(f"{path}: is a symbolic link; a run's own files are none")


def _known_below(folder: Path) -> Iterator[Path]:
    """Files of a run in its folders, and these folders after their files."""
    for path in checkpoints(folder) + frames(folder):
        yield from [path / name for name in KEPT]
        yield path
    yield from [folder / "champion" / name for name in CHAMPION]
    yield from [folder / "start" / name for name in KEPT]
    yield from [path for path in sorted((folder / "figures").glob("*"))
                if path.suffix in (".png", ".html", ".gif") and path.is_file() and _is_drawn(path)]
    code = folder / "code"
    if (code / "sources.json").is_file():
        below = sorted(code.rglob("*.py"), reverse=True)
        yield from below
        yield from sorted({parent for path in below for parent in path.parents if code in parent.parents}, reverse=True)
        yield code / "sources.json"
    yield from [folder / name for name in FOLDERS]


def _is_drawn(path: Path) -> bool:
    return path.name.startswith(DRAWN)


def remove_run(folder: Path) -> None:
    """Remove a run's own files, the config last; a user's own in the folder stay."""
    for path in [*_known_below(folder), *(folder / name for name in FILES)]:
        if path.is_symlink():
            raise UserError(f"{path}: is a symbolic link; a run's own files are none")
        if path.is_dir():
            for left in [own for own in path.iterdir() if is_temporary(own) and own.is_file()]:
                left.unlink()
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink(missing_ok=True)


def frames(folder: Path) -> list[Path]:
    """Frames of the filmstrip, in order: a folder each, named by six digits."""
    return sorted(path for path in (folder / "filmstrip").glob("[0-9]" * 6) if path.is_dir() and not path.is_symlink())
