"""CartPole-v0: CartPole-v1 with episodes of at most 200 steps; it counts as solved by a mean return of 195 over 100
episodes."""

from hyperevo.control.cartpole import (
    ACTIONS,
    OBSERVATIONS,
    OUTPUTS,
    act,
    generalisation_starts,
    mover,
    observe,
    reset,
    sketch,
    step,
    wobble,
)

__all__ = ["ACTIONS", "MOST_STEPS", "OBSERVATIONS", "OUTPUTS", "act", "generalisation_starts", "mover",
           "observe", "reset", "sketch", "step", "wobble"]

MOST_STEPS = 200
