"""Adversarial images: pixels moved by at most ε, so that a network, or an ensemble, errs.

A victim is a differentiable function of images in [0, 1] to outputs (N, classes), not normalised. Whatever the network
reads in place of pixels, such as standardised ones, is made within it: attacked images are treated as all others.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Victim = Callable[[Tensor], Tensor]


def fast_gradient_sign(victim: Victim, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Images moved by ε along the sign of the loss's gradient (Goodfellow, Shlens & Szegedy 2015)."""
    return (images + epsilon * _gradient(victim, images, labels).sign()).clamp(0, 1)


def projected_gradient(victim: Victim, images: Tensor, labels: Tensor, epsilon: float, steps: int,
                       rate: float) -> Tensor:
    """Images after steps of size `rate` along the sign of the gradient, each back into ±ε around the image (the basic
    iterative method, Kurakin, Goodfellow & Bengio 2017; projected gradient descent without a random start)."""
    attacked = images
    for _ in range(steps):
        moved = attacked + rate * _gradient(victim, attacked, labels).sign()
        attacked = moved.clamp(images - epsilon, images + epsilon).clamp(0, 1)
    return attacked


def _gradient(victim: Victim, images: Tensor, labels: Tensor) -> Tensor:
    leaf = images.detach().requires_grad_()
    with torch.enable_grad():
        gradient, = torch.autograd.grad(cross_entropy(victim(leaf), labels, reduction="sum"), leaf)
    return gradient
