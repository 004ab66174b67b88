"""Steps along the gradient of a whole generation of graphs before it is evaluated (DPPN, Fernando et al. 2016)."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import Options, Positive
from hyperevo.graph import Graph
from hyperevo.search._in_place import rate_as_tensor, rehearsed, set_rate


class LearnSettings(Options):
    """Options of learning within a generation."""

    steps: int = Field(0, ge=0, le=10_000)
    """Steps along the gradient of every genome before it is evaluated; 0 is evolution alone."""
    learning_rate: Positive = 0.01
    """Learning rate of Adam, which starts anew with every generation."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: from the learning rate down to 0 within every generation."""
    inherit: bool = True
    """true: genomes keep what they learn (Lamarckian); false: it only changes their fitness (Baldwinian)."""


class Learning:
    """Adam on the weights and biases of P graphs of any shapes, up the gradient of their fitness.

    One tensor (numbers,) holds them all: graph after graph, its weights, then its biases. Adam updates every number by
    itself, so every graph learns what it would learn alone.
    """

    def __init__(self, graphs: Sequence[Graph], limits: Sequence[tuple[Tensor, Tensor]], settings: LearnSettings):
        """limits: smallest and largest value of every number of each graph, enforced after every step."""
        self.settings, self.steps, self._graphs, self._taken = settings, settings.steps, list(graphs), 0
        self._starts = [0, *accumulate(graph.genes for graph in graphs)]
        self._owners = torch.repeat_interleave(torch.tensor([graph.genes for graph in graphs]))
        self._smallest, self._largest = (torch.cat(side) for side in zip(*limits, strict=True))
        self._numbers = _numbers(graphs)
        self._placed = self._graphs
        self._optimizer = torch.optim.Adam([self._numbers], settings.learning_rate, maximize=True)

    def __len__(self) -> int:
        return len(self._graphs)

    @property
    def widest(self) -> int:
        """Most values per connection that a graph's gradient may keep: two per node and one per link."""
        return max(2 * len(graph.topology.nodes) + graph.topology.links for graph in self._graphs)

    def place(self, device: torch.device) -> None:
        """Put all numbers on a device, before the first step, with an optimiser whose steps can be captured."""
        self._numbers, self._owners, self._smallest, self._largest = (
            values.to(device) for values in (self._numbers, self._owners, self._smallest, self._largest))
        self._placed = [graph.to(device) for graph in self._graphs]
        self._optimizer = torch.optim.Adam([self._numbers], self.settings.learning_rate, maximize=True, fused=True,
                                           capturable=True)
        rate_as_tensor(self._optimizer, self._numbers)

    def leaf(self, block: slice) -> tuple[Tensor, list[Graph]]:
        """A leaf tensor of the current numbers of consecutive graphs, and these graphs, made of its parts."""
        start, stop = self._starts[block][0], self._starts[1:][block][-1]
        leaf = self._numbers[start:stop].clone().requires_grad_()
        return leaf, _with_numbers(self._placed[block], leaf)

    def step(self, gradient: Tensor) -> None:
        """Take one step up the gradient (numbers,) of every graph's own fitness, with zero as the gradient of a graph
        where it is not finite."""
        self.begin_step()
        self.follow(gradient)
        self.end_step()

    def begin_step(self) -> None:
        """Give Adam the learning rate of the coming step."""
        set_rate(self._optimizer, self.learning_rate())

    def follow(self, gradient: Tensor) -> None:
        """Take the step, by tensor operations alone."""
        broken = torch.zeros(len(self), dtype=gradient.dtype, device=gradient.device)
        broken = broken.index_add(0, self._owners, (~torch.isfinite(gradient)).to(gradient.dtype))
        self._numbers.grad = gradient.masked_fill(broken[self._owners] > 0, 0)
        self._optimizer.step()
        self._numbers.clamp_(self._smallest, self._largest)

    def end_step(self) -> None:
        """Count the step."""
        self._taken += 1

    def rehearsal(self) -> AbstractContextManager[None]:
        """Context of steps that are tried: at its end numbers and Adam are as before."""
        return rehearsed(self._changed)

    def _changed(self) -> dict[str, Tensor]:
        return {"numbers": self._numbers, **self._optimizer.state[self._numbers]}

    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        share = self._taken / self.settings.steps if self.settings.schedule == "cosine" else 0.0
        return self.settings.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def graphs(self) -> list[Graph]:
        """The graphs with their current numbers."""
        return _with_numbers(self._graphs, self._numbers.cpu().clone())


def as_leaf(graphs: Sequence[Graph]) -> tuple[Tensor, list[Graph]]:
    """A leaf tensor of the numbers of graphs, as `Learning.leaf` gives it, and the graphs made of its parts."""
    leaf = _numbers(graphs).requires_grad_()
    return leaf, _with_numbers(graphs, leaf)


def _numbers(graphs: Sequence[Graph]) -> Tensor:
    """Weights and biases of graph after graph."""
    return torch.cat([part for graph in graphs for part in (graph.weights, graph.biases)])


def _with_numbers(graphs: Sequence[Graph], numbers: Tensor) -> list[Graph]:
    sizes = [size for graph in graphs for size in (len(graph.weights), len(graph.biases))]
    parts = iter(numbers.split(sizes))
    return [Graph(graph.topology, next(parts), next(parts), graph.responses) for graph in graphs]
