"""Recurrent layers that read a sequence and answer at every step, or after the last: torch's LSTM, an LSTM with layer
normalisation, and dynamic hypernetworks, whose weights change at every step (Ha, Dai & Le 2016; `hyperevo.dynamic`).

Dropout is drawn only while a gradient is followed. It acts on inputs and outputs of the layers and, except for torch's
LSTM, on their state.
"""

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hyperevo.components import ComponentSettings
from hyperevo.dynamic import VARIANTS, HyperLSTM, HyperRNN, LayerNormLSTM
from hyperevo.dynamic.updates import orthogonal
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.parts import Form, Target, output_units
from hyperevo.randomness import drawing
from hyperevo.targets._lent import Lent
from hyperevo.weights import Weights

STEPS_AT_ONCE = 128
"""Steps of a long sequence that are read in one piece; the next piece starts from the state of this one."""

State = tuple[Tensor, ...]
"""Parts of the state, (P, layers, N, size) each."""


class Settings(ComponentSettings):
    """Options of the recurrent layers."""

    name: Literal["sequence"] = "sequence"
    layer: Literal["lstm", "layer-norm-lstm", "hyper-lstm", "hyper-rnn"] = "lstm"
    """Kind of recurrent layer; the weights of the two hyper layers change at every step."""
    hidden: int = Field(128, ge=1, le=32_768)
    """Number of units of every layer."""
    layers: int = Field(1, ge=1, le=64)
    """Number of recurrent layers; each reads the one below it."""
    hyper: int = Field(128, ge=1, le=32_768)
    """Number of units of the network that changes the weights of a hyper layer."""
    embedding: int | None = Field(None, ge=1, le=32_768)
    """N_z, numbers of an embedding in a hyper layer; by default the variant's."""
    layer_norm: bool = True
    """true: hyper layers have layer normalisation; other layers ignore this."""
    variant: Literal["paper", "reference"] = "paper"
    """Details in which the paper and its reference code differ, such as initial values and the bias of the forget gate:
    see `hyperevo.dynamic`."""
    keep: float = Field(1.0, gt=0, le=1)
    """Probability that dropout keeps a value; 1 for no dropout."""
    answer: Literal["every step", "last step"] = "every step"
    """Steps with an answer: every one, or the last alone."""


class SequenceNetwork(nn.Module):
    """Layers and a readout. Inputs are (N, T) symbols or (N, T, features); answers are (N, T, outputs) or
    (N, outputs)."""

    def __init__(self, settings: Settings, features: int, outputs: int):
        super().__init__()
        self.features, self.drop, self.last = features, 1 - settings.keep, settings.answer == "last step"
        self.layers: Any = _layers(settings, features)
        self.readout = nn.Linear(settings.hidden, outputs)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Answers, and the parts of the state after the last step, (layers, N, size) each."""
        values, after = self.layers(self._dropped(self.steps(inputs)), state)
        answers = self.readout(self._dropped(values[-1] if self.last else values))
        return answers if self.last else answers.transpose(0, 1), tuple(after)

    def steps(self, inputs: Tensor) -> Tensor:
        """Input of the first layer (T, N, features); symbols become one-hot vectors."""
        dtype = self.readout.weight.dtype
        if inputs.is_floating_point():
            return inputs.to(dtype).transpose(0, 1)
        # F.one_hot looks at the symbols on the CPU first.
        zeros = torch.zeros(*inputs.shape, self.features, dtype=dtype, device=inputs.device)
        return zeros.scatter_(-1, inputs[..., None], 1.0).transpose(0, 1)

    def _dropped(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.drop, self.training)


class Answering(nn.Module):
    """Answers of a network, without its state, to whole sequences or to images whose rows are steps."""

    def __init__(self, network: SequenceNetwork, features: int):
        super().__init__()
        self.network, self.features = network, features

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T) symbols, (N, T, features) or (N, T · features) → (N, T, outputs), or (N, outputs)."""
        if inputs.dim() == 2 and inputs.is_floating_point():
            inputs = inputs.unflatten(1, (-1, self.features))
        return self.network(inputs)[0]


def _layers(settings: Settings, features: int) -> nn.Module:
    drop, sizes = 1 - settings.keep, (features, settings.hidden, settings.layers)
    if settings.layer == "lstm":
        layers = nn.LSTM(*sizes, dropout=drop if settings.layers > 1 else 0.0)
        _start_lstm(layers, VARIANTS[settings.variant].forget_bias)
        return layers
    if settings.layer == "layer-norm-lstm":
        return LayerNormLSTM(*sizes, recurrent_dropout=drop, variant=settings.variant, dropout=drop)
    if settings.layer == "hyper-lstm":
        return HyperLSTM(*sizes, settings.hyper, settings.embedding, layer_norm=settings.layer_norm,
                         recurrent_dropout=drop, variant=settings.variant, dropout=drop)
    return HyperRNN(*sizes, settings.hyper, settings.embedding, layer_norm=settings.layer_norm,
                    variant=settings.variant, dropout=drop)


@torch.no_grad()
def _start_lstm(layers: nn.LSTM, forget_bias: float) -> None:
    """Give torch's LSTM the initial values of the other layers: orthogonal weights, and biases of 0 except for the
    forget gate's, the second of torch's four."""
    for name, parameter in layers.named_parameters():
        if parameter.dim() == 2:
            orthogonal(parameter, 4)
        else:
            parameter.zero_()
            if name.startswith("bias_ih"):
                parameter[layers.hidden_size : 2 * layers.hidden_size] = forget_bias


class SequenceTarget(Target):
    """P networks that read the same sequences. `units` counts the values of one step."""

    forms: frozenset[Form] = frozenset({"values", "sequences", "symbols"})

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        self.settings, self.inputs, self.outputs = settings, inputs, output_units(outputs)
        self.every_step = settings.answer == "every step"
        self.features = inputs.sizes[-1]
        self.network = self._made(torch.Generator().manual_seed(0)).requires_grad_(False)
        self._lent = Lent(self.network)
        # torch's LSTM adds two biases to every gate where one will do; the second stays 0.
        self.constants = {name: torch.zeros(parameter.shape) for name, parameter in self.network.named_parameters()
                          if ".bias_hh" in name}
        """Parameters of the module that are no weights and keep their values."""
        self._copies: dict[torch.device, dict[str, Tensor]] = {}
        self.geometry = {name: place for name, place in module_geometry(self.network, Sheet((self.features,))).items()
                         if name not in self.constants}
        # Every layer's sums at four gates and its state, and as much for a network that changes them.
        self.units = settings.layers * 6 * (settings.hidden + settings.hyper * settings.layer.startswith("hyper"))

    def _made(self, generator: torch.Generator) -> SequenceNetwork:
        """A network with the initial values of training."""
        # Modules draw from torch's own generator, which is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return SequenceNetwork(self.settings, self.features, self.outputs)

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Initial values of every parameter, as its layer draws them, not as its geometry alone would give them."""
        network = self._made(generator).state_dict()
        return {name: network[name] for name in self.geometry}

    def matrices(self) -> dict[str, tuple[Sheet, Sheet]]:
        """No matrices: a picture would show nothing of matrices that read step by step."""
        return {}

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """One network's answers as an ordinary module, without its state."""
        return Answering(self.loaded(weights).requires_grad_(), self.features)

    def loaded(self, weights: Mapping[str, Tensor]) -> SequenceNetwork:
        """Module with one network's weights, for reading on step by step."""
        network = copy.deepcopy(self.network)
        own = {name: weights[name].reshape(place.tensor_shape) for name, place in self.geometry.items()}
        network.load_state_dict({**own, **self.constants})
        return network.eval()

    def values(self, inputs: Tensor) -> int:
        """Number of values that the networks keep while they read one of these examples."""
        steps = self._sequences(inputs).shape[1]
        return min(steps, STEPS_AT_ONCE) * self.units + steps * self.outputs

    def _sequences(self, inputs: Tensor) -> Tensor:
        """(N, T) symbols or (N, T, features); an image (N, pixels) is a sequence of rows."""
        if inputs.dim() == 2 and inputs.is_floating_point():
            return inputs.unflatten(1, (-1, self.features))
        return inputs

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Inputs, the same for all networks, (N, T) symbols or (N, T, features) → answers (P, N, T, outputs), or
        (P, N, outputs) after the last step, from a state of zeros."""
        answers, state = [], None
        for piece in self._sequences(inputs).split(STEPS_AT_ONCE, 1):
            answer, state = self.read(weights, piece, state)
            answers.append(answer)
        return answers[-1] if self.settings.answer == "last step" else torch.cat(answers, 2)

    def read(self, weights: Weights, inputs: Tensor, state: State | None = None, draw: int | None = None) \
            -> tuple[Tensor, State]:
        """Answers as from `forward`, and the state after the last step, starting from a state; None for zeros.

        draw: seed of the dropout, equal for every network; None for no dropout.
        """
        inputs = self._sequences(inputs)
        values = {name: weights.tensor(name).reshape(-1, *place.tensor_shape)
                  for name, place in self.geometry.items()}
        with self._lent.borrowed(inputs.device) as network:
            network.train(draw is not None)
            return self._read(network, values, inputs, state, draw)

    def _constants_on(self, device: torch.device) -> dict[str, Tensor]:
        """Parameters that are no weights, on a device, where they stay once they were copied to it."""
        if device not in self._copies:
            self._copies[device] = {name: value.to(device) for name, value in self.constants.items()}
        return self._copies[device]

    def _read(self, network: nn.Module, values: dict[str, Tensor], inputs: Tensor, state: State | None,
              draw: int | None) -> tuple[Tensor, State]:
        constants = self._constants_on(inputs.device)

        def one(own: dict[str, Tensor], before: State | None) -> tuple[Tensor, State]:
            return functional_call(network, {**own, **constants}, (inputs, before))

        population = len(next(iter(values.values())))
        # torch.vmap has no rule for its own LSTM, and every network's dropout is drawn alike.
        if population > 1 and draw is None and self.settings.layer != "lstm":
            return vmap(one, in_dims=(0, None if state is None else 0))(values, state)
        results = []
        for place in range(population):
            with drawing(draw, inputs.device):
                results.append(one({name: value[place] for name, value in values.items()},
                                   None if state is None else tuple(part[place] for part in state)))
        answers, after = zip(*results, strict=True)
        return torch.stack(answers), tuple(torch.stack(part) for part in zip(*after, strict=True))


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> SequenceTarget:
    """The target for a task whose inputs are (steps, features)."""
    return SequenceTarget(settings, inputs, outputs)
