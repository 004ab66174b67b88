"""Signals: the first one ends a run at once, wherever it is, and what is being written is written whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from hyperevo.config import load_config
from hyperevo.geometry import Sheet
from hyperevo.runs import Interrupted, create_run, execute, open_run, rounds
from hyperevo.runs.evaluate import division, in_threads
from hyperevo.runs.progress import lively
from hyperevo.runs.pulse import listening
from hyperevo.signals import Abandoned, signals, writing_whole
from hyperevo.targets import mlp

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=6", "run.validate_every=2",
         "search={name='snes', population=12}", "encoding.coefficients=[2]", "threads=1"]

LONG = 20.0
"""Seconds that something takes, if nobody interrupts it."""


def later(seconds=0.2, signum=signal.SIGINT):
    """Send this process a signal in a while."""
    threading.Timer(seconds, os.kill, (os.getpid(), signum)).start()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_raised_wherever_it_comes_and_the_second_is_as_before(signum):
    before, since = signal.getsignal(signum), time.monotonic()
    with pytest.raises(Abandoned), signals(raising=True) as received:
        later(signum=signum)
        time.sleep(LONG)
    assert received == [signum] and time.monotonic() - since < LONG / 2
    assert signal.getsignal(signum) is before


def test_collected_signals_are_not_raised():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        collect_one()
    finally:
        signal.signal(signal.SIGINT, before)


def collect_one():
    with signals() as received:
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert received == [signal.SIGINT]


def test_what_is_being_written_is_written_whole():
    written = []
    with pytest.raises(Abandoned), signals(raising=True):
        with writing_whole():
            signal.raise_signal(signal.SIGINT)
            written.append("all of it")
        written.append("more")
    assert written == ["all of it"]
    with writing_whole():  # nothing is left of it
        pass


def test_a_signal_in_a_write_that_fails_is_not_kept_for_the_next():
    with pytest.raises(OSError, match="full"), signals(raising=True), writing_whole():
        signal.raise_signal(signal.SIGINT)
        raise OSError("full")
    with writing_whole():
        pass


def test_blocks_that_other_threads_compute_are_not_waited_for():
    target, since, threads = mlp.build(mlp.Settings(), Sheet((2, 2)), 2), time.monotonic(), torch.get_num_threads()
    torch.set_num_threads(2)
    over = threading.Event()
    try:
        with pytest.raises(Abandoned), signals(raising=True):
            later()
            in_threads(lambda block: over.wait(LONG) or torch.zeros(1), *division(64, target, torch.zeros(2, 4), 1.0))
        assert torch.get_num_threads() == 2
    finally:
        over.set()
        torch.set_num_threads(threads)
    assert time.monotonic() - since < LONG / 2


def test_a_long_round_is_given_up_and_the_run_goes_on_from_the_last_one(tmp_path, monkeypatch):
    config, evaluate, asked = load_config("dct-mnist", SMALL).config, rounds.evaluate, []
    execute(create_run(config, tmp_path / "whole"))

    def slow(*arguments):
        asked.append(len(arguments[2]))
        if asked.count(12) == 4:
            later()
            time.sleep(LONG)
        return evaluate(*arguments)

    monkeypatch.setattr(rounds, "evaluate", slow)
    since = time.monotonic()
    with pytest.raises(Interrupted, match="SIGINT"):
        execute(create_run(config, tmp_path / "cut"))
    assert time.monotonic() - since < LONG / 2
    monkeypatch.undo()
    run = open_run(tmp_path / "cut")
    assert run.round == 3
    execute(run)
    assert (tmp_path / "cut" / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()


def test_a_signal_that_something_swallows_ends_the_run_after_the_round(tmp_path, monkeypatch):
    config, evaluate = load_config("dct-mnist", SMALL).config, rounds.evaluate

    def deaf(*arguments):
        with suppress(Abandoned):
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("not heard")
        return evaluate(*arguments)

    monkeypatch.setattr(rounds, "evaluate", deaf)
    with pytest.raises(Interrupted):
        execute(create_run(config, tmp_path / "run"))
    run = open_run(tmp_path / "run")
    run.close()
    assert run.round == 1


DEAF = """
import hashlib, sys, time
from hyperevo.signals import answering, signals
with answering(lambda: "Stopped."), signals(raising=True):
    since = time.monotonic()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)
    steps = int(100_000 * 20 / (time.monotonic() - since))
    print("up", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", steps)  # one operation, as long ones of torch are
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_command_answers_from_within_one_long_operation(signum):
    process = subprocess.Popen([sys.executable, "-c", DEAF], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert process.stdout.readline() == "up\n"
    since = time.monotonic()
    time.sleep(0.3)
    process.send_signal(signum)
    errors = process.communicate()[1]
    assert (process.returncode, errors) == (128 + signum, "Stopped.\n")
    assert time.monotonic() - since < LONG / 2


def test_a_signal_to_a_forked_child_is_not_its_parents():
    """Such as the end of a worker, which the parent asks for."""
    code = """
import os, signal, time
from hyperevo.signals import answering
with answering(lambda: "Stopped."):
    if (pid := os.fork()) == 0:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
        print("up", flush=True)
        time.sleep(20)
    time.sleep(0.5)
    os.kill(pid, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    time.sleep(1.5)
print("goes on")
"""
    # From Python 3.12 on it is said that children of processes with threads may wait for ever: this one does not.
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert (done.returncode, done.stdout, done.stderr) == (0, "up\n3\ngoes on\n", "")


def test_a_long_round_says_how_much_of_it_is_done():
    run = create_run(load_config("dct-mnist", SMALL).config, None)
    said = []
    with lively(run, lambda round_: said.append(round_.number), said.append, 0.0) as show:
        execute(run, show)
    assert said[:3] == ["round 1: 100%", 1, "round 2: 100%"] and said.count("round 6: 100%") >= 1
    said.clear()
    with lively(run, lambda round_: None, said.append, 60.0):
        in_threads(lambda block: torch.zeros(1), *division(64, run.parts.target, torch.zeros(2, 64), 1.0))
    assert said == []


def test_the_share_is_of_the_networks_that_are_done():
    target, shares, threads = mlp.build(mlp.Settings(), Sheet((2, 2)), 2), [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with listening(lambda done, whole: shares.append((done, whole))):
                in_threads(lambda block: torch.zeros(1), *division(70, target, torch.zeros(2, 4), 1e-6))
    finally:
        torch.set_num_threads(threads)
    for one in (shares[: len(shares) // 2], shares[len(shares) // 2 :]):
        assert [whole for _, whole in one] == [70] * len(one)
        assert [done for done, _ in one] == sorted(done for done, _ in one) and one[-1][0] == 70


SWALLOWS = """
import signal, time
from hyperevo.signals import stopping_at_once
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
with stopping_at_once():
    try:
        signal.raise_signal(signal.SIGINT)
        time.sleep(20)
    except BaseException:
        print("swallowed, as by an import")
"""


def test_ctrl_c_before_a_run_cannot_be_swallowed():
    done = subprocess.run([sys.executable, "-c", SWALLOWS], text=True, capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
