"""Parts of `gpu.py` that are whole runs: their rounds, killed ones, every config, and steps along the gradient."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperevo.config import load_config, shipped_configs
from hyperevo.encodings import build_encoding
from hyperevo.genotypes import Genotypes, Neighbours
from hyperevo.runs import Run, create_run, execute, open_run
from hyperevo.runs.compose import build_target, build_task
from hyperevo.runs.evaluate import acting_in, evaluate
from hyperevo.runs.load import load_fitting
from hyperevo.runs.rounds import one_round

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Bench:
    """A machine's device, sizes, and the seconds left for a part."""

    device: torch.device
    quick: bool
    tensorneat: Path | None
    until: float = 0.0

    @property
    def is_over(self) -> bool:
        """True where nothing new should begin."""
        return time.perf_counter() > self.until


def reported(work: Callable[[], Any]) -> Any:
    """Result of some work, or the line that says why there is none."""
    try:
        return work()
    except Exception as error:
        return f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


# Rounds of whole runs


def rounds(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a round of whole runs, without a folder."""
    found = {}
    for name in ("cppn-mnist",) if bench.quick else ("cppn-mnist", "dct-mnist", "eggroll-mnist"):
        if bench.is_over:
            break
        with _run_of(name, bench, []) as run:
            spent = [one_round(run).seconds for _ in range(3 if bench.quick else 60)]
        found[name] = 1e3 * statistics.median(spent[1:])
    return {"milliseconds_a_round": found}


@contextmanager
def _run_of(name: str, bench: Bench, overrides: list[str]) -> Iterator[Run]:
    """A run of a config in memory; `quick` are small ones on scikit-learn's digits."""
    quick = ["task={name='digits', images=40}", "run.memory_gb=1", "target.hidden=[[3,3]]"] if bench.quick else []
    limits = ["run.validate_every=1000000", "run.rounds=9999"]
    run = create_run(load_fitting(name, [*quick, f"device={bench.device}", *limits, *overrides]).config, None)
    try:
        yield run
    finally:
        run.close()


# Killed and resumed


RESUMED = {"neat": ["cppn-mnist"], "snes": ["dct-mnist"], "eggroll": ["eggroll-mnist"],
           "gradient": ["coordinate-mnist", "search={name='gradient', steps_per_round=2}"]}
RESUMED_SIZES = ["task={name='digits', images=40}", "target.hidden=[[3,3]]", "run.rounds=400", "run.validate_every=50",
                 "run.memory_gb=1"]


def resume(bench: Bench) -> dict[str, Any]:
    """Bits of runs of four searches that were killed and resumed, beside those of runs that were not."""
    chosen = ["neat"] if bench.quick else list(RESUMED)
    sizes = [*RESUMED_SIZES, "run.rounds=30"] if bench.quick else RESUMED_SIZES
    with tempfile.TemporaryDirectory() as folder:
        started = {name: _begin(RESUMED[name], sizes, Path(folder, f"{name}-killed"), bench) for name in chosen}
        found = {}
        for name in chosen:
            config = load_fitting(RESUMED[name][0], [*sizes, f"device={bench.device}", *RESUMED[name][1:]]).config
            execute(create_run(config, Path(folder, name)))
            found[name] = _end(started[name], Path(folder, f"{name}-killed"), Path(folder, name))
    return {"same_bits": found, "agrees": all(value is True for value in found.values())}


def _begin(own: list[str], sizes: list[str], folder: Path, bench: Bench) -> "subprocess.Popen[bytes]":
    config, *overrides = own
    command = [sys.executable, "-m", "hyperevo", "run", config, *sizes, *overrides, "--device", str(bench.device),
               "--out", str(folder), "--no-figures"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(process: "subprocess.Popen[bytes]", killed: Path, whole: Path) -> bool | str:
    """Kill a run after some rounds, resume it here, and compare both runs' files."""
    metrics, begun = killed / "metrics.csv", time.perf_counter()
    while process.poll() is None and time.perf_counter() - begun < 60:
        if metrics.exists() and len(metrics.read_bytes().splitlines()) > 5:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()
    if not metrics.exists():
        return "the run did not begin"
    if (killed / "result.json").exists():
        return "the run was over before it was killed"
    execute(open_run(killed))
    return all((killed / name).read_bytes() == (whole / name).read_bytes()
               for name in ("metrics.csv", "fitness.bin", "champion/tensors.safetensors"))


# Every config


def configs(bench: Bench) -> dict[str, Any]:
    """A few rounds of every config whose data is there, and fitness beside the CPU's."""
    found: dict[str, Any] = {}
    for name in ("dct-mnist",) if bench.quick else shipped_configs():
        found[name] = "no time was left" if bench.is_over else reported(lambda name=name: _a_few_rounds(name, bench))
    return {"configs": found, "agree": [name for name, own in found.items() if isinstance(own, dict) and own["agrees"]]}


def _a_few_rounds(name: str, bench: Bench) -> dict[str, Any]:
    follows = load_config(name).config.part("search").name == "gradient"
    with _run_of(name, bench, ["search.steps_per_round=2"] if follows else []) as run:
        spent = [one_round(run).seconds for _ in range(2 if bench.quick else 3)]
        search, task = run.parts.search, run.parts.task
        asked = search.ask()[:32]
        batch = task.batch(run.config.seed, search.generation)
        if acting_in(task) is None:
            batch = batch[0][:16], batch[1][:16]
        there = evaluate(run.parts.encoding, run.parts.target, _moved(asked, bench.device), batch, task.fitness,
                         run.memory_gb, None, acting_in(task))
        here = _fitness_on_the_cpu(run, asked, batch)
    apart = (there - here).abs() / here.abs().clamp(min=1.0)
    close = float((~(apart > 1e-3)).float().mean())
    return {"milliseconds_a_round": 1e3 * statistics.median(spent[1:]), "steps": 2 if follows else None,
            "largest_relative_difference": float(apart.nan_to_num().max()), "share_within_0.001": close,
            "agrees": close >= 0.9}


def _fitness_on_the_cpu(run: Run, asked: Genotypes, batch: tuple[Tensor, Tensor]) -> Tensor:
    task = build_task(run.config.part("task"), CPU)
    try:
        target = build_target(run.config.part("target"), task)
        encoding = build_encoding(run.config.part("encoding"), target.geometry, CPU, target.start)
        return evaluate(encoding, target, _moved(asked, CPU), (batch[0].cpu(), batch[1].cpu()), task.fitness,
                        run.memory_gb, None, acting_in(task))
    finally:
        task.close()


def _moved(asked: Genotypes, device: torch.device) -> Genotypes:
    if isinstance(asked, Tensor):
        return asked.detach().to(device)
    if isinstance(asked, Neighbours):
        noise = {name: type(own)(*(part if part is None else part.to(device) for part in vars(own).values()))
                 if not isinstance(own, Tensor) else own.to(device) for name, own in asked.noise.items()}
        return Neighbours(asked.centre.to(device), noise)
    return asked


# Steps along a gradient


STEPS = {"char-ptb-layernorm-hyperlstm": ("float32", "tf32"), "char-ptb-layernorm-lstm": ("float32", "tf32"),
         "wrn-40-1-hyper": ("float32", "bfloat16"), "wrn-40-1": ("float32", "bfloat16")}


def steps(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a step along the gradient, with and without a CUDA graph, by precision."""
    names = {"coordinate-mnist": ("float32",)} if bench.quick else STEPS
    own = ["search={name='gradient'}"] if bench.quick else []
    count = 2 if bench.quick else 8
    rows = {}
    for name, precisions in names.items():
        for precision in precisions:
            for graph in ("off",) if bench.device.type != "cuda" else ("off", "on"):
                options = [*own, f"search.steps_per_round={count}", f"search.precision={precision}",
                           f"search.graph={graph}"]
                rows[f"{name}, {precision}, graph {graph}"] = "no time was left" if bench.is_over else \
                    reported(lambda name=name, options=options: _milliseconds_a_step(name, options, count, bench))
    return {"milliseconds_a_step": rows}


def _milliseconds_a_step(name: str, options: list[str], count: int, bench: Bench) -> float:
    with _run_of(name, bench, options) as run:
        spent = [one_round(run).seconds for _ in range(3)]
    return 1e3 * min(spent[1:]) / count
