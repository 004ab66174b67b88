"""Encoder and decoder with attention: a network that reads a sentence and writes its translation, word by word.

A bidirectional recurrent encoder reads the source; a recurrent decoder, to which the last attentional vector is fed
with each symbol (input feeding), attends to what the encoder said at every source symbol (Luong, Pham & Manning 2015):

    α_ts ∝ exp(h_t · W_a e_s)        c_t = Σ_s α_ts e_s        a_t = tanh(W_c [h_t; c_t])        P(y) ∝ exp(E a_t + b)

with e the encoder's outputs, h the decoder's, and E the embeddings, which source, target and answer share. Layers are
those of `hyperevo.dynamic`: every LSTM cell can be one whose weights change at every step (Ha, Dai & Le 2016, A.3.6).
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from hyperevo.abilities import Beam
from hyperevo.components import ComponentSettings
from hyperevo.data import PADDING
from hyperevo.dynamic import HyperLSTM, LayerNormLSTM
from hyperevo.dynamic.layers import RecurrentLayers
from hyperevo.dynamic.products import every_step
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.parts import Form, Target, output_units
from hyperevo.randomness import drawing
from hyperevo.targets._beam import State, beam_search
from hyperevo.targets._lent import Lent
from hyperevo.weights import Weights

Memory = tuple[Tensor, Tensor, Tensor]
"""Memory of a source, to which a decoder attends: outputs (N, S, 2 H) of the encoder, their keys (N, S, H), and whether
a symbol is there (N, S)."""


class Settings(ComponentSettings):
    """Options of the encoder and the decoder."""

    name: Literal["encoder-decoder"] = "encoder-decoder"
    layer: Literal["lstm", "layer-norm-lstm", "hyper-lstm"] = "lstm"
    """Kind of the recurrent layers; the weights of hyper-lstm change at every step. It has layer normalisation."""
    embedding: int = Field(256, ge=1, le=32_768)
    """Numbers of a symbol's embedding, and of the attentional vector."""
    hidden: int = Field(256, ge=1, le=32_768)
    """Units of the decoder, and of the encoder in each direction."""
    hyper: int = Field(64, ge=1, le=32_768)
    """Units of the network that changes the weights of a hyper-lstm."""
    hyper_embedding: int = Field(16, ge=1, le=32_768)
    """N_z, numbers of an embedding in a hyper-lstm."""
    layers: int = Field(1, ge=1, le=64)
    """Layers of the encoder and of the decoder."""
    keep: float = Field(1.0, gt=0, le=1)
    """Probability that dropout keeps a value, of embeddings, of the encoder's outputs and of attentional vectors."""


class EncoderDecoder(nn.Module):
    """One network; symbols are integers, PADDING after the last of a sentence."""

    def __init__(self, settings: Settings, symbols: int):
        super().__init__()
        size, hidden = settings.embedding, settings.hidden
        self.keep = settings.keep
        self.embedding = nn.Embedding(symbols, size)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.encoder: Any = _layers(settings, size, settings.layers, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, settings.layers * hidden)
        self.decoder: Any = nn.ModuleList(_layers(settings, 2 * size if number == 0 else hidden, 1).cells[0]
                                          for number in range(settings.layers))
        self.attention = nn.Linear(2 * hidden, hidden, bias=False)
        self.combine = nn.Linear(3 * hidden, size)
        self.bias = nn.Parameter(torch.zeros(symbols))

    def forward(self, pairs: Tensor) -> Tensor:
        """Sources and their translations as far as they are written (N, 2, L) → scores (N, L, symbols) of what comes
        next."""
        written = pairs[:, 1, : longest(pairs[:, 1])]
        memory, state = self.read(pairs[:, 0])
        step, vectors = self.writer(self._dropped(self.embedding(written)), memory), []
        for t in range(written.shape[1]):
            vector, _, state = step(t, state)
            vectors.append(vector)
        scores, missing = self.answers(torch.stack(vectors, 1)), pairs.shape[2] - written.shape[1]
        return F.pad(scores, (0, 0, 0, missing)) if missing else scores

    def read(self, source: Tensor) -> tuple[Memory, State]:
        """Memory of the source, and the state before the first symbol: the last attentional vector, and the parts of
        every layer's state."""
        source = source[:, : longest(source)]
        there = source != PADDING
        lengths = there.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(self._dropped(self.embedding(source)), lengths, batch_first=True,
                                      enforce_sorted=False)
        outputs = pad_packed_sequence(self.encoder(packed)[0], batch_first=True, total_length=source.shape[1])[0]
        mean = (outputs * there[..., None]).sum(1) / lengths.to(outputs)[:, None]
        first = torch.tanh(self.bridge(mean)).chunk(len(self.decoder), 1)
        parts = [part for cell, hidden in zip(self.decoder, first, strict=True)
                 for part in (hidden, *(hidden.new_zeros(len(hidden), size) for size in cell.state_sizes[1:]))]
        outputs = self._dropped(outputs)
        vector = mean.new_zeros(len(source), self.combine.out_features)
        return (outputs, self.attention(outputs), there), (vector, *parts)

    def step(self, symbols: Tensor, memory: Memory, state: State) -> tuple[Tensor, Tensor, State]:
        """Embedded symbols (N, size) and the state before → attentional vector, attention (N, S), and state after."""
        return self.writer(symbols[:, None], memory)(0, state)

    def writer(self, symbols: Tensor, memory: Memory) -> Callable[[int, State], tuple[Tensor, Tensor, State]]:
        """Function from t and the state before it to the results of `step`, for embedded symbols (N, T, size). What is
        known of all steps is computed here, at once: products with symbols, and the draws of dropout."""
        rows, sizes = symbols.transpose(0, 1).flatten(0, 1), [len(symbols)] * symbols.shape[1]
        # What the first layer is fed is the last attentional vector; what the others are, the layer below.
        cells = [cell.begin(rows[:, :0] if number else rows, sizes) for number, cell in enumerate(self.decoder)]
        combined, attend, keys = every_step(self.combine.weight, sizes), attending(memory, len(sizes)), memory[1]
        dropped = self._dropped(rows.new_ones(len(rows), self.combine.out_features)).split(sizes)

        def step(t: int, state: State) -> tuple[Tensor, Tensor, State]:
            values, *parts = state
            after = list[Tensor]()
            for cell, advance in zip(self.decoder, cells, strict=True):
                own = advance(t, tuple(parts[len(after) : len(after) + len(cell.state_sizes)]), values)
                after += own
                values = own[0]
            hidden = values.to(keys.dtype)
            shares, context = attend(hidden, t)
            vector = torch.tanh(combined(torch.cat([hidden, context], 1), t) + self.combine.bias) * dropped[t]
            return vector, shares, (vector, *after)

        return step

    def answers(self, vectors: Tensor) -> Tensor:
        """Scores (…, symbols) of attentional vectors."""
        return F.linear(vectors, self.embedding.weight, self.bias)

    def translate(self, source: Tensor, beam: Beam) -> Tensor:
        """Translations (N, steps) of sources (N, S)."""
        def step(symbols: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
            outputs, keys, there, *own = state
            vector, shares, after = self.step(self.embedding(symbols), (outputs, keys, there), tuple(own))
            scores = self.answers(vector).log_softmax(1)
            scores[:, PADDING] = -torch.inf
            return scores, shares, (outputs, keys, there, *after)

        source = source[:, : longest(source)]
        memory, state = self.read(source)
        return beam_search(step, (*memory, *state), source, beam)

    def _dropped(self, values: Tensor) -> Tensor:
        if not self.training or self.keep == 1:
            return values
        # A CPU takes four times as long for torch's own dropout as for uniform numbers.
        return values * (torch.rand(values.shape, device=values.device) < self.keep) / self.keep


def attending(memory: Memory, steps: int) -> Callable[[Tensor, int], tuple[Tensor, Tensor]]:
    """Function from h_t (N, H) and t to attention (N, S) and context (N, 2 H), for so many steps."""
    outputs, keys, there = memory
    scores, context = every_step(keys, [1] * steps), every_step(outputs.mT, [1] * steps)

    def attend(hidden: Tensor, t: int) -> tuple[Tensor, Tensor]:
        shares = scores(hidden[:, None], t).masked_fill(~there[:, None], -torch.inf).softmax(2)
        return shares[:, 0], context(shares, t)[:, 0]

    return attend


def longest(symbols: Tensor) -> int:
    """Length of the longest of several sentences (N, L), at least 1."""
    there = (symbols != PADDING).any(0).nonzero()
    return int(there[-1]) + 1 if len(there) else 1


def _layers(settings: Settings, features: int, count: int, bidirectional: bool = False) -> RecurrentLayers:
    between = 1 - settings.keep if count > 1 else 0.0
    if settings.layer == "hyper-lstm":
        return HyperLSTM(features, settings.hidden, count, settings.hyper, settings.hyper_embedding, dropout=between,
                         bidirectional=bidirectional)
    return LayerNormLSTM(features, settings.hidden, count, layer_norm=settings.layer == "layer-norm-lstm",
                         dropout=between, bidirectional=bidirectional)


class EncoderDecoderTarget(Target):
    """P networks that translate the same sentences. `units` counts the values of one pair of symbols."""

    forms: frozenset[Form] = frozenset({"pairs"})
    every_step = True

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        if inputs.sizes != (2, output_units(outputs)):
            raise ValueError("target.name: encoder-decoder reads pairs of sentences, as task translation gives them")
        self.settings, self.symbols, self.drops = settings, output_units(outputs), settings.keep < 1
        self.network = self._made(torch.Generator().manual_seed(0)).requires_grad_(False)
        self._lent = Lent(self.network)
        self.geometry = module_geometry(self.network)
        self.units = 18 * settings.layers * settings.hidden + 6 * settings.embedding + self.symbols

    def _made(self, generator: torch.Generator) -> EncoderDecoder:
        # Modules draw from torch's own generator, which is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return EncoderDecoder(self.settings, self.symbols)

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Initial values of every parameter, as its layer draws them, not as its geometry alone would give them."""
        return dict(self._made(generator).state_dict())

    def matrices(self) -> dict[str, tuple[Sheet, Sheet]]:
        """No matrices: a picture would show nothing of matrices that read step by step."""
        return {}

    def values(self, inputs: Tensor) -> int:
        """Number of values that a network keeps while it reads one of these pairs."""
        return inputs.shape[-1] * self.units

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """One network as an ordinary module: pairs (N, 2, L) → scores (N, L, symbols)."""
        return self.loaded(weights).requires_grad_()

    def loaded(self, weights: Mapping[str, Tensor]) -> EncoderDecoder:
        """Module with one network's weights, for translating step by step."""
        network = copy.deepcopy(self.network)
        network.load_state_dict({name: weights[name].reshape(place.tensor_shape)
                                 for name, place in self.geometry.items()})
        return network.eval()

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Pairs (N, 2, L) of a sentence and its translation as far as it is written → scores (P, N, L, symbols)."""
        return self.forward_dropping(weights, inputs, None)

    def forward_dropping(self, weights: Weights, inputs: Tensor, draw: int | None) -> Tensor:
        """Scores as from `forward`, with dropout drawn from a seed, every network's alike; None for none."""
        with self._networks(weights, inputs.device, draw is not None) as (network, every):
            scores = []
            for own in every:
                with drawing(draw, inputs.device):
                    scores.append(functional_call(network, own, (inputs,)))
        # One network's scores, the largest values of all, are not copied.
        return torch.stack(scores) if len(scores) > 1 else scores[0][None]

    @torch.no_grad()
    def translate(self, weights: Weights, source: Tensor, beam: Beam) -> Tensor:
        """Translations (P, N, steps) of sentences (N, S) by a beam search, PADDING after the last symbol of each."""
        written = [self.loaded(weights.network(number)).to(source.device).translate(source, beam)
                   for number in range(weights.population)]
        most = max(own.shape[1] for own in written)
        return torch.stack([F.pad(own, (0, most - own.shape[1]), value=PADDING) for own in written])

    @contextmanager
    def _networks(self, weights: Weights, device: torch.device, training: bool) \
            -> Iterator[tuple[nn.Module, list[dict[str, Tensor]]]]:
        values = {name: weights.tensor(name).reshape(-1, *place.tensor_shape) for name, place in self.geometry.items()}
        with self._lent.borrowed(device) as network:
            network.train(training)
            yield network, [{name: value[number] for name, value in values.items()}
                            for number in range(weights.population)]


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> EncoderDecoderTarget:
    """The target for a task of pairs of sentences."""
    return EncoderDecoderTarget(settings, inputs, outputs)
