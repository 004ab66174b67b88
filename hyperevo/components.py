"""Find encodings, targets, tasks, searches, data sets and environments by name.

A component of the house is a module in the folder of its kind; its file name (with `-` for `_`) is its name in a
config. A leading underscore marks a file that components share. There is no list to edit: a new file is a new
component. Packages add theirs by entry points, and a config names a guest's own by file or module (`hyperevo.guests`).

The module of a part (task, target, encoding, search) defines

- `Settings`, a `ComponentSettings` with its options; none where it is missing,
- `build`, which makes the part: `build(settings, device)` a task, `build(settings, inputs, outputs)` a target,
  `build(settings, geometry, device)` an encoding, `build(settings, encoding, seed)` a search,

and may define

- `shape(settings)`, for a task: its (inputs, outputs) without reading data,
- `generates(parameter)`, for an encoding: whether it gives a parameter of this geometry; others are searched directly.

A data set defines `load` instead, and an environment functions of its own.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, field_validator

from hyperevo.errors import UserError, shown
from hyperevo.guests import OWN, Code, CodeName, Source, is_guest_name

if TYPE_CHECKING:
    from torch import Tensor

FOLDERS = {"data set": "data", "task": "tasks", "target": "targets", "encoding": "encodings", "search": "search",
           "environment": "control"}

GROUPS = {"data set": "hyperevo.data", "task": "hyperevo.tasks", "target": "hyperevo.targets",
          "encoding": "hyperevo.encodings", "search": "hyperevo.searches"}
"""Groups of the entry points by which packages add components."""

BUILDS = {"task": "build(settings, device)", "target": "build(settings, inputs, outputs)",
          "encoding": "build(settings, geometry, device)", "search": "build(settings, encoding, seed)"}

SMALLEST = 1e-12
"""Smallest size, rate or deviation: float32 holds its square, and that of a million."""


def _not_too_small(value: float) -> float:
    if value < SMALLEST:
        raise ValueError(f"is smaller than {SMALLEST:g}")
    return value


Positive = Annotated[float, Field(gt=0, le=1e6), AfterValidator(_not_too_small)]
"""Size, rate or deviation, greater than 0."""

NotNegative = Annotated[float, Field(ge=0, le=1e6)]
"""Number that may be 0."""

Score = Annotated[float, Field(ge=-1e9, le=1e9)]
"""Score of a network, of any task."""


class Options(BaseModel):
    """Checked options: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _in_bounds(cls, value: Any) -> Any:
        for number in _numbers(value):
            if not abs(number) <= (largest := LARGEST if isinstance(number, int) else LARGEST_FLOAT):
                raise ValueError(f"has a number that is not within ±{largest:,}")
        return value


LARGEST = 2**31 - 1
"""Largest integer that an option may have, where it has no smaller bound of its own."""

LARGEST_FLOAT = 3.4e38
"""Largest other number: that of float32."""


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, tuple | list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value


class ComponentSettings(Options):
    """Options of one component."""

    name: str = ""
    """Name of the component; a guest's `Settings` need not declare it."""

    def code(self) -> tuple[CodeName, ...]:
        """Code that these options name, and that runs where the component is built."""
        return ()

    def kept(self) -> Mapping[str, tuple[Any, Any]]:
        """Plain data and tensors that a run keeps of what these options name, by the name of a folder in its own."""
        return {}

    def files(self) -> tuple[str, ...]:
        """Files or folders of data that these options name."""
        return ()

    def numbers_held(self, genes: int) -> int:
        """Numbers that a search with these options holds for genotypes of so many genes, or for graphs (0 genes); for
        the reckoning of memory before they are made."""
        return 0


TARGET_PARAMETERS = "names of the target's parameters"

ParameterNames = Annotated[tuple[str, ...], TARGET_PARAMETERS]
"""Names or patterns of the target's parameters, in the settings of another part; a different target may lack them."""


class TaskSettings(ComponentSettings):
    """Options of a task, and facts that figures need without its data. A guest's `Settings` are turned into these."""

    watchable: ClassVar[bool] = False
    """True where the task can be filmed and is built without data."""
    needs_no_data: ClassVar[bool] = False
    """True where the task is built without data and has figures of itself."""

    def fitness_label(self) -> str:
        """Axis label of the fitness, such as "fitness (minus cross-entropy)"."""
        return "fitness"

    def fitness_remark(self) -> str:
        """Further condition of the fitness; fitnesses of one label are compared only where it is equal."""
        return ""

    def input_order(self, units: int) -> "Tensor | None":
        """Index (units,) of the task's input that every input of a network reads; None where inputs are not
        shuffled."""
        return None

    def data_set(self) -> str:
        """Name of the data set."""
        return self.name

    def worker_processes(self) -> int:
        """Number of worker processes that evaluate a run's networks; with 0 the run's own process does."""
        return 0

    def without_data(self) -> "TaskSettings | None":
        """Options of a similar task that needs no download; None where there is none."""
        return None


@dataclass(frozen=True)
class Component:
    """A part's settings and the function that builds it, with all that its module defines."""

    kind: str
    name: str
    settings: type[ComponentSettings]
    build: Callable[..., Any]
    shape: Callable[[Any], Any] | None = None
    generates: Callable[[Any], bool] = lambda parameter: True
    source: Source | None = None
    """Code of a guest's part; None for all other parts."""
    meaning: str = ""
    """First paragraph of the docstring of its module or class."""


_COMPONENTS: dict[type[ComponentSettings], Component] = {}
"""Components that were looked up, by their settings."""


def component_names(kind: str) -> list[str]:
    """Names of all components of a kind, one of FOLDERS: the house's and those of installed packages, sorted."""
    return sorted(_house_names(kind) | set(_entry_points(kind)))


def _house_names(kind: str) -> set[str]:
    files = (Path(__file__).parent / FOLDERS[kind]).glob("*.py")
    return {file.stem.replace("_", "-") for file in files if not file.stem.startswith("_")}


def _entry_points(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUPS[kind])} if kind in GROUPS else {}


def load_component(kind: str, name: str) -> ModuleType:
    """Import the module of a component of the house or of an installed package; raises UserError with the nearest match
    when there is none."""
    if name in _house_names(kind):
        return importlib.import_module(f"hyperevo.{FOLDERS[kind]}.{name.replace('-', '_')}")
    point = _entry_points(kind).get(name)
    if point is None:
        raise UserError(f"no {kind} called {shown(name)}; {nearest(name, component_names(kind))}")
    try:
        return importlib.import_module(point.module)
    except Exception as error:  # whatever an installed package raises
        raise UserError(f"{kind} {shown(name)}: {point.value}: {type(error).__name__}: {error}") from error


def find_component(kind: str, name: str, code: Code = OWN) -> Component:
    """A part by name: the house's, an installed package's, or a guest's, `mine.py`, `mine.py:Name`, `package.module`.

    Raises UserError where there is none or its module lacks what a part's must define, and UntrustedCode where a
    guest's code may not run.
    """
    if not is_guest_name(name):
        module = load_component(kind, name)
        point = _entry_points(kind).get(name)
        attribute = point.attr if point is not None and not module.__name__.startswith("hyperevo.") else ""
        return _component(kind, name, module, attribute, name, None)
    named = code.locate(name)
    return _component(kind, name, named.source.load(), named.attribute, named.source.spelled, named.source)


def component_of(kind: str, settings: ComponentSettings) -> Component:
    """Component that settings belong to."""
    known = _COMPONENTS.get(type(settings))
    return known or find_component(kind, settings.name)


def _component(kind: str, name: str, module: ModuleType, attribute: str, where: str, source: Source | None) \
        -> Component:
    """A component from a module, or from a class in it, which may hold `Settings` and is called as `build` is."""
    given = dict(vars(module))
    if attribute:
        if not isinstance(given.get(attribute), type):
            raise UserError(f"{where}: has no class {attribute!r}")
        own = given[attribute]
        given |= {"build": own} | {key: vars(own)[key] for key in ("Settings",) if key in vars(own)}
    if not callable(given.get("build")):
        raise UserError(f"{where}: defines no function {BUILDS[kind]}, which makes the {kind}")
    base = TaskSettings if kind == "task" else ComponentSettings
    settings = given.get("Settings", base)
    if not isinstance(settings, type) or not issubclass(settings, ComponentSettings):
        raise UserError(f"{where}: its Settings are not a hyperevo.Settings")
    if not module.__name__.startswith("hyperevo."):
        settings = _named(settings, base, name, given["build"])
    component = Component(kind, name, settings, given["build"], given.get("shape"),
                          given.get("generates", lambda parameter: True), source, _meaning(given, attribute))
    return _COMPONENTS.setdefault(settings, component)


def _meaning(given: Mapping[str, Any], attribute: str) -> str:
    text = given[attribute].__doc__ if attribute else given.get("__doc__")
    return " ".join((text or "").strip().partition("\n\n")[0].split())


_GUEST_SETTINGS: dict[tuple[type[ComponentSettings], str, Callable[..., Any]], type[ComponentSettings]] = {}
"""Models by settings, name and builder: guests of one name, in different folders, may all have no settings."""


def _named(settings: type[ComponentSettings], base: type[ComponentSettings], name: str, build: Callable[..., Any]) \
        -> type[ComponentSettings]:
    """A guest's settings as the model of its kind, with its name, which it need not declare."""
    key = settings, name, build
    if key not in _GUEST_SETTINGS:
        bases = (settings,) if issubclass(settings, base) else (settings, base)
        _GUEST_SETTINGS[key] = create_model(settings.__name__, __base__=bases, __doc__=settings.__doc__,
                                            name=(str, name))
    return _GUEST_SETTINGS[key]


def nearest(name: str, known: Iterable[str]) -> str:
    """Text of the allowed names, after `did you mean …?` where one of them is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    allowed = f"allowed: {', '.join(known)}"
    return f"did you mean {close[0]!r}? ({allowed})" if close else allowed
