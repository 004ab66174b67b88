"""The four parts of a run, built from its config and checked against each other before any work begins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hyperevo.components import load_component
from hyperevo.config import RunConfig
from hyperevo.encodings import build_encoding
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet


@dataclass(frozen=True)
class Parts:
    """A composed run: task, target, encoding and search, on one device."""

    device: torch.device
    task: Any
    target: Any
    encoding: Any
    search: Any


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one; a device that is named but not there is a UserError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise UserError(f"device {name!r} is not there: torch {torch.__version__} sees "
                        f"{torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device 'mps' is not there: torch {torch.__version__} sees no Metal device")
    return device


def compose(config: RunConfig) -> Parts:
    """Build every part; raises UserError where two of them do not fit."""
    device = choose_device(config.device)
    task = _build("task", config.part("task"), device)
    target = _build("target", config.part("target"), task.inputs, getattr(task, "outputs", task.classes))
    encoding = build_encoding(config.part("encoding"), target.geometry, device, getattr(target, "start", None))
    search = _build("search", config.part("search"), encoding, config.seed)
    if hasattr(search, "start"):
        _explained(search.start)
    _check_gradient(search, config, task)
    _check_readout(target, config.part("task").name)
    if hasattr(search, "plan"):
        search.plan(planned_rounds(config, search.evaluations_per_round))
    return Parts(device, task, target, encoding, search)


def planned_rounds(config: RunConfig, evaluations_per_round: int) -> int:
    """Rounds until the first limit that is known beforehand; how many rounds take so many seconds is not."""
    limits, images = config.run, config.part("task").images * evaluations_per_round
    known = ((limits.rounds, 1), (limits.evaluations, evaluations_per_round), (limits.images, images))
    return min(-(-limit // per_round) for limit, per_round in known if limit is not None)


def follows_gradient(search: Any, config: RunConfig) -> bool:
    """Whether a search wants gradients: of everything, or of what its genomes learn."""
    learn = getattr(config.part("search"), "learn", None)
    return hasattr(search, "learns") or (learn is not None and learn.steps > 0)


def _check_gradient(search: Any, config: RunConfig, task: Any) -> None:
    if follows_gradient(search, config) and hasattr(task, "play"):
        raise UserError(f"search.name: what networks come to in {task.data_name} has no gradient to follow; use an "
                        "evolutionary search")
    if follows_gradient(search, config) and getattr(config.part("task"), "fitness", "") == "accuracy":
        raise UserError("task.fitness: accuracy has no gradient for the search to follow; use cross-entropy")


def _check_readout(target: Any, task: str) -> None:
    if getattr(target, "fitted", None) and not load_component("task", task).CLASS_NAMES:
        raise UserError(f"target.ridge: a readout can be fitted to classes only, and task {task} has none")


def _build(kind: str, settings: Any, *arguments: Any) -> Any:
    return _explained(load_component(kind, settings.name).build, settings, *arguments)


def _explained(work: Callable[..., Any], *arguments: Any) -> Any:
    """What some work gives; what it finds wrong with values that a config gave is a UserError."""
    try:
        return work(*arguments)
    except ValueError as error:
        raise UserError(str(error)) from error


def gene_counts(parts: Parts, graph: Any = None) -> dict[str, int]:
    """How many numbers are searched, and how many weights they become.

    `encoded_genes` go through the encoding (where genotypes are graphs: those of `graph`, or of a first genome),
    `direct_parameters` are evolved as they are, `generated_weights` come out of the encoding; `fitted_parameters`,
    where there are any, are those of a readout in closed form.
    """
    fitted = sum(parameter.size for parameter in getattr(parts.target, "fitted", {}).values())
    return {**_searched_counts(parts, graph), **({"fitted_parameters": fitted} if fitted else {})}


def weight_origins(parts: Parts) -> dict[str, list[str]]:
    """Names of the parameters that the encoding generates (`generated`), of those that are searched as they are
    (`direct`), and of those that are fitted in closed form (`fitted`)."""
    inner = getattr(parts.encoding, "inner", parts.encoding)
    generated = [] if parts.encoding.settings.name == "direct" else list(inner.geometry)
    return {"generated": generated, "direct": [name for name in parts.target.geometry if name not in generated],
            "fitted": list(getattr(parts.target, "fitted", {}))}


def _searched_counts(parts: Parts, graph: Any) -> dict[str, int]:
    total = sum(parameter.size for parameter in parts.target.geometry.values())
    if parts.encoding.settings.name == "direct":
        return {"encoded_genes": 0, "direct_parameters": total, "generated_weights": 0}
    direct = getattr(parts.encoding, "direct_parameters", 0)
    genes = getattr(parts.encoding, "genes", None)
    if genes is None and graph is None:
        graph = parts.search.ask()[0]
    encoded = graph.genes if genes is None else genes - direct
    if hasattr(parts.encoding, "generated"):  # hidden nodes are found, and networks differ in size
        total = parts.encoding.generated(graph)
    return {"encoded_genes": encoded, "direct_parameters": direct, "generated_weights": total - direct}


def task_shape(task: Any) -> tuple[Sheet, int | Sheet]:
    """What networks read and how many outputs they have, or on which sheet, from a task's settings."""
    module = load_component("task", task.name)
    if hasattr(module, "shape"):
        return module.shape(task)
    inputs = Sheet(load_component("task", getattr(task, "data", task.name)).INPUTS)
    return inputs, len(module.CLASS_NAMES) or inputs.units


def count_without_data(config: RunConfig) -> dict[str, int]:
    """`gene_counts` of a config, for which the data set need not be at hand."""
    target = _build("target", config.part("target"), *task_shape(config.part("task")))
    encoding = build_encoding(config.part("encoding"), target.geometry, torch.device("cpu"))
    search = _build("search", config.part("search"), encoding, config.seed)
    return gene_counts(Parts(torch.device("cpu"), None, target, encoding, search))
