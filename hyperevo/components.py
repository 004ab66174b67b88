"""Find encodings, targets, tasks, searches, data sets and environments by file name.

A component is a module in the folder of its kind. Its file name (with `-` for `_`) is its name in a config. It defines
`Settings`, a pydantic model of its options, and `build`, which makes the object; a data set defines `load` instead, and
an environment functions of its own. A leading underscore marks a file that components share. There is no list to edit:
a new file is a new component.
"""

import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel, ConfigDict

from hyperevo.errors import UserError, shown

FOLDERS = {"data set": "data", "task": "tasks", "target": "targets", "encoding": "encodings", "search": "search",
           "environment": "control"}


class ComponentSettings(BaseModel):
    """Options of one component: unknown keys are errors, values cannot change after they were checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def component_names(kind: str) -> list[str]:
    """Names of all components of a kind, one of FOLDERS, sorted."""
    folder = Path(__file__).parent / FOLDERS[kind]
    return sorted(file.stem.replace("_", "-") for file in folder.glob("*.py") if not file.stem.startswith("_"))


def load_component(kind: str, name: str) -> ModuleType:
    """Import the component called `name`; raises UserError with the nearest match when there is none."""
    known = component_names(kind)
    if name not in known:
        raise UserError(f"no {kind} called {shown(name)}; {nearest(name, known)}")
    return importlib.import_module(f"hyperevo.{FOLDERS[kind]}.{name.replace('-', '_')}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` where a known name is close, and the allowed names in any case."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    allowed = f"allowed: {', '.join(known)}"
    return f"did you mean {close[0]!r}? ({allowed})" if close else allowed
