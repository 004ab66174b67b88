"""Episodes whose actions are drawn, and the likelihood of those actions under other weights: what a policy gradient is
made of.

Discrete actions are drawn from the softmax of the outputs, by adding Gumbel's noise and taking the largest. Continuous
ones are drawn from a Gaussian around the outputs, before the environment's own `act`.
"""

import math
from typing import Any

import torch
from torch import Tensor

from hyperevo.abilities import Experience, Steps
from hyperevo.control._actors import forward_own
from hyperevo.parts import Target
from hyperevo.weights import Weights

DEVIATION = 0.5
"""Standard deviation of continuous actions around the outputs."""
STRIDE = 8
"""Steps between checks for episodes that still run."""


@torch.no_grad()
def explore(environment: Any, target: Target, weights: Weights, starts: Tensor, most_steps: int,
            generator: torch.Generator) -> Experience:
    """Experience of P networks in N episodes from first states `starts` (N, values), of at most `most_steps` steps.

    All noise comes from the generator, on the CPU. Weights and first states share one dtype.
    """
    players = _Policy(environment, target, Weights(weights.dense()), len(starts))
    state = starts.expand(weights.population, *starts.shape)
    running = starts.new_ones(weights.population, len(starts))
    steps: list[tuple[Tensor, ...]] = []
    for step in range(most_steps):
        if step % STRIDE == 0 and not bool(running.any()):
            break
        observed = environment.observe(state)
        choice, action = _drawn(environment, players.outputs(observed), generator)
        state, reward, over = environment.step(state, action)
        steps.append((observed, choice, reward * running, running))
        running = running.masked_fill(over, 0)
    return Experience(*(torch.stack(own, 1) for own in zip(*steps, strict=True)))


class _Policy:
    """P networks that act in N episodes each, with their memory where they have one."""

    def __init__(self, environment: Any, target: Target, weights: Weights, episodes: int):
        self.target, self.weights, self.episodes = target, weights, episodes
        self.memory: Tensor | None = None

    def outputs(self, observed: Tensor) -> Tensor:
        """Outputs (P, N, outputs) for observations (P, N, features) of the next step."""
        if not isinstance(self.target, Steps):
            return forward_own(self.target, self.weights, observed)
        if self.memory is None:
            self.memory = self.target.initial(len(observed), self.episodes, observed)
        self.memory, outputs = self.target.step(self.weights, self.memory, observed)
        return outputs


def _drawn(environment: Any, outputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choices that are remembered, the index (…) or the outputs (…, outputs), and the actions that they mean."""
    if environment.ACTIONS == "discrete":
        noise = torch.empty(outputs.shape, dtype=outputs.dtype).exponential_(generator=generator)
        disturbed = outputs - noise.to(outputs.device).log_()
        return disturbed.argmax(-1), environment.act(disturbed)
    noise = torch.randn(outputs.shape, dtype=outputs.dtype, generator=generator)
    disturbed = outputs + DEVIATION * noise.to(outputs.device)
    return disturbed, environment.act(disturbed)


def log_likelihoods(environment: Any, target: Target, weights: Weights, experience: Experience) -> Tensor:
    """Logarithm (P, T, N) of the probability, or density, of every choice of an experience; with its graph."""
    outputs = _answers(target, weights, experience.observations)
    if environment.ACTIONS == "discrete":
        return outputs.log_softmax(-1).gather(-1, experience.choices[..., None])[..., 0]
    distances = ((experience.choices - outputs) / DEVIATION).square().sum(-1)
    return -distances / 2 - outputs.shape[-1] * (math.log(DEVIATION) + math.log(2 * math.pi) / 2)


def _answers(target: Target, weights: Weights, observations: Tensor) -> Tensor:
    """Outputs (P, T, N, outputs) for observations (P, T, N, features)."""
    networks, steps, episodes, _ = observations.shape
    if not isinstance(target, Steps):
        return forward_own(target, weights, observations.flatten(1, 2)).unflatten(1, (steps, episodes))
    players = _Policy(None, target, Weights(weights.dense()), episodes)
    return torch.stack([players.outputs(own) for own in observations.unbind(1)], 1)
