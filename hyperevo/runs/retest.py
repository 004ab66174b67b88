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
    """By resolution, what the task says of the network there; nothing where the task has no resolutions, or the network
    more than one layer, and only of its own one where a genotype paints no network but its own."""
    task, target = config.part("task"), config.part("target")
    if not hasattr(task, "retests") or target.name != "mlp" or target.hidden:
        return {}
    found = {str(size): _at(config, parts, champion, parts.task.resized(size)) for size in task.retests}
    return {"retests": {size: values for size, values in found.items() if values is not None}}


def _at(config: RunConfig, parts: Parts, champion: Genotype, task: Any) -> dict[str, float] | None:
    settings = config.part("target")
    target = load_component("target", settings.name).build(settings, task.inputs, task.classes)
    encoding = build_encoding(config.part("encoding"), target.geometry, parts.device)
    if getattr(encoding, "genes", None) != getattr(parts.encoding, "genes", None):
        return None
    return task.every_pair(target, encoding.express(stack(champion)))
