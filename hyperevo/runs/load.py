"""A config whose other parts fit the target that an override put in place of the file's."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hyperevo.components import TARGET_PARAMETERS
from hyperevo.config import COMMAND_LINE, LoadedConfig, Override, RunConfig, load_config, origin
from hyperevo.guests import OWN, Code
from hyperevo.runs.compose import shaped_target, task_shape


def load_fitting(source: str, overrides: Sequence[Override] = (), code: Code = OWN) -> LoadedConfig:
    """Load a config as `load_config` does. Where an override replaces the target, names of the old target's parameters
    in the file's other parts are left out if the new target lacks them; a note lists them.

    Raises UserError as `load_config` does, and where the new target does not fit the task.
    """
    loaded = load_config(source, overrides, code)
    named = _parameters_named(loaded) if "target" in loaded.replaced else {}
    if not named:
        return loaded
    known = _parameters(loaded.config)
    found = {key: [name for name in names if fnmatch.filter(known, name)] for key, names in named.items()}
    return _with_names(loaded, {key: names for key, names in found.items() if len(names) < len(named[key])}, named)


def _parameters_named(loaded: LoadedConfig) -> dict[str, tuple[str, ...]]:
    """Names or patterns of the target's parameters that the file gives, by key of the encoding."""
    encoding = loaded.config.part("encoding")
    keys = [key for key, info in type(encoding).model_fields.items() if TARGET_PARAMETERS in info.metadata]
    return {key: names for key, names in encoding if key in keys
            and origin(f"encoding.{key}", loaded.origins) not in (None, COMMAND_LINE)}


def _parameters(config: RunConfig) -> Iterable[str]:
    return shaped_target(config.part("target"), *task_shape(config)).geometry


def _with_names(loaded: LoadedConfig, found: dict[str, list[str]], named: dict[str, tuple[str, ...]]) -> LoadedConfig:
    encoding = loaded.config.part("encoding").model_copy(update={key: tuple(names) for key, names in found.items()})
    lacking = {key: ", ".join(name for name in named[key] if name not in names) for key, names in found.items()}
    notes = [f"target.name={loaded.replaced['target']} has none of {names}, which "
             f"{loaded.origins[f'encoding.{key}']} gives in encoding.{key}" for key, names in lacking.items()]
    defaults = {f"encoding.{key}" for key, names in found.items() if not names}
    return replace(loaded, config=loaded.config.model_copy(update={"encoding": encoding}),
                   origins={key: where for key, where in loaded.origins.items() if key not in defaults},
                   notes=(*loaded.notes, *notes))
