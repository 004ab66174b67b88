"""74,000 CartPole-v0 networks with their survival times, in the proportions of Chang et al. (2019), table 1.

    python experiments/cartpolegen/policies.py [--out networks/cartpole.safetensors] [--workers 2] [--share 1]

Writes one safetensors file and policies.csv beside this file: the groups, the time that the making took, and the time
that a plain loop takes for one network, one step at a time, with gymnasium and torch, measured in the same process just
before and just after. Times are the processor's and the clock's, with the load average (processes that want a core)
beside them. A collection that was killed goes on when it is started again.
"""

import argparse
import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import torch
from torch import nn

from hyperevo.compare.collecting import Course, Group, collect
from hyperevo.config import load_config
from hyperevo.generative.networks import Networks

PAPER = {(0, 50): (25_608, 21.8, 11.5), (50, 100): (9_400, 69.7, 14.2), (100, 150): (10_103, 132.6, 13.1),
         (150, 200): (28_889, 184.9, 16.3)}
"""Networks, mean and deviation of survival of every group in the paper."""
COURSE = Course(steps=20, every=1, episodes=10)
PLAIN = 8
"""Networks of the plain loop before the making, and as many after it."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Times:
    """Seconds of the processor and of the clock."""

    processor: float
    clock: float

    @classmethod
    def now(cls) -> "Times":
        """Times since some moment that stays."""
        return cls(time.process_time(), time.perf_counter())

    def since(self, before: "Times") -> "Times":
        """Times that have passed."""
        return Times(self.processor - before.processor, self.clock - before.clock)


def plain_loop(seeds: range, episodes: int, steps: int, learning_rate: float, discount: float = 0.99) -> Times:
    """Time of networks each trained alone, one step after the other: the same architecture, episodes, steps along the
    gradient, returns and baseline."""
    environment = gymnasium.make("CartPole-v1", max_episode_steps=200)
    started = Times.now()
    for seed in seeds:
        torch.manual_seed(seed)
        policy = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        adam = torch.optim.Adam(policy.parameters(), learning_rate)
        for step in range(steps):
            returns, likelihoods = [], []
            for episode in range(episodes):
                rewards, logarithms = plain_episode(environment, policy, seed + step * episodes + episode)
                ahead = 0.0
                for place in reversed(range(len(rewards))):
                    ahead = rewards[place] = rewards[place] + discount * ahead
                returns.append(rewards)
                likelihoods.append(logarithms)
            baseline = [sum(own[place] for own in returns if place < len(own)) / episodes
                        for place in range(max(map(len, returns)))]
            surrogate = torch.stack([logarithm * (own[place] - baseline[place])
                                     for own, logarithms in zip(returns, likelihoods, strict=True)
                                     for place, logarithm in enumerate(logarithms)]).sum() / episodes
            adam.zero_grad()
            (-surrogate).backward()
            adam.step()
    return Times.now().since(started)


def plain_episode(environment: gymnasium.Env, policy: nn.Module, seed: int) -> tuple[list[float], list[torch.Tensor]]:
    """Rewards of an episode, and logarithms of the probabilities of its actions, with their graphs."""
    observed, _ = environment.reset(seed=seed)
    rewards, logarithms, over = [], [], False
    while not over:
        drawn = torch.distributions.Categorical(logits=policy(torch.from_numpy(observed)))
        action = drawn.sample()
        observed, reward, failed, ended, _ = environment.step(int(action))
        rewards.append(float(reward))
        logarithms.append(drawn.log_prob(action))
        over = failed or ended
    return rewards, logarithms


def record(networks: Networks, groups: list[Group], facts: dict[str, float], path: Path) -> None:
    """Table of the groups, the paper's beside, and of what the making took."""
    score = networks.table["score"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["group", "networks", "mean", "deviation", "mean steps of training", "paper's networks",
                         "paper's mean", "paper's deviation"])
        for group in groups:
            own, paper = group.holds(score), PAPER[int(group.above), int(group.most)]
            steps = float(networks.table["steps"][own].float().mean())
            writer.writerow([f"{group.above:g}-{group.most:g}", int(own.sum()), round(float(score[own].mean()), 2),
                             round(float(score[own].std()), 2), round(steps, 1),
                             *paper])
        writer.writerow([])
        writer.writerows([name, round(value, 4)] for name, value in facts.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("networks/cartpole.safetensors"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="share of the 74,000")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    config = load_config(str(HERE / "policies.toml")).config

    def plain(first: int) -> Times:
        """Time of some networks in the plain loop."""
        spent = plain_loop(range(first, first + PLAIN), config.task.episodes, COURSE.steps, config.search.learning_rate)
        print(f"plain loop: {spent.processor / PLAIN:.2f} s a network, {spent.clock / PLAIN:.2f} s by the clock",
              flush=True)
        return spent

    wanted = [Group(above, most, round(options.share * count)) for (above, most), (count, _, _) in PAPER.items()]
    before, load, started = plain(0), os.getloadavg()[0], Times.now()
    made = collect(config, wanted, COURSE, options.out, options.workers, lambda text: print(text, flush=True))
    making, load_after, after = Times.now().since(started), os.getloadavg()[0], plain(PLAIN)
    alone = Times((before.processor + after.processor) / (2 * PLAIN), (before.clock + after.clock) / (2 * PLAIN))
    trained = (int(made.table["block"].max()) + 1) * config.search.population
    record(made, wanted, {
        "networks": len(made), "networks trained": trained, "workers": options.workers,
        "cores": os.cpu_count() or 1, "load average before": load, "load average after": load_after,
        "wall seconds": making.clock, "processor seconds": making.processor,
        "share of the workers' cores": making.processor / making.clock / options.workers,
        "processor seconds a network": making.processor / len(made),
        "processor seconds a network, plain loop": alone.processor,
        "wall seconds a network, plain loop": alone.clock,
        "times as fast, on one core": alone.processor * len(made) / making.processor,
        "times as fast, a trained network": alone.processor * trained / making.processor,
        "times as fast, by the clock": alone.clock * len(made) / making.clock}, HERE / "policies.csv")
