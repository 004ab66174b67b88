"""A population's weights, dense or factored.

`Weights` maps a parameter's name to its values for P networks. A weight matrix is a tensor (P, out, in) or a
`Factored` one that is never built; a bias is a tensor (P, out). Targets multiply with `project`, which takes either.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factored:
    """P matrices `left @ core[p] @ right.T` of low rank that share their outer factors.

    left: (out, r), core: (P, r, s), right: (in, s).
    """

    left: Tensor
    core: Tensor
    right: Tensor

    @property
    def shape(self) -> torch.Size:
        """(P, out, in), as the dense matrices would have."""
        return torch.Size((len(self.core), len(self.left), len(self.right)))

    def __len__(self) -> int:
        return len(self.core)

    def __getitem__(self, networks: slice) -> "Factored":
        return Factored(self.left, self.core[networks], self.right)

    def dense(self) -> Tensor:
        """(P, out, in), built."""
        return self.left @ self.core @ self.right.T

    def project(self, inputs: Tensor) -> Tensor:
        """Inputs (in, N) shared by all networks, or (P, in, N), to (P, out, N), in order of rank: the first product
        is shared by the population where the inputs are, and the second is one product for all networks."""
        narrow = self.right.T @ inputs
        if narrow.dim() == 2:
            networks, rank, _ = self.core.shape
            mixed = (self.core.flatten(0, 1) @ narrow).view(networks, rank, -1)
        else:
            mixed = self.core @ narrow
        return self.left @ mixed


def project(weight: Tensor | Factored, inputs: Tensor) -> Tensor:
    """Multiply every network's matrix (P, out, in) by inputs (in, N), or (P, in, N), one column per image: (P, out, N).

    Images come last so that one network's values of one unit lie together, and products need no copies.
    """
    if isinstance(weight, Factored):
        return weight.project(inputs)
    if inputs.dim() == 3:
        return weight @ inputs
    # On the CPU a loop of large products is about twice as fast as one batched product.
    return torch.stack([matrix @ inputs for matrix in weight])


class Weights(Mapping[str, Tensor | Factored]):
    """The weights of P networks by parameter name. Every value has the leading axis P."""

    def __init__(self, values: Mapping[str, Tensor | Factored]):
        self._values = dict(values)
        sizes = {name: len(value) for name, value in self._values.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"parameters differ in their number of networks: {sizes}")

    def __getitem__(self, name: str) -> Tensor | Factored:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def population(self) -> int:
        """P, the number of networks."""
        return len(next(iter(self._values.values())))

    def dense(self) -> dict[str, Tensor]:
        """Every parameter as a tensor with the leading axis P."""
        return {name: value.dense() if isinstance(value, Factored) else value for name, value in self._values.items()}

    def network(self, index: int) -> dict[str, Tensor]:
        """One network's parameters without the population axis: a plain `state_dict`."""
        chosen = Weights({name: value[index : index + 1] for name, value in self._values.items()})
        return {name: value[0].contiguous() for name, value in chosen.dense().items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self._values.items())
        return f"Weights({shapes})"
