"""Runs that a comparison needs, each with its resolved config and its folder."""

import glob
import hashlib
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperevo.config import RunConfig, brief_name, check_config, config_values
from hyperevo.errors import SHOWN, UserError, one_line
from hyperevo.guests import OWN, Code
from hyperevo.runs.folder import read_run_config
from hyperevo.runs.inputs import input_hashes, recorded_hashes
from hyperevo.runs.load import load_fitting
from hyperevo.toml import parse_value

BUDGETS = ("evaluations", "images", "seconds")

OUTPUTS = ("figures", "log")
"""Keys of the table `run` that change nothing of a run's result."""

UNLIMITED = 2**31 - 1
"""Number of rounds of a run that a budget ends."""


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    name, seed: its row and its seed. config, folder: resolved config, and folder of the run. config_name: name of its
    config with what replaced its parts in all rows. varied: values of the varied keys, as the row's name has them.
    notes: sentences on keys of the file that were left out.
    """

    name: str
    seed: int
    config: RunConfig
    folder: Path
    config_name: str = ""
    varied: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def parse_budget(text: str) -> tuple[str, str]:
    """`evaluations=100000`, `images=…` or `seconds=…` as (kind, amount)."""
    kind, _, amount = text.partition("=")
    if kind not in BUDGETS or not _positive(amount):
        raise UserError(f"--budget {text}: is not one of {', '.join(f'{kind}=NUMBER' for kind in BUDGETS)}")
    return kind, amount


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def parse_vary(texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """`search.population=64,256` as (key, values); a value in brackets may hold commas."""
    found = []
    for text in texts:
        key, _, values = text.partition("=")
        if not key or not values:
            raise UserError(f"--vary {text}: is not of the form key=value,value, such as search.population=64,256")
        found.append((key, _split(values)))
        if again := _repeated(found[-1][1]):
            raise UserError(f"--vary {text}: {again} is there twice")
    if again := _repeated([key for key, _ in found]):
        raise UserError(f"--vary {again}: is there twice; all values go into one, separated by commas")
    return found


def _repeated(texts: Sequence[str]) -> str | None:
    return next((text for place, text in enumerate(texts) if text in texts[:place]), None)


def _split(values: str) -> list[str]:
    parts, depth = [""], 0
    for letter in values:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def plan(names: Sequence[str], seeds: int, out: Path, overrides: Sequence[str] = (),
         vary: Sequence[tuple[str, Sequence[str]]] = (), budget: tuple[str, str] | None = None,
         code: Code = OWN) -> list[Entry]:
    """Plan every named config with every combination of varied values and every seed, in that order.

    With a budget, runs end with the round that reaches it, however many rounds that takes. Folders are named by the
    resolved config, so that a changed setting never takes an old result for its own. A run has one thread unless its
    config says otherwise: torch's own choice would depend on what else runs. Raises UserError for names, values or runs
    that are there twice.
    """
    if again := _repeated([Path(name).stem for name in names]):
        raise UserError(f"{again} is named twice: rows are called by the names of their configs")
    if any(text.partition("=")[0].strip() == "seed" for text in overrides):
        raise UserError("seed: a comparison has the seeds 0, 1, … below --seeds")
    keys = [key for key, _ in vary]
    entries: list[Entry] = []
    for name, values in itertools.product(names, itertools.product(*(own for _, own in vary))):
        assigned, stem = [f"{key}={value}" for key, value in zip(keys, values, strict=True)], Path(name).stem
        for seed in range(seeds):
            loaded = load_fitting(name, [*overrides, *assigned, f"seed={seed}"], code)
            config = _resolved(loaded.config, budget, code)
            called = _title(["+".join([stem, *_replaced(loaded.replaced, keys)]) + _fitted(config, keys)])
            varied = tuple((key, _shown(value)) for key, value in zip(keys, values, strict=True))
            title = _title([called, *(f"{brief_key(key, keys)}={value}" for key, value in varied)])
            folder = _folder(out / "runs", f"{_short(stem)}-{seed}", config)
            if same := next((entry for entry in entries if entry.folder == folder), None):
                raise UserError(f"--vary: {same.name} and {title} are the same run")
            entries.append(Entry(title, seed, config, folder, called, varied, loaded.notes))
    return entries


def _title(parts: Sequence[str]) -> str:
    """Name of a row on one line; a long one is cut, and told from others by a hash of all of it."""
    line = one_line(" ".join(parts))
    return line if len(line) <= SHOWN else f"{line[:SHOWN - 10]}… {hashlib.sha256(line.encode()).hexdigest()[:8]}"


def _short(stem: str) -> str:
    """A file's name as part of a folder's name, which has a longest length in bytes."""
    return stem if len(os.fsencode(stem)) <= 180 else stem[:40]


def _replaced(replaced: Mapping[str, str], keys: Sequence[str]) -> list[str]:
    """Names of the components that make a row another one than its config, unless a varied key says so; without the
    task, which all rows share."""
    return [brief_name(name) for kind, name in replaced.items()
            if kind != "task" and kind not in keys and f"{kind}.name" not in keys]


def _shown(value: str) -> str:
    """A varied value in the name of its row: a part's table by its component, then its other keys."""
    table = parse_value(value)
    if not isinstance(table, dict) or "name" not in table:
        return value
    return " ".join([brief_name(table["name"]), *(f"{key}={as_text(own)}" for key, own in table.items()
                                                  if key != "name")])


def _fitted(config: RunConfig, keys: Sequence[str]) -> str:
    """Name suffix " + ridge readout" of rows with a fitted readout; empty where a varied key says it."""
    fitted = "ridge" in config_values(config)["target"] and "target.ridge" not in keys
    return " + ridge readout" if fitted else ""


def brief_key(key: str, keys: Sequence[str]) -> str:
    """A key without its table, where that says enough: `population` for search.population, `search` for search.name."""
    brief = {own: own.removesuffix(".name").rpartition(".")[2] for own in keys}
    return brief[key] if list(brief.values()).count(brief[key]) == 1 else key


def _folder(runs: Path, name: str, config: RunConfig) -> Path:
    """Folder of a run, there or to be made. A run older than some option is in a folder of another name and is found by
    its config, which has that option's default."""
    folder, key = runs / f"{name}-{config_key(config)}", config_key(config)
    if folder.exists():
        return folder
    return next((other for other in sorted(runs.glob(f"{glob.escape(name)}-*")) if _key_today(other) == key), folder)


def _key_today(folder: Path) -> str | None:
    """Key of the config in a run folder today; None where it cannot be read."""
    try:
        return config_key(read_run_config(folder), recorded_hashes(folder))
    except UserError:
        return None


def _resolved(config: RunConfig, budget: tuple[str, str] | None, code: Code) -> RunConfig:
    values = config_values(config)
    values.setdefault("threads", 1)
    if budget is not None:
        kind, amount = budget
        values["run"][kind] = float(amount) if kind == "seconds" else int(float(amount))
        values["run"]["rounds"] = UNLIMITED
    return check_config(values, config.name, code=code)


def config_key(config: RunConfig, inputs: Mapping[str, str] | None = None) -> str:
    """Ten hexadecimal digits of a hash over a resolved config and the code and files that it names, without its name,
    its description, what it draws and logs, and its data checksum, which is known only once a run is made.

    inputs: hashes of the files of data; by default those of now.
    """
    unsaid = ("name", "description", "data_checksum")
    values = {key: value for key, value in config_values(config).items() if key not in unsaid}
    values["run"] = {key: value for key, value in values["run"].items() if key not in OUTPUTS}
    if code := {source.spelled: dict(source.files()) if source.trusted else source.sha256
                for source in config.sources()}:
        values["code"] = code
    if hashes := input_hashes(config) if inputs is None else inputs:
        values["inputs"] = dict(hashes)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def as_text(value: object) -> str:
    """Value of a config or a result as people write it."""
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
