"""SIGINT and SIGTERM: the first ends a run at once, wherever it computes; what it is writing is written whole before.

Python hears a signal between two of its own steps. One operation of torch may take longer than anybody waits, so that
a command's process has a thread too that hears signals by itself, and ends the process where nobody else answers.
"""

import atexit
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from hyperevo.errors import reason

ENDING = (signal.SIGINT, signal.SIGTERM)

PATIENCE = 0.7
"""Seconds that the main thread has to answer a signal."""


class Interrupted(Exception):
    """A signal ended the run; its checkpoint is that of the last whole round."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Abandoned(BaseException):
    """Raised in the main thread by a signal, in the midst of whatever it does. Who catches errors lets it pass."""


class _Now:
    """State of the process, all of which signals belong to.

    writes: something is written that is to be whole. waits: a signal waits for that. rings: descriptor that a thread
    hears signals by, -1 for none.
    """

    writes = False
    waits = False
    rings = -1


@contextmanager
def signals(raising: bool = False) -> Iterator[list[int]]:
    """Context that collects SIGINT and SIGTERM and, where it is `raising`, raises Abandoned for the first one; after
    that earlier handlers are back."""
    received: list[int] = []
    before: dict[int, object] = {}

    def note(signum: int, _: FrameType | None) -> None:
        received.append(signum)
        for known, handler in before.items():
            signal.signal(known, handler)  # type: ignore[arg-type]
        _Now.waits = raising and _Now.writes
        if raising and not _Now.waits:
            raise Abandoned

    try:
        for signum in ENDING:
            before[signum] = signal.signal(signum, note)
    except ValueError:  # not in the main thread: the caller handles signals
        before.clear()
    try:
        yield received
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)  # type: ignore[arg-type]


@contextmanager
def writing_whole() -> Iterator[None]:
    """Context in which a first signal waits until all is written."""
    _Now.writes = True
    try:
        yield
    finally:
        _Now.writes = False
        waited, _Now.waits = _Now.waits, False
    if waited:
        raise Abandoned


@contextmanager
def answering(line: Callable[[], str]) -> Iterator[None]:
    """While it lasts, a signal ends the process within a second, with a line on stderr, where the main thread does not
    leave the context before. Nothing is closed then: run folders bear it as they bear a kill."""
    over, (hears, rings) = threading.Event(), socket.socketpair()
    rings.setblocking(False)
    thread = threading.Thread(target=_answer, args=(hears, over, line), daemon=True)
    before, _Now.rings = signal.set_wakeup_fd(rings.fileno(), warn_on_full_buffer=False), rings.fileno()
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        _Now.rings = -1
        rings.close()
        thread.join()
        hears.close()


def _answer(hears: socket.socket, over: threading.Event, line: Callable[[], str]) -> None:
    while heard := hears.recv(1):
        if heard[0] in ENDING and not over.wait(PATIENCE):
            cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a progress bar has hidden it
            print(f"{cursor}{line()}", file=sys.stderr)
            end(128 + heard[0])


def _unhear() -> None:
    """Forget the thread that hears signals: a child's are not its parent's."""
    if _Now.rings != -1 and threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_unhear)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Context in which Ctrl-C ends the process by itself, with a line: while modules are imported, some of which
    swallow what is raised, and parts are built. A run folder in the making bears it as it bears a kill."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # somebody else answers, or nobody is to
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(signum: int, _: FrameType | None) -> NoReturn:
    os.write(2, b"Stopped.\n")
    os._exit(128 + signum)


def leave(code: int) -> NoReturn:
    """End the process of a command that is over as Python does, but without taking apart what is in memory, which is as
    good as gone and takes half a second where torch is in it. Exit code 1 where the last output cannot be written."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = 1
        if not isinstance(error, BrokenPipeError):  # whose reader has gone, and will not miss it
            sys.stderr.write(f"error: standard output: {reason(error)}\n")
    with suppress(OSError, ValueError):  # of one that is closed
        sys.stderr.flush()
    os._exit(code)


def end(code: int) -> NoReturn:
    """End the process of a command that was stopped and has said so: at once, whatever its threads compute. What had to
    be closed is closed; taking apart what is in memory may take longer than anybody waits."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
