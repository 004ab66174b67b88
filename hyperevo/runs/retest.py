"""A champion at resolutions that it was not evolved at: the same genotype paints a larger network."""

from typing import Any

import torch

from hyperevo.components import load_component
from hyperevo.config import RunConfig
from hyperevo.encodings import build_encoding
from hyperevo.runs.compose import Parts
from hyperevo.runs.genotypes import Genotype, stack


@torch.no_grad()
def retested(config: RunConfig, parts: Parts, champion: Genotype) -> dict[str, Any]:
    """By resolution, what the task says of the network there; nothing where the task has no resolutions, and nothing of
    those where a genotype does not paint a network."""
    sizes = getattr(config.part("task"), "retests", None)
    if sizes is None:
        return {}
    found = {str(size): _at(config, parts, champion, parts.task.resized(size)) for size in sizes}
    return {"retests": {size: values for size, values in found.items() if values}}


def _at(config: RunConfig, parts: Parts, champion: Genotype, task: Any) -> dict[str, float]:
    settings = config.part("target")
    outputs = getattr(task, "outputs", task.classes)
    target = load_component("target", settings.name).build(settings, task.inputs, outputs)
    encoding = build_encoding(config.part("encoding"), target.geometry, parts.device)
    if getattr(encoding, "genes", None) != getattr(parts.encoding, "genes", None):
        return {}
    return task.retest(target, encoding.express(stack(champion)))
