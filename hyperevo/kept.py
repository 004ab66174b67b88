"""Results of work on the host that is done once, where tensor operations are captured and then launched many times.

An index that Python works out and copies to a GPU, or a choice between two ways, is no tensor operation. Work that
needs them asks for them by `kept`; within `Kept.used` the n-th call gives what the n-th call gave the first time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar("Result")


class Kept:
    """Results of the host's part in work that is the same each time, in the order of the calls."""

    def __init__(self) -> None:
        self._results: list[Any] = []
        self._taken = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Context of the work, in which `kept` gives these results, beginning with the first."""
        self._taken = 0
        token = _KEPT.set(self)
        try:
            yield
        finally:
            _KEPT.reset(token)

    def next(self, make: Callable[[], Result]) -> Result:
        """The next result, made where it is missing."""
        place, self._taken = self._taken, self._taken + 1
        if place == len(self._results):
            self._results.append(make())
        return self._results[place]


_KEPT: ContextVar[Kept | None] = ContextVar("kept", default=None)


def kept(make: Callable[[], Result]) -> Result:
    """Result of work on the host: done now, or, within `Kept.used`, the first time. `make` does not call `kept`."""
    used = _KEPT.get()
    return make() if used is None else used.next(make)
