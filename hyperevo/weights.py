"""A population's weights, dense or factored.

`Weights` maps a parameter's name to its values for P networks. A weight matrix is a tensor (P, out, in), or `Factored`
or `Perturbed` and never built, or `Deferred` and built on demand, or `Pieces` of these; a bias is a tensor (P, out).
Targets multiply with `project`, which takes any of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from hyperevo import devices


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
        """Shape (P, out, in) of the dense matrices."""
        return torch.Size((len(self), self.left.shape[-2], self.right.shape[-2]))

    def __getitem__(self, networks: slice) -> "Factored":
        def chosen(factor: Tensor) -> Tensor:
            return factor[networks] if factor.dim() == 3 else factor

        return Factored(chosen(self.left), chosen(self.right), None if self.core is None else self.core[networks])

    def to(self, dtype: torch.dtype) -> "Factored":
        """The factors as numbers of another precision."""
        return Factored(self.left.to(dtype), self.right.to(dtype), None if self.core is None else self.core.to(dtype))

    def dense(self) -> Tensor:
        """The dense matrices (P, out, in)."""
        left = self.left if self.core is None else self.left @ self.core
        return left @ self.right.transpose(-1, -2)

    def project(self, inputs: Tensor, out: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Multiply inputs (in, N) shared by all networks, or (P, in, N), by one factor after the other → (P, out, N),
        and add every network's bias (P, out).

        Products of shared factors with shared inputs are computed once, and shared inputs are multiplied by the factors
        of all networks in one product. Small matrices of high rank are built, where that takes fewer operations.
        """
        if inputs.dim() == 3 and self._is_shorter_built(inputs.shape[-1]):
            return project(self.dense(), inputs, out) if bias is None else project_and_add(self.dense(), inputs, bias)
        narrow = _meet(self.right.transpose(-1, -2), inputs)
        mixed = narrow if self.core is None else _meet(self.core, narrow)
        if bias is None or mixed.dim() == 2:
            product = torch.matmul(self.left, mixed, out=out)
            return product if bias is None else product.add_(bias[:, :, None])
        return _baddbmm(bias[:, :, None], self.left.expand(len(self), -1, -1), mixed, out)

    def _is_shorter_built(self, examples: int) -> bool:
        """True where a network's matrix takes fewer multiplications to build and to multiply by own inputs (in, N) than
        its factors do."""
        (outputs, rank), (inputs, inner) = self.left.shape[-2:], self.right.shape[-2:]
        chain = inputs * inner + outputs * rank + (0 if self.core is None else rank * inner)
        build = outputs * inner * (inputs if self.core is None else inputs + rank)
        return build + outputs * inputs * examples < chain * examples


def _meet(factor: Tensor, inputs: Tensor) -> Tensor:
    """Product of a factor (r, in) or (P, r, in) and inputs (in, N) or (P, in, N)."""
    if factor.dim() == 3 and inputs.dim() == 2:
        return (factor.flatten(0, 1) @ inputs).view(*factor.shape[:2], -1)
    return factor @ inputs


@dataclass(frozen=True)
class Perturbed:
    """P matrices that differ from a common one by matrices of low rank, `base + left @ right.T`.

    base: (out, in), or one network's `Factored`, shared by all networks; left: (P, out, r); right: (P, in, r).
    """

    base: Tensor | Factored
    left: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.left)

    @property
    def shape(self) -> torch.Size:
        """Shape (P, out, in) of the dense matrices."""
        return torch.Size((len(self), *self.base.shape[-2:]))

    def __getitem__(self, networks: slice) -> "Perturbed":
        return Perturbed(self.base, self.left[networks], self.right[networks])

    def to(self, dtype: torch.dtype) -> "Perturbed":
        """The base and the factors as numbers of another precision."""
        return Perturbed(self.base.to(dtype), self.left.to(dtype), self.right.to(dtype))

    def dense(self) -> Tensor:
        """The dense matrices (P, out, in)."""
        return torch.baddbmm(self._whole_base().expand(self.shape), self.left, self.right.transpose(1, 2))

    def _whole_base(self) -> Tensor:
        return self.base if isinstance(self.base, Tensor) else self.base.dense()[0]

    def project(self, inputs: Tensor, out: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Multiply inputs (in, N) shared by all networks, or (P, in, N) → (P, out, N), and add every network's bias
        (P, out). The product of the base and shared inputs is computed once."""
        left, narrow = self.left, _meet(self.right.transpose(1, 2), inputs)
        if bias is not None:
            left = torch.cat([left, bias[:, :, None]], 2)
            narrow = torch.cat([narrow, narrow.new_ones(1, 1, 1).expand(len(self), 1, narrow.shape[-1])], 1)
        if isinstance(self.base, Factored) and inputs.dim() == 2:
            return _baddbmm(self.base.project(inputs), left, narrow, out)
        return _baddbmm(self._whole_base() @ inputs, left, narrow, out)


def _baddbmm(start: Tensor, left: Tensor, right: Tensor, out: Tensor | None) -> Tensor:
    """`start + left @ right`, matrix by matrix; `start` is repeated along axes of length 1 and networks."""
    whole = start.expand(len(left), left.shape[1], right.shape[2])
    return torch.baddbmm(whole, left, right) if out is None else torch.baddbmm(whole, left, right, out=out)


@dataclass(frozen=True)
class Deferred:
    """One matrix (1, out, in) that `build` computes on demand and nothing keeps: each matrix of a population is used
    while it is still in cache, and all of them take the memory of one."""

    build: Callable[[], Tensor]
    shape: torch.Size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, networks: slice) -> "Deferred":
        return self

    def to(self, dtype: torch.dtype) -> "Deferred":
        """The matrix, built with numbers of another precision."""
        return Deferred(lambda: self.build().to(dtype), self.shape)

    def dense(self) -> Tensor:
        """The dense matrix (1, out, in), built anew."""
        return self.build()

    def project(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        """Multiply inputs (in, N), or (1, in, N) → (1, out, N)."""
        return project(self.build(), inputs, out)


@dataclass(frozen=True)
class Pieces:
    """P matrices in several pieces, each of consecutive networks that were computed together."""

    parts: tuple["Tensor | Factored | Perturbed | Deferred", ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def shape(self) -> torch.Size:
        """Shape (P, out, in) of all matrices."""
        return torch.Size((len(self), *self.parts[0].shape[1:]))

    def __getitem__(self, networks: slice) -> "Pieces":
        first, last, _ = networks.indices(len(self))
        chosen, start = [], 0
        for part in self.parts:
            own = slice(max(first - start, 0), min(last - start, len(part)))
            if own.start < own.stop:
                chosen.append(part if own == slice(0, len(part)) else part[own])
            start += len(part)
        return Pieces(tuple(chosen))

    def to(self, dtype: torch.dtype) -> "Pieces":
        """All pieces as numbers of another precision."""
        return Pieces(tuple(part.to(dtype) for part in self.parts))

    def dense(self) -> Tensor:
        """The dense matrices (P, out, in)."""
        return torch.cat([part if isinstance(part, Tensor) else part.dense() for part in self.parts])

    def project(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        """Multiply inputs (in, N), or (P, in, N), piece by piece → (P, out, N)."""
        sizes = [len(part) for part in self.parts]
        own = inputs.split(sizes) if inputs.dim() == 3 else [inputs] * len(sizes)
        if out is None:
            return torch.cat([project(part, values) for part, values in zip(self.parts, own, strict=True)])
        for part, values, result in zip(self.parts, own, out.split(sizes), strict=True):
            project(part, values, result)
        return out


Weight = Tensor | Factored | Perturbed | Deferred | Pieces

FEW = 8
"""Most columns of inputs for which a batch of small products is computed transposed, which is three times as fast for
1,024 matrices of 32 × 32 and one to eight columns."""


def join(parts: Sequence[Tensor | Factored | Perturbed | Deferred]) -> Weight:
    """Join consecutive pieces of a population into one value: pieces that are multiplied one after the other, or one
    tensor or `Factored` where the device takes all at once."""
    if len(parts) == 1:
        return parts[0]
    if not devices.takes_all_at_once(_device_of(parts[0])):
        return Pieces(tuple(parts))
    factored = [part for part in parts if isinstance(part, Factored)]
    if len(factored) == len(parts):
        return _of_one_rank(factored)
    built = [part if isinstance(part, Tensor) else part.dense() for part in parts if not isinstance(part, Factored)]
    if not factored:
        return torch.cat(built)
    kinds = torch.tensor([isinstance(part, Factored) for part in parts]).repeat_interleave(
        torch.tensor([len(part) for part in parts]))
    order = kinds.argsort(stable=True).argsort()
    whole = torch.cat([*built, _of_one_rank(factored).dense()])
    return whole[devices.resident(order, whole.device)]


def _device_of(part: Tensor | Factored | Perturbed | Deferred) -> torch.device:
    """Device of a piece; that of the CPU for what is built on demand."""
    if isinstance(part, Tensor):
        return part.device
    return torch.device("cpu") if isinstance(part, Deferred) else part.left.device


def _of_one_rank(parts: Sequence[Factored]) -> Factored:
    """All matrices as one `Factored`, those of lower rank filled up with zeros."""
    sides = []
    for side in ("left", "right"):
        own = [_own_factor(part, side) for part in parts]
        widest = max(factor.shape[2] for factor in own)
        sides.append(torch.cat([pad(factor, (0, widest - factor.shape[2])) for factor in own]))
    return Factored(sides[0], sides[1])


def _own_factor(part: Factored, side: str) -> Tensor:
    """Factor (P, units, rank) of every matrix, the left one with the core in it."""
    factor = part.right if side == "right" else part.left if part.core is None else part.left @ part.core
    return factor.expand(len(part), -1, -1) if factor.dim() == 2 else factor


def project(weight: Weight, inputs: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply every network's matrix (P, out, in) by inputs (in, N) or (P, in, N), a column per example: (P, out, N).

    Examples are the last axis, so that a network's values of one unit are contiguous and products need no copies.
    (Where networks have inputs of their own and few of them, an example's values are contiguous.) Where no gradient is
    recorded, products are written straight into the result, or into `out`.
    """
    if isinstance(weight, Tensor) and _are_few(inputs) and out is None:
        return torch.bmm(inputs.transpose(1, 2), weight.transpose(1, 2)).transpose(1, 2)
    at_once = devices.takes_all_at_once(inputs.device)
    if out is None and not at_once and not torch.is_grad_enabled():
        out = inputs.new_empty(len(weight), weight.shape[1], inputs.shape[-1])
    if not isinstance(weight, Tensor):
        return weight.project(inputs, out)
    if inputs.dim() == 3 or at_once:
        # Matrices that meet shared inputs are one large matrix to `matmul`.
        return torch.matmul(weight, inputs, out=out)
    # On the CPU a loop of large products is about twice as fast as one batched product.
    if out is None:
        return torch.stack([matrix @ inputs for matrix in weight])
    for matrix, result in zip(weight, out, strict=True):
        torch.mm(matrix, inputs, out=result)
    return out


def _are_few(inputs: Tensor) -> bool:
    # A network that is exported takes any number of examples.
    return inputs.dim() == 3 and not torch.compiler.is_compiling() and inputs.shape[-1] <= FEW


def project_and_add(weight: Weight, inputs: Tensor, bias: Tensor) -> Tensor:
    """Multiply as `project` does, and add every network's bias (P, out)."""
    if isinstance(weight, Tensor) and _are_few(inputs):
        return torch.baddbmm(bias[:, None], inputs.transpose(1, 2), weight.transpose(1, 2)).transpose(1, 2)
    if isinstance(weight, Factored | Perturbed) and not torch.is_grad_enabled():
        return weight.project(inputs, bias=bias)  # without another pass over the result
    return project(weight, inputs).add_(bias[:, :, None])


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

    def tensor(self, name: str) -> Tensor:
        """One parameter as a tensor with the leading axis P."""
        value = self._values[name]
        return value if isinstance(value, Tensor) else value.dense()

    def dense(self) -> dict[str, Tensor]:
        """Every parameter as a tensor with the leading axis P."""
        return {name: self.tensor(name) for name in self._values}

    def to(self, dtype: torch.dtype) -> "Weights":
        """The weights as numbers of another precision."""
        return Weights({name: value.to(dtype) for name, value in self._values.items()})

    def networks(self, chosen: slice) -> "Weights":
        """The weights of consecutive networks in the population; nothing is built or copied."""
        return Weights({name: value[chosen] for name, value in self._values.items()})

    def network(self, index: int) -> dict[str, Tensor]:
        """One network's parameters without the population axis: a plain `state_dict`."""
        return {name: value[0].contiguous() for name, value in self.networks(slice(index, index + 1)).dense().items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self._values.items())
        return f"Weights({shapes})"
