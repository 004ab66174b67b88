"""A trained network as an ordinary `nn.Module`: the task's preprocessing, then the target's forward pass."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hyperevo.weights import Weights


class Standardise(nn.Module):
    """Raw examples (N, …) to the values (N, units) that networks read: ((raw / range) - mean) / spread, reordered where
    units are shuffled."""

    range: Tensor
    mean: Tensor
    spread: Tensor
    order: Tensor

    def __init__(self, range: float | Tensor = 1.0, mean: float | Tensor = 0.0, spread: float | Tensor = 1.0,
                 order: Tensor | None = None):
        """range: (); mean, spread: () or (units,); order: (units,), index of the raw unit that every input reads."""
        super().__init__()
        for name, value in (("range", range), ("mean", mean), ("spread", spread)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))
        self.register_buffer("order", torch.zeros(0, dtype=torch.long) if order is None else order.cpu().long())

    def forward(self, raw: Tensor) -> Tensor:
        """(N, …) → (N, units), float32."""
        values = ((raw.flatten(1).float() / self.range) - self.mean) / self.spread
        return values if len(self.order) == 0 else values[:, self.order]


class PlainNetwork(nn.Module):
    """One network of a target: its parameters, by their names in the `state_dict`, and the target's forward pass."""

    def __init__(self, forward: Callable[[Weights, Tensor], Tensor], weights: Mapping[str, Tensor]):
        """forward: takes weights of one network (P = 1) and inputs (N, …) to outputs (1, N, …)."""
        super().__init__()
        self._forward, self._names = forward, list(weights)
        for name, value in weights.items():
            *path, last = name.split(".")
            owner: nn.Module = self
            for step in path:
                if step not in dict(owner.named_children()):
                    owner.add_module(step, nn.Module())
                owner = owner.get_submodule(step)
            owner.register_parameter(last, nn.Parameter(value.detach().clone(), value.is_floating_point()))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self.named_parameters())
        return f"{type(self).__name__}({shapes})"

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, …) → (N, …)."""
        own = dict(self.named_parameters())
        return self._forward(Weights({name: own[name][None] for name in self._names}), inputs)[0]
