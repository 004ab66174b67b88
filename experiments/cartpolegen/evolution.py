"""CMA-ES in a model's embedding space, on the weights, and on cosine coefficients: evaluations until it is solved.

    python experiments/cartpolegen/evolution.py [--seeds 50] [--runs FOLDER] [TASK ...]

All seeds run side by side: their networks are one population. 16 networks a generation, 4 episodes each; a network's
episodes are one evaluation. A search has solved its task when its centre does, judged after every generation:
CartPole-v0 by a mean return of 195 over 100 episodes, Acrobot by -100 over 100 episodes, two poles by 10,000 steps from
the standard start. What it took to make the networks that a model was trained on is not counted. Adds rows to
evolution.csv.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hyperevo.compare.studies import add_rows, read_table
from hyperevo.config import check_config
from hyperevo.parts import Batch, Parts
from hyperevo.runs.compose import compose
from hyperevo.weights import Weights

HERE = Path(__file__).parent
COLUMNS = ("name", "seed", "numbers", "solved", "evaluations")
BUDGET, POPULATION = 8_000, 16


@dataclass(frozen=True)
class Stage:
    """A task: its options, the score that solves it, and the episodes and steps by which that is judged."""

    task: dict[str, object]
    solved: float
    episodes: int
    steps: int


STAGES = {"cartpole-v0": Stage({"environment": "cartpole-v0", "episodes": 4}, 195, 100, 200),
          "acrobot": Stage({"environment": "acrobot", "episodes": 4}, -100, 100, 500),
          "double-pole": Stage({"environment": "double-pole", "episodes": 1, "most_steps": 1000}, 10_000, 1, 10_000)}


def encodings(task: str, runs: Path) -> dict[str, tuple[dict[str, object], dict[str, object]]]:
    """Encoding, and start and deviation of CMA-ES, by name."""
    return {"embedding": ({"name": "generator", "run": str(runs / {"cartpole-v0": "all-0"}.get(task, f"{task}-0"))},
                          {"deviation": 1.0}),
            "weights": ({"name": "direct", "scale": 1.0}, {"start": "sample", "deviation": 0.5}),
            "dct": ({"name": "dct", "coefficients": [3], "scale": 1.0}, {"start": "sample", "deviation": 0.5})}


def parts_of(task: str, encoding: dict[str, object], search: dict[str, object], seed: int) -> Parts:
    """A run before its first generation."""
    return compose(check_config({
        "name": "evolution", "seed": seed, "threads": 1, "device": "cpu",
        "task": {"name": "control", **STAGES[task].task}, "target": {"name": "mlp", "hidden": [[4, 4]]},
        "encoding": encoding, "search": {"name": "cmaes", "population": POPULATION, **search}}, "evolution.py"))


def joined(every: Sequence[Weights]) -> Weights:
    """Populations of networks of one shape as one."""
    return Weights({name: torch.cat([own.tensor(name) for own in every]) for name in every[0]})


def solved(stage: Stage, parts: Sequence[Parts], generation: int) -> list[bool]:
    """Which of the searches' centres solve the task; of those that may, only they are played for long."""
    task, target = parts[0].task, parts[0].target
    networks = joined([own.encoding.express(own.search.candidates()) for own in parts])
    starts: Batch = (task.environment.reset(stage.episodes, torch.Generator().manual_seed(10**6 + generation)),
                     torch.full((stage.episodes,), stage.steps))
    if stage.steps <= 500:
        return (task.score(task.play(target, networks, *starts), starts[1]) >= stage.solved).tolist()
    short = task.play(target, networks, starts[0], torch.full((1,), 1000))[:, 0, 0] >= 1000
    lasts = short.tolist()
    if short.any():
        able = Weights({name: value[short] for name, value in networks.dense().items()})
        long = iter((task.play(target, able, *starts)[:, 0, 0] >= stage.solved).tolist())
        lasts = [next(long) if own else False for own in lasts]
    return lasts


def race(name: str, task: str, encoding: dict[str, object], search: dict[str, object], seeds: Sequence[int]) -> None:
    """Run all seeds to the end, and record them."""
    going = {seed: parts_of(task, encoding, search, seed) for seed in seeds}
    stage, generation, rows = STAGES[task], 0, {}

    def row(seed: int, done: bool) -> dict[str, object]:
        return {"name": name, "seed": seed, "numbers": going[seed].encoding.genes, "solved": int(done),
                "evaluations": generation * POPULATION}

    while going and generation * POPULATION < BUDGET:
        parts = list(going.values())
        expressed = [own.encoding.express(own.search.ask()) for own in parts]
        starts = parts[0].task.batch(12345, generation)
        played = parts[0].task.play(parts[0].target, joined(expressed), *starts)
        for own, fitness in zip(parts, parts[0].task.fitness(played, starts[1]).split(POPULATION), strict=True):
            own.search.tell(fitness)
        generation += 1
        for seed, done in zip(list(going), solved(stage, parts, generation), strict=True):
            if done:
                rows[name, seed] = row(seed, True)
                going.pop(seed).search.close()
        print(f"{name}: generation {generation}, {len(going)} of {len(seeds)} seeds go on", flush=True)
    rows |= {(name, seed): row(seed, False) for seed in going}
    for own in going.values():
        own.search.close()
    add_rows(HERE / "evolution.csv", COLUMNS, rows)


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
