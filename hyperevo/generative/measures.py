"""Measures of distributions over networks: what an ensemble of them knows, and how its networks differ.

P is the number of networks, N that of examples, C that of classes. An ensemble votes softly: its probabilities are the
mean of its networks' (Lakshminarayanan et al. 2017).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

BINS = 15
"""Number of bins of confidence, as Guo et al. (2017) have it."""


def soft_vote(outputs: Tensor) -> Tensor:
    """Probabilities (N, C), float64, of an ensemble from its networks' outputs (P, N, C), not normalised."""
    return outputs.double().softmax(2).mean(0)


def negative_log_likelihood(probabilities: Tensor, labels: Tensor) -> float:
    """Mean over examples of minus the logarithm of the label's probability, in nats."""
    chances = probabilities.gather(1, labels[:, None])
    return float(-chances.clamp(min=torch.finfo(probabilities.dtype).tiny).log().mean())


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Expected calibration error (Guo et al. 2017): distance of confidence and accuracy in bins of equal width, a mean
    over examples."""
    confidence, answers = probabilities.max(1)
    right = (answers == labels).double()
    places = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.double).index_add(0, places, confidence.double() - right)
    return float(gaps.abs().sum() / len(labels))


def disagreement(outputs: Tensor) -> float:
    """Share of examples on which two different networks of the ensemble answer with different classes."""
    networks, _, classes = outputs.shape
    votes = one_hot(outputs.argmax(2), classes).sum(0).double()
    alike = (votes * (votes - 1)).sum(1) / (networks * (networks - 1))
    return float(1 - alike.mean())


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy (N,) of probabilities (N, C), in nats."""
    return -torch.special.xlogy(probabilities, probabilities).sum(1)


def separation(inside: Tensor, outside: Tensor) -> float:
    """Area under the receiver operating characteristic (AUROC) of a value, such as entropy, that is larger for examples
    from outside: the chance that it is larger for one of them (M,) than for one from inside (N,), ties counted half."""
    both = torch.cat([inside, outside]).double()
    values, places, counts = both.unique(return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1) / 2  # the mean rank of those that are equal
    total = ranks[places][len(inside) :].sum() - len(outside) * (len(outside) + 1) / 2
    return float(total / (len(inside) * len(outside)))


def layer_norms(weights: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation, over P networks, of the L2 norm of every parameter (P, …), by name."""
    found = {}
    for name, values in weights.items():
        norms = values.double().flatten(1).norm(dim=1)
        found[name] = float(norms.mean()), float(norms.std(correction=1)) if len(norms) > 1 else 0.0
    return found
