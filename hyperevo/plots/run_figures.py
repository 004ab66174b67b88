"""All figures of a run folder, drawn without its data set or its search."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.components import load_component
from hyperevo.config import RunConfig
from hyperevo.data import data_title
from hyperevo.encodings import build_encoding
from hyperevo.encodings._graph import Graph
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.encodings.dct import DctEncoding
from hyperevo.encodings.embedding import EmbeddingEncoding
from hyperevo.encodings.fixed_graph import FixedGraphEncoding
from hyperevo.errors import UserError
from hyperevo.geometry import Frame, ParameterGeometry, Ring, Sheet
from hyperevo.measure import ACCURACY, Measure, measure_named
from hyperevo.plots.cppn import cppn_graph, cppn_nodes
from hyperevo.plots.curves import learning_curves, species_over_time
from hyperevo.plots.dct import dct_coefficients
from hyperevo.plots.embeddings import embedding_map
from hyperevo.plots.films import check_film, frame_strip, save_film, shots, spread_shots
from hyperevo.plots.reconstructions import reconstructions
from hyperevo.plots.weights import filmstrip, projective_fields, readout_maps, receptive_fields
from hyperevo.runs.checkpoint import latest_checkpoint
from hyperevo.runs.files import read_folder, read_json, read_rows, read_tensors, whole
from hyperevo.runs.genotypes import Genotype, stack, unpack_genotype
from hyperevo.runs.run import read_run_config
from hyperevo.weights import Weights

NamedFigures = Iterator[tuple[str, Callable[[], Figure]]]


@dataclass(frozen=True)
class TaskFacts:
    """What a run's network reads and answers, and the name of the data set."""

    data: str
    inputs: Sheet
    classes: int
    class_names: tuple[str, ...]
    """Empty where outputs are no classes."""
    measure: Measure = ACCURACY
    """What is called accuracy elsewhere."""
    outputs: Sheet | None = None
    """Where outputs lie, if the task says so."""


@dataclass(frozen=True)
class RunView:
    """A run folder as the figures need it; `weights` are the champion's, by parameter."""

    folder: Path
    config: RunConfig
    task: TaskFacts
    label: str
    encoding: Any
    geometry: dict[str, ParameterGeometry]
    champion: Genotype
    weights: dict[str, Tensor]
    has_readout: bool = True
    """Not while a run whose readout is fitted at the end goes on."""

    @property
    def matrices(self) -> dict[str, tuple[Sheet, Sheet]]:
        """Target and source sheet of every weight matrix, from the inputs to the readout. None where nothing would be
        seen in a picture of them: of networks that read symbols step by step, and of those with nodes of their own."""
        if self.config.part("target").name == "sequence":
            return {}
        return {name: (parameter.target, parameter.source) for name, parameter in self.geometry.items()
                if parameter.source is not None}


def read_task(folder: Path) -> TaskFacts:
    """A run's task.json; raises UserError naming the file where it is missing, damaged or lacks a key."""
    values = read_json(folder / "task.json")
    try:
        return TaskFacts(str(values["data"]), _sheet(values["inputs"]), int(values["classes"]),
                         tuple(str(name) for name in values["class_names"]),
                         measure_named(str(values.get("measure", "accuracy"))),
                         _sheet(values["outputs"]) if "outputs" in values else None)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'task.json'}: does not describe a task: {error!r}") from error


def _sheet(sizes: Any) -> Sheet:
    """Of a list of sizes, of a frame's, or of a ring's units and radius."""
    if isinstance(sizes, dict) and "frame" in sizes:
        return Frame(tuple(int(size) for size in sizes["frame"]))
    if isinstance(sizes, dict):
        return Ring((int(sizes["ring"]),), float(sizes["radius"]))
    return Sheet(tuple(int(size) for size in sizes))


def open_view(folder: Path) -> RunView:
    """Read a run's champion and rebuild its encoding; raises UserError where there is no run or no champion yet."""
    config, task = read_run_config(folder), read_task(folder)
    champion, note = _read_champion(folder, config)
    try:
        target = load_component("target", config.part("target").name).build(config.part("target"), task.inputs,
                                                                            task.outputs or task.classes)
        encoding = build_encoding(config.part("encoding"), target.geometry, torch.device("cpu"))
        weights = _express(encoding, champion)
        fitted = getattr(target, "fitted", {})
        if fitted and (folder / "champion").is_dir():
            weights |= {name: value for name, value in read_tensors(folder / "champion" / "weights.safetensors").items()
                        if name in fitted}
    except (ValueError, IndexError, RuntimeError) as error:
        raise UserError(f"{folder}: the champion does not fit the config: {error}") from error
    name = getattr(config, "name", "") or folder.resolve().name
    label = f"{name} (seed {config.seed}) on {data_title(task.data)}{note}"
    geometry = {name: place for name, place in {**target.geometry, **fitted}.items() if name in weights}
    return RunView(folder, config, task, label, encoding, geometry, champion, weights, set(fitted) <= set(weights))


def _read_champion(folder: Path, config: RunConfig) -> tuple[Genotype, str]:
    """The champion, and what titles say of a run that is not finished."""
    if (folder / "champion").is_dir():
        values, tensors = read_folder(folder / "champion")
        return _unpack(folder / "champion", values.get("genotype"), tensors), ""
    checkpoint = latest_checkpoint(folder)
    if checkpoint.champion is None:
        raise UserError(f"{folder}: has no champion yet after round {checkpoint.round} of {config.run.rounds}; "
                        f"the first is chosen after round {min(config.run.validate_every, config.run.rounds)}")
    return checkpoint.champion, f", unfinished, round {checkpoint.round} of {config.run.rounds}"


def _unpack(folder: Path, plain: Any, tensors: dict[str, Tensor]) -> Genotype:
    try:
        return unpack_genotype(plain, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: holds no genotype: {error!r}") from error


@torch.no_grad()
def _express(encoding: Any, genotype: Genotype) -> dict[str, Tensor]:
    return encoding.express(stack(genotype)).network(0)


def run_figures(view: RunView) -> NamedFigures:
    """(file name without suffix, function that draws the figure) for every figure that applies to a run."""
    yield from _curves(view)
    yield from _frames_of_episode(view)
    yield from _maps(view)
    yield from _encoding_figures(view)


def _curves(view: RunView) -> NamedFigures:
    metrics, species = read_rows(view.folder / "metrics.csv"), read_rows(view.folder / "species.csv")
    result = view.folder / "result.json"
    test_accuracy = read_json(result).get("test_accuracy") if result.is_file() else None
    name = fitness_name(view.config.part("task"))
    if metrics:
        yield "learning_curves", partial(learning_curves, metrics, test_accuracy, view.label, fitness_name=name,
                                         measure=view.task.measure)
    if species:
        yield "species_over_time", partial(species_over_time, species, view.label)


def fitness_name(task: Any, remark: str = "") -> str:
    """What a task's fitness is minus, of outputs that a remark may say more of; `task` are its settings."""
    fitness = getattr(task, "fitness", "")
    if fitness in ("", "accuracy"):
        return "fitness (accuracy)" if fitness else "fitness"
    return f"fitness (minus {fitness.replace('squared-', 'squared ')}{remark})"


def _frames_of_episode(view: RunView) -> NamedFigures:
    """The champion at work, where there is an environment, and all that it needs is installed."""
    if not hasattr(view.config.part("task"), "environment"):
        return
    try:
        film = spread_shots(*_performer(view), 0)
    except UserError:
        return
    yield "frames", partial(frame_strip, film, view.label)


def _performer(view: RunView) -> tuple[Any, Any, Weights]:
    """A run's task, its target, and the champion's weights."""
    settings = view.config.part("task")
    task = load_component("task", settings.name).build(settings, torch.device("cpu"))
    target = load_component("target", view.config.part("target").name).build(
        view.config.part("target"), task.inputs, getattr(task, "outputs", task.classes))
    return task, target, Weights({name: value[None] for name, value in view.weights.items()})


def save_watched(run_folder: Path, out: Path | None, seed: int) -> list[Path]:
    """Film an episode of a run's champion, by default into its folder `figures`, and draw the strip `frames.png` there;
    returns their paths. Raises UserError, in one line, where there is nothing to watch or it cannot be written."""
    path = out or run_folder / "figures" / "champion.gif"
    view = open_view(run_folder)
    if not hasattr(view.config.part("task"), "environment"):
        raise UserError(f"{run_folder}: task {view.config.part('task').name} has no environment to watch a network in")
    if out is not None:
        check_film(out)
    film = list(shots(*_performer(view), seed))
    strip = save_all(iter([("frames", partial(frame_strip, film, view.label))]), run_folder / "figures")
    save_film(film, path, view.task.data)
    return [path, *strip]


def _maps(view: RunView) -> NamedFigures:
    names = list(view.matrices)
    if not names:
        return
    first, last = names[0], names[-1]
    fields = [name for name in names if name != last or not view.has_readout]
    for name, (target, source) in view.matrices.items():
        if name in fields:
            yield ("receptive_fields" if name == first else f"receptive_fields_{name}",
                   partial(receptive_fields, view.weights[name], target, source, view.label, name))
    if view.has_readout and view.task.class_names:
        yield "readout_maps", partial(readout_maps, view.weights[last], view.matrices[last][1], view.task.class_names,
                                      view.label, last)
    elif view.has_readout:
        yield "projective_fields", partial(projective_fields, view.weights[last], *view.matrices[last], view.label,
                                           last)
    examples = view.folder / "champion" / "examples.safetensors"
    if examples.is_file():
        images = read_tensors(examples)
        yield "reconstructions", partial(reconstructions, images["seen"], images["restored"], images["whole"],
                                         view.task.inputs, view.label)
    frames = _frames(view, first)
    if len(frames) > 1:
        yield "filmstrip", partial(filmstrip, frames, *view.matrices[first], view.label, first)


def _frames(view: RunView, parameter: str) -> list[tuple[int, Tensor]]:
    """(round, weights of one matrix) of every champion that was kept on the way."""
    frames = []
    for folder in sorted(path for path in (view.folder / "filmstrip").glob("[0-9]*") if path.is_dir()):
        genotype = _unpack(folder, *read_folder(folder))
        frames.append((int(folder.name), _express(view.encoding, genotype)[parameter]))
    return frames


def _encoding_figures(view: RunView) -> NamedFigures:
    encoding = getattr(view.encoding, "inner", view.encoding)
    if isinstance(encoding, CppnEncoding) and isinstance(view.champion, Graph):
        yield from _cppn_figures(view, encoding, view.champion)
    if isinstance(encoding, FixedGraphEncoding) and isinstance(view.champion, Tensor):
        yield from _cppn_figures(view, encoding.painter, encoding.graphs(view.champion[None, : encoding.genes])[0])
    if isinstance(encoding, DctEncoding) and isinstance(view.champion, Tensor):
        yield from _dct_figures(view, encoding, view.champion)
    if isinstance(encoding, EmbeddingEncoding) and isinstance(view.champion, Tensor):
        yield from _embedding_figures(view, encoding, view.champion)


def _embedding_figures(view: RunView, encoding: EmbeddingEncoding, genes: Tensor) -> NamedFigures:
    embeddings = {name: values[0] for name, values in encoding.embeddings(genes[None, : encoding.genes]).items()}
    if sum(values[..., 0].numel() for values in embeddings.values()) >= 3:
        yield "embeddings", partial(embedding_map, embeddings, view.label)


def _cppn_figures(view: RunView, encoding: CppnEncoding, graph: Graph) -> NamedFigures:
    yield "cppn_graph", partial(cppn_graph, graph, encoding.input_names, encoding.output_names, view.label)
    for name in dict.fromkeys([*list(view.matrices)[:1], *encoding.settings.patterns]):
        outputs = encoding.paintings[name].values + encoding.paintings[name].expression
        yield f"cppn_nodes_{name}", partial(cppn_nodes, graph, encoding.inputs(name), outputs, *view.matrices[name],
                                            encoding.output_names, view.label, name)


def _dct_figures(view: RunView, encoding: DctEncoding, genes: Tensor) -> NamedFigures:
    coefficients = encoding.coefficients(genes[None, : encoding.genes] * encoding.settings.scale)
    for name, (target_block, source_block) in encoding.blocks.items():
        if source_block:
            yield f"dct_coefficients_{name}", partial(dct_coefficients, coefficients[name][0], target_block,
                                                      source_block, view.label, name)


def save_run_figures(run_folder: Path) -> list[Path]:
    """Draw every figure that applies to a run into its folder `figures`, as PNG files; returns their paths.

    A run that is not finished is drawn at its newest checkpoint, and every title says so. Raises UserError, in one
    line, where the folder is no run, has no champion yet, or cannot be written.
    """
    return save_all(run_figures(open_view(run_folder)), run_folder / "figures")


def save_all(figures: NamedFigures, folder: Path) -> list[Path]:
    """Draw figures into a folder, as PNG files by their names; returns their paths. Raises UserError where the folder
    cannot be written."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures:
            paths.append(folder / f"{name}.png")
            save_figure(draw(), paths[-1])
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return paths


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole(path) as temporary:
        # Without matplotlib's version in it, the same figure is the same file.
        figure.savefig(temporary, format="png", metadata={"Software": None})
