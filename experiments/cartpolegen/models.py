"""Models of the CartPole networks: table 1 of Chang et al. (2019), and whether what is sampled was copied.

    python experiments/cartpolegen/models.py [--seeds 5] [--networks FILE] [--runs FOLDER] [NAME ...]

NAME: 0-50, 50-100, 100-150, 150-200, all, all-64 (longer codes), conditioned, two (codes of two numbers, for a figure),
and acrobot and double-pole (for evolution), whose networks other_policies.py made in the folder --other. Trains what is
missing, one run a model and seed, samples 1,000 networks of each, and writes a row a seed into sampled.csv
(conditioned: a row a seed and wanted score into conditioned.csv).

Distances are between aligned networks, in deviations of the training weights, per weight (root mean square). A
disagreement is the share of states, visited by networks of all groups, in which two networks push to other sides.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import hyperevo
from hyperevo.compare.studies import add_rows, read_table, result
from hyperevo.generative.networks import Networks, read_networks, split_vectors
from hyperevo.generative.symmetries import aligned
from hyperevo.parts import Encoding, Target, Task
from hyperevo.weights import Weights

HERE = Path(__file__).parent
GROUPS = {"0-50": (0, 50), "50-100": (50, 100), "100-150": (100, 150), "150-200": (150, 200), "all": (-1, 200)}
SHARPER = "all-64"
"""Model of all networks with longer codes and less weight on their prior."""
RANGES = GROUPS | {SHARPER: GROUPS["all"]}
SAMPLES, EPISODES, WANTED = 1_000, 20, (30, 60, 90, 120, 150, 180)
STATES, PAIRS = 500, 500
"""States of a disagreement; networks whose nearest neighbours are looked for."""
COLUMNS = ("name", "seed", "networks", "trained_mean", "trained_deviation", "sampled_mean", "sampled_deviation",
           "sampled_0-50", "sampled_50-100", "sampled_100-150", "sampled_150-200", "explained", "ratio_of_samples",
           "ratio_of_held_out", "nearest_of_samples", "nearest_of_held_out", "nearest_among_training",
           "nearest_of_noise", "noise", "noise_mean", "closer_than_held_out", "disagreement_of_samples",
           "disagreement_of_held_out", "disagreement_of_noise", "disagreement_of_pairs", "spread_of_samples")
OTHERS = ("target.latent=16", "run.rounds=8")
"""Overrides of models of Acrobot's and two poles' networks, of which there are few."""

ANSWERS = ("name", "seed", "mean", "deviation", "median", "within_20")


class Stage:
    """CartPole-v0, and the network that acts in it."""

    def __init__(self) -> None:
        self.task: Task = hyperevo.task("control", environment="cartpole-v0", episodes=EPISODES, device="cpu")
        self.target: Target = hyperevo.target("mlp", self.task, hidden=[[4, 4]])
        self.shapes = {name: place.shape for name, place in self.target.geometry.items()}

    def generator(self, run: Path, **options: float) -> Encoding:
        """Encoding by the run's folder."""
        return hyperevo.encoding("generator", self.target, run=str(run), device="cpu", **options)

    def weights(self, vectors: Tensor) -> Weights:
        """Networks from vectors (P, weights)."""
        return Weights(split_vectors(vectors, self.shapes))

    @torch.no_grad()
    def survival(self, vectors: Tensor, seed: int = 0) -> Tensor:
        """Mean steps (P,) that networks survive, of 200, in EPISODES episodes."""
        starts, most_steps = self.task.batch(10**6 + seed, 0)
        played = [self.task.play(self.target, self.weights(own), starts, most_steps) for own in vectors.split(2000)]
        return torch.cat(played)[..., 0].mean(1)

    @torch.no_grad()
    def pushes(self, vectors: Tensor, states: Tensor) -> Tensor:
        """Whether networks push to the right, (P, states)."""
        outputs = self.target.forward(self.weights(vectors), states)
        return outputs[..., 1] > outputs[..., 0]

    def states(self, vectors: Tensor) -> Tensor:
        """States that networks visit."""
        generator = torch.Generator().manual_seed(11)
        starts, most_steps = self.task.batch(7, 0)
        seen = self.task.explore(self.target, self.weights(vectors), starts, most_steps, generator)
        visited = seen.observations[seen.counted.bool()]
        return visited[torch.randperm(len(visited), generator=generator)[:STATES]]


def variants(networks: Path, other: Path = Path("networks")) -> dict[str, tuple[str, Sequence[str]]]:
    """Config and overrides of every model."""
    base, path = str(HERE / "model.toml"), f"task.path={networks}"
    own = {name: (base, [path, f"task.above={low}", f"task.most={high}"]) for name, (low, high) in GROUPS.items()}
    own[SHARPER] = base, [path, "target.latent=64", "task.kl_weight=0.03"]
    others = {name: (base, [f"task.path={other / name}.safetensors", *OTHERS]) for name in ("acrobot", "double-pole")}
    return own | others | {"conditioned": (base, [path, "task.condition=true"]),
                  "two": (base, [path, "target.latent=2", "task.kl_weight=0.05"])}


def canonical(networks: Networks) -> Networks:
    """Networks as the models see them."""
    return Networks(aligned(networks.weights, True), networks.table)


def within(networks: Networks, name: str) -> Networks:
    """Networks of a group."""
    low, high = RANGES[name]
    score = networks.table["score"]
    return networks.chosen((score > low) & (score <= high))


def held_out(count: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and test networks of a model, as task networks draws them."""
    from hyperevo.tasks._draws import split
    training, _, test = split(count, (0.05, 0.05), 0, "")
    return training, test


def nearest(of: Tensor, among: Tensor, itself: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Distance (P,) per weight to the nearest network, without itself where `of` are among them; its index; and its
    distance as a share of that to the second nearest, which is near 0 for a copy and near 1 for anything else."""
    distances, places = [], []
    for own in of.split(250):
        every = torch.cdist(own, among)
        if itself:
            every = every.where(every > 1e-2, math.inf)
        least = every.topk(2, largest=False)
        distances.append(least.values)
        places.append(least.indices[:, 0])
    two = torch.cat(distances) / of.shape[1] ** 0.5
    return two[:, 0], torch.cat(places), two[:, 0] / two[:, 1]


def noisy(stage: Stage, training: Networks, wanted: float, seed: int) -> tuple[Tensor, float]:
    """Training networks plus noise whose mean survival is the wanted one: vectors, and the noise in deviations. The
    networks are the best quarter where all together do not survive so long."""
    vectors, score = training.vectors, training.table["score"]
    if float(score.mean()) < wanted:
        vectors = vectors[score >= score.quantile(0.75)]
    generator = torch.Generator().manual_seed(seed)
    chosen = vectors[torch.randint(len(vectors), (SAMPLES,), generator=generator)]
    noise = torch.randn(chosen.shape, generator=generator) * training.vectors.std(0)
    low, high = 0.0, 4.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if float(stage.survival(chosen + middle * noise).mean()) > wanted else (low, middle)
    return chosen + low * noise, low


def table_row(stage: Stage, name: str, seed: int, networks: Networks, run: Path, explained: float) -> dict[str, object]:
    """A row of sampled.csv."""
    own = within(networks, name)
    training, test = (own.chosen(part) for part in held_out(len(own)))
    spread, vectors = training.vectors.std(0), training.vectors
    sampled = sampled_vectors(stage, run, seed)
    score = stage.survival(sampled, seed)
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(training), generator=generator)[:PAIRS]
    noise, size = noisy(stage, training, float(score.mean()), seed)
    of_samples, place, ratio = nearest(sampled / spread, vectors / spread)
    of_test, test_place, test_ratio = nearest(test.vectors[:PAIRS] / spread, vectors / spread)
    of_noise, noise_place, _ = nearest(noise / spread, vectors / spread)
    among, _, _ = nearest(vectors[some] / spread, vectors / spread, True)
    states = stage.states(networks.vectors[::len(networks) // 200])

    def disagreement(one: Tensor, other: Tensor) -> float:
        return float((stage.pushes(one, states) != stage.pushes(other, states)).float().mean())

    other = torch.randperm(len(training), generator=generator)[:len(some)]
    shares = {f"sampled_{group}": float(((score > low) & (score <= high)).float().mean())
              for group, (low, high) in GROUPS.items() if group != "all"}
    values = {"networks": len(own), "trained_mean": own.table["score"].mean(),
              "trained_deviation": own.table["score"].std(), "sampled_mean": score.mean(),
              "sampled_deviation": score.std(), **shares, "explained": explained,
              "ratio_of_samples": ratio.median(), "ratio_of_held_out": test_ratio.median(),
              "nearest_of_samples": of_samples.median(), "nearest_of_held_out": of_test.median(),
              "nearest_among_training": among.median(), "nearest_of_noise": of_noise.median(), "noise": size,
              "noise_mean": stage.survival(noise, seed).mean(),
              "closer_than_held_out": (of_samples < of_test.quantile(0.01)).float().mean(),
              "disagreement_of_samples": disagreement(sampled, vectors[place]),
              "disagreement_of_held_out": disagreement(test.vectors[:PAIRS], vectors[test_place]),
              "disagreement_of_noise": disagreement(noise, vectors[noise_place]),
              "disagreement_of_pairs": disagreement(vectors[some], vectors[other]),
              "spread_of_samples": (sampled / spread).std(0).square().mean().sqrt()}
    return {"name": name, "seed": seed} | {key: round(float(value), 4) for key, value in values.items()}


def sampled_vectors(stage: Stage, run: Path, seed: int, count: int = SAMPLES, **options: float) -> Tensor:
    """Networks (count, weights) sampled from a model."""
    encoding = stage.generator(run, **options)
    codes = encoding.prior(count, torch.Generator().manual_seed(1_000 + seed))  # type: ignore[attr-defined]
    with torch.no_grad():
        weights = encoding.express(codes).dense()
    return torch.cat([weights[name].flatten(1) for name in sorted(weights)], 1)


def conditioned(stage: Stage, seed: int, run: Path) -> dict[tuple[str, int], dict[str, object]]:
    """Rows of conditioned.csv: what was asked for, and what came."""
    rows = {}
    for wanted in WANTED:
        score = stage.survival(sampled_vectors(stage, run, seed, score=float(wanted)), seed)
        rows[f"asked {wanted:03d}", seed] = {
            "name": f"asked {wanted:03d}", "seed": seed, "mean": round(float(score.mean()), 2),
            "deviation": round(float(score.std()), 2), "median": round(float(score.median()), 2),
            "within_20": round(float(((score - wanted).abs() <= 20).float().mean()), 4)}
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*RANGES, "conditioned", "two"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--networks", type=Path, default=Path("networks/cartpole.safetensors"))
    parser.add_argument("--other", type=Path, default=Path("networks"))
    parser.add_argument("--runs", type=Path, default=Path("runs/cartpolegen"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage = Stage()
    networks = canonical(read_networks(options.networks)) if RANGES.keys() & set(options.names) else None
    for seed in range(options.seeds):
        for name in options.names:
            table = HERE / ("conditioned.csv" if name == "conditioned" else "sampled.csv")
            if name == "two" and seed:
                continue
            run = options.runs / f"{name}-{seed}"
            trained = result(name, seed, run, variants(options.networks, options.other))
            if name == "conditioned" and ("asked 120", seed) not in read_table(table):
                add_rows(table, ANSWERS, conditioned(stage, seed, run))
            elif networks is not None and name in RANGES and (name, seed) not in read_table(table):
                row = table_row(stage, name, seed, networks, run, trained["test_accuracy"])
                add_rows(table, COLUMNS, {(name, seed): row})
                print(row, flush=True)
