"""What a step of training takes with layers whose weights change, beside torch's own LSTM: time, Python's part, memory.

    python benchmarks/dynamic.py [--units 1000] [--batch 32] [--steps 100] [--rounds 5] [--threads N] [--json FILE]

All layers take turns in one process, forwards and backwards, and freed memory is kept as in a run; ratios are of
medians. Python's part is measured with one unit and a batch of one, where products take next to nothing. Memory is the
most that a process of its own takes beyond what it has before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from hyperevo.dynamic import HyperLSTM, LayerNormLSTM
from hyperevo.runs.environment import forget_peak_memory, keep_freed_memory, peak_memory_gb

SYMBOLS = 50
LAYERS = {
    "nn.LSTM": nn.LSTM,
    "LayerNormLSTM": LayerNormLSTM,
    "HyperLSTM": lambda inputs, units, **small: HyperLSTM(inputs, units, layer_norm=False, **small),
    "LN HyperLSTM": HyperLSTM,
}


def built(name: str, units: int) -> nn.Module:
    """A layer; with one unit, its hyper network has one too."""
    small = {"hyper_size": 1} if units == 1 and "Hyper" in name else {}
    return LAYERS[name](SYMBOLS, units, **small)


def seconds(layer: nn.Module, inputs: torch.Tensor) -> float:
    """Of one pass forwards and backwards."""
    layer.zero_grad()
    start = time.perf_counter()
    outputs, _ = layer(inputs)
    outputs.square().mean().backward()
    return time.perf_counter() - start


def medians(units: int, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Seconds by layer; the first round warms up and does not count."""
    torch.manual_seed(0)
    inputs, layers = torch.randn(steps, batch, SYMBOLS), {name: built(name, units) for name in LAYERS}
    times = [{name: seconds(layer, inputs) for name, layer in layers.items()} for _ in range(rounds + 1)]
    return {name: statistics.median(own[name] for own in times[1:]) for name in LAYERS}


def memory_gb(name: str, units: int, batch: int, steps: int) -> float:
    """What a layer and a pass through it take, measured in this process."""
    seconds(built(name, 1), torch.randn(2, 1, SYMBOLS))
    forget_peak_memory()
    before = peak_memory_gb()
    seconds(built(name, units), torch.randn(steps, batch, SYMBOLS))
    return peak_memory_gb() - before


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, usual in (("units", 1000), ("batch", 32), ("steps", 100), ("rounds", 5), ("threads", None)):
        parser.add_argument(f"--{option}", type=int, default=usual)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", choices=LAYERS, help="only this, in this process")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    size = options.units, options.batch, options.steps
    if options.memory_of:
        print(memory_gb(options.memory_of, *size))
        return
    keep_freed_memory()
    times, tiny = medians(*size, options.rounds), medians(1, 1, options.steps, options.rounds)
    own = [sys.executable, __file__, *sys.argv[1:], "--memory-of"]
    figures = {name: {"seconds": times[name], "times nn.LSTM": times[name] / times["nn.LSTM"],
                      "times LayerNormLSTM": times[name] / times["LayerNormLSTM"],
                      "Python ms a step": 1000 * tiny[name] / options.steps,
                      "Python's share": tiny[name] / times[name],
                      "peak memory GB": float(subprocess.run([*own, name], check=True, capture_output=True).stdout)}
               for name in LAYERS}
    for name, values in figures.items():
        print(f"{name:14}", "  ".join(f"{what} {value:.3g}" for what, value in values.items()))
    if options.json:
        options.json.write_text(json.dumps({"units": size[0], "batch": size[1], "steps": size[2],
                                            "threads": torch.get_num_threads(), "torch": torch.__version__,
                                            "layers": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
