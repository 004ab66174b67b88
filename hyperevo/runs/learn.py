"""Genotypes → weights → outputs → fitness with its gradient, all networks at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hyperevo.weights import Weights

Fitness = Callable[[Tensor, Tensor, Tensor], Tensor]


def differentiable_fitness(encoding: Any, target: Any, task: Any, settings: Any) -> Fitness:
    """A function of genotypes (P, genes), inputs and labels: fitness (P,) less the decay of generated weights, as the
    gradient search's `settings` want it computed."""
    decayed = [name for name, parameter in getattr(encoding, "inner", encoding).geometry.items()
               if parameter.source is not None] if settings.generated_decay else []
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else None

    def fitness(genotypes: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, dtype=dtype, enabled=dtype is not None):
            weights = encoding.express(genotypes)
            outputs = target.forward(weights, inputs)
        return task.fitness(outputs.float(), labels) - settings.generated_decay / 2 * _squares(weights, decayed)

    return torch.compile(fitness, dynamic=False) if settings.compile else fitness


def _squares(weights: Weights, names: list[str]) -> Tensor | float:
    """(P,): Σ w² over some parameters."""
    return sum((weights.tensor(name).float().square().flatten(1).sum(1) for name in names), start=0.0)
