"""Tasks made of objects in Python, arrays and functions, which no config can name."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature

import torch

from hyperevo.components import nearest
from hyperevo.errors import UserError
from hyperevo.parts import Task
from hyperevo.search._neat_task import GenomeTask
from hyperevo.tasks._function import FunctionTask, NetworksTask
from hyperevo.tasks.arrays import Settings as ArraySettings
from hyperevo.tasks.arrays import arrays_task

ARRAYS = ("inputs", "labels", "validation_inputs", "validation_labels", "test_inputs", "test_labels")


def function_task(settings: Mapping[str, object], device: torch.device) -> Task:
    """Task without a name: of `genomes`, a neat-python project's function, and `ini`; or of `fitness`, a function of
    outputs and `labels`, or of networks of so many `inputs` and `outputs`. Raises UserError for other settings."""
    if "genomes" in settings:
        return _made(GenomeTask, settings)
    if not callable(settings.get("fitness")):
        raise UserError("task.name: is missing; a task has a name, or a function: fitness=…, or genomes=… and ini=…")
    return _made(FunctionTask if "labels" in settings else NetworksTask, {**settings, "device": device})


def memory_task(check: Callable[[Mapping[str, object]], object], settings: Mapping[str, object],
                device: torch.device) -> Task:
    """Task `arrays` on arrays in memory; `check` makes the component's settings of all others."""
    checked = check({key: value for key, value in settings.items() if key not in ARRAYS})
    assert isinstance(checked, ArraySettings)
    given = {key: value for key, value in settings.items() if key in ARRAYS}
    if "inputs" not in given:
        raise UserError("task.inputs: is missing: an array (N, …) for the labels")
    return arrays_task(checked, device=device, **given)


def _made(make: Callable[..., Task], settings: Mapping[str, object]) -> Task:
    """Task that a function makes of settings; raises UserError for one that it does not take, or wants."""
    known = signature(make).parameters
    names = [key for key in known if key != "device"]
    for key in settings:
        if key not in known:
            raise UserError(f"task.{key}: unknown key; {nearest(key, names)}")
    for key, parameter in known.items():
        if parameter.default is Parameter.empty and key not in settings:
            raise UserError(f"task.{key}: is missing; wanted: {', '.join(names)}")
    return make(**settings)
