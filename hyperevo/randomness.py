"""Random numbers by a run's seed and a number that counts: rounds, epochs, networks. There is no state to keep."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from threading import Lock

import torch


def mixed(seed: int, number: int, stream: int = 0) -> int:
    """A seed from 0 to 2⁶³ - 1, another one for every number and, with the same two, for every stream below 2⁶³.

    Without a stream it stays below 2⁶¹; what is held out from training is drawn with seeds from 2⁶² on.
    """
    return (seed * 1_000_003 + number) % 2**61 ^ stream


def generator_for(seed: int, number: int, stream: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator with the mixed seed; devices draw other numbers from the same one."""
    return torch.Generator(device).manual_seed(mixed(seed, number, stream))


_DRAWING = Lock()


@contextmanager
def drawing(seed: int | None, device: torch.device) -> Iterator[None]:
    """Context in which torch's own generators, from which dropout is drawn, begin at a seed; they are left as they
    were. One thread at a time may be in it, and without a seed it does nothing. Within `Streams.used`, the next stream
    takes the place of the seed."""
    if seed is None:
        yield
        return
    streams = _STREAMS.get()
    with _DRAWING, _seeded(seed, device) if streams is None else streams.next():
        yield


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class Streams:
    """Generators for work that is captured once and launched many times, which cannot be seeded in its midst.

    The n-th `drawing` within the work takes the n-th generator; `seed` gives all of them the seed of the next launch.
    """

    def __init__(self, device: torch.device):
        index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
        self.device, self.generators, self._taken = torch.device(device.type, index), list[torch.Generator](), 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Context of the work, in which `drawing` takes these generators, beginning with the first."""
        self._taken = 0
        token = _STREAMS.set(self)
        try:
            yield
        finally:
            _STREAMS.reset(token)

    def seed(self, seed: int) -> None:
        """Let all generators begin at a seed."""
        for generator in self.generators:
            generator.manual_seed(seed)

    def next(self) -> AbstractContextManager[None]:
        """Context in which torch's own generator of the device is the next of these; it is made where it is missing."""
        if self._taken == len(self.generators):
            self.generators.append(torch.Generator(self.device))
        generator = self.generators[self._taken]
        self._taken += 1
        return _as_default_on_cuda(generator) if self.device.type == "cuda" else _as_default(generator)


_STREAMS: ContextVar[Streams | None] = ContextVar("streams", default=None)


@contextmanager
def _as_default_on_cuda(generator: torch.Generator) -> Iterator[None]:
    """Context in which the GPU's own generator has the state of another, in memory that a CUDA graph reads."""
    own = torch.cuda.default_generators[generator.device.index]
    before = own.graphsafe_get_state()
    own.graphsafe_set_state(generator.graphsafe_get_state())
    try:
        yield
    finally:
        own.graphsafe_set_state(before)


@contextmanager
def _as_default(generator: torch.Generator) -> Iterator[None]:
    """Context in which the CPU's own generator has the state of another, which goes on with it."""
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(before)
