"""One run in TOML: read, overridden, checked, written.

A config has the four parts of a run (`task`, `target`, `encoding`, `search`), each with the name of a component and its
options, and a few keys of its own. Values come from the component's defaults, the TOML file and the command line, the
later over the earlier.
"""

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from hyperevo.components import ComponentSettings, TaskSettings, component_names, component_of, find_component, nearest
from hyperevo.errors import UserError
from hyperevo.guests import OWN, Code, Source

PARTS = ("task", "target", "encoding", "search")

Values = dict[str, Any]
"""Plain nested values of a config."""


class RunSettings(BaseModel):
    """How long a run lasts and what it writes while it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    """What the run is called; the file's name where not given."""
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**31)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    threads: int | None = Field(None, ge=1)
    """Threads for tensor work; left to torch where not given, and recorded either way."""
    task: SerializeAsAny[TaskSettings]
    target: SerializeAsAny[ComponentSettings]
    encoding: SerializeAsAny[ComponentSettings]
    search: SerializeAsAny[ComponentSettings]
    run: RunSettings = RunSettings()
    data_checksum: str | None = None
    """sha256 over the data set's files: recorded by every run; given in a config, other data are refused."""

    def part(self, kind: str) -> Any:
        """Settings of the component of one kind."""
        return {"task": self.task, "target": self.target, "encoding": self.encoding, "search": self.search}[kind]

    def sources(self) -> list[Source]:
        """Code of guests that the parts are, or name."""
        parts = [component_of(kind, self.part(kind)).source for kind in PARTS]
        named = [code.source for kind in PARTS for code in self.part(kind).code()]
        return [source for source in [*parts, *named] if source is not None]


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


def load_config(source: str, overrides: Sequence[str] = (), code: Code = OWN) -> LoadedConfig:
    """A shipped config by name, or a TOML file by path, with `key=value` overrides; checked. Code that the file names runs
    where `code` lets it; what an override names is the user's own.

    Raises UserError, with one line that names the file and key, for anything that is wrong with either.
    """
    path = _find(source)
    values = {"name": path.stem} | read_toml(path)
    origins = {key: path.name for key, _ in flatten(values) if key != "name"}
    for override in overrides:
        key, value = _parse_override(override)
        code = replace(code, named=code.named | {text for _, text in flatten({"": value}) if isinstance(text, str)})
        _assign(values, key, value)
        origins = {old: origin for old, origin in origins.items() if not old.startswith(f"{key}.")}
        origins[key] = "command line"
    return LoadedConfig(check_config(values, path.name, origins, code), origins)


def _find(source: str) -> Path:
    shipped = shipped_configs()
    if source in shipped:
        return shipped[source]
    if source.endswith(".toml") or "/" in source:
        return Path(source)
    raise UserError(f"no config called {source!r}; {nearest(source, shipped)}")


def read_toml(path: Path) -> Values:
    """A TOML file's values; raises UserError naming the file where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: is not TOML: {_one_line(error)}") from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) for every value of nested tables."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"override {text!r} is not of the form key=value, such as search.population=512")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return key.strip(), value.strip()  # a bare word is a string, so that task.name=fashion needs no quotes


def assigned(values: Values, overrides: Sequence[str]) -> Values:
    """Copy of a config's values with `key=value` overrides."""
    copied = copy.deepcopy(values)
    for override in overrides:
        _assign(copied, *_parse_override(override))
    return copied


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UserError(f"override {key}: {table!r} is a value, not a table")
    values[last] = value


def check_config(values: dict[str, Any], file: str, origins: Mapping[str, str] | None = None,
                 code: Code = OWN) -> RunConfig:
    """Validate a config's values; raises UserError with one line for the first thing that is wrong."""
    resolved = dict(values)
    for kind in PARTS:
        resolved[kind] = _check_component(kind, values.get(kind), file, origins or {}, code)
    return _validate(RunConfig, resolved, file, "", origins or {}, code)


def _check_component(kind: str, values: Any, file: str, origins: Mapping[str, str], code: Code) -> BaseModel:
    names = ", ".join(component_names(kind))
    if values is None:
        raise UserError(f"{file}: the table [{kind}] is missing; its name is one of {names}")
    if not isinstance(values, dict):
        raise UserError(f"{file}: {kind} must be a table with a name, one of {names}")
    name = values.get("name")
    if not isinstance(name, str):
        raise UserError(f"{file}: {kind}.name is missing; allowed: {names}")
    try:
        component = find_component(kind, name, code)
    except UserError as error:
        raise type(error)(f"{origins.get(f'{kind}.name', file)}: {kind}.name: {error}") from error
    return _validate(component.settings, values, file, f"{kind}.", origins, code)


def _validate(model: type[BaseModel], values: Any, file: str, prefix: str, origins: Mapping[str, str],
              code: Code) -> Any:
    try:
        return model.model_validate(values, context={"code": code})
    except ValidationError as error:
        problem = error.errors()[0]
        parts = [str(part) for part in problem["loc"]]
        key = prefix + ".".join(parts)
        origin = next((origins[known] for known in _ancestors(key) if known in origins), file)
        raise UserError(f"{origin}: {key}: {_explain(problem, model, parts)}") from error


def _ancestors(key: str) -> Iterator[str]:
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length])


def _explain(problem: Any, model: type[BaseModel], parts: list[str]) -> str:
    if problem["type"] == "extra_forbidden":
        for part in parts[:-1]:
            annotation = model.model_fields[part].annotation
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
        return f"unknown key; {nearest(parts[-1], sorted(model.model_fields))}"
    text = problem["msg"][0].lower() + problem["msg"][1:]
    given = "" if problem["type"] == "missing" else f" (given: {problem['input']!r})"
    return _one_line(text.removeprefix("value error, ")) + given


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def config_values(config: RunConfig) -> Values:
    """The resolved config as plain nested values, without those that are not set."""
    def drop(values: Any) -> Any:
        return {key: drop(value) for key, value in values.items() if value is not None} \
            if isinstance(values, dict) else values

    return drop(config.model_dump(mode="json"))


def config_text(config: RunConfig) -> str:
    """The resolved config as TOML."""
    return tomli_w.dumps(config_values(config))
