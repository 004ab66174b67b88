"""Control: networks act in an environment, the whole population at once; fitness is the mean sum of rewards.

Every generation starts from the same fresh states, drawn from (seed, generation) alone.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings, nearest
from hyperevo.control import Sketch, environment, environment_names, film, rollout
from hyperevo.geometry import Sheet
from hyperevo.weights import Weights

CLASS_NAMES = ()
"""Outputs are what the environment takes for an action."""

HELD_OUT = {"validation": 1, "test": 2}
"""Streams of first states that are the same in every run; generations have others."""

Batch = tuple[Tensor, Tensor]
Scene = tuple[int, float, Callable[[], Sketch], bool]
"""A step, the return until then, a function that sketches the state, and whether it is the last."""


class Settings(ComponentSettings):
    """Options of the task."""

    name: Literal["control"] = "control"
    environment: str = "cartpole"
    """One of `hyperevo.control`."""
    episodes: int = Field(4, ge=1)
    """Episodes of every network in a generation."""
    most_steps: int | None = Field(None, ge=1)
    """After so many an episode of a generation ends; by default after the environment's own number."""
    validation: int = Field(20, ge=1)
    """Episodes of the environment's own number of steps that choose the champion, and as many that test it."""

    @property
    def images(self) -> int:
        """Episodes of every network in a generation."""
        return self.episodes

    @field_validator("environment")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in environment_names():
            raise ValueError(f"no environment called {name!r}; {nearest(name, environment_names())}")
        return name


class Control:
    """First states (N, values), and how many steps an episode from each lasts at most (N,)."""

    measure = "mean return"
    examples = "episodes"
    checksum = "drawn"
    steps_per_second = 30.0
    """As it is watched."""

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.environment = settings, environment(settings.environment)
        self.device, self.data_name = torch.device(device), settings.environment
        self.inputs, self.classes = shape(settings)
        self.most_steps = settings.most_steps or self.environment.MOST_STEPS
        self.validation = self._held_out("validation")

    def _starts(self, episodes: int, most_steps: int, generator: torch.Generator) -> Batch:
        starts = self.environment.reset(episodes, generator).to(self.device)
        return starts, torch.full((episodes,), most_steps, device=self.device)

    def _held_out(self, part: str) -> Batch:
        generator = torch.Generator().manual_seed(2**62 + HELD_OUT[part])
        return self._starts(self.settings.validation, self.environment.MOST_STEPS, generator)

    def batch(self, seed: int, generation: int) -> Batch:
        """The first states of one generation: a function of the seed and the generation."""
        generator = torch.Generator().manual_seed((seed * 1_000_003 + generation) % 2**61)
        return self._starts(self.settings.episodes, self.most_steps, generator)

    def calibration(self, images: int) -> Batch:
        """What networks read at the first step of an episode (N, observations)."""
        starts, most_steps = self._starts(images, self.most_steps, torch.Generator().manual_seed(2**62))
        return self.environment.observe(starts), most_steps

    def test(self) -> Batch:
        """First states that no generation sees; for the end of a run."""
        return self._held_out("test")

    def play(self, target: Any, weights: Weights, starts: Tensor, most_steps: Tensor) -> Tensor:
        """(P, N, 2): sum of rewards and number of steps of every network's episodes from first states (N, values)."""
        returns, steps = rollout(self.environment, target, weights, starts, int(most_steps.max()))
        return torch.stack([returns, steps.to(returns.dtype)], 2)

    def film(self, target: Any, weights: Weights, seed: int) -> Iterator[Scene]:
        """One network's episode, before every step and after the last."""
        starts, _ = self._starts(1, self.environment.MOST_STEPS, torch.Generator().manual_seed(seed))
        for step, total, state, last in film(self.environment, target, weights, starts[0],
                                             self.environment.MOST_STEPS):
            yield step, total, partial(self.environment.sketch, state), last

    def fitness(self, played: Tensor, most_steps: Tensor) -> Tensor:
        """(P, N, 2) → (P,): the mean sum of rewards."""
        return played[..., 0].mean(1)

    accuracy = fitness


def shape(settings: Settings) -> tuple[Sheet, int]:
    """What networks read at a step, and how many outputs they have."""
    own = environment(settings.environment)
    return Sheet((own.OBSERVATIONS,)), own.OUTPUTS


def build(settings: Settings, device: torch.device) -> Control:
    """The task."""
    return Control(settings, device)
