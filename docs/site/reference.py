"""Reference of every setting of every part, and of the modules, as pages: from the docstrings that `show` prints."""

from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from hyperevo.components import component_names, find_component
from hyperevo.config import RunConfig, RunSettings, as_toml, meaning_of

KINDS = {"encoding": ("encodings", "Encodings: genotype → weights"),
         "target": ("targets", "Targets: weights, inputs → outputs"),
         "task": ("tasks", "Tasks: outputs → fitness"), "search": ("searches", "Searches: fitness → next genotypes")}


def write_reference(folder: Path) -> None:
    """Write a page for every kind of part, and one for the settings of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, (file, title) in KINDS.items():
        parts = [section(kind, name) for name in component_names(kind)]
        head = f"# {title}\n\nKeys of the table `[{kind}]` of a config.\n\n"
        (folder / f"{file}.md").write_text(head + "".join(parts), "utf-8")
    own = {name: info for name, info in RunConfig.model_fields.items() if name not in (*KINDS, "run")}
    (folder / "run.md").write_text(
        "# The run\n\n" + f"## Keys outside of tables\n\n{rows(RunConfig, '', own)}\n"
        + f"## `run`\n\n{RunConfig.model_fields['run'].description}\n\n{rows(RunSettings, 'run.')}\n", "utf-8")


def section(kind: str, name: str) -> str:
    """Section on one part: its meaning and its settings."""
    component = find_component(kind, name)
    return f"## `{name}`\n\n{escaped(component.meaning)}\n\n{rows(component.settings, f'{kind}.')}\n"


def rows(model: type[BaseModel], prefix: str, fields: dict[str, Any] | None = None) -> str:
    """Definition list of a model's settings, nested ones below their table's key."""
    text = ""
    for name, info in (model.model_fields if fields is None else fields).items():
        if name == "name" and prefix:
            continue
        nested = next((own for own in (info.annotation, *get_args(info.annotation))
                       if isinstance(own, type) and issubclass(own, BaseModel)), None)
        default = "must be given" if info.is_required() else \
            f"default `{as_toml(plain(info.get_default(call_default_factory=True)))}`"
        told = "a table" if nested else f"{type_name(info.annotation)}{limits(info.metadata)}; {default}"
        text += f"`{prefix}{name}`\n: *{told}*\n\n  {escaped(meaning_of(info))}\n\n"
        text += rows(nested, f"{prefix}{name}.") if nested else ""
    return text or "No settings.\n"


def plain(value: Any) -> Any:
    """A default as a config has it."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def type_name(annotation: Any) -> str:
    """Type of a setting in words, such as "integer or none"."""
    words = {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "not set", dict: "table"}
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one word"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_name(own) for own in inner if own is not type(None)))
    if origin in (tuple, list):
        return f"list of {type_name(inner[0])}" if inner else "list"
    if origin is dict:
        return "table"
    return words.get(annotation) or (type_name(inner[0]) if inner else "value")


def limits(metadata: list[Any]) -> str:
    """Bounds of a number, such as ", from 1 to 1024"."""
    bounds = {key: getattr(own, key) for own in metadata for key in ("ge", "gt", "le", "lt")
              if getattr(own, key, PydanticUndefined) not in (PydanticUndefined, None)}
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return "".join(f", {words[key]} {value:,}" if isinstance(value, int) else f", {words[key]} {value:g}"
                   for key, value in bounds.items())


def escaped(text: str) -> str:
    """Text of a docstring as MyST: stars outside of code are stars."""
    return "`".join(part if place % 2 else part.replace("*", r"\*").replace("[", r"\[").replace("<", "&lt;")
                    for place, part in enumerate(text.split("`")))
