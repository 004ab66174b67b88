"""All figures of a run folder, drawn without its data set or its search."""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.abilities import Filmed, ShowsActivity
from hyperevo.errors import RunFailed, UserError, reason, shortened
from hyperevo.parts import Target
from hyperevo.plots._save import save_figure
from hyperevo.plots.activity import MOST_ROWS, activity_figure, activity_in_episode
from hyperevo.plots.classes import confusion_matrix
from hyperevo.plots.curves import learning_curves, species_over_time
from hyperevo.plots.encodings import draw_picture, figure_name
from hyperevo.plots.films import check_film, frame_strip, save_film, shots, spread_shots
from hyperevo.plots.modules import MOST_UNITS, modules_figure
from hyperevo.plots.reconstructions import reconstructions
from hyperevo.plots.run_samples import BIAS, SAMPLES, changes, sample_figures, save_page, usual_points, writes
from hyperevo.plots.run_view import RunView, open_view
from hyperevo.plots.weights import filmstrip, projective_fields, readout_maps, receptive_fields
from hyperevo.runs.compose import build_task
from hyperevo.runs.files import read_folder
from hyperevo.runs.opened import unpacked
from hyperevo.runs.own_files import frames, refuse_link, sweep_figures
from hyperevo.runs.schemas import METRICS, SPECIES, GenotypeFile, ResultFile, checked, read_checked, read_log
from hyperevo.seal import STATE
from hyperevo.tensors import read_tensors
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

NamedFigures = Iterator[tuple[str, Callable[[], Figure]]]

Observe = Callable[[int, int, str], object]
"""Function of the number of figures drawn, the number of all, and the name of the next."""


def run_figures(view: RunView) -> NamedFigures:
    """(file name without suffix, function that draws the figure) for every figure that applies to a run. A line says
    which cannot be drawn."""
    for figures in (_curves, _task_figures, _frames_of_episode, _activity, _maps, _modules, _encoding_figures,
                    sample_figures):
        try:
            yield from figures(view)
        except (UserError, OSError):
            raise
        except Exception as error:  # an environment or an encoding of a guest may raise anything
            _say_undrawn(f"figures of {view.folder}", error)


def _say_undrawn(what: str, error: Exception) -> None:
    log.warning("%s: not drawn: %s: %s", what, type(error).__name__, shortened(error))


def _curves(view: RunView) -> NamedFigures:
    metrics, species = read_log(view.folder / "metrics.csv", METRICS), read_log(view.folder / "species.csv", SPECIES)
    result = view.folder / "result.json"
    known = read_checked(result, ResultFile) if result.is_file() else {}
    if metrics:
        yield "learning_curves", partial(learning_curves, metrics, known.get("test_accuracy"), view.label,
                                         fitness_name=view.task_settings.fitness_label(), measure=view.task.measure,
                                         examples=known.get("examples", "images"))
    if species:
        yield "species_over_time", partial(species_over_time, species, view.label)


def _task_figures(view: RunView) -> NamedFigures:
    """Figures of the task itself, of tasks that are built without data."""
    if view.task_settings.needs_no_data:
        for picture in build_task(view.task_settings, torch.device("cpu")).figures():
            yield figure_name(picture), partial(draw_picture, picture, view.label)


def _frames_of_episode(view: RunView) -> NamedFigures:
    """Frames of the champion at work, for tasks with an environment whose packages are installed."""
    if not view.task_settings.watchable:
        return
    try:
        film = spread_shots(*_performer(view), 0)
    except (UserError, RunFailed) as error:
        log.warning("no frames are drawn: %s", error)
        return
    yield "frames", partial(frame_strip, film, view.label)


def _activity(view: RunView) -> NamedFigures:
    """Activity of the champion's nodes in an episode, where the target shows it and they are few."""
    if not view.task_settings.watchable or not isinstance(view.target, ShowsActivity):
        return
    try:
        activity = activity_in_episode(*_performer(view), 0)  # type: ignore[arg-type]
    except (UserError, RunFailed) as error:
        log.warning("no activity is drawn: %s", error)
        return
    if len(activity.names) <= MOST_ROWS:
        yield "activity", partial(activity_figure, activity, view.label)


def _performer(view: RunView) -> tuple[Filmed, Target, Weights]:
    """Task of a run, its target, and the champion's weights."""
    task = build_task(view.task_settings, torch.device("cpu"))
    if not isinstance(task, Filmed):
        raise UserError(f"{view.folder}: task {view.task_settings.name} cannot be filmed")
    return task, view.target, Weights({name: value[None] for name, value in view.weights.items()})


def save_watched(run_folder: Path, out: Path | None, seed: int, trust: bool = False) -> list[Path]:
    """Film an episode of a run's champion, by default into its folder `figures`, and draw the strip `frames.png` there;
    returns their paths. Raises UserError, in one line, where there is nothing to watch or it cannot be written."""
    path = out or run_folder / "figures" / "champion.gif"
    refuse_link(run_folder / "figures")
    view = open_view(run_folder, trust)
    if not view.task_settings.watchable:
        raise UserError(f"{run_folder}: task {view.task_settings.name} has no environment to watch a network in")
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
    if "confusion" in images:
        yield "confusion", partial(confusion_matrix, images["confusion"], view.task.class_names, view.label)
    if "restored" in images:
        yield "reconstructions", partial(reconstructions, images["seen"], images["restored"], images["whole"],
                                         view.task.inputs, view.label)
    strip = _frames(view, first)
    if len(strip) > 1:
        yield "filmstrip", partial(filmstrip, strip, *view.matrices[first], view.label, first,
                                   remark=view.remark(first))


def _modules(view: RunView) -> NamedFigures:
    """The network as a graph, with its modules, where it is a chain of few units."""
    layers = [view.weights[f"{name}.weight"] for name in view.target.layers if f"{name}.weight" in view.weights]
    if layers and len(layers) == len(view.target.layers) and sum(map(len, layers)) + layers[0].shape[1] <= MOST_UNITS:
        yield "modules", partial(modules_figure, layers, view.label)


def _frames(view: RunView, parameter: str) -> list[tuple[int, Tensor]]:
    """(round, weights of one matrix over the image) of every champion in the filmstrip."""
    found = []
    for folder in frames(view.folder):
        values, tensors = read_folder(folder)
        checked(GenotypeFile, {"genotype": values}, folder / STATE)
        weights = view.weights_of(unpacked(folder, values, tensors), folder)[parameter]
        found.append((int(folder.name), view.over_image(parameter, weights)))
    return found


def _encoding_figures(view: RunView) -> NamedFigures:
    """Figures of the plain data that the encoding gives."""
    for picture in view.encoding.figures(view.champion):
        yield figure_name(picture), partial(draw_picture, picture, view.label)


def save_run_figures(run_folder: Path, trust: bool = False, formats: Sequence[str] = (),
                     observe: Observe = lambda *_: None) -> list[Path]:
    """Draw every figure that applies to a run into its folder `figures`, and pages that move; returns their paths.

    formats: png, svg and pdf; by default those of the run's `run.figures`. observe: called before each figure with the
    number of those done, the number of all, and its name.

    A run that is not finished is drawn at its newest checkpoint, and every title says so. Raises UserError, in one
    line, where the folder is no run, has no champion yet, or cannot be written.
    """
    view, folder = open_view(run_folder, trust), run_folder / "figures"
    refuse_link(folder)
    sweep_figures(folder)
    drawn = save_all(run_figures(view), folder, formats or view.config.run.figures, observe)
    return [*drawn, *_save_pages(view, folder)]


def _save_pages(view: RunView, folder: Path) -> list[Path]:
    """Write the figures that move; returns their paths."""
    if writes(view) != "handwriting" or not changes(view):
        return []
    save_page(view, folder / "handwriting.html", BIAS, SAMPLES, usual_points(view), 0)
    return [folder / "handwriting.html"]


def save_all(figures: NamedFigures, folder: Path, formats: Sequence[str] = ("png",),
             observe: Observe = lambda *_: None) -> list[Path]:
    """Draw figures into a folder, a file by their names for each format; returns their paths. A line says which cannot
    be drawn. Raises UserError where the folder cannot be written."""
    paths: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        every = list(figures)
        for done, (name, draw) in enumerate(every):
            observe(done, len(every), name)
            path = _figure_path(folder, name, paths, formats[0])
            if _is_drawn([path.with_suffix(f".{kind}") for kind in formats], draw):
                paths += [path.with_suffix(f".{kind}") for kind in formats]
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {reason(error)}") from error
    return paths


def _figure_path(folder: Path, name: str, taken: Sequence[Path], kind: str) -> Path:
    """File of a figure. Parameters may be called anything: its name is one that a file can have."""
    plain = re.sub(r"[^\w.+-]+", "-", name)[:60]
    path = folder / f"{plain}.{kind}"
    return folder / f"{plain}-{len(taken)}.{kind}" if path in taken else path


def _is_drawn(paths: Sequence[Path], draw: Callable[[], Figure]) -> bool:
    try:
        figure = draw()
        for path in paths:
            save_figure(figure, path)
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever one figure raises, the others are not to suffer
        _say_undrawn(str(paths[0]), error)
        return False
    return True
