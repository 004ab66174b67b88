"""CartPole steps a second: a population of random linear policies here, and in gymnasium's vector environments.

    python benchmarks/control.py [--json FILE]

All take turns in one process and one thread. Counted are seconds of the processor, which others on the machine hardly
change; a ratio is the median of the ratios of the turns. The policies are the same matrices everywhere, gymnasium's
multiplied by NumPy. An episode that is over is begun anew by gymnasium; here all are after 32 steps, about two of their
lengths, and what is over by then is stepped, but does not count. Nothing is dropped, as rollouts would.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch
from torch import Tensor

from hyperevo.control import cartpole
from hyperevo.control._rollout import _players
from hyperevo.geometry import Sheet
from hyperevo.targets import mlp
from hyperevo.weights import Weights

POPULATION, TURNS, ROUND = 1024, 7, 32
MORE = "hyperevo, 10 episodes each"
STEPS = {"hyperevo": 512, MORE: 64, "vectorised": 512, "one by one": 5}
"""Steps of all networks in a turn."""


def ours(weights: Weights, episodes: int) -> dict[str, Callable[[int], object]]:
    """Rolling out, and its two parts alone."""
    target = mlp.build(mlp.Settings(hidden=()), Sheet((cartpole.OBSERVATIONS,)), cartpole.OUTPUTS)
    starts = cartpole.reset(episodes, torch.Generator().manual_seed(0))
    state = _players(target, weights, starts).state
    action = cartpole.act(target.forward(weights, state))

    def whole(steps: int) -> None:
        for _ in range(steps // ROUND):
            _players(target, weights, starts).play(cartpole, target, range(ROUND))

    def dynamics(steps: int) -> None:
        now = state
        for step in range(steps):
            now = now if step % ROUND else state
            now, _, _ = cartpole.step(now, action)

    def policy(steps: int) -> None:
        for _ in range(steps):
            cartpole.act(target.forward(weights, cartpole.observe(state)))

    return {"whole": whole, "dynamics": dynamics, "policy": policy}


def gymnasiums(mode: str, weight: np.ndarray, bias: np.ndarray) -> dict[str, Callable[[int], object]]:
    """The same of one of gymnasium's vector environments."""
    environments = gymnasium.make_vec("CartPole-v1", num_envs=POPULATION, vectorization_mode=mode)
    first, _ = environments.reset(seed=0)

    def chosen(observations: np.ndarray) -> np.ndarray:
        return (np.matmul(weight, observations[:, :, None])[:, :, 0] + bias).argmax(1)

    def whole(steps: int) -> None:
        observations, _ = environments.reset(seed=0)
        for _ in range(steps):
            observations, *_ = environments.step(chosen(observations))

    def dynamics(steps: int) -> None:
        action = chosen(first)
        for _ in range(steps):
            environments.step(action)

    return {"whole": whole, "dynamics": dynamics, "policy": lambda steps: [chosen(first) for _ in range(steps)]}


def seconds(work: Callable[[int], object], steps: int) -> float:
    """Of the processor, for one step of all networks."""
    start = time.process_time()
    work(steps)
    return (time.process_time() - start) / steps


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(POPULATION, 2, 4, generator=generator), torch.zeros(POPULATION, 2))
    weights: dict[str, Tensor] = {"readout.weight": weight, "readout.bias": bias}
    contenders = {"hyperevo": ours(Weights(weights), 1), MORE: ours(Weights(weights), 10),
                  "vectorised": gymnasiums("vector_entry_point", weight.numpy(), bias.numpy()),
                  "one by one": gymnasiums("sync", weight.numpy(), bias.numpy())}
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(TURNS + 1):
        for name, parts in contenders.items():
            for part, work in parts.items():
                measured = seconds(work, STEPS[name])
                if turn:  # the first warms up
                    times.setdefault((name, part), []).append(measured)
    found: dict[str, dict] = {"steps a second": {}, "times as fast": {}}
    for name in contenders:
        whole, dynamics, policy = (statistics.median(times[name, part]) for part in ("whole", "dynamics", "policy"))
        together = POPULATION * (10 if name == MORE else 1)
        found["steps a second"][name] = round(together / whole)
        print(f"{name:26} {together / whole:12,.0f} steps/s   whole {whole * 1e6:8.0f} µs, "
              f"dynamics {dynamics * 1e6:8.0f} µs, policy {policy * 1e6:6.0f} µs")
    for name in ("vectorised", "one by one"):
        for part in ("whole", "dynamics"):
            ratios = [theirs / own for theirs, own in zip(times[name, part], times["hyperevo", part], strict=True)]
            middle, least, most = statistics.median(ratios), min(ratios), max(ratios)
            found["times as fast"][f"{name}, {part}"] = {"median": middle, "least": least, "most": most}
            print(f"1 episode each against {name}, {part}: {middle:.1f} × ({least:.1f} to {most:.1f})")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
