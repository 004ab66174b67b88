"""74,000 CartPole-v0 networks with their survival times, in the proportions of Chang et al. (2019), table 1.

    python experiments/cartpolegen/policies.py [--out networks/cartpole.safetensors] [--workers 2] [--share 1]

Writes one safetensors file and policies.csv beside this file: the groups, the time that the making took, and the time
that a plain loop takes for one network, one step at a time, with gymnasium and torch, measured just before in the
same process. A collection that was killed goes on when it is started again.
"""

import argparse
import csv
import time
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
HERE = Path(__file__).parent


def plain_seconds(networks: int, episodes: int, steps: int, learning_rate: float, discount: float = 0.99) -> float:
    """Processor seconds for one network when each is trained alone, one step after the other: the same architecture,
    episodes, steps along the gradient, returns and baseline."""
    environment = gymnasium.make("CartPole-v1", max_episode_steps=200)
    started = time.process_time()
    for seed in range(networks):
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
    return (time.process_time() - started) / networks


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
    plain = plain_seconds(3, config.task.episodes, COURSE.steps, config.search.learning_rate)
    print(f"plain loop: {plain:.2f} s a network", flush=True)
    wanted = [Group(above, most, round(options.share * count)) for (above, most), (count, _, _) in PAPER.items()]
    wall, processor = time.perf_counter(), time.process_time()
    made = collect(config, wanted, COURSE, options.out, options.workers, lambda text: print(text, flush=True))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    trained = (int(made.table["block"].max()) + 1) * config.search.population
    record(made, wanted, {
        "networks": len(made), "networks trained": trained,
        "workers": options.workers, "wall seconds": wall, "processor seconds": processor,
        "processor seconds a network": processor / len(made), "processor seconds a network, plain loop": plain,
        "times as fast, on one core": plain * len(made) / processor,
        "times as fast, a trained network": plain * trained / processor}, HERE / "policies.csv")
