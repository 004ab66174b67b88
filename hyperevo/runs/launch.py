"""Work on a GPU as a CUDA graph: captured once, then launched as one, without the host's part in every operation."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

Work = Callable[[], None]
"""Tensor operations that read and write memory which stays where it is."""


class Launch(Protocol):
    """Work that is captured once and launched many times."""

    def warm_up(self, work: Work) -> None:
        """Do the work before it is captured, so that all is made that only its first time makes; raises RuntimeError
        for work that cannot be captured."""

    def capture(self, work: Work, generators: Sequence[torch.Generator]) -> None:
        """Keep the operations of the work, which draws from the generators; whether they are carried out is left open.
        Raises RuntimeError for work that cannot be captured."""

    def replay(self) -> None:
        """Carry out the operations, with the state that the generators have now."""


class CudaGraph:
    """A CUDA graph. Graphs of one stream and pool share their memory: they are launched one after the other, and what
    one leaves in it another may overwrite."""

    def __init__(self, stream: torch.cuda.Stream, pool: "_POOL_HANDLE"):
        self._stream, self._pool, self._graph = stream, pool, torch.cuda.CUDAGraph()

    def warm_up(self, work: Work) -> None:
        """See `Launch.warm_up`. Work that waits for the GPU, as for a number that Python decides by, cannot be
        captured."""
        with torch.cuda.device(self._stream.device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                work()
                with _waiting_refused():
                    work()
            torch.cuda.current_stream().wait_stream(self._stream)

    def capture(self, work: Work, generators: Sequence[torch.Generator]) -> None:
        """See `Launch.capture`; nothing is carried out."""
        for generator in generators:
            self._graph.register_generator_state(generator)
        with torch.cuda.device(self._stream.device):
            before = torch.cuda.current_stream()
            try:
                with torch.cuda.graph(self._graph, pool=self._pool, stream=self._stream):
                    work()
            finally:
                torch.cuda.set_stream(before)  # which a capture that fails leaves undone

    def replay(self) -> None:
        """See `Launch.replay`."""
        with torch.cuda.device(self._stream.device):
            self._graph.replay()


def cuda_graphs(device: torch.device) -> Callable[[], Launch]:
    """Maker of CUDA graphs on a device that share their memory."""
    stream, pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()
    return lambda: CudaGraph(stream, pool)


@contextmanager
def _waiting_refused() -> Iterator[None]:
    """Context in which operations that wait for the GPU raise RuntimeError."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it may miss some
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
