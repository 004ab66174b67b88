"""Actions in any of gymnasium's spaces, from networks' outputs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperevo.tasks._spaces import kind, leaves, width


def actions_of(space: Any, outputs: Tensor) -> list[np.ndarray]:
    """Actions for outputs (n, outputs), an array (n, …) for each leaf of the space.

    Discrete, and each part of a MultiDiscrete: the index of the largest output. MultiBinary: 1 where an output is above
    0. Box: the outputs' tanh scaled to the interval of each value, and the output itself where a value is unbounded.
    """
    own = leaves(space)
    return [_actions(leaf, part) for leaf, part in zip(own, outputs.split([width(leaf) for leaf in own], -1),
                                                       strict=True)]


def _actions(leaf: Any, outputs: Tensor) -> np.ndarray:
    match kind(leaf):
        case "Discrete":
            return outputs.argmax(-1).cpu().numpy() + leaf.start
        case "MultiDiscrete":
            chosen = [part.argmax(-1) for part in outputs.split(leaf.nvec.ravel().tolist(), -1)]
            return (torch.stack(chosen, -1).cpu().numpy() + leaf.start.ravel()).reshape(-1, *leaf.shape)
        case "MultiBinary":
            return (outputs > 0).cpu().numpy().astype(np.int8).reshape(-1, *leaf.shape)
    return _in_box(leaf, outputs)


def _in_box(box: Any, outputs: Tensor) -> np.ndarray:
    outputs = outputs.nan_to_num()  # engines do not survive actions that are no numbers
    low, high = (torch.from_numpy(end.reshape(-1)).to(outputs) for end in (box.low, box.high))
    middle, reach = (low + high) / 2, (high - low) / 2
    actions = torch.where(torch.isfinite(reach), middle + reach * outputs.tanh(), outputs).cpu().numpy()
    if box.dtype.kind in "iu":
        actions = np.rint(actions)
    # Rounding may go past an end, and so may an output where only the other end is infinite.
    return actions.reshape(-1, *box.shape).clip(box.low, box.high).astype(box.dtype)
