"""Stochastic weight averaging, Gaussian (Maddox et al. 2019): networks drawn around the places that gradient descent
with a constant learning rate comes through.

    θ ~ N(mean, (diagonal + D Dᵀ / (RANK - 1)) / 2)

with the mean and the variances (diagonal) of all places, and as columns of D how the last RANK differ from the mean.
"""

import torch
from torch import Tensor

from hyperevo.plots.run_view import RunView
from hyperevo.randomness import generator_for
from hyperevo.tasks._images import ImageClassification

STEPS, EVERY, RANK = 2000, 50, 20
"""Steps, those between two places, and the rank of the covariance beside its diagonal."""
RATE, MOMENTUM = 0.005, 0.9
"""Learning rate, chosen on held-out images of seed 0, and momentum of gradient descent."""
FIRST = 1 << 30
"""Number of the first batch: other batches than those of the run."""


def swag_genes(view: RunView, task: ImageClassification, start: Tensor, seed: int, count: int) -> Tensor:
    """Genes (count, genes) of networks drawn after descending from the genes `start` (genes,) of a trained one."""
    places = _places(view, task, start, seed)
    mean, variance, last = places.mean(0), places.var(0, correction=0), (places - places.mean(0))[-RANK:]
    generator = generator_for(seed, FIRST)
    noise, along = (torch.randn(count, length, generator=generator) for length in (len(mean), RANK))
    return mean + (variance / 2).sqrt() * noise + along @ last / (2 * (RANK - 1)) ** 0.5


def _places(view: RunView, task: ImageClassification, start: Tensor, seed: int) -> Tensor:
    """Genes (STEPS / EVERY, genes) on the way."""
    genes, places = start.clone().requires_grad_(), []
    optimizer = torch.optim.SGD([genes], RATE, MOMENTUM)
    for step in range(1, STEPS + 1):
        inputs, labels = task.batch(seed, FIRST + step)
        optimizer.zero_grad()
        (-task.fitness(view.target.forward(view.encoding.express(genes[None]), inputs), labels)).sum().backward()
        optimizer.step()
        if step % EVERY == 0:
            places.append(genes.detach().clone())
    return torch.stack(places)
