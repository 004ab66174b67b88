"""Steps along the policy gradient: episodes with drawn actions, their surrogate, and the steps it is good for."""

import torch
from torch import Tensor

from hyperevo.abilities import Explores, FollowsPolicyGradient
from hyperevo.parts import Parts
from hyperevo.randomness import generator_for

DRAWING_STREAM = 1 << 61
"""Stream of the noise that draws actions, apart from that of first states."""


def learn_policy(search: FollowsPolicyGradient, parts: Parts, seed: int) -> Tensor:
    """Gather an experience and take the steps along the policy gradient that it is good for: mean return (P,) of its
    episodes. First states and noise depend on seed and generation alone."""
    task, target, encoding, own = parts.task, parts.target, parts.encoding, parts.search
    assert isinstance(task, Explores)
    generation = own.generation
    drawing = generator_for(seed, generation, DRAWING_STREAM)
    with torch.no_grad():
        weights = encoding.express(own.ask())
        experience = task.explore(target, weights, *task.batch(seed, generation), drawing)
    before: Tensor | None = None
    for _ in range(search.epochs):
        likelihoods = task.log_likelihoods(target, encoding.express(own.ask()), experience)
        before = likelihoods.detach() if before is None else before
        own.tell(search.surrogate(likelihoods, before, experience))
    return experience.rewards.sum(1).mean(1)
