"""Double pole balancing without velocities: the network sees positions only, and needs a memory to know how fast they
change. All else is as in `double_pole`."""

from torch import Tensor

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
           "observe", "reset", "sketch", "step", "wobble"]

OBSERVATIONS = 3


def observe(state: Tensor) -> Tensor:
    """Position of the cart and angles of the poles (…, 3), scaled."""
    return state[..., :3] / numbers(SCALES[:3], state.dtype, state.device)
