"""Parity: output the parity of the number of bits that are 1. Every generation shows all patterns of n bits."""

import hashlib
from itertools import product
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY
from hyperevo.parts import Batch, Task


class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["parity"] = "parity"
    bits: int = Field(3, ge=2, le=16)
    """Number of input bits; a network sees all 2^bits patterns."""


class Parity(Task):
    """Bits as -1 and 1 on a line in, one output. Validation and test show the patterns of training: there are no
    others."""

    settings: Settings

    measure = ACCURACY
    examples = "patterns"

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings = settings
        self.inputs, self.outputs = shape(settings)
        patterns = torch.tensor(list(product((-1.0, 1.0), repeat=settings.bits)), device=device)
        self.validation: Batch = patterns, (patterns > 0).sum(1) % 2
        self.data_name = f"parity of {settings.bits} bits"
        self.checksum = hashlib.sha256(self.data_name.encode()).hexdigest()

    def batch(self, seed: int, generation: int) -> Batch:
        """All patterns (N, bits) and their parities (N,), the same for every seed and generation."""
        return self.validation

    def test(self) -> Batch:
        """All patterns."""
        return self.validation

    def fitness(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, 1), labels (N,) → (P,), higher is better: minus the mean squared distance of tanh(output) from
        1 where the number is odd and -1 where it is even."""
        return -(outputs[:, :, 0].tanh() - (2 * labels - 1)).square().mean(1)

    def score(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """outputs (P, N, 1), labels (N,) → (P,): the share of patterns whose output has the right sign; 0 has none."""
        return (outputs[:, :, 0] * (2 * labels - 1) > 0).float().mean(1)


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the inputs, and number of outputs."""
    return Sheet((settings.bits,)), 1


def build(settings: Settings, device: torch.device) -> Parity:
    """The task."""
    return Parity(settings, device)
