"""Control environments written in tensors, so that a whole population acts at once. Each file is one environment,
found by its name."""

from types import ModuleType

from hyperevo.components import component_names, load_component
from hyperevo.control._actors import Actors, forward_own
from hyperevo.control._exploring import explore, log_likelihoods
from hyperevo.control._rollout import LAST, film, rollout, wobbling_rollout
from hyperevo.control._sketch import Sketch, Stroke

__all__ = ["LAST", "Actors", "Sketch", "Stroke", "environment", "environment_names", "explore", "film", "forward_own",
           "log_likelihoods", "rollout", "wobbling_rollout"]


def environment_names() -> list[str]:
    """Names of all control environments, sorted."""
    return component_names("environment")


def environment(name: str) -> ModuleType:
    """Load an environment's module by name; raises UserError where there is none of that name.

    The module defines OBSERVATIONS, the number of a network's inputs; OUTPUTS, the number of its outputs; MOST_STEPS,
    the longest episode in steps; ACTIONS, "discrete" where the index of the largest output is the action and
    "continuous" where the outputs are; and these functions of tensors with any leading axes:

    - `reset(episodes, generator)`: first states (episodes, values).
    - `observe(state)`: a network's inputs (…, OBSERVATIONS).
    - `act(outputs)`: actions (…), from a network's outputs (…, OUTPUTS).
    - `step(state, action)`: the next state, its reward (…), and a mask (…) of episodes that are over. Later steps of
      an episode that is over do not count, but their rewards must be finite.
    - `sketch(state)`: a `Sketch` of one state (values,), for `hyperevo watch`.
    - `wobble(state)`: distance (…) of a state from stillness; or None.
    - `mover(values)`, which an environment may have whose every reward is 1: what networks see (OBSERVATIONS, …) of the
      values (values, …), and a function that takes a step of both, in their place, by networks' outputs (OUTPUTS, …),
      and gives the mask of episodes that are over, valid until the next step; all of them numpy's arrays. It must do
      what `step` does, and makes small networks much faster.
    - `generalisation_starts()`: states (episodes, values) from which champions are tested for GENERALISATION_STEPS; or
      None.
    """
    return load_component("environment", name)
