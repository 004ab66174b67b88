"""Captured steps along the gradient: stand-ins for CUDA graphs give the bits of steps taken one operation at a time."""

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hyperevo.config import load_config
from hyperevo.encodings import cppn, fixed_graph
from hyperevo.errors import RunFailed, UserError
from hyperevo.genotypes import pack_genotype
from hyperevo.randomness import Streams, drawing
from hyperevo.runs import create_run, execute, launch, open_run, rounds
from hyperevo.runs.captures import Captures
from hyperevo.runs.compose import compose, remarks
from hyperevo.runs.learn import Carried, differentiable_fitness, learn
from hyperevo.runs.rounds import _follow_gradient
from hyperevo.runs.state import Run
from hyperevo.runs.steps import Steps, products
from hyperevo.search import gradient
from hyperevo.search._neat_learn import Learning, LearnSettings
from hyperevo.search.gradient import GradientSearch


class CallsAgain:
    """Calls the captured work again where a graph is replayed; captures without carrying anything out, as CUDA does."""

    def __init__(self):
        self.launches = 0

    def warm_up(self, work):
        work()
        work()

    def capture(self, work, generators):
        self.work, self.generators = work, list(generators)

    def replay(self):
        self.launches += 1
        self.work()


class Replays(CallsAgain):
    """Keeps the tensor operations of the captured work, and repeats them into the memory that they wrote to then. No
    line of Python that the work ran is run again, so that what it decided or counted then is decided for good, as in a
    CUDA graph; operations that would wait for a GPU are refused."""

    def capture(self, work, generators):
        self.operations = []
        with _Recorder(self.operations):
            work()

    @torch.no_grad()
    def replay(self):
        self.launches += 1
        for operation, arguments, options, kept in self.operations:
            results = operation(*arguments, **options)
            for own, result in zip(tree_leaves(kept), tree_leaves(results), strict=True):
                if isinstance(own, torch.Tensor) and own.data_ptr() != result.data_ptr():
                    own.copy_(result)


WAITING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::lift_fresh", "aten::equal")


class _Recorder(TorchDispatchMode):
    def __init__(self, operations):
        super().__init__()
        self.operations = operations

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        if operation.name().split(".")[0] in WAITING:
            raise RuntimeError(f"{operation.name()} waits for the device")
        results = operation(*arguments, **(options or {}))
        if operation.namespace != "profiler":
            self.operations.append((operation, arguments, options or {}, results))
        return results


class Refuses(CallsAgain):
    """Cannot capture anything."""

    def capture(self, work, generators):
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nsecond line")


MODULE = """
from torch import nn
def dropping():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Dropout(0.4), nn.Linear(12, 10))
"""
SHORT = ["search.steps_per_round=3", "run.rounds=4", "run.validate_every=2", "threads=1", "run.filmstrip=0"]
DIGITS = ["task.name=digits", "task.images=20", "task.validation=50", *SHORT]
TEXT = ["task.text=text.txt", "task.sequences=4", "task.length=20", "target.hidden=6", *SHORT]
HYPER = ["target.layer=hyper-lstm", "target.hyper=3", "target.embedding=2"]
CONFIGS = {
    "several": ("static-mnist", [*DIGITS, "target.channels=[3,4]", "target.kernel=3", "encoding.tile=[4,4]",
                                 "search.population=3", "search.schedule=one-cycle", "search.clip=0.5",
                                 "search.generated_decay=0.01"]),
    "batch norm": ("wrn-40-1-hyper", [*DIGITS, "target.depth=10", "encoding.embedding=3", "search.optimizer=sgd",
                                      "search.steps=[[2, 0.01], [7, 0.001]]"]),
    "reads on": ("char-ptb-layernorm-hyperlstm", [*TEXT, *HYPER, "target.keep=1.0", "search.optimizer=adamw"]),
    "drops and reads on": ("char-ptb-hyperlstm", [*TEXT, *HYPER, "target.keep=0.7", "search.population=2"]),
    "drops and reads on, lstm": ("char-ptb-lstm", [*TEXT, "target.keep=0.7", "target.layers=2"]),
    "drops": ("direct-mnist", [*DIGITS, "target.name=module", "target.module=module.py:dropping",
                               "search.name=gradient", "search.population=2"]),
}
PAIRS = [(name, stand_in) for name in CONFIGS for stand_in in (CallsAgain, Replays)
         if stand_in is CallsAgain or "drops" not in name]  # what is replayed without Python cannot be seeded on a CPU


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a text and a module; in it, optimisers as on a CUDA device, and one thread."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (tmp_path / "text.txt").write_text("".join(np.random.default_rng(0).choice(list("abcde \n"), 600)))
    (tmp_path / "module.py").write_text(MODULE)
    make = GradientSearch._make_optimizer
    monkeypatch.setattr(GradientSearch, "_make_optimizer", lambda search, capturable: make(search, True))
    yield
    torch.set_num_threads(threads)


def config_of(name, *more):
    base, overrides = CONFIGS[name]
    return load_config(base, [*overrides, *more]).config


def trained(config, make, rounds_=3):
    """A run in memory some rounds on, and the fitness of each."""
    run = Run(config, compose(config), 1.0)
    run.steps = Steps(run.parts, run.parts.search, config.seed, make)
    return run, [_follow_gradient(run, run.parts.search)[0] for _ in range(rounds_)]


def assert_same(first, second):
    (one, seen), (other, found) = first, second
    assert torch.equal(torch.stack(seen), torch.stack(found))
    state, wanted = one.parts.search.state(), other.parts.search.state()
    assert state.keys() == wanted.keys()
    for key, value in state.items():
        assert torch.equal(value, wanted[key]) if isinstance(value, torch.Tensor) else value == wanted[key], key
    parts = [run.carried.state if run.carried and run.carried.state else () for run in (one, other)]
    assert all(torch.equal(*pair) for pair in zip(*parts, strict=True))


@pytest.mark.parametrize(("name", "stand_in"), PAIRS)
def test_captured_steps_have_the_bits_of_others(name, stand_in):
    config, made = config_of(name), []

    def make():
        made.append(stand_in())
        return made[-1]

    # The text is through after seven steps: it begins anew, and goes on.
    assert_same(trained(config, make), trained(config, None))
    assert sum(launch.launches for launch in made) == 9
    assert len(made) == (2 if "reads on" in name else 1)


@pytest.mark.parametrize(("name", "stand_in"), [("reads on", Replays), ("drops and reads on", CallsAgain),
                                                ("batch norm", Replays)])
def test_a_captured_run_that_was_cut_ends_as_the_whole_one(name, stand_in, monkeypatch, tmp_path, run_until):
    monkeypatch.setattr(rounds, "steps_of", lambda parts, search, seed, *_: Steps(parts, search, seed, stand_in))
    config = config_of(name)
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 1)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "fitness.bin", "champion/weights.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("rounds_", [0, 1])
def test_a_rehearsal_leaves_everything_as_it_was(optimizer, rounds_):
    run, _ = trained(config_of("several", f"search.optimizer={optimizer}"), None, rounds_)
    other, _ = trained(config_of("several", f"search.optimizer={optimizer}"), None, rounds_)
    search, places = run.parts.search, run.parts.search.ask().data_ptr()
    with search.rehearsal():
        for _ in range(3):
            search.begin_step()
            search.step(-search.ask().square().sum(1))
        assert not torch.equal(search.ask(), other.parts.search.ask())
    assert torch.equal(search.ask(), other.parts.search.ask()) and search.ask().data_ptr() == places
    for one in (run, other):
        one.parts.search.tell(-one.parts.search.ask().square().sum(1))
    assert_same((run, [torch.zeros(1)]), (other, [torch.zeros(1)]))


def test_an_optimiser_of_tensors_takes_the_steps_of_one_of_numbers(monkeypatch):
    for name in ("several", "batch norm", "reads on"):
        captured, fitness = trained(config_of(name), Replays)
        with monkeypatch.context() as patch:
            make = GradientSearch.__init__.__globals__["GradientSearch"]._make_optimizer
            patch.setattr(GradientSearch, "_make_optimizer", lambda search, _, make=make: plain(search))
            plainly, wanted = trained(config_of(name), None)
        torch.testing.assert_close(torch.stack(fitness), torch.stack(wanted), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(captured.parts.search.ask(), plainly.parts.search.ask(), rtol=1e-3, atol=1e-4)


def plain(search):
    from hyperevo.search.gradient import OPTIMIZERS
    return OPTIMIZERS[search.settings.optimizer]([search._genes], search.settings)


def test_steps_that_cannot_be_captured_are_taken_all_the_same(caplog):
    config = config_of("reads on")
    with caplog.at_level(logging.WARNING):
        assert_same(trained(config, Refuses), trained(config, None))
    assert [record.message for record in caplog.records] == [
        "steps cannot be captured as a CUDA graph, which would be faster: operation not permitted when stream is "
        "capturing second line"]


def test_steps_that_must_be_captured_and_cannot_are_one_line(monkeypatch):
    run = Run(config_of("several"), compose(config_of("several")), 1.0)
    loss = replace(run.parts.search.loss(), graph="on")
    monkeypatch.setattr(run.parts.search, "loss", lambda: loss)
    run.steps = Steps(run.parts, run.parts.search, 0, Refuses)
    with pytest.raises(RunFailed, match="^search.graph: a step cannot be captured as a CUDA graph: operation") as one:
        _follow_gradient(run, run.parts.search)
    assert "\n" not in str(one.value)


def test_a_batch_of_another_shape_is_not_captured():
    config, made = config_of("several"), []
    parts = compose(config)
    steps = Steps(parts, parts.search, config.seed, lambda: made.append(CallsAgain()) or made[-1])
    inputs, wanted = parts.task.batch(0, 0)
    for count in (20, 7, 20):
        assert steps.take((inputs[:count], wanted[:count])).shape == (3,)
    assert [launch.launches for launch in made] == [2] and parts.search.generation == 3


def test_graphs_without_a_gpu_are_refused_and_tf32_is_remarked_on():
    with pytest.raises(UserError, match="^search.graph: a CUDA graph needs a CUDA device, and this run's device is"):
        compose(config_of("several", "search.graph=on", "device=cpu"))
    assert remarks(compose(config_of("several", "search.precision=tf32", "device=cpu"))) == [
        "search.precision: tf32 has no effect on device cpu: products are in float32"]


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_are_in_tf32_where_that_is_asked_for_and_nowhere_else(precision, allowed):
    parts = compose(config_of("several", f"search.precision={precision}"))
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with products(parts.search.loss(), torch.device("cuda")):
        assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == allowed
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


def test_streams_draw_as_seeds_do_and_leave_torchs_own_generator_alone():
    cpu, state = torch.device("cpu"), torch.get_rng_state()
    streams = Streams(cpu)
    for seed in (5, 6):
        with drawing(seed, cpu):
            wanted = torch.rand(3)
        streams.seed(seed)
        with streams.used():
            drawn = []
            for _ in range(2):
                with drawing(0, cpu):
                    drawn.append(torch.rand(3))
        if seed == 6:  # the generators are made while the work is tried
            assert torch.equal(drawn[0], wanted) and torch.equal(drawn[1], wanted)
    assert len(streams.generators) == 2 and torch.equal(torch.get_rng_state(), state)


def test_the_state_that_is_handed_on_is_not_the_one_that_was_given():
    config = config_of("reads on")
    parts = compose(config)
    steps, carried = Steps(parts, parts.search, config.seed, Replays), Carried()
    steps.take(parts.task.batch(0, 0), carried)
    given = tuple(part.clone() for part in carried.state)
    resumed = Carried(tuple(part.clone() for part in given))
    kept = resumed.state
    steps.take(parts.task.batch(0, 1), resumed)
    assert all(torch.equal(*pair) for pair in zip(kept, given, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(resumed.state, given, strict=True))


LEARNING = ["task.name=digits", "task.images=20", "task.validation=50", "target.hidden=[[3,3]]", "search.population=4",
            "search.hidden=5", "search.learn.steps=6", "run.rounds=3", "run.filmstrip=0", "threads=1",
            "search.functions=['sin','gauss','identity']"]


def learned(parts, captures, rate=0.05):
    """The numbers of a generation's graphs after their lessons, taken with what a CUDA device takes them with."""
    graphs = parts.search.ask()
    limits = [(torch.full((graph.genes,), -30.0), torch.full((graph.genes,), 30.0)) for graph in graphs]
    lessons = Learning(graphs, limits, LearnSettings(steps=6, learning_rate=rate, schedule="cosine"))
    lessons.place(torch.device("cpu"))
    fitness = differentiable_fitness(parts.encoding, parts.target, parts.task)
    found = learn(lessons, fitness, parts.target, parts.task, 0, 2, 4.0, captures)
    return torch.cat([part for graph in found for part in (graph.weights, graph.biases)])


@pytest.fixture
def painted_as_on_a_gpu(monkeypatch):
    """A small matrix is taken apart, and its spread nodes are painted together."""
    monkeypatch.setattr(cppn, "POINTS", 100)
    monkeypatch.setattr(cppn, "plan", partial(cppn.plan, together=True))


@pytest.mark.parametrize("stand_in", [CallsAgain, Replays])
def test_captured_lessons_have_the_bits_of_others(stand_in, painted_as_on_a_gpu):
    parts, made = compose(load_config("dppn-mnist", LEARNING).config), []
    captures = Captures(lambda: made.append(stand_in()) or made[-1], parts.device, parts.encoding, must=True)
    wanted = learned(parts, None)
    assert torch.equal(learned(parts, captures), wanted)
    assert [launch.launches for launch in made] == [6]
    assert not torch.equal(wanted, torch.cat([part for graph in parts.search.ask()
                                              for part in (graph.weights, graph.biases)]))


def test_lessons_are_captured_anew_where_the_encoding_decides_otherwise(painted_as_on_a_gpu):
    parts, made = compose(load_config("dppn-mnist", LEARNING).config), []
    captures = Captures(lambda: made.append(Replays()) or made[-1], parts.device, parts.encoding, must=True)
    # Steps so long that waves reach what they are clamped at.
    assert torch.equal(learned(parts, captures, rate=3.0), learned(parts, None, rate=3.0))
    assert len(made) > 1 and sum(launch.launches for launch in made) == 6


def test_lessons_on_a_device_are_those_of_the_cpu(monkeypatch):
    parts = compose(load_config("dppn-mnist", LEARNING).config)
    with monkeypatch.context() as patch:
        patch.setattr(Learning, "place", lambda lessons, device: None)
        wanted = learned(parts, None)
    torch.testing.assert_close(learned(parts, None), wanted, rtol=1e-6, atol=1e-7)


def test_a_run_whose_lessons_are_captured_ends_as_the_whole_one(monkeypatch, tmp_path, run_until):
    monkeypatch.setattr(rounds, "captures_of",
                        lambda parts: Captures(Replays, parts.device, parts.encoding, must=True))
    config = load_config("dppn-mnist", LEARNING).config
    execute(create_run(config, tmp_path / "whole"))
    run_until(config, tmp_path / "cut", 1)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "fitness.bin", "champion/weights.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_a_fixed_graph_is_captured_with_what_it_decides(painted_as_on_a_gpu):
    evolved = compose(load_config("dppn-mnist", LEARNING).config)
    plain, tensors = pack_genotype(evolved.search.ask()[0])
    text = json.dumps({key: plain[key] for key in ("inputs", "outputs", "nodes")}
                      | {key: tensors[key].tolist() for key in ("weights", "biases", "responses")})
    settings = fixed_graph.Settings(graph=text, patterns=("readout.weight",), threshold=0.0)
    encoding = fixed_graph.build(settings, evolved.target.geometry, evolved.device)
    found = []
    for make in (Replays, None):
        search = gradient.build(gradient.Settings(population=2, learning_rate=1.0), encoding, 0)
        parts = replace(evolved, encoding=encoding, search=search)
        steps = Steps(parts, search, 0, make)
        fitness = [steps.take(parts.task.batch(0, step)) for step in range(8)]
        assert make is None or steps._captures.wanted
        found.append((torch.stack(fitness), search.candidates()))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


class FakeCuda:
    """The parts of torch.cuda that a graph uses, on a machine without one; `seen` is what was asked of them."""

    def __init__(self, monkeypatch):
        self.seen, self.current, self.mode = [], "main", 0
        monkeypatch.setattr(torch, "cuda", self)

    def __getattr__(self, name):  # what is only noted
        return lambda *arguments, **options: self.seen.append((name, *arguments)) or self

    def current_stream(self):
        return FakeStream(self, self.current)

    def set_stream(self, stream):
        self.current = stream.name

    @contextmanager
    def device(self, device):
        yield

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream.name
        yield
        self.current = before  # not where something is raised, as at the end of a capture that fails

    def graph(self, graph, pool, stream):
        self.seen.append("graph")
        return self.stream(stream)

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        self.mode = mode


class FakeStream:
    device = "cuda:0"

    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_stream(self, other):
        self.cuda.seen.append(f"{self.name} waits for {other.name}")


def test_a_cuda_graph_is_captured_on_a_stream_of_its_own(monkeypatch):
    cuda, seen = FakeCuda(monkeypatch), []
    graph = launch.CudaGraph(FakeStream(cuda, "own"), "pool")

    graph.warm_up(lambda: seen.append((cuda.current, cuda.mode)))
    graph.capture(lambda: seen.append((cuda.current, cuda.mode)), ["generator"])
    graph.replay()
    assert seen == [("own", 0), ("own", "error"), ("own", 0)] and (cuda.current, cuda.mode) == ("main", 0)
    assert cuda.seen == [("CUDAGraph",), "own waits for main", "main waits for own",
                         ("register_generator_state", "generator"), "graph", ("replay",)]


def test_what_cannot_be_captured_leaves_streams_and_modes_as_they_were(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    graph = launch.CudaGraph(FakeStream(cuda, "own"), "pool")

    def waits():
        if cuda.mode == "error" or "graph" in cuda.seen:
            raise RuntimeError("not permitted")

    with pytest.raises(RuntimeError, match="not permitted"):
        graph.warm_up(waits)
    assert cuda.mode == 0
    cuda.current = "main"
    with pytest.raises(RuntimeError, match="not permitted"):
        graph.capture(waits, [])
    assert cuda.current == "main"
