"""Double pole balancing without velocities: the network sees positions only, and needs a memory to know how fast they
change. All else is as in `double_pole`."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from hyperevo.control import double_pole
from hyperevo.control._dynamics import numbers
from hyperevo.control.double_pole import (
    ACTIONS,
    GENERALISATION_STEPS,
    MOST_STEPS,
    OUTPUTS,
    SCALES,
    act,
    generalisation_starts,
    reset,
    sketch,
    step,
    wobble,
)

__all__ = ["ACTIONS", "GENERALISATION_STEPS", "MOST_STEPS", "OBSERVATIONS", "OUTPUTS", "act", "generalisation_starts",
           "mover", "observe", "reset", "sketch", "step", "wobble"]

OBSERVATIONS = 3


def observe(state: Tensor) -> Tensor:
    """Position of the cart and angles of the poles (…, 3), scaled."""
    return state[..., :3] / numbers(SCALES[:3], state.dtype, state.device)


def mover(values: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Observations (3, …) of `values` (6, …), and the function that takes a step of both in their place."""
    return double_pole.mover(values, OBSERVATIONS)
