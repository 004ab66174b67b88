"""Contracts: rules that every part holds to, found by name or a guest's; for `hyperevo check` and for the tests.

    for finding in check("mine.py"):
        print(finding)
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch

from hyperevo.components import (
    FOLDERS,
    Component,
    ComponentSettings,
    component_names,
    find_component,
    load_component,
    nearest,
)
from hyperevo.config import PARTS, part_settings
from hyperevo.contracts import _data, _encoding, _environment, _search, _target, _task
from hyperevo.contracts._rules import Finding, Rule, attributes, findings, raised
from hyperevo.data import DataMissing
from hyperevo.errors import UserError
from hyperevo.guests import OWN, is_guest_name
from hyperevo.parts import Encoding, Search, Target, Task
from hyperevo.runs.compose import build_task

__all__ = ["Finding", "check", "kind_of", "rules_of"]

CONTRACTS: dict[str, type] = {"task": Task, "target": Target, "encoding": Encoding, "search": Search,
                              "environment": _environment.Environment, "data set": _data.Source}

RULES: dict[str, dict[str, Rule]] = {
    "task": _task.RULES, "target": _target.RULES, "encoding": _encoding.RULES, "search": _search.RULES,
    "environment": _environment.RULES, "data set": _data.RULES}


def rules_of(kind: str) -> list[str]:
    """Titles of the rules that a kind of part holds to."""
    return list(RULES[kind])


def check(name: str, kind: str | None = None, **options: Any) -> list[Finding]:
    """Hold a part to its contract: one of the house's or of an installed package's by name, or a guest's, `mine.py`,
    `mine.py:Name`, `package.module`. The list is empty where all holds.

    kind: task, target, encoding, search, environment or data set, where the name does not tell it. options: the part's
    settings, where it needs any. Raises UserError where there is no such part, where its code cannot be run, and where
    its options or its data are not there.
    """
    kind = kind or kind_of(name)
    if kind not in RULES:
        raise UserError(f"no kind of part called {kind!r}; {nearest(kind, RULES)}")
    case = _case(kind, name, options)
    if isinstance(case, Finding):
        return [case]
    try:
        return list(findings(RULES[kind], case, attributes(CONTRACTS[kind], case.part)[1]))
    finally:
        if isinstance(case.part, Task | Search):
            with suppress(Exception, SystemExit):  # a rule says so
                case.part.close()


# Building


def _case(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Part under test, or what is found where it cannot be built."""
    if kind in MODULES:
        return MODULES[kind](load_component(kind, name))
    if is_guest_name(name):
        OWN.locate(name).source.load()  # what this raises is no question of a contract
    try:
        component = find_component(kind, name)
    except UserError as error:
        if not is_guest_name(name):
            raise
        return Finding("module", str(error))
    settings = part_settings(kind, {"name": name, **options}, f"check {name}", {}, OWN)
    try:
        return BUILDERS[kind](component, settings)
    except DataMissing:
        raise
    except UserError as error:
        return Finding("build", str(error))
    except (Exception, SystemExit) as error:  # code of a guest may raise anything
        return Finding("build", raised(error))


def _task_case(component: Component, settings: ComponentSettings) -> _task.Case:
    def another() -> Task:
        return build_task(settings, torch.device("cpu"))

    return _task.Case(another(), component, another)


MODULES: dict[str, Callable[[Any], Any]] = {"environment": _environment.Case, "data set": _data.Case}
"""Kinds whose parts are modules."""

BUILDERS: dict[str, Callable[[Component, ComponentSettings], Any]] = {
    "task": _task_case,
    "target": lambda component, settings: _target.case_of(settings),
    "encoding": lambda component, settings: _encoding.case_of(settings),
    "search": lambda component, settings: _search.case_of(settings)}


# The kind of a part


def kind_of(name: str) -> str:
    """Kind of a part by its name or, a guest's, by the contract that its module takes up or the parameters of its
    `build`. Raises UserError where that does not tell it."""
    if not is_guest_name(name):
        return _only(name, [kind for kind in FOLDERS if name in component_names(kind)])
    named = OWN.locate(name)
    module = named.source.load()
    own = vars(module).get(named.attribute) if named.attribute else None
    classes = [own] if isinstance(own, type) else [
        value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    found = {kind for kind in PARTS for value in classes if issubclass(value, CONTRACTS[kind])}
    return _only(name, sorted(found) or _kinds_by_build(own or vars(module).get("build")))


def _kinds_by_build(build: object) -> list[str]:
    if not callable(build):
        return []
    names = list(inspect.signature(build).parameters)
    return [kind for kind, last in (("task", ["device"]), ("target", ["inputs", "outputs"]),
                                    ("encoding", ["geometry", "device"]), ("search", ["encoding", "seed"]))
            if names[1:] == last]


def _only(name: str, kinds: list[str]) -> str:
    """The one kind of a part; raises UserError where there is none, or several."""
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise UserError(f"{name}: may be {' or '.join(kinds)}; --kind says which is meant")
    if is_guest_name(name):
        raise UserError(f"{name}: says nowhere what kind of part it is: --kind {'|'.join(PARTS)}")
    known = sorted({own for kind in FOLDERS for own in component_names(kind)})
    raise UserError(f"no part called {name!r}; {nearest(name, known)}")
