"""Sequences written by a network that learned to predict them: it reads what it wrote, step by step."""

import torch
from torch import Tensor

from hyperevo.data import BEGIN
from hyperevo.dynamic import HyperLSTM, HyperLSTMCell, HyperRNN
from hyperevo.dynamic.observe import row_changes
from hyperevo.targets.encoder_decoder import EncoderDecoder
from hyperevo.targets.sequence import SequenceNetwork
from hyperevo.tasks.handwriting import draw_points, mixture


@torch.no_grad()
def write_symbols(network: SequenceNetwork, prompt: Tensor, length: int, temperature: float,
                  generator: torch.Generator) -> Tensor:
    """Symbols (length,) after those of a prompt (symbols,), each drawn from softmax(answers / temperature)."""
    state, read, written = None, prompt, []
    for _ in range(length):
        answers, state = network(read[None], state)
        last = answers[0, -1].double()
        # From the likeliest down, or the coldest would be a difference of infinities.
        chances = ((last - last.max()) / temperature).softmax(0)
        read = torch.multinomial(chances, 1, generator=generator)
        written.append(read)
    return torch.cat(written)


@torch.no_grad()
def draw_strokes(network: SequenceNetwork, drawings: int, length: int, bias: float,
                 generator: torch.Generator) -> Tensor:
    """Drawings (drawings, length, 3) in stroke-3 form, each point drawn from the density after those before it."""
    state, points = None, [torch.zeros(drawings, 3)]
    for _ in range(length):
        answers, state = network(points[-1][:, None], state)
        points.append(draw_points(mixture(answers[:, -1], bias), generator))
    return torch.stack(points[1:], 1)


@torch.no_grad()
def attended(network: EncoderDecoder, source: Tensor, written: Tensor) -> tuple[Tensor, Tensor | None]:
    """Attention (steps, source symbols) with which a network writes symbols (steps,) for a source (symbols,), and the
    change (steps, gates) of the last decoder layer's hidden-to-gate matrices; None where weights stay as they are."""
    (memory, state), shares, seen = network.read(source[None]), [], []
    cell = network.decoder[-1]
    for symbol in [BEGIN, *written[:-1].tolist()]:
        seen.append(state[-len(cell.state_sizes) :])
        _, share, state = network.step(network.embedding(torch.tensor([symbol])), memory, state)
        shares.append(share[0])
    if not isinstance(cell, HyperLSTMCell):
        return torch.stack(shares), None
    seen.append(state[-len(cell.state_sizes) :])
    hidden = torch.stack([parts[cell.update.parts] for parts in seen])
    return torch.stack(shares), row_changes(cell, hidden)[:, 0].norm(dim=2)


@torch.no_grad()
def changed_rows(network: SequenceNetwork, inputs: Tensor) -> Tensor | None:
    """Change (N, T, gates, hidden) of every row of the last layer's hidden-to-gate matrices while a network reads
    inputs, (N, T) or (N, T, features); None where weights stay as they are."""
    if not isinstance(network.layers, HyperLSTM | HyperRNN):
        return None
    _, _, seen = network.layers.trace(network.steps(inputs))
    cell = network.layers.cells[-1]
    return row_changes(cell, torch.stack([parts[cell.update.parts] for parts in seen[-1]])).transpose(0, 1)
