"""CMA-ES in a model's embedding space, on the weights, and on cosine coefficients: evaluations until it is solved.

    python experiments/cartpolegen/evolution.py [--seeds 50] [--runs FOLDER] [TASK ...]

All seeds run side by side: their networks are one population. 16 networks a generation, 4 episodes each; a network's
episodes are one evaluation. A search has solved its task when its centre does, judged before the first generation and
after every one: CartPole-v0 by a mean return of 195 over 100 episodes, Acrobot by -100 over 100 episodes, two poles by
10,000 steps from the standard start. What it took to make the networks that a model was trained on is not counted. Adds
rows to evolution.csv.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.compare.studies import add_rows, read_table
from hyperevo.config import check_config
from hyperevo.parts import Batch, Parts
from hyperevo.runs.compose import compose
from hyperevo.weights import Weights

HERE = Path(__file__).parent
COLUMNS = ("name", "seed", "numbers", "solved", "evaluations")
BUDGET, POPULATION, SHORT = 4_000, 16, 1_000
"""Evaluations of a search, networks of a generation, and steps of two poles in an evaluation: only centres that balance
them so long are judged by more."""


@dataclass(frozen=True)
class Stage:
    """A task: its options, the score that solves it, the episodes and steps by which that is judged, and the
    generations whose centres are judged together, which saves time where an episode is long."""

    task: dict[str, object]
    solved: float
    episodes: int
    steps: int
    together: int = 1


STAGES = {"cartpole-v0": Stage({"environment": "cartpole-v0", "episodes": 4}, 195, 100, 200),
          "acrobot": Stage({"environment": "acrobot", "episodes": 4}, -100, 100, 500),
          "double-pole": Stage({"environment": "double-pole", "episodes": 1, "most_steps": SHORT},
                               10_000, 1, 10_000, 10)}


def encodings(task: str, runs: Path) -> dict[str, tuple[dict[str, object], dict[str, object]]]:
    """Encoding, and start and deviation of CMA-ES, by name. Three cosines along every axis are too few for two poles,
    as `dct-3` shows; a linear controller balances them by five of its inputs' six."""
    drawn: dict[str, object] = {"start": "sample", "deviation": 0.5}
    own = {"embedding": ({"name": "generator", "run": str(runs / {"cartpole-v0": "all-0"}.get(task, f"{task}-0"))},
                         {"deviation": 1.0}),
           "weights": ({"name": "direct", "scale": 1.0}, drawn)}
    cosines = {"dct": 5, "dct-3": 3} if task == "double-pole" else {"dct": 3}
    return own | {name: ({"name": "dct", "coefficients": [most], "scale": 1.0}, drawn)
                  for name, most in cosines.items()}


def parts_of(task: str, encoding: dict[str, object], search: dict[str, object], seed: int) -> Parts:
    """A run before its first generation."""
    return compose(check_config({
        "name": "evolution", "seed": seed, "threads": 1, "device": "cpu",
        "task": {"name": "control", **STAGES[task].task}, "target": {"name": "mlp", "hidden": [[4, 4]]},
        "encoding": encoding, "search": {"name": "cmaes", "population": POPULATION, **search}}, "evolution.py"))


def joined(every: Sequence[Weights]) -> Weights:
    """Populations of networks of one shape as one."""
    return Weights({name: torch.cat([own.tensor(name) for own in every]) for name in every[0]})


def solved(stage: Stage, parts: Parts, networks: Weights, generation: int) -> Tensor:
    """Which of these networks solve the task; of those that may, only they are played for long."""
    play = partial(parts.task.play, parts.target)
    starts: Batch = (parts.task.environment.reset(stage.episodes, torch.Generator().manual_seed(10**6 + generation)),
                     torch.full((stage.episodes,), stage.steps))
    if stage.steps <= SHORT:
        return parts.task.score(play(networks, *starts), starts[1]) >= stage.solved
    able = play(networks, starts[0], torch.full((1,), SHORT))[:, 0, 0] >= SHORT
    if able.any():
        lasting = Weights({name: value[able] for name, value in networks.dense().items()})
        able[able.clone()] = play(lasting, *starts)[:, 0, 0] >= stage.solved
    return able


def race(name: str, task: str, encoding: dict[str, object], search: dict[str, object], seeds: Sequence[int]) -> None:
    """Run all seeds to the end, and record them."""
    going = {seed: parts_of(task, encoding, search, seed) for seed in seeds}
    stage, last, generation, rows = STAGES[task], BUDGET // POPULATION, 0, {}
    while going:
        stretch = range(generation, min(generation + stage.together, last + 1))
        centres = []
        for number in stretch:
            if number:
                advance(list(going.values()), number - 1)
            centres.append(joined([own.encoding.express(own.search.candidates()) for own in going.values()]))
        done = solved(stage, next(iter(going.values())), joined(centres), generation).view(len(stretch), -1)
        for seed, own in zip(list(going), done.T, strict=True):
            if own.any() or stretch[-1] == last:
                number = stretch[int(own.nonzero()[0])] if own.any() else last
                rows[name, seed] = {"name": name, "seed": seed, "numbers": going[seed].encoding.genes,
                                    "solved": int(own.any()), "evaluations": number * POPULATION}
                going.pop(seed).search.close()
        print(f"{name}: generation {stretch[-1]}, {len(going)} of {len(seeds)} seeds go on", flush=True)
        generation = stretch[-1] + 1
    add_rows(HERE / "evolution.csv", COLUMNS, rows)


def advance(parts: Sequence[Parts], generation: int) -> None:
    """Ask all searches for a generation, play it as one population, and tell them."""
    expressed = [own.encoding.express(own.search.ask()) for own in parts]
    starts = parts[0].task.batch(12345, generation)
    played = parts[0].task.play(parts[0].target, joined(expressed), *starts)
    for own, fitness in zip(parts, parts[0].task.fitness(played, starts[1]).split(POPULATION), strict=True):
        own.search.tell(fitness)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(STAGES))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--runs", type=Path, default=Path("runs/cartpolegen"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    known = read_table(HERE / "evolution.csv")
    for task in options.tasks:
        for name, (encoding, search) in encodings(task, options.runs).items():
            seeds = [seed for seed in range(options.seeds) if (f"{task} {name}", seed) not in known]
            if seeds:
                race(f"{task} {name}", task, encoding, search, seeds)
