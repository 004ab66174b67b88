"""Counts of answers by class, for a figure: which classes a champion takes for which."""

import torch
from torch import Tensor

from hyperevo.abilities import Acts
from hyperevo.parts import Batch, Target, Task
from hyperevo.runs.evaluate import examples_at_once
from hyperevo.weights import Weights

MOST_CLASSES = 1000
"""Largest number of classes whose answers are counted."""


@torch.no_grad()
def confusion(task: Task, target: Target, network: Weights, examples: Batch, memory_gb: float) -> dict[str, Tensor]:
    """`confusion` (classes, classes): how often an example of a row's class was answered by a column's, for one network
    (P = 1); empty for tasks whose outputs are not classes."""
    inputs, wanted = examples
    classes = len(task.class_names)
    if not 1 < classes <= MOST_CLASSES or task.every_step or isinstance(task, Acts) or wanted.dim() != 1 \
            or wanted.is_floating_point():
        return {}
    pieces = inputs.split(examples_at_once(target, inputs, memory_gb))
    outputs = torch.cat([target.forward(network, piece)[0] for piece in pieces])
    if outputs.shape != (len(wanted), classes):
        return {}
    pairs = wanted.long() * classes + outputs.argmax(1)
    return {"confusion": torch.bincount(pairs.cpu(), minlength=classes**2).reshape(classes, classes)}
