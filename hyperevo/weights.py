"""A population's weights, dense or factored.

`Weights` maps a parameter's name to its values for P networks. A weight matrix is a tensor (P, out, in), or `Factored`
and never built, or `Pieces` of both; a bias is a tensor (P, out). Targets multiply with `project`, which takes any.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Factored:
    """P matrices of low rank, `left @ core @ right.T`, or `left @ right.T` without a core.

    left: (out, r) shared by all networks, or (P, out, r); right: (in, s) or (P, in, s); core: (P, r, s).
    """

    left: Tensor
    right: Tensor
    core: Tensor | None = None

    def __post_init__(self) -> None:
        if self.core is None and self.left.dim() == 2 and self.right.dim() == 2:
            raise ValueError("no factor has a population axis")

    def __len__(self) -> int:
        return next(len(factor) for factor in (self.core, self.left, self.right)
                    if factor is not None and factor.dim() == 3)

    @property
    def shape(self) -> torch.Size:
        """(P, out, in), as the dense matrices would have."""
        return torch.Size((len(self), self.left.shape[-2], self.right.shape[-2]))

    def __getitem__(self, networks: slice) -> "Factored":
        def chosen(factor: Tensor) -> Tensor:
            return factor[networks] if factor.dim() == 3 else factor

        return Factored(chosen(self.left), chosen(self.right), None if self.core is None else self.core[networks])

    def dense(self) -> Tensor:
        """(P, out, in), built."""
        left = self.left if self.core is None else self.left @ self.core
        return left @ self.right.transpose(-1, -2)

    def project(self, inputs: Tensor) -> Tensor:
        """Inputs (in, N) shared by all networks, or (P, in, N), to (P, out, N), in order of rank. What networks share
        is computed once, and inputs that they share meet all their factors in one product."""
        narrow = _meet(self.right.transpose(-1, -2), inputs)
        mixed = narrow if self.core is None else _meet(self.core, narrow)
        return self.left @ mixed


def _meet(factor: Tensor, inputs: Tensor) -> Tensor:
    """factor (r, in) or (P, r, in) times inputs (in, N) or (P, in, N)."""
    if factor.dim() == 3 and inputs.dim() == 2:
        return (factor.flatten(0, 1) @ inputs).view(*factor.shape[:2], -1)
    return factor @ inputs


@dataclass(frozen=True)
class Pieces:
    """P matrices in several pieces, dense or factored: neighbours in a population that were computed together."""

    parts: tuple[Tensor | Factored, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def shape(self) -> torch.Size:
        """(P, out, in)."""
        return torch.Size((len(self), *self.parts[0].shape[1:]))

    def __getitem__(self, networks: slice) -> Tensor:
        return self.dense()[networks]

    def dense(self) -> Tensor:
        """(P, out, in), built."""
        return torch.cat([part if isinstance(part, Tensor) else part.dense() for part in self.parts])

    def project(self, inputs: Tensor) -> Tensor:
        """Inputs (in, N), or (P, in, N), to (P, out, N), piece by piece."""
        own = inputs.split([len(part) for part in self.parts]) if inputs.dim() == 3 else [inputs] * len(self.parts)
        return torch.cat([project(part, values) for part, values in zip(self.parts, own, strict=True)])


Weight = Tensor | Factored | Pieces


def join(parts: Sequence[Tensor | Factored]) -> Weight:
    """Several pieces of a population as one value."""
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return Pieces(tuple(parts))


def project(weight: Weight, inputs: Tensor) -> Tensor:
    """Multiply every network's matrix (P, out, in) by inputs (in, N), or (P, in, N), one column per image: (P, out, N).

    Images come last so that one network's values of one unit lie together, and products need no copies.
    """
    if not isinstance(weight, Tensor):
        return weight.project(inputs)
    if inputs.dim() == 3:
        return weight @ inputs
    # On the CPU a loop of large products is about twice as fast as one batched product.
    return torch.stack([matrix @ inputs for matrix in weight])


class Weights(Mapping[str, Weight]):
    """The weights of P networks by parameter name. Every value has the leading axis P."""

    def __init__(self, values: Mapping[str, Weight]):
        self._values = dict(values)
        sizes = {name: len(value) for name, value in self._values.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"parameters differ in their number of networks: {sizes}")

    def __getitem__(self, name: str) -> Weight:
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
        return {name: value if isinstance(value, Tensor) else value.dense() for name, value in self._values.items()}

    def network(self, index: int) -> dict[str, Tensor]:
        """One network's parameters without the population axis: a plain `state_dict`."""
        chosen = Weights({name: value[index : index + 1] for name, value in self._values.items()})
        return {name: value[0].contiguous() for name, value in chosen.dense().items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self._values.items())
        return f"Weights({shapes})"
