"""Differences between the rows of a comparison besides encoding and search: refused, or reported."""

import json
from collections.abc import Mapping, Sequence

from hyperevo.compare.outcomes import Outcome, Row, rows
from hyperevo.compare.plan import Entry, as_text
from hyperevo.config import RunConfig, Values, config_values
from hyperevo.errors import UserError
from hyperevo.toml import flatten

SHARED = ("task", "target", "run.evaluations", "run.images", "run.seconds", "run.precision", "threads",
          "device")
"""Keys in which fair rows are equal: data and split, fitness, target network, budget, precision, machine."""

REFUSED = ("task.name", "task.data", "task.validation", "target")
"""Keys in which rows must be equal to answer one question; they may be varied on purpose."""

LABELLED = ("target.ridge", "target.activation")
"""Keys whose differences are reported, not refused: networks of the same weights, fitted in part or used a little
differently."""

COSTS = {"evaluations": "networks evaluated", "images": "images seen"}


def differences(configs: Mapping[str, RunConfig]) -> dict[str, Values]:
    """Values of the keys in SHARED that differ between rows, by key, then by row; None for a key that a row lacks."""
    every = {name: {key: value for key, value in flatten(config_values(config)) if _is_one_of(key, SHARED)}
             for name, config in configs.items()}
    keys = sorted({key for values in every.values() for key in values})
    found = {key: {name: values.get(key) for name, values in every.items()} for key in keys}
    return {key: values for key, values in found.items() if len({json.dumps(value) for value in values.values()}) > 1}


def _is_one_of(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _configs(entries: Sequence[Entry]) -> dict[str, RunConfig]:
    configs: dict[str, RunConfig] = {}
    for entry in entries:
        configs.setdefault(entry.name, entry.config)
    return configs


def check_comparable(entries: Sequence[Entry], varied: Sequence[str] = ()) -> None:
    """Raise UserError where rows have different data, split or target networks, if neither those keys nor their tables
    are `varied`; a table is varied where the name of its component is."""
    free = [*LABELLED, *(key.removesuffix(".name") for key in varied)]
    for key, values in differences(_configs(entries)).items():
        if _is_one_of(key, REFUSED) and not _is_one_of(key, free):
            raise UserError(f"the runs cannot be compared: {_spell(key, values)}. Override it for all of them, "
                            f"such as {key}={as_text(next(iter(values.values())))}, or name it in --vary")


def remarks(entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> list[str]:
    """Sentences on everything that makes the comparison less than fair: settings and effort that differ."""
    found = [f"Not the same for all: {_spell(key, values)}." for key, values in differences(_configs(entries)).items()]
    finished = rows(outcomes)
    fitted = [f"{row.name} ({row.cost('fitted_parameters'):,.0f} weights)" for row in finished
              if all(result.get("fitted_parameters") for result in row.results)]
    if fitted:
        found.append(f"Readouts fitted in closed form by ridge regression, not searched: {', '.join(fitted)}.")
    limits = {kind for entry in entries for kind, limit in budgets(entry.config) if limit is not None}
    if not limits and finished:
        effort = "; ".join(f"{name} {_range(finished, key)}" for key, name in COSTS.items())
        found.append(f"No budget was set: every run went on for its config's own rounds ({effort}).")
    if "seconds" in limits:
        found.append("The budget is in seconds: what runs came to depends on the machine and on what else it did.")
    effort = "; ".join(f"{name} {_range(finished, key)}" for key, name in COSTS.items() if _differ(finished, key))
    if limits and effort:
        found.append(f"Not the same for all: {effort}.")
    ended = [row.name for row in finished if limits and _ended_by_rounds(row)]
    if ended:
        found.append(f"Ended by their rounds, before the budget: {', '.join(ended)}.")
    return found


def budgets(config: RunConfig) -> list[tuple[str, float | None]]:
    """(kind, limit) of every budget that a run may have."""
    limits = config.run
    return [("evaluations", limits.evaluations), ("images", limits.images), ("seconds", limits.seconds)]


def _ended_by_rounds(row: Row) -> bool:
    """True where a seed of the row did all its rounds with more than a hundredth of its budget left."""
    return any(limit is not None and min(result[kind] for result in row.results) < 0.99 * limit
               for kind, limit in budgets(row.outcomes[0].entry.config))


def _differ(finished: Sequence[Row], key: str) -> bool:
    """True where rows differ in a cost by more than a hundredth, which a last round may make up."""
    costs = [row.cost(key) for row in finished]
    return bool(costs) and max(costs) > 1.01 * min(costs)


def _range(finished: Sequence[Row], key: str) -> str:
    costs = [row.cost(key) for row in finished]
    return f"{min(costs):,.0f}" if min(costs) == max(costs) else f"{min(costs):,.0f} to {max(costs):,.0f}"


def _spell(key: str, values: Mapping[str, object]) -> str:
    """Sentence on a key and its values: `task.images` is 500 (a, b), 250 (c)."""
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(as_text(value), []).append(name)
    return f"{key} is " + ", ".join(f"{value} ({', '.join(own)})" for value, own in names.items())
