"""One run in TOML: read, overridden, checked, written.

A config has the four parts of a run (`task`, `target`, `encoding`, `search`), each with the name of a component and its
options, and a few keys of its own. Values come from the component's defaults, the TOML file and the command line, the
later over the earlier.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from hyperevo.components import component_names, load_component, nearest
from hyperevo.errors import UserError, one_line, shortened, shown
from hyperevo.reading import read_text

PARTS = ("task", "target", "encoding", "search")

MOST_BYTES = 2**22
"""Largest TOML file that is read: a graph or an INI file in it takes some 100,000."""

DEEPEST = 32
"""Most tables and arrays within each other."""

TOO_DEEP = f"arrays or tables are more than {DEEPEST} deep in each other"
TOO_LONG = "an integer has more than the 64 bits of TOML's"

LONG_KEY = re.compile(r"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)""" rf"{{{DEEPEST}}}")
"""Keys that tomllib would take minutes for: its time grows with the square of their parts."""

SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Halves of characters, which a command line can hold and UTF-8 cannot."""


class RunSettings(BaseModel):
    """How long a run lasts and what it writes while it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rounds: int = Field(100, ge=1)
    """Rounds of asking, evaluating and telling."""
    evaluations: int | None = Field(None, ge=1)
    """The run ends with the round that reaches so many evaluations of a network, if that is earlier."""
    images: int | None = Field(None, ge=1)
    """Or so many examples shown to networks, each counted once for each of them."""
    seconds: float | None = Field(None, gt=0)
    """Or so many seconds; what a run comes to then depends on the machine."""
    until: float | None = None
    """Or the round whose champion has this validation accuracy."""
    validate_every: int = Field(10, ge=1)
    """Rounds between looks at the validation images, which choose the champion."""
    memory_gb: float | None = Field(None, gt=0)
    """10⁹ bytes that evaluating a population may take: it decides how many networks are evaluated at a time. Half of
    what is free when the run starts where not given; environment.json records which."""
    filmstrip: int = Field(12, ge=0)
    """Pictures kept of the champion's weights on the way."""

    @property
    def ends_with_rounds(self) -> bool:
        """Whether nothing but the number of rounds can end the run."""
        return self.evaluations is None and self.images is None and self.seconds is None and self.until is None


class RunConfig(BaseModel):
    """A resolved run."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = ""
    """What the run is called; the file's name where not given."""
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    threads: int | None = Field(None, ge=1)
    """Threads for tensor work; left to torch where not given, and recorded either way."""
    task: SerializeAsAny[BaseModel]
    target: SerializeAsAny[BaseModel]
    encoding: SerializeAsAny[BaseModel]
    search: SerializeAsAny[BaseModel]
    run: RunSettings = RunSettings()
    data_checksum: str | None = None
    """sha256 over the data set's files: recorded by every run; given in a config, other data are refused."""

    def part(self, kind: str) -> Any:
        """Settings of the component of one kind."""
        return getattr(self, kind)


@dataclass(frozen=True)
class LoadedConfig:
    """A config and, for every key that is not a default, where its value came from."""

    config: RunConfig
    origins: dict[str, str] = field(default_factory=dict)


def shipped_configs() -> dict[str, Path]:
    """Configs by name that come with hyperevo: the wheel holds them in the package, a checkout in `configs/`."""
    packaged = Path(str(resources.files("hyperevo"))) / "configs"
    folder = packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def load_config(source: str, overrides: Sequence[str] = ()) -> LoadedConfig:
    """A shipped config by name, or a TOML file by path, with `key=value` overrides; checked.

    Raises UserError, with one line that names the file and key, for anything that is wrong with either.
    """
    path = _find(source)
    values = {"name": one_line(path.stem)} | read_toml(path)
    origins = {key: path.name for key, _ in flatten(values) if key != "name"}
    for override in overrides:
        key, value = _parse_override(override)
        _assign(values, key, value)
        origins = {old: origin for old, origin in origins.items() if not old.startswith(f"{key}.")}
        origins[key] = "command line"
    return LoadedConfig(check_config(values, path.name, origins), origins)


def _find(source: str) -> Path:
    shipped = shipped_configs()
    if source in shipped:
        return shipped[source]
    if source.endswith(".toml") or "/" in source:
        return Path(source)
    raise UserError(f"no config called {shown(source)}; {nearest(source, shipped)}")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's values; raises UserError naming the file where it cannot be read or is not TOML."""
    try:
        values = _loads(read_text(path, MOST_BYTES))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is not TOML: {_plainly(error)}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    _check_values(values, str(path))
    return values


def _loads(text: str) -> dict[str, Any]:
    """TOML's values; raises ValueError, of which TOMLDecodeError is one, and nothing else."""
    if LONG_KEY.search(text):
        raise ValueError(f"a key has more than {DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError:  # Python reads no integer of more than 4,300 digits
        raise ValueError(TOO_LONG) from None


def _check_values(values: Mapping[str, Any], origin: str) -> None:
    """Raise UserError for the first value that tomllib takes and a TOML file cannot hold, or that is nested too deeply.
    """
    waiting: list[tuple[str, Any, int]] = [("", values, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}".removeprefix("."), one, depth + 1) for name, one in value.items()]
        elif isinstance(value, list):
            waiting += [(key, one, depth + 1) for one in value]
        if problem := _problem_with(key, value, depth):
            raise UserError(f"{origin}: {shortened(key)}: {problem}")


def _problem_with(key: str, value: Any, depth: int) -> str | None:
    if depth > DEEPEST:
        return TOO_DEEP
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        return f"{TOO_LONG} (given: {shown(value)})"
    if SURROGATE.search(key) or isinstance(value, str) and SURROGATE.search(value):
        return f"cannot be written in UTF-8 (given: {shown(value)})"
    return None


def _plainly(error: tomllib.TOMLDecodeError) -> str:
    """tomllib's message, with its tuples of a key's parts as the dotted key."""
    return shortened(re.sub(r"\('([^()]*)',?\)", lambda parts: parts[1].replace("', '", "."), str(error)))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) for every value of nested tables."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UserError(f"override {shown(text)} is not of the form key=value, such as search.population=512")
    try:
        found = _override_values(value)
    except ValueError as error:
        raise UserError(f"override {shortened(key)}: {error}") from error
    if len(found) > 1 or key.count(".") > DEEPEST:
        raise UserError(f"override {shown(text)} is not one key=value, such as search.population=512")
    _check_values({key: found["value"]}, "command line")
    return key, found["value"]


def _override_values(text: str) -> dict[str, Any]:
    try:
        return _loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return {"value": text.strip()}  # a bare word is a string, so that task.name=fashion needs no quotes


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UserError(f"override {shortened(key)}: {shown(table)} is a value, not a table")
    values[last] = value


def check_config(values: dict[str, Any], file: str, origins: Mapping[str, str] | None = None) -> RunConfig:
    """Validate a config's values; raises UserError with one line for the first thing that is wrong."""
    resolved = dict(values)
    for kind in PARTS:
        resolved[kind] = _check_component(kind, values.get(kind), file, origins or {})
    return _validate(RunConfig, resolved, file, "", origins or {})


def _check_component(kind: str, values: Any, file: str, origins: Mapping[str, str]) -> BaseModel:
    names = ", ".join(component_names(kind))
    if values is None:
        raise UserError(f"{file}: the table [{kind}] is missing; its name is one of {names}")
    if not isinstance(values, dict):
        raise UserError(f"{file}: {kind} must be a table with a name, one of {names}")
    name = values.get("name")
    if not isinstance(name, str):
        raise UserError(f"{file}: {kind}.name is missing; allowed: {names}")
    try:
        module = load_component(kind, name)
    except UserError as error:
        raise UserError(f"{origins.get(f'{kind}.name', file)}: {kind}.name: {error}") from error
    return _validate(module.Settings, values, file, f"{kind}.", origins)


def _validate(model: type[BaseModel], values: Any, file: str, prefix: str, origins: Mapping[str, str]) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        parts = [str(part) for part in problem["loc"]]
        key = prefix + ".".join(parts)
        origin = next((origins[known] for known in _ancestors(key) if known in origins), file)
        raise UserError(f"{origin}: {shortened(key)}: {_explain(problem, model, parts)}") from error


def _ancestors(key: str) -> Iterator[str]:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


def _explain(problem: Any, model: type[BaseModel], parts: list[str]) -> str:
    if problem["type"] == "extra_forbidden":
        for part in parts[:-1]:
            annotation = model.model_fields[part].annotation if part in model.model_fields else None
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
        return f"unknown key; {nearest(parts[-1], sorted(model.model_fields))}"
    text = problem["msg"][0].lower() + problem["msg"][1:]
    given = problem["input"]
    for value in given if isinstance(given, (list, tuple)) else [given]:
        text = text.replace(repr(value), shown(value)) if isinstance(value, str) else text
    return one_line(text.removeprefix("value error, ")) + \
        ("" if problem["type"] == "missing" else f" (given: {shown(given)})")


def config_values(config: RunConfig) -> dict[str, Any]:
    """The resolved config as plain nested values, without those that are not set."""
    def drop(values: Any) -> Any:
        return {key: drop(value) for key, value in values.items() if value is not None} \
            if isinstance(values, dict) else values

    return drop(config.model_dump(mode="json"))


def config_text(config: RunConfig) -> str:
    """The resolved config as TOML."""
    return tomli_w.dumps(config_values(config))
