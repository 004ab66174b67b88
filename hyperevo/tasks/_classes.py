"""Fitness and score of outputs that are classes."""

from torch import Tensor
from torch.nn.functional import cross_entropy

ACCURACY_HAS_NO_GRADIENT = "task.fitness: accuracy has no gradient for the search to follow; use cross-entropy"


def minus_cross_entropy(outputs: Tensor, labels: Tensor, scale: float = 0.0) -> Tensor:
    """outputs (P, N, classes), labels (N,) → (P,): minus the mean cross-entropy. With a scale above 0, every network's
    outputs are first scaled to this standard deviation over the batch."""
    if scale:
        outputs = outputs * (scale / outputs.std(dim=(1, 2), keepdim=True).clamp(min=1e-6))
    population, examples, _ = outputs.shape
    losses = cross_entropy(outputs.flatten(0, 1), labels.repeat(population), reduction="none")
    return -losses.view(population, examples).mean(1)


def accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """outputs (P, N, classes), labels (N,) → (P,): the share of examples whose largest output is their class."""
    return (outputs.argmax(2) == labels).float().mean(1)
