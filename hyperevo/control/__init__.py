"""Control: environments whose dynamics are tensors, so that a whole population acts at once. One file an environment,
found by its name."""

from types import ModuleType

from hyperevo.components import component_names, load_component
from hyperevo.control._actors import Actors, forward_own
from hyperevo.control._rollout import LAST, film, rollout, wobbling_rollout
from hyperevo.control._sketch import Sketch, Stroke

__all__ = ["LAST", "Actors", "Sketch", "Stroke", "environment", "environment_names", "film", "forward_own", "rollout", "wobbling_rollout"]


def environment_names() -> list[str]:
    """All environments hyperevo knows."""
    return component_names("environment")


def environment(name: str) -> ModuleType:
    """The module of an environment; else UserError. It has OBSERVATIONS, what a network reads; OUTPUTS, what it says;
    MOST_STEPS, when an episode ends that nothing else ends; and these functions of tensors with any leading axes:

    - `reset(episodes, generator)`: first states (episodes, values).
    - `observe(state)`: what a network reads, (…, OBSERVATIONS).
    - `act(outputs)`: actions (…) that a network's outputs (…, OUTPUTS) mean.
    - `step(state, action)`: the next state, its reward (…), and whether the episode is over (…). A step after that
      changes nothing that counts, but its reward is finite.
    - `sketch(state)`: how one state (values,) looks, for `hyperevo watch`.

    - `wobble(state)`: distance (…) of a state from stillness; or None.
    - `generalisation_starts()`: states (episodes, values) from which champions are tested for GENERALISATION_STEPS; or
      None.
    """
    return load_component("environment", name)
