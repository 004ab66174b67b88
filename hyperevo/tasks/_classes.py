"""Fitness and score of outputs that are classes."""

from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

ACCURACY_HAS_NO_GRADIENT = "task.fitness: accuracy has no gradient for the search to follow; use cross-entropy"


def minus_cross_entropy(outputs: Tensor, labels: Tensor, scale: float = 0.0) -> Tensor:
    """outputs (P, N, classes), labels (N,) → (P,): minus the mean cross-entropy. With a scale above 0, every network's
    outputs are first scaled to this standard deviation over the batch."""
    if scale:
        outputs = outputs * (scale / _spread(outputs).clamp(min=1e-6))
    # Classes before examples, as targets compute them: a tenth of the time of the rows of a flat table.
    losses = cross_entropy(outputs.transpose(1, 2), labels.expand(len(outputs), -1), reduction="none")
    return -losses.mean(1)


def _spread(outputs: Tensor) -> Tensor:
    """Standard deviation (P, 1, 1) of every network's outputs; torch's `std` takes ten times as long."""
    distance = vector_norm(outputs - outputs.mean((1, 2), keepdim=True), dim=(1, 2), keepdim=True)
    return distance / (outputs[0].numel() - 1) ** 0.5


def accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """outputs (P, N, classes), labels (N,) → (P,): the share of examples whose largest output is their class."""
    return (outputs.argmax(2) == labels).float().mean(1)
