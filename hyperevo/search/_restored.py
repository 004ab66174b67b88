"""Tensors of a search's saved state."""

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def restored(state: Mapping[str, Any], key: str, like: Tensor) -> Tensor:
    """Tensor of a saved state, on the device of the search's own; raises ValueError where it has another shape."""
    found = state[key]
    if not isinstance(found, Tensor) or found.shape != like.shape or found.dtype != like.dtype:
        raise ValueError(f"{key}: is not of shape {tuple(like.shape)} and of {like.dtype}")
    return found.to(like.device).clone()


def restored_optimizer(state: Mapping[str, Any], optimizer: torch.optim.Optimizer, like: Tensor) -> dict[str, Tensor]:
    """State of an optimizer of one parameter, empty before its first step; raises ValueError where it is another's."""
    saved = {key.removeprefix("optimizer.") for key in state if key.startswith("optimizer.")}
    wanted = {key: value for key, value in _after_a_step(optimizer, like.device).items() if isinstance(value, Tensor)}
    if saved and saved != set(wanted):
        raise ValueError(f"optimizer: has {', '.join(sorted(saved))}, and not {', '.join(sorted(wanted))}")
    return {key: restored(state, f"optimizer.{key}", like if wanted[key].dim() else wanted[key]) for key in saved}


def _after_a_step(optimizer: torch.optim.Optimizer, device: torch.device) -> dict[str, Any]:
    """State of an optimizer of the same kind and settings after its first step."""
    number = torch.zeros(1, requires_grad=True, device=device)
    number.grad = torch.zeros(1, device=device)
    other = copy.copy(optimizer)
    other.state, other.param_groups = defaultdict(dict), [{**optimizer.param_groups[0], "params": [number]}]
    other.step()
    return dict(other.state[number])
