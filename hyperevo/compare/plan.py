"""Which runs a comparison needs, and in what they differ besides their encoding and search."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperevo.config import RunConfig, config_values, flatten, load_config
from hyperevo.errors import UserError

BUDGETS = ("evaluations", "images", "seconds")

SHARED = ("task", "target", "data_checksum", "run.evaluations", "run.images", "run.seconds")
"""What fair rows have in common: data and split, fitness, target network, budget."""


@dataclass(frozen=True)
class Entry:
    """One run of a comparison: its row, its seed, its resolved config and where it is."""

    name: str
    seed: int
    config: RunConfig
    folder: Path


def parse_budget(text: str) -> list[str]:
    """`evaluations=100000`, `images=…` or `seconds=…` as overrides of a config: the run ends with the round that
    reaches it, however many rounds that takes."""
    kind, _, amount = text.partition("=")
    if kind not in BUDGETS or not amount.replace(".", "", 1).isdigit() or not float(amount) > 0:
        raise UserError(f"--budget {text}: is not one of {', '.join(f'{kind}=NUMBER' for kind in BUDGETS)}")
    return [f"run.{kind}={amount}", f"run.rounds={2**31 - 1}"]


def parse_vary(texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """`search.population=64,256` as (key, values); a value in brackets may hold commas."""
    found = []
    for text in texts:
        key, _, values = text.partition("=")
        if not key or not values:
            raise UserError(f"--vary {text}: is not of the form key=value,value, such as search.population=64,256")
        found.append((key, _split(values)))
    return found


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
         vary: Sequence[tuple[str, Sequence[str]]] = ()) -> list[Entry]:
    """Every named config with every combination of varied values and every seed, in that order.

    Folders are named by the resolved config, so that a changed setting never takes an old result for its own.
    """
    if len(set(names)) < len(names):
        raise UserError(f"{next(name for name in names if list(names).count(name) > 1)} is named twice")
    entries = []
    for name, values in itertools.product(names, itertools.product(*(own for _, own in vary))):
        varied = [f"{key}={value}" for (key, _), value in zip(vary, values, strict=True)]
        title = " ".join([Path(name).stem, *(text.rpartition(".")[2] for text in varied)])
        for seed in range(seeds):
            config = load_config(name, [*overrides, *varied, f"seed={seed}"]).config
            folder = out / "runs" / f"{Path(name).stem}-{seed}-{config_key(config)}"
            entries.append(Entry(title, seed, config, folder))
    return entries


def config_key(config: RunConfig) -> str:
    """Ten letters that stand for everything in a resolved config but what it is called."""
    values = {key: value for key, value in config_values(config).items() if key not in ("name", "description")}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


def differences(configs: Mapping[str, RunConfig]) -> dict[str, dict[str, Any]]:
    """What rows differ in and should share, by key, then by row; a key that a row does not have is None."""
    every = {name: {key: value for key, value in flatten(config_values(config)) if _is_shared(key)}
             for name, config in configs.items()}
    keys = sorted({key for values in every.values() for key in values})
    found = {key: {name: values.get(key) for name, values in every.items()} for key in keys}
    return {key: values for key, values in found.items() if len({json.dumps(value) for value in values.values()}) > 1}


def _is_shared(key: str) -> bool:
    return any(key == shared or key.startswith(f"{shared}.") for shared in SHARED)
