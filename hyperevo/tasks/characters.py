"""Character modelling: a text in, after every character the next one out.

Training text is cut into as many streams as a batch has sequences; every batch reads on where the one before ended, so
that a network can carry its state along (truncated back-propagation). Streams begin anew, a little later or earlier,
whenever the text is through.
"""

from math import log
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from hyperevo.components import TaskSettings
from hyperevo.data import TextData, load_text, read_text_file
from hyperevo.devices import resident
from hyperevo.errors import UserError, shown
from hyperevo.geometry import Sheet
from hyperevo.measure import BITS_PER_CHARACTER
from hyperevo.parts import Batch, Task
from hyperevo.randomness import generator_for
from hyperevo.reading import is_there

SYMBOLS = {"ptb": 50, "enwik8": 205, "tinyshakespeare": 65}

IGNORED = -100
"""Wanted symbol that torch's cross-entropy leaves out."""

READ_BEFORE = 200
"""Symbols of validation and test texts that a sequence reads before its own part, so that cutting a text into sequences
hardly changes the measure."""

MOST_SEQUENCES, LEAST_STEPS = 128, 500
"""Largest number of sequences that such a text is cut into, and smallest number of symbols in each."""



class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["characters"] = "characters"
    text: str = "ptb"
    """Data set ptb, enwik8 or tinyshakespeare, or the path of a text file in UTF-8."""
    sequences: int = Field(32, ge=1, le=1_000_000)
    """Number of streams that are read side by side, the sequences of a batch."""
    length: int = Field(100, ge=1, le=1_000_000)
    """Number of characters of a sequence in a batch; gradients go back no further."""

    def files(self) -> tuple[str, ...]:
        """The text, if it is a file."""
        return () if self.text in SYMBOLS else (self.text,)

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (minus nats per character)"

    def data_set(self) -> str:
        """Name of the data set, or path of the text."""
        return self.text


class Characters(Task):
    """Batches of a text: symbols (N, T) and the symbols that follow them (N, T)."""

    settings: Settings

    measure = BITS_PER_CHARACTER
    examples = "characters"
    form = "symbols"
    every_step = True

    def __init__(self, settings: Settings, data: TextData, device: torch.device | str = "cpu"):
        self.settings, self.data_name, self.checksum = settings, data.name, data.checksum
        self.alphabet, self.device = data.alphabet, torch.device(device)
        self.inputs, self.outputs = Sheet((settings.length, len(data.alphabet))), len(data.alphabet)
        self._train = _tensor(data.train)
        self._stream = (len(self._train) - settings.length) // settings.sequences
        """Number of symbols of a stream; symbols left over let streams begin later."""
        self.batches_per_epoch = (self._stream - 1) // settings.length
        if self.batches_per_epoch < 1:
            raise ValueError(f"task.sequences: {settings.sequences} sequences of {settings.length} characters are more "
                             f"than the {len(self._train):,} characters of {data.name}")
        self.validation = _cut(_tensor(data.validation), self.device)
        self._test = data.test

    def batch(self, seed: int, generation: int) -> Batch:
        """Symbols (N, T) of one generation and those that follow them (N, T): a function of the seed and the
        generation."""
        epoch, place = divmod(generation, self.batches_per_epoch)
        generator = generator_for(seed, epoch)
        later = int(torch.randint(self.settings.length, (), generator=generator))
        starts = torch.arange(self.settings.sequences) * self._stream + later + place * self.settings.length
        chosen = resident(self._train[starts[:, None] + torch.arange(self.settings.length + 1)].long(), self.device)
        return chosen[:, :-1], chosen[:, 1:]

    def continues(self, generation: int) -> bool:
        """True where a generation's batch begins where the batch before ended."""
        return generation % self.batches_per_epoch > 0

    def batch_size(self) -> int:
        """Number of sequences in a generation."""
        return self.settings.sequences

    def calibration(self, examples: int) -> Batch:
        """Training sequences, exactly `examples`; they are repeated where a batch has fewer."""
        inputs, wanted = self.batch(0, 0)
        places = torch.arange(examples) % len(inputs)
        return inputs[places], wanted[places]

    def test(self) -> Batch:
        """The whole test text, cut into sequences; for the end of a run."""
        return _cut(_tensor(self._test), self.device)

    def count(self, wanted: Tensor) -> int:
        """Number of symbols that are asked for."""
        return int((wanted != IGNORED).sum())

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, T, symbols), wanted (N, T) → (P,): minus the mean cross-entropy in nats."""
        losses = [cross_entropy(own.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED) for own in outputs]
        return -torch.stack(losses)

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, T, symbols), wanted (N, T) → (P,): minus the bits per character."""
        return self.fitness(outputs, wanted) / log(2)


def _tensor(symbols: np.ndarray) -> Tensor:
    # uint16 knows few operations.
    return torch.from_numpy(symbols.astype(np.uint8 if symbols.dtype == np.uint8 else np.int32))


def _cut(text: Tensor, device: torch.device) -> Batch:
    """A text (length,) in sequences side by side: symbols (N, T) and those that follow, every one asked for once.

    Each sequence reads what is before its own part first, and is asked for nothing there.
    """
    asked = len(text) - 1
    count = max(min(MOST_SEQUENCES, asked // LEAST_STEPS), 1)
    own = -(-asked // count)
    before = READ_BEFORE if count > 1 else 0
    places = torch.arange(count)[:, None] * own + torch.arange(-before, own)
    inside = (places >= 0) & (places < asked)
    kept = places.clamp(0, asked - 1)
    wanted = text[kept + 1].long()
    wanted[~inside | (torch.arange(-before, own) < 0)] = IGNORED
    return text[kept].long().to(device), wanted.to(device)


def read_text(text: str) -> TextData:
    """A data set by name, or a file; raises UserError where it cannot be had."""
    if text in SYMBOLS:
        return load_text(text)
    if "/" in text or "." in text or is_there(text):
        return read_text_file(text)
    raise UserError(f"task.text: {shown(text)} is no data set ({', '.join(SYMBOLS)}), and there is no such file")


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs; a text file is read for its alphabet."""
    symbols = SYMBOLS.get(settings.text) or len(read_text(settings.text).alphabet)
    return Sheet((settings.length, symbols)), symbols


def build(settings: Settings, device: torch.device) -> Characters:
    """The task with its text read; raises UserError when it cannot be had."""
    return Characters(settings, read_text(settings.text), device)
