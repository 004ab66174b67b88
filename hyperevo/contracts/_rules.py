"""Findings, and the tools with which rules are written: attributes held to their types, bits compared.

A rule is a function of a case that yields one line for everything it finds wrong. Whatever a part raises under a rule
is a finding too.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch import Tensor

from hyperevo.data import DataMissing
from hyperevo.genotypes import Drawn, Neighbours
from hyperevo.graph import Graph
from hyperevo.weights import Deferred, Factored, Perturbed, Pieces, Weights

NETWORKS = 4
"""Networks of a population under test."""

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
"""Tolerances of float32 values that are computed in another order."""


@dataclass(frozen=True)
class Finding:
    """One way in which a part does not hold to its contract: the rule, and what was found in one line."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


Rule = Callable[[Any], Iterator[str]]
"""Function of a case that yields a line for everything wrong."""


def findings(rules: Mapping[str, Rule], case: object, missing: Sequence[str] = ()) -> Iterator[Finding]:
    """Findings of every rule, by its title. What a part raises because an attribute is missing, which was said before,
    is left out. Raises DataMissing where data cannot be had: that is no fault of a part."""
    for title, rule in rules.items():
        try:
            for text in rule(case):
                yield Finding(title, text)
        except DataMissing:
            raise
        except AttributeError as error:
            if error.name not in missing:
                yield Finding(title, raised(error))
        except (Exception, SystemExit) as error:  # code of a guest may raise anything
            yield Finding(title, raised(error))


def raised(error: BaseException) -> str:
    """Line that says what was raised."""
    reason = " ".join(str(error).split())[:300]
    return f"raises {type(error).__name__}{f': {reason}' if reason else ''}"


def some(values: Sequence[object], shown: int = 5) -> str:
    """The first of some values, and how many more there are."""
    more = f" and {len(values) - shown} more" if len(values) > shown else ""
    return ", ".join(map(str, values[:shown])) + more


# Attributes


_MISSING = object()


@cache
def _attributes_of(contract: type) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (hint, ...) for name, hint in get_type_hints(contract).items()}
    strict = ConfigDict(arbitrary_types_allowed=True, strict=True)
    return create_model(contract.__name__, __config__=strict, **fields)


def attributes(contract: type, part: object) -> tuple[dict[str, Any], list[str]]:
    """(values, names of the missing ones) of the attributes that a contract says a part has."""
    values = {name: getattr(part, name, _MISSING) for name in _attributes_of(contract).model_fields}
    return {name: value for name, value in values.items() if value is not _MISSING}, \
        [name for name, value in values.items() if value is _MISSING]


def check_attributes(contract: type, part: object) -> Iterator[str]:
    """A line for every attribute of a contract that is missing or of another type."""
    model, (values, missing) = _attributes_of(contract), attributes(contract, part)
    for name in missing:
        hint = model.model_fields[name].annotation
        yield f"{name} is missing; wanted: {hint.__name__ if isinstance(hint, type) else hint}"
    try:
        model.model_validate(values)
    except ValidationError as error:
        yield from (_wrong_type(problem) for problem in error.errors() if problem["type"] != "missing")


def _wrong_type(problem: Any) -> str:
    name = ".".join(map(str, problem["loc"]))
    return f"{name}: {problem['msg'][0].lower()}{problem['msg'][1:]} (given: {problem['input']!r:.80})"


def check_repr(case: Any) -> Iterator[str]:
    """A repr is one line that says more than where an object lies in memory."""
    text = repr(case.part)
    if "\n" in text or len(text) > 300:
        yield f"is longer than one line: {text!r:.80}"
    if " object at 0x" in text:
        yield f"says where it lies in memory: {text:.80}"


# Bits


def bits(value: object) -> object:
    """Plain value that is equal for objects that are equal to the last bit: tensors, genotypes, weights, plain data."""
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        return str(plain.dtype), tuple(plain.shape), plain.flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(value, Graph):
        return value.key()
    if isinstance(value, Neighbours):
        return bits(value.centre), bits(value.noise)
    if isinstance(value, Drawn):
        return bits(value.shared), bits(value.codes)
    if isinstance(value, Factored | Perturbed | Deferred | Pieces):
        return bits(value.dense())
    if isinstance(value, Mapping):
        return {key: bits(own) for key, own in value.items()}
    return [bits(own) for own in value] if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value


@contextmanager
def other_global_seeds(seed: int = 20_011) -> Iterator[None]:
    """While it lasts, the global generators of torch, NumPy and Python are in another state."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        random.setstate(before[2])


def far_apart(one: Tensor, other: Tensor) -> bool:
    """True where two tensors differ in shape, or by more than rounding."""
    return one.shape != other.shape or not torch.allclose(one.float(), other.float(), equal_nan=True, **CLOSE)


def shape_line(name: str, found: Tensor | Weights | object, wanted: Sequence[int]) -> Iterator[str]:
    """A line where a tensor is none, or of another shape."""
    if not isinstance(found, Tensor):
        yield f"{name} is {type(found).__name__}, not a tensor"
    elif tuple(found.shape) != tuple(wanted):
        yield f"{name} is of shape {tuple(found.shape)}, and {tuple(wanted)} is wanted"
