"""All figures of a run folder, drawn without its data set or its search."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.components import load_component
from hyperevo.encodings.cppn import CppnEncoding
from hyperevo.encodings.dct import DctEncoding
from hyperevo.encodings.embedding import EmbeddingEncoding
from hyperevo.encodings.es_hyperneat import EsHyperneatEncoding
from hyperevo.encodings.fixed_graph import FixedGraphEncoding
from hyperevo.errors import UserError
from hyperevo.graph import Graph
from hyperevo.plots._save import save_figure
from hyperevo.plots.cppn import cppn_graph, cppn_nodes
from hyperevo.plots.curves import learning_curves, species_over_time
from hyperevo.plots.dct import dct_coefficients
from hyperevo.plots.embeddings import embedding_map
from hyperevo.plots.films import check_film, frame_strip, save_film, shots, spread_shots
from hyperevo.plots.reconstructions import reconstructions
from hyperevo.plots.run_samples import BIAS, SAMPLES, sample_figures, save_page, usual_points, writes
from hyperevo.plots.run_view import RunView, expressed, open_view, unpacked
from hyperevo.plots.substrate import found_network
from hyperevo.plots.weights import filmstrip, projective_fields, readout_maps, receptive_fields
from hyperevo.runs.files import read_folder, read_json, read_rows, read_tensors
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

NamedFigures = Iterator[tuple[str, Callable[[], Figure]]]


def run_figures(view: RunView) -> NamedFigures:
    """(file name without suffix, function that draws the figure) for every figure that applies to a run."""
    yield from _curves(view)
    yield from _frames_of_episode(view)
    yield from _maps(view)
    yield from _encoding_figures(view)
    yield from sample_figures(view)


def _curves(view: RunView) -> NamedFigures:
    metrics, species = read_rows(view.folder / "metrics.csv"), read_rows(view.folder / "species.csv")
    result = view.folder / "result.json"
    known = read_json(result) if result.is_file() else {}
    name = fitness_name(view.config.part("task"))
    if metrics:
        yield "learning_curves", partial(learning_curves, metrics, known.get("test_accuracy"), view.label,
                                         fitness_name=name, measure=view.task.measure,
                                         examples=known.get("examples", "images"))
    if species:
        yield "species_over_time", partial(species_over_time, species, view.label)


def fitness_name(task: Any, remark: str = "") -> str:
    """What a task's fitness is minus, of outputs that a remark may say more of; `task` are its settings."""
    fitness = getattr(task, "fitness", "")
    if not fitness:
        return "fitness"
    if fitness in ("accuracy", "return", "damped"):
        return f"fitness ({fitness})"
    return f"fitness (minus {fitness.replace('squared-', 'squared ')}{remark})"


def _frames_of_episode(view: RunView) -> NamedFigures:
    """The champion at work, where there is an environment, and all that it needs is installed."""
    if not hasattr(view.config.part("task"), "environment"):
        return
    try:
        film = spread_shots(*_performer(view), 0)
    except UserError as error:
        log.warning("no frames are drawn: %s", error)
        return
    yield "frames", partial(frame_strip, film, view.label)


def _performer(view: RunView) -> tuple[Any, Any, Weights]:
    """A run's task, its target, and the champion's weights."""
    settings = view.config.part("task")
    task = load_component("task", settings.name).build(settings, torch.device("cpu"))
    return task, view.target, Weights({name: value[None] for name, value in view.weights.items()})


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
                   partial(receptive_fields, view.over_image(name, view.weights[name]), target, source, view.label,
                           name, view.remark(name)))
    if view.has_readout and view.task.class_names:
        yield "readout_maps", partial(readout_maps, view.over_image(last, view.weights[last]), view.matrices[last][1],
                                      view.task.class_names, view.label, last)
    elif view.has_readout:
        yield "projective_fields", partial(projective_fields, view.weights[last], *view.matrices[last], view.label,
                                           last)
    examples = view.folder / "champion" / "examples.safetensors"
    images = read_tensors(examples) if examples.is_file() else {}
    if "restored" in images:
        yield "reconstructions", partial(reconstructions, images["seen"], images["restored"], images["whole"],
                                         view.task.inputs, view.label)
    frames = _frames(view, first)
    if len(frames) > 1:
        yield "filmstrip", partial(filmstrip, frames, *view.matrices[first], view.label, first,
                                   remark=view.remark(first))


def _frames(view: RunView, parameter: str) -> list[tuple[int, Tensor]]:
    """(round, weights of one matrix over the image) of every champion that was kept on the way."""
    frames = []
    for folder in sorted(path for path in (view.folder / "filmstrip").glob("[0-9]*") if path.is_dir()):
        genotype = unpacked(folder, *read_folder(folder))
        weights = expressed(view.encoding, genotype)[parameter]
        frames.append((int(folder.name), view.over_image(parameter, weights)))
    return frames


def _encoding_figures(view: RunView) -> NamedFigures:
    encoding = getattr(view.encoding, "inner", view.encoding)
    if isinstance(encoding, CppnEncoding) and isinstance(view.champion, Graph):
        yield from _cppn_figures(view, encoding, view.champion)
    if isinstance(encoding, EsHyperneatEncoding) and isinstance(view.champion, Graph):
        yield from _found_figures(view, encoding, view.champion)
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


def _found_figures(view: RunView, encoding: EsHyperneatEncoding, graph: Graph) -> NamedFigures:
    yield "cppn_graph", partial(cppn_graph, graph, encoding.input_names, encoding.output_names, view.label)
    if encoding.cells.axes == 2:
        yield "found_network", partial(found_network, encoding, graph, view.label)


def _dct_figures(view: RunView, encoding: DctEncoding, genes: Tensor) -> NamedFigures:
    coefficients = encoding.coefficients(genes[None, : encoding.genes] * encoding.settings.scale)
    for name, (target_block, source_block) in encoding.blocks.items():
        if source_block:
            yield f"dct_coefficients_{name}", partial(dct_coefficients, coefficients[name][0], target_block,
                                                      source_block, view.label, name)


def save_run_figures(run_folder: Path) -> list[Path]:
    """Draw every figure that applies to a run into its folder `figures`, as PNG files, and pages that move; returns
    their paths.

    A run that is not finished is drawn at its newest checkpoint, and every title says so. Raises UserError, in one
    line, where the folder is no run, has no champion yet, or cannot be written.
    """
    view, folder = open_view(run_folder), run_folder / "figures"
    return [*save_all(run_figures(view), folder), *_save_pages(view, folder)]


def _save_pages(view: RunView, folder: Path) -> list[Path]:
    """Figures that move."""
    if writes(view) != "handwriting" or not view.config.part("target").layer.startswith("hyper"):
        return []
    save_page(view, folder / "handwriting.html", BIAS, SAMPLES, usual_points(view), 0)
    return [folder / "handwriting.html"]


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
