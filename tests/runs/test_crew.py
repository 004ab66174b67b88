"""Workers evaluate what one process evaluates, bit by bit, whoever of them dies."""

import math
import os
import random
import signal
from collections import deque
from dataclasses import replace
from functools import cache

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperevo.benchmark import random_graphs
from hyperevo.config import load_config
from hyperevo.encodings import cppn
from hyperevo.errors import RunFailed, UserError
from hyperevo.geometry import Sheet
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs import spread as spreading
from hyperevo.runs.crew import LIGHT, LITTLE, SHARES, TRIES, Crew, Load, Lost
from hyperevo.runs.files import read_json
from hyperevo.runs.parcels import common_part, pack, unpack
from hyperevo.runs.spread import Spread
from hyperevo.runs.worker import Facts, Request, Worker, answer
from hyperevo.targets import mlp

CPU = torch.device("cpu")
FILES = ("metrics.csv", "fitness.bin", "champion/weights.safetensors")
SMALL = ["task={name='digits', images=60}", "threads=1", "run.rounds=2", "run.validate_every=1", "run.memory_gb=1.0"]
ROWS = {
    "genes": ("dct-mnist", [*SMALL, "encoding.coefficients=[2]", "search.population=70"]),
    "neighbours": ("eggroll-mnist", [*SMALL, "search.population=70"]),
    "neighbours of cosines": ("eggroll-mnist", [*SMALL, "search.population=70", "run.precision=bfloat16",
                                                "encoding={name='dct', coefficients=[2], direct=['*.bias']}"]),
    "graphs": ("cppn-mnist", [*SMALL, "search.population=70"]),
    "found nodes": ("es-hyperneat-parity", ["threads=1", "run.rounds=2", "search.population=40", "run.memory_gb=1.0"]),
    "learning graphs": ("dppn-mnist", [*SMALL, "search.population=36", "search.learn.steps=1", "run.rounds=1"]),
    "fitted readout": ("dct-mnist", [*SMALL, "target.ridge=0.1", "encoding.coefficients=[2]", "search.population=40"]),
    "seeds of a gradient": ("dct-mnist", [*SMALL, "search={name='gradient', population=3, steps_per_round=2}",
                                          "encoding={name='direct'}", "task.images=1000"]),
    "sequences read on": ("char-ptb-hyperlstm", ["threads=1", "run.rounds=1", "run.memory_gb=1.0", "task.length=40",
                                                 "task.sequences=12", "target.hidden=150", "search.population=2",
                                                 "search.steps_per_round=2"]),
}


@pytest.fixture(autouse=True)
def as_it_was():
    threads, folder = torch.get_num_threads(), os.getcwd()
    yield
    torch.set_num_threads(threads)
    os.chdir(folder)


class Rehearsal:
    """Workers within this process, any of which answers next, and which die when they are told to."""

    def __init__(self, order, count, dies=lambda request: False, seed=0, ahead=1, worker=None):
        self.worker, self.count, self.dies, self.random = worker or Worker(order), count, dies, random.Random(seed)
        self.asked, self.ended, self.started, self.ahead, self.most = {}, False, 0, ahead, 0

    def start(self, worker):
        self.started += 1
        self.asked[worker] = deque([None])

    def send(self, worker, request):
        self.asked[worker].append(request)
        self.most = max(self.most, len(self.asked[worker]))

    def answers(self, seconds):
        busy = [worker for worker, own in self.asked.items() if own]
        if not busy:
            return []
        worker = self.random.choice(busy)
        request = self.asked[worker].popleft()
        if self.dies(request):
            self.asked[worker].clear()
            return [(worker, Lost("killed"))]
        return [(worker, self.worker.facts() if request is None else answer(lambda: self.worker.work(request)))]

    def name(self, worker):
        return f"worker {worker + 1}"

    def record(self):
        return {"workers": self.count}

    def close(self):
        self.ended = True


def contents(folder):
    return [(folder / file).read_bytes() for file in FILES]


def rehearse(monkeypatch, **options):
    """Let runs with --workers have rehearsed ones; returns those."""
    made = []
    monkeypatch.setattr("hyperevo.runs.local_workers.LocalWorkers",
                        lambda order, count: made.append(Rehearsal(order, count, **options)) or made[-1])
    return made


@pytest.mark.parametrize("row", ROWS)
def test_bits_are_those_of_one_process(row, tmp_path, monkeypatch, small_files):
    name, overrides = ROWS[row]
    if name.startswith("char"):
        overrides = [*overrides, f"task.text={small_files['text']}"]
    config = load_config(name, overrides).config
    execute(create_run(config, tmp_path / "alone"))
    made = rehearse(monkeypatch)
    run = create_run(config, tmp_path / "spread", spread=Spread(workers=3))
    execute(run)
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")
    assert run.crew.traffic.blocks > 1 and made[0].ended and made[0].started == 3
    assert read_json(tmp_path / "spread" / "environment.json")["workers"] == 3


@cache
def small_generation():
    """A worker, a population, its blocks, and their fitness."""
    config = load_config(*ROWS["genes"]).config
    worker = Worker(spreading.Order(spreading.config_values(config), spreading.Code(True), os.getcwd(), 1.0, "cpu"))
    genotypes = create_run(config, None).parts.search.ask()
    blocks = [slice(start, start + 9) for start in range(0, len(genotypes), 9)]
    return worker, genotypes, blocks, [worker.work(Request("fitness", 0, pack(genotypes[own])))[0] for own in blocks]


@given(st.data())
@settings(max_examples=20)
def test_whoever_dies_costs_what_it_had_in_hand_only(data):
    worker, genotypes, blocks, whole = small_generation()
    deaths, ahead = data.draw(st.lists(st.booleans(), max_size=12)), data.draw(st.integers(1, 2))
    own = Rehearsal(None, data.draw(st.integers(1, 4)), seed=data.draw(st.integers(0, 99)), ahead=ahead, worker=worker)
    crew, lethal = Crew(own, worker.facts()), sum(deaths)
    crew.evaluate("fitness", 0, genotypes, blocks)  # one by one, as nobody knows yet how long they take
    assert own.most == 1 and crew.traffic.blocks == len(blocks)
    crew._loads["fitness"] = Load(LITTLE / data.draw(st.integers(1, 4)) - 1e-3, 1)
    own.dies = lambda request: deaths.pop() if deaths and request is not None else False
    try:
        found = crew.evaluate("fitness", 0, genotypes, blocks)
    except RunFailed as error:  # of one block that killed three
        assert f"{TRIES} workers died at one block of" in str(error) and "resume" in str(error)
        return
    assert all(np.array_equal(one, other) for one, other in zip(found, whole, strict=True))
    assert crew.traffic.lost == lethal - sum(deaths)
    assert crew.traffic.sent <= crew.traffic.genotypes + 400 * crew.traffic.blocks
    assert crew.in_flight == 0 and crew.per_second > 0 and own.most <= ahead


def test_workers_that_cannot_begin_or_are_others_end_the_run_in_one_line():
    config = load_config(*ROWS["genes"]).config
    order = spreading.Order(spreading.config_values(config), spreading.Code(True), os.getcwd(), 1.0, "cpu")
    own = Rehearsal(order, 2, dies=lambda request: request is None)
    with pytest.raises(RunFailed, match=f"died {TRIES} times before it had begun .killed."):
        Crew(own, own.worker.facts()).gather()
    own = Rehearsal(order, 2)
    with pytest.raises(UserError, match=r"^worker [12] has checksum [0-9a-f]+, and the run other$"):
        Crew(own, Facts("other", None, ())).gather()
    own.worker.work = lambda request: 1 / 0
    with pytest.raises(RunFailed, match="^ZeroDivisionError: division by zero$"):
        Crew(own, own.worker.facts()).evaluate("fitness", 0, torch.zeros(4, 9), [slice(0, 2), slice(2, 4)])


@given(st.integers(1, 200), st.integers(1, 9), st.floats(1e-4, 2), st.integers(1, 10**8))
def test_blocks_that_travel_together_are_few_light_and_fewer_towards_the_end(blocks, workers, seconds, weight):
    crew = Crew(Rehearsal(None, workers, worker=small_generation()[0]), small_generation()[0].facts())
    crew.gather()
    crew._loads["fitness"] = Load(seconds, weight)
    own = [slice(index, index + 1) for index in range(blocks)]
    bundles = crew._bundles("fitness", own)
    assert [block for bundle in bundles for block in bundle] == own
    sizes = [len(bundle) for bundle in bundles]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size == 1 or size * seconds <= LITTLE and size * weight <= LIGHT for size in sizes)
    left = [blocks - sum(sizes[:index]) for index in range(len(sizes))]
    assert all(size == 1 or (workers - 1) * SHARES * (size - 1) < rest for size, rest in zip(sizes, left, strict=True))
    assert workers > 1 or len(sizes) <= math.ceil(blocks / max(int(min(LITTLE / seconds, LIGHT / weight)), 1))


def test_parcels_hold_all_there_is_in_little_more_than_its_bytes():
    target = mlp.build(mlp.Settings(hidden=((6, 6),)), Sheet((8, 8)), 10)
    graphs = random_graphs(cppn.CppnEncoding(cppn.Settings(), target.geometry), 40)
    parcel = pack(graphs)
    found = unpack(parcel, common_part(graphs), CPU)
    assert [graph.key() for graph in found] == [graph.key() for graph in graphs]
    assert len(parcel) == 40 and common_part(graphs) == []
    numbers = sum(part.nbytes for graph in graphs for part in (graph.weights, graph.biases, graph.responses))
    assert numbers < parcel.bytes < 1.2 * numbers  # with the structure of each, and no two are alike
    assert unpack(pack(graphs[:1]), [], CPU)[0].key() == graphs[0].key()
    back = [replace(graph, topology=replace(graph.topology, recurrent=True, nodes=tuple(
        replace(node, time_constant=place + 0.1) for place, node in enumerate(graph.topology.nodes))))
        for graph in graphs[:2]]
    assert [graph.key() for graph in unpack(pack([*back, graphs[0]]), [], CPU)] \
        == [graph.key() for graph in [*back, graphs[0]]]


def test_a_run_whose_worker_is_killed_ends_as_it_would_and_resumes_with_any_number(tmp_path, run_until):
    name, overrides = ROWS["genes"]
    config = load_config(name, [*overrides, "run.rounds=6", "run.validate_every=3"]).config
    execute(create_run(config, tmp_path / "alone"))
    run, killed = create_run(config, tmp_path / "killed", spread=Spread(workers=1)), []

    def kill(round_):
        if round_.number == 2:
            children = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
            killed.extend(child.pid for child in children)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
        return round_.number == 4

    execute(run, kill)
    assert len(killed) == run.crew.traffic.lost == 1
    resumed = open_run(tmp_path / "killed", changes=["run.rounds=6"])  # with none
    assert resumed.crew is None and resumed.round == 4
    execute(resumed)
    assert contents(tmp_path / "killed") == contents(tmp_path / "alone")
