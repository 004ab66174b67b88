"""Work that is tried once, captured, and from then on launched as one: each kind of it by a key."""

import logging
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hyperevo.abilities import Decides
from hyperevo.errors import RunFailed
from hyperevo.genotypes import Genotypes
from hyperevo.kept import Kept
from hyperevo.parts import Batch, Encoding
from hyperevo.randomness import Streams
from hyperevo.runs.launch import Launch

log = logging.getLogger(__name__)


@dataclass
class Captured:
    """Captured work, the memory from which it reads a batch, the generators from which it draws, and the host's part
    in it."""

    launch: Launch
    batch: Batch
    streams: Streams
    host: Kept = field(default_factory=Kept)

    def run(self, batch: Batch, draw: int) -> None:
        """Do the work on a batch, with dropout drawn from the seed `draw`."""
        copy_tensors(self.batch, batch)
        self.streams.seed(draw)
        self.launch.replay()


MOST = 16
"""Largest number of works that are captured; others are done one operation after the other."""


class Captures:
    """Captured work of an encoding, by key.

    make: maker of what captures work; None for work that is never captured. must: work that cannot be captured ends the
    run; else it is done one operation after the other.
    """

    def __init__(self, make: Callable[[], Launch] | None, device: torch.device, encoding: Encoding, must: bool = False):
        self.device, self._make, self._must = device, make, must
        self._decides = encoding if isinstance(encoding, Decides) else None
        self._captured: dict[Hashable, Captured] = {}

    def forget(self) -> None:
        """Forget what was captured."""
        self._captured.clear()

    def decisions(self, genotypes: Callable[[], Genotypes]) -> Hashable:
        """Part of a key: what the encoding decides by the numbers of the genotypes, which it alone asks for."""
        return None if self._decides is None else self._decides.decisions(genotypes())

    @property
    def wanted(self) -> bool:
        """True where work is captured, as far as it was tried."""
        return self._make is not None

    def known(self, key: Hashable) -> Captured | None:
        """Captured work of a key; None where there is none yet."""
        return self._captured.get(key)

    def of(self, key: Hashable, work: Callable[[Batch], None], batch: Batch,
           rehearsal: Callable[[], AbstractContextManager[None]]) -> Captured | None:
        """Captured work of a key, which is tried in a `rehearsal` on a batch and captured; None where it cannot be
        captured."""
        if self._make is not None and len(self._captured) < MOST:
            try:
                self._captured[key] = self._capture(self._make(), work, batch, rehearsal)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                if self._must:
                    raise RunFailed(f"search.graph: a step cannot be captured as a CUDA graph: {reason}") from error
                log.warning("steps cannot be captured as a CUDA graph, which would be faster: %s", reason)
                self._make = None
        return self._captured.get(key)

    def _capture(self, launch: Launch, work: Callable[[Batch], None], batch: Batch,
                 rehearsal: Callable[[], AbstractContextManager[None]]) -> Captured:
        captured = Captured(launch, (batch[0].clone(), batch[1].clone()), Streams(self.device))

        def tried() -> None:
            with captured.streams.used(), captured.host.used():
                work(captured.batch)

        with rehearsal():
            launch.warm_up(tried)
            launch.capture(tried, captured.streams.generators)
        return captured


def shapes_of(batch: Batch) -> tuple[tuple[torch.Size, torch.dtype], ...]:
    """Shapes and dtypes of a batch: work that was captured is the same for all batches that agree in these."""
    return tuple((part.shape, part.dtype) for part in batch)


def copy_tensors(own: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> None:
    """Copy values into tensors, but for those that are one and the same."""
    for one, value in zip(own, values, strict=True):
        if one is not value:
            one.copy_(value)
