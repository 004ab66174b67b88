"""Random numbers by a run's seed and a number that counts: rounds, epochs, networks. There is no state to keep."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    were. One thread at a time may be in it, and without a seed it does nothing."""
    if seed is None:
        yield
        return
    with _DRAWING, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
