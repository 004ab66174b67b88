"""Progress within a round: what computes says how much of it is done, and whoever shows a run listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], object]
"""Function of what is done of a round, in networks or steps, and of how much there is."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Context in which `beat` calls the listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def beat(done: int, whole: int) -> None:
    """Tell the listener, if there is one, that so much of a round is done."""
    if (listener := _LISTENER.get()) is not None:
        listener(done, whole)
