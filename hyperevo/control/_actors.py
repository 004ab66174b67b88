"""P networks that act in N episodes each, and their memory from step to step."""

import numpy as np
import torch
from torch import Tensor

from hyperevo.abilities import Steps
from hyperevo.parts import Target
from hyperevo.weights import Factored, Weight, Weights


class Actors:
    """P networks that act in N episodes each: their weights and their memory. Networks whose episodes are over rest;
    their outputs are 0."""

    def __init__(self, target: Target, weights: Weights, episodes: int):
        self.target, self.weights, self.episodes = target, _ready(weights), episodes
        self.acting = torch.arange(weights.population)
        self.population = weights.population
        self.memory: Tensor | None = None

    def outputs(self, shown: Tensor) -> Tensor:
        """Outputs (P, N, outputs) for observations (P, N, features); 0 for networks that rest."""
        if len(self.acting) < self.population:
            shown = shown[self.acting.to(shown.device)]
        outputs = self._answers(shown)
        if len(self.acting) == self.population:
            return outputs
        return outputs.new_zeros(self.population, *outputs.shape[1:]).index_copy_(
            0, self.acting.to(outputs.device), outputs)

    def _answers(self, shown: Tensor) -> Tensor:
        if isinstance(self.target, Steps):
            if self.memory is None:
                self.memory = self.target.initial(self.population, self.episodes, shown)
            self.memory, outputs = self.target.step(self.weights, self.memory, shown)
            return outputs
        return forward_own(self.target, self.weights, shown)

    def rest(self, acting: np.ndarray) -> None:
        """Drop the networks that have no episode left to act in, once half or fewer remain. acting: (P,), True for
        those that do."""
        kept = torch.from_numpy(acting)[self.acting].nonzero()[:, 0]
        if 2 * len(kept) > len(self.acting):
            return
        self.acting = self.acting[kept]
        self.weights = Weights({name: _chosen(value, kept) for name, value in self.weights.items()})
        self.memory = None if self.memory is None else self.memory[kept]


def _ready(weights: Weights) -> Weights:
    """Weights for many steps: built once, except for matrices whose factors are much smaller."""
    return Weights({name: value if _slim(value) else weights.tensor(name) for name, value in weights.items()})


def _chosen(weight: Weight, networks: Tensor) -> Weight:
    """Weights of some networks, by index (networks,); what `_ready` left in factors stays so."""
    if isinstance(weight, Factored):
        left, right = (factor if factor.dim() == 2 else factor[networks] for factor in (weight.left, weight.right))
        return Factored(left, right, None if weight.core is None else weight.core[networks])
    return weight[networks] if isinstance(weight, Tensor) else weight.dense()[networks]


def _slim(weight: Weight) -> bool:
    if not isinstance(weight, Factored):
        return False
    size = sum(factor.shape[-1] * factor.shape[-2] for factor in (weight.left, weight.right, weight.core)
               if factor is not None)
    return 4 * size < weight.shape[1] * weight.shape[2]


def forward_own(target: Target, weights: Weights, inputs: Tensor) -> Tensor:
    """Outputs (P, N, …) of every network for inputs (P, N, units) of its own."""
    if target.own_inputs:
        return target.forward(weights, inputs)
    return torch.cat([target.forward(weights.networks(slice(network, network + 1)), own)
                      for network, own in enumerate(inputs)])
