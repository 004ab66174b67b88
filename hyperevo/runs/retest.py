"""A champion at resolutions that it was not evolved at: the same genotype paints a larger network."""

import torch

from hyperevo.abilities import Resizes
from hyperevo.config import RunConfig
from hyperevo.encodings import build_encoding
from hyperevo.genotypes import Genotype, stack
from hyperevo.parts import Parts, Task
from hyperevo.runs.compose import build_target


@torch.no_grad()
def retested(config: RunConfig, parts: Parts, champion: Genotype) -> dict[str, dict[str, dict[str, float]]]:
    """Facts about the champion's network by resolution; empty where the task has no resolutions, without those at which
    the genotype does not paint a network."""
    task = parts.task
    if not isinstance(task, Resizes):
        return {}
    found = {str(size): _at(config, parts, champion, task.resized(size)) for size in task.retests}
    return {"retests": {size: values for size, values in found.items() if values}}


def _at(config: RunConfig, parts: Parts, champion: Genotype, task: Task) -> dict[str, float]:
    target = build_target(config.part("target"), task)
    encoding = build_encoding(config.part("encoding"), target.geometry, parts.device)
    if encoding.genes != parts.encoding.genes or not isinstance(task, Resizes):
        return {}
    return task.retest(target, encoding.express(stack(champion)))
