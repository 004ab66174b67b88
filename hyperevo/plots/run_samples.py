"""Samples of the champion of a run, text or pen strokes: to read, as figures, and as an animated page."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.data import decode, encode
from hyperevo.dynamic import HyperLSTM, HyperRNN
from hyperevo.errors import UserError, reason
from hyperevo.plots._save import save_figure
from hyperevo.plots.pen_page import pen_page
from hyperevo.plots.run_networks import NETWORKS, draws_networks, write_networks
from hyperevo.plots.run_translations import translated, translation_figures
from hyperevo.plots.run_view import RunView, open_view
from hyperevo.plots.sequences import LETTERS, drawings_beside_samples, strokes_in_time, written_text
from hyperevo.runs.files import whole, write_text
from hyperevo.runs.sample import changed_rows, draw_strokes, write_symbols
from hyperevo.targets.encoder_decoder import EncoderDecoderTarget
from hyperevo.targets.sequence import SequenceNetwork, SequenceTarget
from hyperevo.tensors import read_tensors

LINES = 8
"""Number of lines of text in the figure."""
SAMPLES = 8
"""Number of drawings in the figure and on the page."""
BIASES = (0.0, 0.5, 1.0)
"""Biases of the samples beside test drawings."""
BIAS = 0.5
"""Default bias of samples."""
MOST_BIAS = 100
"""Largest bias; densities are points long before, and numbers overflow far beyond it."""
USUAL_POINTS = 40
"""Default number of points of a drawing, for a run that is not finished and has no test drawings."""


USUAL_LETTERS = 500
"""Default length of sampled text, in characters."""
OPTIONS = {"characters": ("temperature", "prompt"), "handwriting": ("bias", "count", "out"),
           "translation": ("prompt", "input", "out")}
OF_NETWORKS = ("count", "out")
"""Options of a run whose networks are drawn."""


def writes(view: RunView) -> str | None:
    """Task whose sequences a run's network writes, characters, handwriting or translation; None for all other runs."""
    task = view.config.part("task").name
    if task == "translation" and isinstance(view.target, EncoderDecoderTarget):
        return task
    return task if isinstance(view.target, SequenceTarget) and task in ("characters", "handwriting") else None


def changes(view: RunView) -> bool:
    """True where the weights of a run's network change from step to step."""
    return isinstance(champion_network(view).layers, HyperLSTM | HyperRNN)


def sampled(folder: Path, length: int | None, seed: int, options: Mapping[str, Any], trust: bool = False) -> str | Path:
    """Text that the champion of a run writes, path of the file with its drawings, or folder of the networks drawn.

    options: temperature and prompt for text; bias, count and out for handwriting; prompt, or input and out, for a
    translation; count and out for networks. Raises UserError, in one line, where the run has nothing to sample, an
    option is for another kind, or a value cannot be.
    """
    view = open_view(folder, trust)
    task = writes(view)
    if task is None and draws_networks(view):
        return _drawn(view, length, seed, options)
    if task is None:
        raise UserError(f"{folder}: its network does not write, and is not drawn: a sample wants task characters or "
                        "handwriting, and target sequence, or task translation, or encoding hypergan or generator")
    other = next((name for name in options if name not in OPTIONS[task]), None)
    if other is not None:
        raise UserError(f"--{other}: is not for {task}, the task of {folder}")
    if task == "translation":
        return translated(view, options.get("prompt"), options.get("input"), options.get("out"))
    generator = torch.Generator().manual_seed(seed)
    if task == "characters":
        temperature, prompt = options.get("temperature", 1.0), options.get("prompt", "")
        if not 0 < temperature < float("inf"):
            raise UserError(f"--temperature: {temperature:g} is not above 0")
        return prompt + text_of(view, length or USUAL_LETTERS, temperature, prompt, generator)
    path = options.get("out", folder / "samples.png")
    _save_drawings(view, path, options.get("bias", BIAS), options.get("count", SAMPLES), length or usual_points(view),
                   seed)
    return path


def _drawn(view: RunView, length: int | None, seed: int, options: Mapping[str, Any]) -> Path:
    """Folder of networks that are drawn."""
    other = next((name for name in options if name not in OF_NETWORKS), None if length is None else "length")
    if other is not None:
        raise UserError(f"--{other}: is not for networks, which {view.folder} draws")
    folder = Path(options.get("out", view.folder / "networks"))
    write_networks(view, folder, options.get("count", NETWORKS), seed)
    return folder


def _save_drawings(view: RunView, path: Path, bias: float, drawings: int, length: int, seed: int) -> None:
    if not 0 <= bias <= MOST_BIAS:
        raise UserError(f"--bias: {bias:g} is not between 0 and {MOST_BIAS}")
    if path.suffix not in (".png", ".html", ".npz"):
        raise UserError(f"--out: {path} ends neither with .png nor with .html nor with .npz")
    try:
        if path.suffix == ".png":
            save_figure(time_figure(view, bias, drawings, length, seed), path)
        elif path.suffix == ".html":
            save_page(view, path, bias, drawings, length, seed)
        else:
            save_stroke_file(drawings_of(view, drawings, length, bias, torch.Generator().manual_seed(seed)), path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from error


def champion_network(view: RunView) -> SequenceNetwork:
    """Champion as a module that reads step by step."""
    assert isinstance(view.target, SequenceTarget)
    return view.target.loaded(view.weights)


def text_of(view: RunView, length: int, temperature: float, prompt: str, generator: torch.Generator) -> str:
    """Text (length characters, or bytes) that follows a prompt, which may be empty; raises UserError where the prompt
    has a character that the run's alphabet lacks."""
    numbers = _text(view, length, temperature, prompt, generator)[1]
    return decode(numbers.numpy(), view.task.alphabet)


def _text(view: RunView, length: int, temperature: float, prompt: str, generator: torch.Generator) \
        -> tuple[Tensor, Tensor]:
    alphabet = view.task.alphabet
    # Where nothing is said, what comes next begins a line, or at least a word.
    usual = next((symbol for symbol in ("\n", " ") if symbol in alphabet or symbol.encode() in alphabet), None)
    if not prompt and usual is None:
        read = torch.zeros(1, dtype=torch.long)
    else:
        read = torch.from_numpy(encode(prompt or usual or "", alphabet, "--prompt").astype(np.int64))
    return read, write_symbols(champion_network(view), read, length, temperature, generator)


def drawings_of(view: RunView, drawings: int, length: int, bias: float, generator: torch.Generator) -> Tensor:
    """Drawings (drawings, length, 3) in stroke-3 form."""
    return draw_strokes(champion_network(view), drawings, length, bias, generator)


def sample_figures(view: RunView) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """(file name without suffix, function that draws the figure) of a run whose network writes."""
    if writes(view) == "characters":
        yield "written_text", partial(text_figure, view)
    if writes(view) == "translation":
        yield from translation_figures(view)
    if writes(view) == "handwriting":
        yield "strokes_in_time", partial(time_figure, view, BIAS, SAMPLES, usual_points(view), 0)
        if _examples(view) is not None:
            yield "drawings", partial(drawings_figure, view)


def text_figure(view: RunView) -> Figure:
    """Figure of written letters, and the change of the weights at each of them."""
    prompt, written = _text(view, LETTERS * LINES, 1.0, "", torch.Generator().manual_seed(0))
    rows = changed_rows(champion_network(view), torch.cat([prompt, written[:-1]])[None])
    letters = [decode(np.array([number]), view.task.alphabet) for number in written.tolist()]
    return written_text(letters, None if rows is None else rows[0, -len(written):].norm(dim=2), view.label)


def time_figure(view: RunView, bias: float, drawings: int, length: int, seed: int) -> Figure:
    """Figure of drawings, each above a strip of the change of the weights."""
    drawn, rows = _drawings(view, bias, drawings, length, seed)
    return strokes_in_time(drawn, None if rows is None else rows.norm(dim=3), view.label, _said(bias))


def _said(bias: float) -> str:
    return f"bias {bias:g}" if bias else ""


def _drawings(view: RunView, bias: float, drawings: int, length: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Drawings (N, length, 3), and changes of rows of matrices at each point; None where weights do not change."""
    drawn = drawings_of(view, drawings, length, bias, torch.Generator().manual_seed(seed))
    read = torch.cat([torch.zeros_like(drawn[:, :1]), drawn[:, :-1]], 1)
    return drawn, changed_rows(champion_network(view), read)


def drawings_figure(view: RunView) -> Figure:
    """Figure of test drawings, and beside them samples of as many points each."""
    test = read_tensors(view.folder / "champion" / "examples.safetensors")["drawings"]
    rows = [("test\ndrawings", test)]
    for bias in BIASES:
        drawn = drawings_of(view, len(test), test.shape[1], bias, torch.Generator().manual_seed(0))
        rows.append((f"samples,\nbias {bias:g}", torch.where(test.isnan(), torch.nan, drawn)))
    return drawings_beside_samples(rows, view.label, "a sample has as many points as the test drawing above it: the "
                                                     "network does not say where a drawing ends")


def _examples(view: RunView) -> Tensor | None:
    path = view.folder / "champion" / "examples.safetensors"
    return read_tensors(path)["drawings"] if path.is_file() else None


def usual_points(view: RunView) -> int:
    """Median number of points of the run's test drawings."""
    test = _examples(view)
    if test is None:
        return min(USUAL_POINTS, view.config.part("task").length)
    return int((~test[..., 0].isnan()).sum(1).median())


def save_page(view: RunView, path: Path, bias: float, drawings: int, length: int, seed: int) -> None:
    """Write the animated page, whole or not at all; raises UserError where no weights change."""
    drawn, rows = _drawings(view, bias, drawings, length, seed)
    if rows is None:
        raise UserError(f"{view.folder}: its weights do not change from step to step, there is nothing to light up")
    cell = champion_network(view).layers.cells[-1]
    matrices = cell.weight_hh.detach().unflatten(0, (cell.update.gates, -1))
    write_text(path, pen_page(drawn, rows, matrices, view.label))


def save_stroke_file(drawings: Tensor, path: Path) -> None:
    """Write drawings (N, length, 3) as a stroke-3 file, as the task handwriting reads them."""
    offsets = np.arange(len(drawings) + 1) * drawings.shape[1]
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, points=drawings.flatten(0, 1).numpy(), offsets=offsets)
