"""Translation: sentences in one language in, their translations out.

A batch holds pairs of about one length: the source, and the translation as far as it is written, out of which the next
symbol is to be told (teacher forcing). Judged, a network writes on by itself, and what it wrote is compared with the
reference by BLEU (Papineni et al. 2002), as sacrebleu computes it (Post 2018).
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import cross_entropy

from hyperevo.abilities import Beam, Translates
from hyperevo.components import TaskSettings
from hyperevo.data import (
    BEGIN,
    END,
    PADDING,
    PairData,
    Pairs,
    dataset_names,
    learned_subwords,
    load_pairs,
    read_pair_files,
)
from hyperevo.errors import UserError, shown
from hyperevo.geometry import Sheet
from hyperevo.measure import BLEU
from hyperevo.parts import Batch, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._bleu import scores_of
from hyperevo.tasks._smoothed_cross_entropy import smoothed_cross_entropy
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

POOL = 20
"""Batches whose sentences are put in order of their length together."""

AT_ONCE = 128
"""Sentences that are judged at a time."""


class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["translation"] = "translation"
    pairs: str = "multi30k"
    """Data set of pairs; empty where two files are given."""
    languages: tuple[str, str] = ("en", "fr")
    """Languages of a data set's sentences and of their translations, two letters each; for files, by which rules
    tokens are parted in the second BLEU."""
    source: str = ""
    """Text file with a sentence in every line; with `target`, in place of a data set."""
    target: str = ""
    """Text file whose line i translates line i of `source`."""
    symbols: int = Field(6000, ge=5, le=65_536)
    """Sub-words of both languages together, four special symbols among them."""
    sentences: int = Field(64, ge=1, le=1_000_000)
    """Pairs of a batch."""
    longest: int = Field(100, ge=1, le=10_000)
    """Most sub-words of a sentence: longer ones are left out of training, and nothing longer is written."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Label smoothing of the fitness: share of the wanted probability that is spread over all symbols."""
    beam: int = Field(5, ge=1, le=1000)
    """Width of the beam search on the test sentences; validation takes the likeliest symbol each time."""
    length_penalty: float = Field(0.2, ge=0, le=10)
    """α of the beam search, above 0 for longer translations."""
    coverage_penalty: float = Field(0.2, ge=0, le=10)
    """β of the beam search, above 0 for translations that attend to the whole source."""

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> "Settings":
        if bool(self.source) != bool(self.target):
            given, missing = ("source", "target") if self.source else ("target", "source")
            raise ValueError(f"{given} is given and {missing} is not: the two files belong together")
        return self

    def beam_search(self) -> Beam:
        """Beam search on the test sentences."""
        return Beam(self.beam, self.longest, self.length_penalty, self.coverage_penalty)

    def files(self) -> tuple[str, ...]:
        """The two files, where they are given."""
        return (self.source, self.target) if self.source else ()

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (minus nats per sub-word)"

    def fitness_remark(self) -> str:
        """Label smoothing, which changes what the fitness is."""
        return f"label smoothing {self.smoothing:g}" if self.smoothing else ""

    def data_set(self) -> str:
        """Name of the data set, or path of the source."""
        return self.source or self.pairs


class Translation(Task):
    """Pairs (N, 2, L) of symbols, and the symbols that are wanted next (N, L)."""

    settings: Settings

    measure = BLEU
    examples = "sentences"
    form = "pairs"
    every_step = True
    exact_outputs = False

    def __init__(self, settings: Settings, data: PairData, device: torch.device | str = "cpu"):
        self.settings, self.data_name, self.device = settings, data.name, torch.device(device)
        self.subwords = learned_subwords([*data.train.source, *data.train.target], settings.symbols)
        self.checksum = f"{data.checksum[:32]}{self.subwords.checksum[:32]}"
        self.subwords_model = self.subwords.model
        self.inputs, self.outputs = Sheet((2, len(self.subwords))), len(self.subwords)
        self._data, self._epoch = data, (-1, -1, [torch.empty(0)])
        self._train = [pair for pair in self._encoded(data.train) if max(map(len, pair)) < settings.longest]
        if not self._train:
            raise ValueError(f"task.longest: no sentence of {data.name} has at most {settings.longest} sub-words")
        self._lengths = torch.tensor([max(len(source), len(target)) for source, target in self._train])
        self.validation = self._batch(self._encoded(data.validation), settings.longest)

    def _encoded(self, pairs: Pairs) -> list[tuple[list[int], list[int]]]:
        return list(zip(self.subwords.encode(pairs.source), self.subwords.encode(pairs.target), strict=True))

    def _batch(self, pairs: Sequence[tuple[list[int], list[int]]], most: int | None = None) -> Batch:
        """Inputs (N, 2, L) and wanted symbols (N, L) of pairs, cut at `most` symbols."""
        length = max(max(len(source), len(target)) + 1 for source, target in pairs)
        length = length if most is None else min(length, most)
        inputs = torch.full((len(pairs), 2, length), PADDING)
        wanted = torch.full((len(pairs), length), PADDING)
        for row, (source, target) in enumerate(pairs):
            for place, symbols in ((inputs[row, 0], [*source, END]), (inputs[row, 1], [BEGIN, *target]),
                                   (wanted[row], [*target, END])):
                own = torch.tensor(symbols[:length])
                place[: len(own)] = own
        return inputs.to(self.device), wanted.to(self.device)

    def batch(self, seed: int, generation: int) -> Batch:
        """Pairs of one generation, a function of the seed and the generation: every epoch goes once through all
        sentences, those of about one length together."""
        size = min(self.settings.sentences, len(self._train))
        epoch, place = divmod(generation, len(self._train) // size)
        if self._epoch[:2] != (seed, epoch):
            self._epoch = (seed, epoch, self._order(seed, epoch, size))
        return self._batch([self._train[int(number)] for number in self._epoch[2][place]])

    def _order(self, seed: int, epoch: int, size: int) -> list[Tensor]:
        """Sentences of every batch of an epoch."""
        generator = generator_for(seed, epoch)
        batches: list[Tensor] = []
        for pool in torch.randperm(len(self._train), generator=generator).split(POOL * size):
            ordered = pool[self._lengths[pool].argsort(stable=True)]
            batches += [own for own in ordered.split(size) if len(own) == size]
        return [batches[int(place)] for place in torch.randperm(len(batches), generator=generator)]

    def batch_size(self) -> int:
        """Number of pairs in a generation."""
        return min(self.settings.sentences, len(self._train))

    def test(self) -> Batch:
        """Pairs of the first test."""
        return next(iter(self._tests.values()))

    @cached_property
    def _tests(self) -> dict[str, Batch]:
        return {name: self._batch(self._encoded(pairs), self.settings.longest)
                for name, pairs in self._data.tests.items()}

    def calibration(self, examples: int) -> Batch:
        """Training pairs, at most so many."""
        inputs, wanted = self.batch(0, 0)
        return inputs[:examples], wanted[:examples]

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Scores (P, N, L, symbols), or translations (P, N, steps), and wanted symbols (N, L) → (P,): minus the mean
        cross-entropy in nats, with label smoothing; of translations, BLEU."""
        if outputs.dim() == 3:
            return self.score(outputs, wanted)
        losses = [smoothed_cross_entropy(own.flatten(0, 1), wanted.flatten(), PADDING, self.settings.smoothing)
                  for own in outputs]
        return -torch.stack(losses)

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Translations (P, N, steps), or scores (P, N, L, symbols) of which the largest is taken, and wanted symbols
        (N, L) → BLEU (P,) from 0 to 1."""
        written = outputs if outputs.dim() == 3 else outputs.argmax(3)
        references = self.sentences_of(wanted)
        return torch.tensor([scores_of(self.sentences_of(own), references).bleu / 100 for own in written])

    def sentences_of(self, symbols: Tensor) -> list[str]:
        """Sentences of symbols (N, steps), each up to its end."""
        rows = [row[: row.index(END)] if END in row else row for row in symbols.tolist()]
        return self.subwords.decode(rows)

    def write(self, target: Target, weights: Weights, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Translations (P, N, steps) that networks write by themselves, the likeliest symbol each time."""
        return _written(target, weights, inputs, Beam(most=self.settings.longest))
    def describe(self, target: Target, weights: Weights) -> dict[str, float]:
        """BLEU and chrF of a beam search on every test, of sentences as they are written and of lower-cased tokens, and
        the mean log perplexity. sacrebleu's signatures go to the log."""
        facts: dict[str, float] = {}
        for name, batch in self._tests.items():
            references = self._data.tests[name].target
            written = self.sentences_of(_written(target, weights, batch[0], self.settings.beam_search())[0])
            scores = scores_of(written, references)
            tokens = scores_of(written, references, lower_tokens=self.settings.languages[1])
            facts |= {f"bleu_{name}": scores.bleu, f"chrf_{name}": scores.chrf, f"bleu_tokens_{name}": tokens.bleu,
                      f"log_perplexity_{name}": self.log_perplexity(target, weights, batch)}
            log.info("%s: bleu %s, bleu_tokens %s, chrf %s", name, scores.signature, tokens.signature,
                     scores.chrf_signature)
        return facts

    @torch.no_grad()
    def log_perplexity(self, target: Target, weights: Weights, batch: Batch) -> float:
        """Mean cross-entropy in nats per sub-word of one network (P = 1) on given translations."""
        total = sum(float(cross_entropy(target.forward(weights, inputs)[0].flatten(0, 1), wanted.flatten(),
                                        ignore_index=PADDING, reduction="sum"))
                    for inputs, wanted in zip(batch[0].split(AT_ONCE), batch[1].split(AT_ONCE), strict=True))
        return total / self.count_symbols(batch[1])

    def count_symbols(self, wanted: Tensor) -> int:
        """Number of symbols that are wanted."""
        return int((wanted != PADDING).sum())

    def shown(self, target: Target, weights: Weights, batch: Batch) -> dict[str, Tensor]:
        """Sentences, references and translations of one network (P = 1), as symbols."""
        written = _written(target, weights, batch[0], self.settings.beam_search())
        return {"source": batch[0][:, 0].contiguous(), "reference": batch[1], "translation": written[0].contiguous()}


def _written(target: Target, weights: Weights, inputs: Tensor, beam: Beam) -> Tensor:
    """Translations (P, N, steps) of a batch's sources."""
    assert isinstance(target, Translates)
    pieces = [target.translate(weights, own[:, 0], beam) for own in inputs.split(AT_ONCE)]
    most = max(own.shape[2] for own in pieces)
    return torch.cat([torch.nn.functional.pad(own, (0, most - own.shape[2]), value=PADDING) for own in pieces], 1)


def read_data(settings: Settings) -> PairData:
    """Pairs of a data set or of two files; raises UserError where they cannot be had."""
    if settings.source:
        return read_pair_files(settings.source, settings.target)
    if settings.pairs not in dataset_names():
        raise UserError(f"task.pairs: {shown(settings.pairs)} is no data set; two files are given as task.source and "
                        "task.target")
    return load_pairs(settings.pairs, settings.languages)


def build(settings: Settings, device: torch.device) -> Translation:
    """The task with its pairs read and its sub-words learned; raises UserError when they cannot be had."""
    return Translation(settings, read_data(settings), device)
