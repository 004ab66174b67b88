"""TOML of configs: files and overrides, read and checked for what TOML cannot hold."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperevo.errors import UserError, shortened, shown
from hyperevo.reading import read_text

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


def parse_override(text: str) -> tuple[str, Any]:
    """Key and value of an override; raises UserError where it is not one key=value."""
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


def parse_value(text: str) -> Any:
    """Value that an override gives; raises UserError where it is not one."""
    return parse_override(f"value={text}")[1]


def _override_values(text: str) -> dict[str, Any]:
    try:
        return _loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return {"value": text.strip()}  # a bare word is a string, so that task.name=fashion needs no quotes
