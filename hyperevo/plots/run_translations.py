"""Translations by the champion of a run: of a sentence, of a file, and as figures."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.data import END, PADDING, Subwords
from hyperevo.errors import UserError
from hyperevo.plots.run_view import RunView
from hyperevo.plots.translations import attention_over_a_pair
from hyperevo.reading import read_bytes, read_text
from hyperevo.runs.files import write_text
from hyperevo.runs.sample import attended
from hyperevo.runs.writer import SUBWORDS
from hyperevo.targets.encoder_decoder import EncoderDecoderTarget
from hyperevo.tasks.translation import Settings
from hyperevo.tensors import read_tensors
from hyperevo.weights import Weights

MOST_BYTES = 2**26
"""Bytes of a file to translate, and of a model of sub-words."""

AT_ONCE = 64
"""Sentences that are translated together."""

PAIRS = 3
"""Test sentences with a figure each."""


def translated(view: RunView, prompt: str | None, source: Path | None, out: Path | None) -> str | Path:
    """Translation of a sentence; or of every line of a file, as text or, where `out` is given, its path. Raises
    UserError where neither or both are given, or a file cannot be read or written."""
    if (prompt is None) == (source is None):
        raise UserError("--prompt: is missing: a sentence, or a file of them with --input" if prompt is None
                        else "--input: is a second source beside --prompt; give one of them")
    lines = [prompt] if prompt is not None else read_text(source or "", MOST_BYTES).splitlines()
    if prompt is not None and not prompt.strip():
        raise UserError("--prompt: is empty")
    text = "\n".join(translations(view, lines))
    if out is None:
        return text
    write_text(out, text + "\n")
    return out


def translations(view: RunView, sentences: Sequence[str]) -> list[str]:
    """Translation of every sentence, in order; an empty line stays one."""
    subwords, written = subwords_of(view), [""] * len(sentences)
    settings = view.config.part("task")
    symbols = {place: [*own, END] for place, own in enumerate(subwords.encode(sentences)) if own}
    ordered = sorted(symbols, key=lambda place: len(symbols[place]))
    assert isinstance(view.target, EncoderDecoderTarget) and isinstance(settings, Settings)
    beam, weights = settings.beam_search(), Weights({name: value[None] for name, value in view.weights.items()})
    for start in range(0, len(ordered), AT_ONCE):
        places = ordered[start : start + AT_ONCE]
        source = torch.nn.utils.rnn.pad_sequence([torch.tensor(symbols[place][: beam.most])
                                                  for place in places], batch_first=True, padding_value=PADDING)
        found = view.target.translate(weights, source, beam)[0]
        for place, sentence in zip(places, subwords.decode(found.tolist()), strict=True):
            written[place] = sentence
    return written


def subwords_of(view: RunView) -> Subwords:
    """Sub-words of a run; raises UserError where its folder lacks them."""
    return Subwords(read_bytes(view.folder / SUBWORDS, MOST_BYTES))


def translation_figures(view: RunView) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """(file name without suffix, function that draws the figure) of the first test sentences, once a run is finished.
    """
    path = view.folder / "champion" / "examples.safetensors"
    if not path.is_file():
        return
    examples = read_tensors(path)
    for number in range(min(PAIRS, len(examples["source"]))):
        yield f"attention_{number + 1}", partial(_attention_figure, view, examples, number)


def _attention_figure(view: RunView, examples: dict[str, Tensor], number: int) -> Figure:
    assert isinstance(view.target, EncoderDecoderTarget)
    subwords, network = subwords_of(view), view.target.loaded(view.weights)
    source, written = (own[own != PADDING] for own in (examples["source"][number], examples["translation"][number]))
    reference = examples["reference"][number]
    shares, change = attended(network, source, torch.cat([written, torch.tensor([END])]))
    return attention_over_a_pair(shares, [*subwords.pieces(source[:-1].tolist()), "end"],
                                 [*subwords.pieces(written.tolist()), "end"], change, view.label,
                                 subwords.decode([reference[(reference != PADDING) & (reference != END)].tolist()])[0])
