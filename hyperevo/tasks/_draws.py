"""Training examples of a generation, and examples held out: indices, drawn from seeds alone."""

from typing import Literal

import torch
from torch import Tensor

from hyperevo.errors import UserError
from hyperevo.randomness import generator_for

Sampling = Literal["fresh", "epochs"]

ORDER_STREAM = 0x6F726465
"""Keeps the order of an epoch's examples apart from other draws by seed and number."""

SPLIT_STREAM = 0x73706C69
"""Keeps the split of a data set apart from other draws by seed."""


class Draws:
    """Indices of a generation's examples among all training examples."""

    def __init__(self, examples: int, size: int, sampling: Sampling):
        """examples: number of training examples; size: number drawn for a generation, at most as many for epochs."""
        self.examples, self.size, self.sampling = examples, size, sampling
        self._order: tuple[tuple[int, int] | None, Tensor] = (None, torch.empty(0))

    @property
    def per_epoch(self) -> int:
        """Number of generations that all training examples make."""
        return self.examples // self.size

    def indices(self, seed: int, generation: int, generator: torch.Generator) -> Tensor:
        """Indices (size,): in epochs a function of seed and generation, else drawn afresh from the generator."""
        if self.sampling == "epochs":
            return self._in_turn(seed, generation)
        return torch.randint(self.examples, (self.size,), generator=generator)

    def _in_turn(self, seed: int, generation: int) -> Tensor:
        epoch, place = divmod(generation, self.per_epoch)
        if self._order[0] != (seed, epoch):
            generator = generator_for(seed, epoch, ORDER_STREAM)
            self._order = (seed, epoch), torch.randperm(self.examples, generator=generator)
        return self._order[1][place * self.size : (place + 1) * self.size]


def split(examples: int, shares: tuple[float, float], seed: int, where: str) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of training, validation and test examples, parted at random by the shares of the last two; a share of 0
    holds out none. Raises UserError, which begins with `where`, if a part were left without any."""
    validation, test = (round(share * examples) for share in shares)
    counts = {"training": examples - validation - test, "validation": validation, "test": test}
    for name, share in zip(counts, (1.0, *shares), strict=True):
        if share and counts[name] < 1:
            raise UserError(f"{where}: {examples} examples are too few: shares of {shares[0]:g} for validation and "
                            f"{shares[1]:g} for test leave none for {name}")
    order = torch.randperm(examples, generator=generator_for(seed, 0, SPLIT_STREAM))
    parts = order.split(list(counts.values()))
    return parts[0], parts[1], parts[2]
