"""Modules of many kinds, each a class or function without arguments, for images (N, 1, 8, 8) and ten classes."""

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune


def plain(*inner):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), *inner, nn.Linear(12, 10))


class Subtracts(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        x -= 0.5
        return self.out(x.flatten(1))


def relu_first():
    return nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 10))


class Clamped(nn.Linear):
    """Writes into its weights."""

    def __init__(self):
        super().__init__(64, 10)

    def forward(self, x):
        self.weight.data.clamp_(-0.01, 0.01)
        return super().forward(x.flatten(1))


class Cosine(nn.Linear):
    def __init__(self):
        super().__init__(64, 10, bias=False)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.scale * F.linear(F.normalize(x.flatten(1)), F.normalize(self.weight))


class LowRank(nn.Linear):
    """A frozen weight and a trained one of low rank beside it."""

    def __init__(self):
        super().__init__(64, 10)
        self.weight.requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.zeros(2, 64)), nn.Parameter(torch.zeros(10, 2))

    def forward(self, x):
        x = x.flatten(1)
        return super().forward(x) + x @ self.down.T @ self.up.T


def weight_norm():
    return plain(nn.Tanh(), parametrizations.weight_norm(nn.Linear(12, 12)), nn.Tanh())


def old_weight_norm():
    return plain(nn.Tanh(), nn.utils.weight_norm(nn.Linear(12, 12)), nn.Tanh())


def spectral_norm():
    return plain(nn.Tanh(), parametrizations.spectral_norm(nn.Linear(12, 12)), nn.Tanh())


def old_spectral_norm():
    return plain(nn.Tanh(), nn.utils.spectral_norm(nn.Linear(12, 12)), nn.Tanh())


def orthogonal():
    return plain(parametrizations.orthogonal(nn.Linear(12, 12)), nn.Tanh())


def pruned():
    return plain(nn.Tanh(), prune.random_unstructured(nn.Linear(12, 12), "weight", 0.5), nn.Tanh())


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(64, 8), nn.Linear(8, 10)
        self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8)
        self.third.weight = self.second.weight

    def forward(self, x):
        return self.out(self.third(torch.relu(self.second(self.first(x.flatten(1))))))


class Shared(Tied):
    """One layer under two names."""

    def __init__(self):
        super().__init__()
        self.third = self.second


class TiedEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.hidden, self.out = nn.Embedding(10, 8), nn.Linear(64, 8), nn.Linear(8, 10, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x):
        return self.out(self.hidden(x.flatten(1)))


class Masked(nn.Module):
    """Buffers that are persistent, random, not persistent, and complex."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(64, 10)
        self.register_buffer("random", torch.randn(64, 64))
        self.register_buffer("mask", torch.arange(64) % 2, persistent=False)
        self.register_buffer("turn", torch.polar(torch.ones(64), torch.arange(64.0)))

    def forward(self, x):
        return self.out(((x.flatten(1) * self.mask) @ self.random * self.turn).real)


def frozen():
    network = plain(nn.ReLU())
    network[1].requires_grad_(False)
    return network


def dropout():
    return plain(nn.ReLU(), nn.Dropout(0.5))


class Noisy(nn.Module):
    """Noise and dropout by function, in training mode."""

    def __init__(self):
        super().__init__()
        self.first, self.out = nn.Linear(64, 12), nn.Linear(12, 10)

    def forward(self, x):
        x = x.flatten(1)
        x = F.dropout(x + torch.randn_like(x) if self.training else x, 0.2, self.training)
        return self.out(torch.relu(self.first(x)))


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))


class Bag(nn.Module):
    """Symbols by brightness; rows of the table are shortened in place."""

    def __init__(self):
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(17, 12, max_norm=0.5), nn.Linear(12, 10)

    def forward(self, x):
        return self.out(self.bag((x.flatten(1) * 4 + 8).long().clamp(0, 16)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows, self.attention, self.out = nn.Linear(8, 8), nn.MultiheadAttention(8, 2, 0.1, batch_first=True), \
            nn.Linear(8, 10)

    def forward(self, x):
        rows = self.rows(x[:, 0])
        return self.out(self.attention(rows, rows, rows)[0].mean(1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers, self.out = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 10)

    def forward(self, x):
        return self.out(self.layers(x[:, 0]).mean(1))


def convolution(*inner):
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), *inner, nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(256, 10))


def group_norm():
    return convolution(nn.GroupNorm(2, 4))


def batch_norm():
    return convolution(nn.BatchNorm2d(4))


def batch_norm_of_the_batch():
    return convolution(nn.BatchNorm2d(4, track_running_stats=False))


def instance_norm():
    return convolution(nn.InstanceNorm2d(4, affine=True, track_running_stats=True))


def transposed():
    return nn.Sequential(nn.ConvTranspose2d(1, 2, 2, 2), nn.Flatten(2), nn.Conv1d(2, 2, 4, 4), nn.Flatten(),
                         nn.PReLU(), nn.Linear(128, 10))


def double():
    return plain(nn.ReLU(), nn.BatchNorm1d(12)).double()


def bfloat16():
    return plain(nn.ReLU()).bfloat16()


class Rows(nn.Module):
    def __init__(self, layer=nn.LSTM):
        super().__init__()
        self.rows, self.norm, self.out = layer(8, 5, 2, batch_first=True, bidirectional=True, dropout=0.3), \
            nn.LayerNorm(10), nn.Linear(10, 10)

    def forward(self, x):
        return self.out(self.norm(self.rows(x[:, 0])[0][:, -1]))


def gated():
    return Rows(nn.GRU)


class Odd(nn.Module):
    """Parameters that are no numbers of a matrix: of no dimension, without elements, integer, complex, in a list; and a
    buffer that counts calls."""

    def __init__(self):
        super().__init__()
        self.scale, self.nothing = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.zeros(0, 3))
        self.order = nn.Parameter(torch.randperm(64), requires_grad=False)
        self.turn = nn.Parameter(torch.randn(64, dtype=torch.complex64), requires_grad=False)
        self.several = nn.ParameterList([torch.zeros(64, 10), torch.zeros(2, 3, 10)])
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.calls += 1
        x = (x.flatten(1)[:, self.order] * self.turn).imag
        return x @ self.several[0] * self.scale.expand(10) + self.several[1].sum((0, 1))


class OwnMode(nn.Module):
    """A frozen beginning that stays in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Dropout()), plain()[-1]
        self.body.requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x):
        return self.head(F.dropout(self.body(x), training=self.training))


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Bilinear(8, 8, 10)
        self.halves = nn.ModuleDict({"top": nn.Linear(32, 8), "low": nn.Linear(32, 8)})

    def forward(self, x):
        top, low = x.flatten(1).chunk(2, 1)
        return self.both(self.halves["top"](top), self.halves["low"](low))


class Layers(nn.Module):
    """Some layers are left out in training mode."""

    def __init__(self):
        super().__init__()
        self.first, self.layers, self.out = nn.Linear(64, 12), nn.ModuleList(nn.Linear(12, 12) for _ in range(3)), \
            nn.Linear(12, 10)

    def forward(self, x):
        x = self.first(x.flatten(1))
        for layer in self.layers:
            if not self.training or torch.rand(()) < 0.5:
                x = x + torch.relu(layer(x))
        return self.out(x)


def hooked():
    network = plain(nn.ReLU())
    network[1].register_forward_hook(halved)
    return network


def halved(part, inputs, outputs):
    return outputs / 2


made = plain(nn.Hardtanh())


class Constant(Noisy):
    """A frozen number from a file."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(Path("number.txt").read_text())), requires_grad=False)

    def forward(self, x):
        return super().forward(x) * self.scale


# Refused


class MakesItsOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.out, self.shift = nn.Linear(64, 10), None

    def forward(self, x):
        if self.shift is None:
            self.shift = nn.Parameter(torch.zeros(10))
        return self.out(x.flatten(1)) + self.shift


class Expanded(Noisy):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1).expand(10))


def scripted():
    return torch.jit.script(plain())


class PythonsNoise(Noisy):
    """Noise that is not torch's, in training mode."""

    def forward(self, x):
        return self.out(torch.relu(self.first(x.flatten(1)))) + (random.random() if self.training else 0)


class WritesIntoNegativeNumbers(Noisy):
    """Beyond what torch counts as changes, and not when it is first tried, with numbers from 0 to 1."""

    def forward(self, x):
        if x.min() < 0:
            x.data[0] += 1
        return super().forward(x)


class WritesIntoManyExamples(Noisy):
    """Not when it is tried with a few."""

    def forward(self, x):
        if len(x) > 8:
            x[0] += 1
        return super().forward(x)


def without_parameters():
    return nn.Flatten()


def of_buffers():
    return nn.BatchNorm2d(1, affine=False)


def all_frozen():
    return plain().requires_grad_(False)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 10, dtype=torch.complex64))

    def forward(self, x):
        return (x.flatten(1).to(torch.complex64) @ self.weight).real


class AlwaysDrops(Noisy):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class Remembers(Noisy):
    last = 0.0

    def forward(self, x):
        self.last = super().forward(x) + self.last
        return self.last


def quantised():
    network = plain()
    torch.ao.quantization.quantize_dynamic(network[1], {nn.Linear}, inplace=True)
    return nn.Sequential(network[0], network[1], torch.ao.nn.quantized.dynamic.Linear(12, 12), network[2])


class ExtraState(Noisy):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class Pair(Noisy):
    def forward(self, x):
        return super().forward(x), x


class SamplesLast(Noisy):
    def forward(self, x):
        return super().forward(x).T


class Exits(Noisy):
    def forward(self, x):
        raise SystemExit(3)


class Captured(Noisy):
    def __init__(self):
        super().__init__()
        self.known = [self.first.weight]

    def forward(self, x):
        return self.out(torch.relu(x.flatten(1) @ self.known[0].T))


class Closed(Noisy):
    def __init__(self):
        super().__init__()
        self.act = lambda x: self.first(x)

    def forward(self, x):
        return self.out(self.act(x.flatten(1)))


class Views(nn.Module):
    """Two parameters with one memory."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(64, 10))
        self.second = nn.Parameter(self.first.data)

    def forward(self, x):
        return x.flatten(1) @ self.first + x.flatten(1).abs() @ self.second + 1


class Locked(Noisy):
    def __init__(self):
        super().__init__()
        import threading
        self.lock = threading.Lock()


class Checkpointed(Noisy):
    def forward(self, x):
        from torch.utils.checkpoint import checkpoint
        return checkpoint(self.out, torch.relu(self.first(x.flatten(1))), use_reentrant=False)


class SparseBag(Bag):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(17, 12, sparse=True)
