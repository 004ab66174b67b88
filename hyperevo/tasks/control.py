"""Control: networks act in an environment, the whole population at once; fitness is the mean sum of rewards, or

    f = 0.1 t / T + 0.9 (0.75 / Σ (|x| + |x'| + |θ₁| + |θ₁'|) where t ≥ 100, else 0)

for two poles that an episode of at most T steps keeps up for t: the sum, over the last 100 of them, keeps networks from
balancing by shaking (Gruau, Whitley & Pyeatt 1996).

Every generation starts from the same fresh states, drawn from (seed, generation) alone.
"""

from collections.abc import Iterator
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from hyperevo.abilities import Experience, Scene
from hyperevo.components import TaskSettings, nearest
from hyperevo.control import (
    LAST,
    environment,
    environment_names,
    explore,
    film,
    log_likelihoods,
    rollout,
    wobbling_rollout,
)
from hyperevo.devices import resident
from hyperevo.geometry import Sheet
from hyperevo.measure import MEAN_RETURN
from hyperevo.parts import NO_GRADIENT, Batch, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.weights import Weights

HELD_OUT = {"validation": 1, "test": 2}
"""Random streams of first states that are held out, equal in every run; generations have others."""


class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["control"] = "control"
    environment: str = "cartpole"
    """Name of the environment, a file of `hyperevo.control`."""
    fitness: Literal["return", "damped"] = "return"
    """Mean sum of rewards (return), or, for two poles, a fitness that also rewards standing still (damped; Gruau et al.
    1996)."""
    episodes: int = Field(4, ge=1, le=1_000_000)
    """Number of episodes of every network in a generation."""
    most_steps: int | None = Field(None, ge=1)
    """Largest number of steps of an episode in a generation; by default the environment's own."""
    validation: int = Field(20, ge=1, le=1_000_000)
    """Number of episodes that choose the champion, with the environment's own number of steps; as many others test it,
    unless the environment has starts of its own for that."""

    watchable: ClassVar[bool] = True

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return f"fitness ({self.fitness})"

    def data_set(self) -> str:
        """Name of the environment."""
        return self.environment

    @field_validator("environment")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in environment_names():
            raise ValueError(f"no environment called {name!r}; {nearest(name, environment_names())}")
        return name

    @model_validator(mode="after")
    def _can_be_damped(self) -> "Settings":
        if self.fitness == "damped" and environment(self.environment).wobble is None:
            able = [name for name in environment_names() if environment(name).wobble is not None]
            raise ValueError(f"fitness='damped' is for {', '.join(able)}, not {self.environment}")
        return self


class Control(Task):
    """First states (N, values), and the largest number of steps (N,) of an episode from each."""

    settings: Settings

    measure = MEAN_RETURN
    examples = "episodes"
    checksum = "drawn"
    form = "observations"
    steps_per_second = 30.0
    """Steps a second in a film."""

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.environment = settings, environment(settings.environment)
        self.device, self.data_name = torch.device(device), settings.environment
        self.inputs, self.outputs = shape(settings)
        self.without_gradient = f"{NO_GRADIENT.format(settings.environment)}, or policy-gradient"
        self.steps_per_example = settings.most_steps or self.environment.MOST_STEPS
        self.validation = self._held_out("validation")

    def _starts(self, episodes: int, most_steps: int, generator: torch.Generator) -> Batch:
        return self._lasting(self.environment.reset(episodes, generator), most_steps)

    def _lasting(self, starts: Tensor, most_steps: int) -> Batch:
        return resident(starts, self.device), torch.full((len(starts),), most_steps, device=self.device)

    def _held_out(self, part: str) -> Batch:
        generator = torch.Generator().manual_seed(2**62 + HELD_OUT[part])
        return self._starts(self.settings.validation, self.environment.MOST_STEPS, generator)

    def batch(self, seed: int, generation: int) -> Batch:
        """First states of one generation: a function of the seed and the generation."""
        generator = generator_for(seed, generation)
        return self._starts(self.settings.episodes, self.steps_per_example, generator)

    def calibration(self, examples: int) -> Batch:
        """Observations (examples, observations) of first states, and the largest numbers of steps."""
        starts, most_steps = self._starts(examples, self.steps_per_example, torch.Generator().manual_seed(2**62))
        return self.environment.observe(starts), most_steps

    def test(self) -> Batch:
        """First states that no generation sees; for the end of a run."""
        if self.environment.generalisation_starts is not None:
            return self._lasting(self.environment.generalisation_starts(), self.environment.GENERALISATION_STEPS)
        return self._held_out("test")

    def play(self, target: Target, weights: Weights, starts: Tensor, most_steps: Tensor) -> Tensor:
        """Outcomes (P, N, 2) of every network's episodes from first states (N, values): sum of rewards and number of
        steps; (P, N, 3) for fitness damped, with the sum of the last wobbles."""
        play = wobbling_rollout if self.settings.fitness == "damped" else rollout
        played = play(self.environment, target, weights, starts, int(most_steps.max()))
        return torch.stack([part.to(starts.dtype) for part in played], 2)

    def explore(self, target: Target, weights: Weights, starts: Tensor, most_steps: Tensor,
                generator: torch.Generator) -> Experience:
        """Experience of every network, with actions drawn from its outputs, from first states (N, values)."""
        return explore(self.environment, target, weights, starts, int(most_steps.max()), generator)

    def log_likelihoods(self, target: Target, weights: Weights, experience: Experience) -> Tensor:
        """Logarithm (P, T, N) of the probability, or density, of every choice; differentiable in the weights."""
        return log_likelihoods(self.environment, target, weights, experience)

    def film(self, target: Target, weights: Weights, seed: int) -> Iterator[Scene]:
        """One network's episode, before every step and after the last."""
        starts, _ = self._starts(1, self.environment.MOST_STEPS, torch.Generator().manual_seed(seed))
        for step, total, state, last in film(self.environment, target, weights, starts[0],
                                             self.environment.MOST_STEPS):
            yield step, total, partial(self.environment.sketch, state), last

    def fitness(self, played: Tensor, most_steps: Tensor) -> Tensor:
        """Fitness (P,) of outcomes (P, N, 2 or 3): the mean sum of rewards, or the mean f."""
        if self.settings.fitness == "return":
            return self.score(played, most_steps)
        _, steps, wobbles = played.unbind(-1)
        still = torch.where(steps >= LAST, 0.75 / wobbles, 0.0)
        return (0.1 * steps / most_steps + 0.9 * still).mean(1)

    def score(self, played: Tensor, most_steps: Tensor) -> Tensor:
        """Score (P,) of outcomes (P, N, 2 or 3): the mean sum of rewards."""
        return played[..., 0].mean(1)

    def describe(self, target: Target, networks: Weights) -> dict[str, float]:
        """Number of the environment's further starts from which one network (P = 1) does not fail; empty where there
        are none."""
        return {"generalisation": int(self.generalisation(target, networks)[0])} \
            if self.environment.generalisation_starts is not None else {}

    def generalisation(self, target: Target, weights: Weights) -> Tensor:
        """Number (P,) of the environment's further starts from which a network lasts for all steps."""
        starts, most_steps = self.test()
        return (self.play(target, weights, starts, most_steps)[..., 1] >= most_steps).sum(1)


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the observations, and number of outputs."""
    own = environment(settings.environment)
    return Sheet((own.OBSERVATIONS,)), own.OUTPUTS


def build(settings: Settings, device: torch.device) -> Control:
    """The task."""
    return Control(settings, device)
