"""One run in TOML: read, overridden, checked, written.

A config has the four parts of a run (`task`, `target`, `encoding`, `search`), each with the name of a component and its
options, and a few keys of its own. Values come from the component's defaults, the TOML file and the command line; later
sources override earlier ones.

A table on the command line replaces the file's table. A new name of a part keeps the file's keys for the old component,
as far as the new one takes them.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError
from pydantic.fields import FieldInfo

from hyperevo.components import (
    ComponentSettings,
    Score,
    TaskSettings,
    component_names,
    component_of,
    find_component,
    nearest,
)
from hyperevo.errors import UserError, one_line, shortened, shown
from hyperevo.guests import OWN, Code, Source
from hyperevo.toml import flatten, parse_override, read_toml

PARTS = ("task", "target", "encoding", "search")

Values = dict[str, Any]
"""Plain nested values of a config."""

COMMAND_LINE = "command line"
"""Origin of a value that is neither a default nor in the file."""


class RunSettings(BaseModel):
    """Limits of a run, and what it writes while it goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    rounds: int = Field(100, ge=1, lt=2**31)
    """Largest number of rounds; a round asks the search for genotypes, evaluates them and tells their fitness."""
    evaluations: int | None = Field(None, ge=1, le=2**53)
    """Evaluations of a network after which the run ends, with the round that reaches them; the first limit reached
    counts."""
    images: int | None = Field(None, ge=1, le=2**53)
    """Examples shown to networks after which the run ends, with the round that reaches them; an example counts once for
    every network."""
    seconds: float | None = Field(None, gt=0, le=1e9)
    """Seconds after which the run ends, with the round that reaches them; the result then depends on the machine."""
    until: Score | None = None
    """Validation score of the champion at which the run ends: an accuracy from 0 to 1, or another measure as
    metrics.csv has it, such as -1.3 for 1.3 bits per character."""
    patience: int | None = Field(None, ge=1, lt=2**31)
    """Rounds after the champion's own at which the run ends, if no better one was found by then."""
    validate_every: int = Field(10, ge=1, lt=2**31)
    """Rounds between two evaluations on the validation examples, which choose the champion."""
    memory_gb: float | None = Field(None, gt=0, le=1e6)
    """Memory that evaluating a population may take, in 10⁹ bytes; it sets the number of networks evaluated at a time.
    By default half of what is free when the run starts; environment.json records the value."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision in which the networks of a generation compute: bfloat16 takes a fraction of the time where the
    processor or GPU has instructions for it, and changes fitness in the third digit. Genes, fitness, validation and
    test are in float32; a gradient has search.precision."""
    filmstrip: int = Field(12, ge=0, le=1000)
    """Champions kept on the way for the figure of weights over time; 0 keeps none. A run that a budget or a score may
    end keeps one whenever the number of rounds has grown by half."""

    figures: tuple[Literal["png", "svg", "pdf"], ...] = Field(("png",), min_length=1)
    """Formats of figures: png, svg, pdf, one or several."""
    log: Literal["", "mlflow", "tensorboard", "wandb"] = ""
    """Logger that gets every round beside metrics.csv, into the run's folder `log` and without a network; each is an
    extra, such as hyperevo[tensorboard]."""

    @property
    def ends_with_rounds(self) -> bool:
        """True where only the number of rounds can end the run."""
        return self.evaluations is None and self.images is None and self.seconds is None and self.until is None \
            and self.patience is None


class RunConfig(BaseModel):
    """A resolved run."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    name: str = ""
    """Name of the run; by default the file's name, followed by the components that the command line put in."""
    description: str = ""
    """One sentence on the run."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of everything that is drawn at random: genotypes, batches, episodes."""
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """Device of all tensors: auto (a GPU where there is one), cpu, mps, cuda or cuda:N."""
    threads: int | None = Field(None, ge=1, le=1024)
    """Number of threads for tensor work, recorded in environment.json; by default torch's choice."""
    task: SerializeAsAny[TaskSettings]
    """Data or an environment, and the fitness of networks on it."""
    target: SerializeAsAny[ComponentSettings]
    """Network that receives the weights."""
    encoding: SerializeAsAny[ComponentSettings]
    """Map from genotypes to the target's weights."""
    search: SerializeAsAny[ComponentSettings]
    """Method by which genotypes improve."""
    run: RunSettings = RunSettings()
    """Limits of the run, and what it writes while it goes on."""
    data_checksum: str | None = None
    """Checksum of the data, SHA-256 over the files of a data set; every run records it. A config that gives one refuses
    other data."""

    def part(self, kind: str) -> Any:
        """Settings of the component of one kind."""
        return {"task": self.task, "target": self.target, "encoding": self.encoding, "search": self.search}[kind]

    def sources(self) -> list[Source]:
        """Code of guests that the parts are, or that their settings name."""
        parts = [component_of(kind, self.part(kind)).source for kind in PARTS]
        named = [code.source for kind in PARTS for code in self.part(kind).code()]
        return [source for source in [*parts, *named] if source is not None]


@dataclass(frozen=True)
class LoadedConfig:
    """A config, and the origins of its values."""

    config: RunConfig
    origins: dict[str, str] = field(default_factory=dict)
    """Origin of every value that is not a default, by dotted key: the file's name or `command line`."""
    replaced: dict[str, str] = field(default_factory=dict)
    """Names of the components that the command line put in place of the file's, by part."""
    notes: tuple[str, ...] = ()
    """Sentences on keys of the file that a replaced component took and its successor does not."""


def shipped_configs() -> dict[str, Path]:
    """Paths of the configs that come with hyperevo, by name: the wheel holds them in the package, a checkout in
    `configs/`."""
    packaged = Path(str(resources.files("hyperevo"))) / "configs"
    folder = packaged if packaged.is_dir() else Path(__file__).parent.parent / "configs"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


Override = str | tuple[str, Any]
"""Text `key=value`, or a dotted key and its value."""


def load_config(source: str, overrides: Sequence[Override] = (), code: Code = OWN) -> LoadedConfig:
    """Load a shipped config by name, or a TOML file by path, with overrides, and check it.

    Code that the file names runs only if `code` permits; code that an override names is the user's own. Where an
    override replaces a component, the run's name and description say so, unless other overrides give them. Raises
    UserError, with one line that names the file and key, for anything that is wrong.
    """
    path = _find(source)
    values = read_toml(path)
    origins, before = {key: path.name for key, _ in flatten(values)}, _components(values)
    for override in overrides:
        key, value = parse_override(override) if isinstance(override, str) else override
        code = replace(code, named=code.named | {text for _, text in flatten({"": value}) if isinstance(text, str)})
        _assign(values, key, value)
        given = [below for below, _ in flatten({key: value})] or [key]
        origins = {old: where for old, where in origins.items() if not f"{old}.".startswith(f"{key}.")}
        origins |= dict.fromkeys(given, COMMAND_LINE)
    replaced = {kind: name for kind, name in _components(values).items() if name != before.get(kind, name)}
    notes = [note for kind in replaced if (note := _leave_out(kind, values[kind], origins, path.name, code))]
    config = check_config({"name": one_line(path.stem)} | values, path.name, origins, code)
    said = {key: text for key, text in _said_of(replaced, config).items() if origins.get(key) != COMMAND_LINE}
    origins |= dict.fromkeys(said, COMMAND_LINE)
    return LoadedConfig(config.model_copy(update=said), origins, replaced, tuple(notes))


def _components(values: Mapping[str, Any]) -> dict[str, str]:
    """Component names by part, of the parts that have one."""
    tables = {kind: values[kind] for kind in PARTS if isinstance(values.get(kind), dict)}
    return {kind: table["name"] for kind, table in tables.items() if isinstance(table.get("name"), str)}


def _leave_out(kind: str, table: dict[str, Any], origins: dict[str, str], file: str, code: Code) -> str | None:
    """Remove from a replaced part's table the file's keys that the new component does not take; returns a sentence on
    them, or None."""
    from_file = [key for key in table if origin(f"{kind}.{key}", origins) != COMMAND_LINE]
    left_out = [key for key in from_file if key in _refused(kind, table, code)]
    for key in left_out:
        del table[key]
        for below in [known for known in origins if f"{known}.".startswith(f"{kind}.{key}.")]:
            del origins[below]
    kept = [key for key in from_file if key not in left_out]
    other_way = f"; with {kind}={{name='{table['name']}'}} it takes nothing" if kept else ""
    return f"{kind}.name={table['name']} takes {', '.join(kept) or 'nothing'} from {file} and not " \
           f"{', '.join(left_out)}{other_way}" if left_out else None


def _refused(kind: str, table: Mapping[str, Any], code: Code) -> set[Any]:
    """Keys of a part's table that its component does not know, or whose values it does not take."""
    try:
        find_component(kind, table["name"], code).settings.model_validate(table, context={"code": code})
    except ValidationError as error:
        return {problem["loc"][0] for problem in error.errors() if problem["loc"]}
    except UserError:  # there is no such component, which is said where the config is checked
        pass
    return set()


def _said_of(replaced: Mapping[str, str], config: RunConfig) -> dict[str, str]:
    """Name and description of a run with replaced components, by key; empty where none is replaced."""
    name = "+".join([config.name, *map(brief_name, replaced.values())])
    parts = ", ".join(f"{kind} {component}" for kind, component in replaced.items())
    return {"name": name, "description": f"{config.name} with {parts}"} if replaced else {}


def brief_name(component: str) -> str:
    """A component's name as part of a folder's name; a file loses its path and suffix."""
    return re.sub(r"[^\w.-]+", "-", re.sub(r"\.py(?=:|$)", "", component.rpartition("/")[2]))


def _find(source: str) -> Path:
    shipped = shipped_configs()
    if source in shipped:
        return shipped[source]
    if source.endswith(".toml") or "/" in source:
        return Path(source)
    raise UserError(f"no config called {shown(source)}; {nearest(source, shipped)}")


def assigned(values: Values, overrides: Sequence[str]) -> Values:
    """Copy of a config's values with `key=value` overrides; raises UserError for an override of another form."""
    copied = copy.deepcopy(values)
    for override in overrides:
        _assign(copied, *parse_override(override))
    return copied


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UserError(f"override {shortened(key)}: {shown(table)} is a value, not a table")
    values[last] = value


def check_config(values: dict[str, Any], file: str, origins: Mapping[str, str] | None = None,
                 code: Code = OWN) -> RunConfig:
    """Validate a config's values; raises UserError, in one line, for the first value that is wrong."""
    resolved = dict(values)
    for kind in PARTS:
        resolved[kind] = part_settings(kind, values.get(kind), file, origins or {}, code)
    return _validate(RunConfig, resolved, file, "", origins or {}, code)


def part_settings(kind: str, values: Any, file: str, origins: Mapping[str, str], code: Code) -> ComponentSettings:
    """Validate the table of one part; raises UserError, in one line, for the first value that is wrong."""
    names = ", ".join(component_names(kind))
    if values is None:
        raise UserError(f"{file}: the table [{kind}] is missing; its name is one of {names}")
    if not isinstance(values, dict):
        meant = f"did you mean {kind}.name={values}? It" if values in component_names(kind) else kind
        raise UserError(f"{origin(kind, origins) or file}: {meant} must be a table with a name, one of {names}")
    name = values.get("name")
    if not isinstance(name, str):
        raise UserError(f"{origin(kind, origins) or file}: {kind}.name is missing; allowed: {names}")
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
        key = (prefix + ".".join(parts)).removesuffix(".")  # a table as a whole has no key of its own
        place = key if problem["type"] != "missing" else key.rpartition(".")[0]
        where = origin(place, origins) or file
        raise UserError(f"{where}: {shortened(key)}: {_explain(problem, model, parts)}") from error


def origin(key: str, origins: Mapping[str, str]) -> str | None:
    """Origin of a key's value, or of the values in a table, the command line first; None for a default."""
    found = [origins[known] for known in _ancestors(key) if known in origins] \
        or [where for known, where in origins.items() if known.startswith(f"{key}.")]
    return COMMAND_LINE if COMMAND_LINE in found else next(iter(found), None)


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


def config_values(config: RunConfig) -> Values:
    """The resolved config as plain nested values, without those that are not set."""
    def drop(values: Any) -> Any:
        return {key: drop(value) for key, value in values.items() if value is not None} \
            if isinstance(values, dict) else values

    return drop(config.model_dump(mode="json"))


def config_text(config: RunConfig) -> str:
    """The resolved config as TOML."""
    return tomli_w.dumps(config_values(config))


@dataclass(frozen=True)
class Setting:
    """One setting of a config: dotted key, value as plain data (None: not set), origin, meaning."""

    key: str
    value: Any
    origin: str
    meaning: str


@dataclass(frozen=True)
class SettingsTable:
    """Settings of one table of a config (`` for those outside of all tables, or `search.refine`) and its meaning."""

    key: str
    meaning: str
    settings: tuple[Setting, ...]


def explained(loaded: LoadedConfig) -> list[SettingsTable]:
    """Settings of a config, table by table: value, origin, and docstring.

    The meaning of a part's name is the first paragraph of its component's docstring.
    """
    return list(_tables(loaded.config, "", "", loaded.origins))


def _tables(model: BaseModel, key: str, meaning: str, origins: Mapping[str, str]) -> Iterator[SettingsTable]:
    prefix, nested = f"{key}." if key else "", {own: value for own, value in model if isinstance(value, BaseModel)}
    plain = {own: value for own, value in model.model_dump(mode="json").items() if own not in nested}
    fields = type(model).model_fields
    yield SettingsTable(key, meaning, tuple(
        Setting(f"{prefix}{own}", plain[own], origin(f"{prefix}{own}", origins) or "default", _meaning(key, model, own))
        for own in sorted(plain, key=lambda own: own != "name")))
    for own, value in nested.items():
        yield from _tables(value, f"{prefix}{own}", fields[own].description or "", origins)


def _meaning(table: str, model: BaseModel, key: str) -> str:
    """Meaning of a setting; of a part's name, that of its component."""
    info = type(model).model_fields[key]
    if table in PARTS and key == "name":
        return component_of(table, model).meaning if isinstance(model, ComponentSettings) else ""
    return meaning_of(info)


def meaning_of(info: FieldInfo) -> str:
    """Docstring of a setting on one line, followed by the values it may have if they are words."""
    words = [str(word) or '""' for word in get_args(info.annotation)] if get_origin(info.annotation) is Literal else []
    return one_line(info.description or "") + (f" One of {', '.join(words)}." if words else "")


def as_toml(value: Any) -> str:
    """A value on one line of TOML, as a config or an override has it; `not set` for None."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(own)}" for key, own in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return "not set" if value is None else json.dumps(value, ensure_ascii=False)
