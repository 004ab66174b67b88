"""Composition of a run: four parts built from its config and checked against each other before any work begins."""

from collections.abc import Callable
from typing import TypeVar

import torch

from hyperevo.abilities import (
    Acts,
    DropsOut,
    Explores,
    FollowsGradient,
    FollowsPolicyGradient,
    StepsInPlace,
    Teaches,
)
from hyperevo.components import ComponentSettings, component_of
from hyperevo.config import RunConfig
from hyperevo.encodings import build_encoding
from hyperevo.errors import UserError
from hyperevo.genotypes import Genotype, first_of
from hyperevo.geometry import WITH_OWN_NODES, Sheet
from hyperevo.parts import Encoding, Parts, Search, Target, Task
from hyperevo.runs.evaluate import stays_in_float32
from hyperevo.runs.memory import check_genotypes, check_weights
from hyperevo.runs.trial import try_parts

Built = TypeVar("Built")


def choose_device(name: str) -> torch.device:
    """Device of a name, the GPU for `auto` where there is one; raises UserError for a device that is not there."""
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
    """Build every part; raises UserError, which names both, where two of them do not fit."""
    device = choose_device(config.device)
    task = build_task(config.part("task"), device)
    target = _upon("task", "target", config, lambda own: build_target(own, task))
    check_weights(config.part("target"), target)
    encoding = _upon("target", "encoding", config,
                     lambda own: build_encoding(own, target.geometry, device, target.start))
    check_genotypes(config.part("search"), encoding)
    search = _upon("encoding", "search", config, lambda own: build_search(own, encoding, config.seed))
    parts = Parts(device, task, target, encoding, search)
    check_fit(parts, config)
    _explained(parts.search.prepare)
    try_parts(parts, config)
    parts.search.plan(lambda evaluations: planned_rounds(config, evaluations, task.batch_size()))
    return parts


def _upon(first: str, second: str, config: RunConfig, build: Callable[[ComponentSettings], Built]) -> Built:
    """Part that is built upon another; what is wrong with it names both."""
    try:
        return build(config.part(second))
    except UserError as error:
        raise type(error)(f"{_named(config, first, second)}: {error}") from error


def _named(config: RunConfig, first: str, second: str) -> str:
    return f"{first} {config.part(first).name} and {second} {config.part(second).name}"


# Building


def build_task(settings: ComponentSettings, device: torch.device) -> Task:
    """Task of these settings, with its data; raises UserError where it cannot be had."""
    return _checked("task", settings, Task, _built("task", settings, device))  # type: ignore[type-abstract]


def build_target(settings: ComponentSettings, task: Task) -> Target:
    """Target of these settings for a task; raises UserError where they do not fit."""
    return shaped_target(settings, task.inputs, task.outputs)


def build_search(settings: ComponentSettings, encoding: Encoding, seed: int) -> Search:
    """Search of these settings over an encoding's genotypes; raises UserError where they do not fit."""
    return _checked("search", settings, Search, _built("search", settings, encoding, seed))  # type: ignore[type-abstract]


def shaped_target(settings: ComponentSettings, inputs: Sheet, outputs: int | Sheet) -> Target:
    """Target of these settings for inputs and outputs; raises UserError where they do not fit."""
    return _checked("target", settings, Target,  # type: ignore[type-abstract]
                    _built("target", settings, inputs, outputs))


def _built(kind: str, settings: ComponentSettings, *arguments: object) -> object:
    return _explained(component_of(kind, settings).build, settings, *arguments)


def _checked(kind: str, settings: ComponentSettings, contract: type[Built], part: object) -> Built:
    if not isinstance(part, contract):
        raise UserError(f"{kind}.name: build of {settings.name} gives {type(part).__name__}, not a "
                        f"hyperevo.{contract.__name__}")
    return part


def _explained(work: Callable[..., Built], *arguments: object) -> Built:
    """Result of some work, whose ValueErrors about a config's values become UserErrors."""
    try:
        return work(*arguments)
    except ValueError as error:
        raise UserError(str(error)) from error


# Fitting together


def check_fit(parts: Parts, config: RunConfig) -> None:
    """Raise UserError, in one line that names both, where two parts do not fit together."""
    check_target(parts.task, parts.target, config.part("target").name)
    check_encoding(parts.target, parts.encoding, config.part("target").name)
    if follows_gradient(parts.search):
        try:
            check_gradient(parts.task)
        except UserError as error:
            raise UserError(f"{_named(config, 'task', 'search')} do not fit: {error}") from error
    if isinstance(parts.search, FollowsPolicyGradient) and not isinstance(parts.task, Explores):
        raise UserError(f"{_named(config, 'task', 'search')} do not fit: search.name: no actions are drawn in task "
                        f"{config.part('task').name}; a policy gradient is for task control")
    check_graph(parts.search, parts.device)


def check_graph(search: Search, device: torch.device) -> None:
    """Raise UserError where a search wants CUDA graphs and cannot have them."""
    if not isinstance(search, FollowsGradient) or search.loss().graph != "on":
        return
    if device.type != "cuda":
        raise UserError(f"search.graph: a CUDA graph needs a CUDA device, and this run's device is {device}; auto uses "
                        "one where there is one")
    if not isinstance(search, StepsInPlace):
        raise UserError("search.graph: this search's steps cannot be captured; see hyperevo.abilities.StepsInPlace")


def check_target(task: Task, target: Target, name: str) -> None:
    """Raise UserError where a target, called `name`, does not read what a task gives, or answers otherwise."""
    both = f"task {task.settings.name} and target {name}"
    if task.form not in target.forms:
        raise UserError(f"{both} do not fit: the task's inputs are {FORMS[task.form]}, the target reads "
                        f"{' or '.join(FORMS[form] for form in sorted(target.forms))}")
    if task.every_step != target.every_step:
        wanted, given = ("at every step" if each else "once" for each in (task.every_step, target.every_step))
        raise UserError(f"{both} do not fit: the task wants an answer {wanted}, the target answers {given}")
    if target.fitted and not task.class_names:
        raise UserError(f"{both} do not fit: target.ridge: a readout can be fitted to classes only, and the task has "
                        "none")


def check_encoding(target: Target, encoding: Encoding, name: str) -> None:
    """Raise UserError where an encoding finds hidden nodes and a target, called `name`, has its own, or the reverse."""
    wanted, made = ([key for key in part.geometry if key in WITH_OWN_NODES] for part in (target, encoding))
    if bool(wanted) != encoding.finds_nodes or wanted and wanted != made:
        raise UserError(f"target {name} and encoding {encoding.settings.name} do not fit: networks whose hidden nodes "
                        "are found need encoding.name = es-hyperneat and target.name = substrate, networks that are "
                        "graphs themselves encoding.name = network and target.name = network")


FORMS = {"values": "values (N, units)", "sequences": "sequences (N, steps, features)",
         "symbols": "symbols (N, steps)", "pairs": "pairs of sentences (N, 2, steps)",
         "observations": "an environment's observations", "networks": "weights of networks (N, units)"}


def check_gradient(task: Task) -> None:
    """Raise UserError where fitness on a task has no gradient."""
    if task.without_gradient:
        raise UserError(task.without_gradient)
    if isinstance(task, Acts):
        raise UserError(f"search.name: networks act in task {task.settings.name}, which has no gradient to follow; "
                        "use an evolutionary search")


def learns(search: Search) -> bool:
    """True where a search takes steps along a gradient, of fitness or of a policy's return."""
    return follows_gradient(search) or isinstance(search, FollowsPolicyGradient)


def follows_gradient(search: Search) -> bool:
    """True where a search wants gradients, of everything or for what its genomes learn."""
    return isinstance(search, FollowsGradient) or (isinstance(search, Teaches) and search.teaches)


def remarks(parts: Parts, precision: str = "float32") -> list[str]:
    """Lines about what a part does not do in a run whose networks are to compute in a precision."""
    target, search, lines = parts.target, parts.search, []
    if isinstance(target, DropsOut) and target.drops and not follows_gradient(search):
        lines.append("target: dropout, and whatever else the network does in training mode only, is off: it acts where "
                     "a gradient is followed")
    if isinstance(search, FollowsGradient) and search.loss().precision == "tf32" and parts.device.type != "cuda":
        lines.append(f"search.precision: tf32 has no effect on device {parts.device}: products are in float32")
    if precision == "bfloat16" and (reason := _precision_is_elsewhere(search) or stays_in_float32(parts.task, target)):
        lines.append(f"run.precision: bfloat16 has no effect: {reason}")
    return lines


def _precision_is_elsewhere(search: Search) -> str:
    """Reason why no generation of a search is evaluated; empty where there is none."""
    if isinstance(search, FollowsGradient):
        return "the search follows a gradient, whose precision is search.precision"
    return "the search follows a policy's gradient" if isinstance(search, FollowsPolicyGradient) else ""


def planned_rounds(config: RunConfig, evaluations_per_round: int, examples_per_batch: int) -> int:
    """Number of rounds until the first limit that is known beforehand: rounds, evaluations or images, but not
    seconds."""
    limits, images = config.run, examples_per_batch * evaluations_per_round
    known = ((limits.rounds, 1), (limits.evaluations, evaluations_per_round), (limits.images, images))
    return min(-(-limit // per_round) for limit, per_round in known if limit is not None)


# Counting


def gene_counts(parts: Parts, genotype: Genotype | None = None) -> dict[str, int]:
    """Counts of what is searched, and of the weights that it becomes.

    `encoded_genes` go through the encoding (where genotypes are graphs: those of `genotype`, or of a first genome),
    `direct_parameters` are searched as they are, `generated_weights` come out of the encoding; `fitted_parameters`, if
    there are any, are those of a readout in closed form.
    """
    return _gene_counts(parts.target, parts.encoding, parts.search, genotype)


def _gene_counts(target: Target, encoding: Encoding, search: Search, genotype: Genotype | None) -> dict[str, int]:
    if not encoding.genes and genotype is None:
        genotype = first_of(search.ask())
    counts, fitted = encoding.counts(genotype), sum(place.size for place in target.fitted.values())
    return {"encoded_genes": counts.encoded_genes, "direct_parameters": counts.direct_parameters,
            "generated_weights": counts.generated_weights, **({"fitted_parameters": fitted} if fitted else {})}


def weight_origins(parts: Parts) -> dict[str, list[str]]:
    """Names of the parameters that the encoding generates (`generated`), of those that are searched as they are
    (`direct`), and of those that are fitted in closed form (`fitted`)."""
    generated = parts.encoding.generated()
    return {"generated": generated, "direct": [name for name in parts.target.geometry if name not in generated],
            "fitted": list(parts.target.fitted)}


def task_shape(config: RunConfig) -> tuple[Sheet, int | Sheet]:
    """Inputs and outputs of a config's task; its data are read only if the task's module defines no `shape`."""
    settings = config.part("task")
    shape = component_of("task", settings).shape
    if shape is not None:
        inputs, outputs = _explained(shape, settings)
        return inputs, outputs
    task = build_task(settings, torch.device("cpu"))
    task.close()
    return task.inputs, task.outputs


def count_without_data(config: RunConfig) -> dict[str, int]:
    """Counts of `gene_counts` for a config, from its task's shape."""
    target = shaped_target(config.part("target"), *task_shape(config))
    encoding = build_encoding(config.part("encoding"), target.geometry, torch.device("cpu"))
    return _gene_counts(target, encoding, build_search(config.part("search"), encoding, config.seed), None)
