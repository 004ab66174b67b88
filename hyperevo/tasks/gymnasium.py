"""gymnasium: networks act in any of its environments, all networks at once; fitness is the mean sum of rewards.

Every generation has fresh seeds of episodes, drawn from (seed, generation) alone, the same for all networks.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from hyperevo.abilities import Scene
from hyperevo.components import TaskSettings
from hyperevo.control import Actors
from hyperevo.errors import RunFailed, UserError
from hyperevo.geometry import Frame, Sheet
from hyperevo.guests import CodeName, name_in
from hyperevo.measure import MEAN_RETURN
from hyperevo.modules import Standardise
from hyperevo.parts import NO_GRADIENT, Batch, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._actions import actions_of
from hyperevo.tasks._episodes import Episode, Episodes, World, facts, registering
from hyperevo.tasks._spaces import Picture, leaves, width
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

HELD_OUT = {"validation": 1, "test": 2}
"""Random streams of seeds that are held out, equal in every run; generations have others."""

SOME = 8
"""Networks that act side by side: their steps take longer than the networks' answers, and workers share them well."""
FEW = 2
"""Networks that do so where they see pictures, which take milliseconds to draw."""


class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["gymnasium"] = "gymnasium"
    environment: str = "CartPole-v1"
    """Id of the environment; before it and a colon the module or file that registers it, as in `mine:MyEnv-v0` or
    `mine.py:MyEnv-v0`."""
    options: dict[str, bool | int | float | str] = {}
    """Keyword arguments of the environment, such as `{continuous = false}`."""
    episodes: int = Field(4, ge=1, le=1_000_000)
    """Number of episodes of every network in a generation."""
    most_steps: int | None = Field(None, ge=1)
    """Largest number of steps of an episode in a generation; by default the environment's own."""
    patience: int | None = Field(None, ge=1)
    """Number of steps without a positive reward after which an episode of a generation ends; by default none."""
    repeat: int = Field(1, ge=1)
    """Number of steps that every action is kept for; each counts as a step."""
    picture: Picture = "colours"
    """Part of a picture that networks see: all channels, or one plane of three, its grey values or its saturation."""
    pixels: int | None = Field(None, ge=1, le=4096)
    """Number of pixels along each side of the square that pictures are scaled to; by default they keep their size."""
    validation: int = Field(20, ge=1, le=1_000_000)
    """Number of episodes that choose the champion, with the environment's own number of steps; as many others test
    it."""
    workers: int = Field(0, ge=0, le=1024)
    """Number of worker processes of a run, each of which evaluates a few networks at a time; with 0 the run's own
    process does. `run --workers` has them for every task."""

    watchable: ClassVar[bool] = True

    @field_validator("environment")
    @classmethod
    def _with_its_code(cls, environment: str, info: ValidationInfo) -> str:
        if ":" not in environment:
            return environment
        try:
            named = name_in(environment, info.context)
        except UserError as error:
            raise ValueError(str(error)) from error
        named.source = replace(named.source, around=registering)
        return named

    def code(self) -> tuple[CodeName, ...]:
        """Code that registers the environment."""
        return (self.environment,) if isinstance(self.environment, CodeName) else ()

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (return)"

    def data_set(self) -> str:
        """Name of the environment."""
        return self.environment

    def worker_processes(self) -> int:
        """Number of worker processes that evaluate a run's networks."""
        return self.workers

    @property
    def world(self) -> World:
        """The environment with its options and code, and the form of its pictures."""
        source = self.environment.source if isinstance(self.environment, CodeName) else None
        return World(str(self.environment), self.options, self.picture, self.pixels, source)


class Gymnasium(Task):
    """Seeds of episodes (N,), and the limits of each (N, 2): the largest number of steps, and the patience."""

    settings: Settings

    measure = MEAN_RETURN
    examples = "episodes"
    checksum = "drawn"
    form = "observations"

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.device, self.data_name = settings, torch.device(device), settings.environment
        own = facts(settings.world)
        self.without_gradient = NO_GRADIENT.format(settings.environment)
        self.inputs, self.outputs = _sheet(own.shape), _outputs(own.actions)
        if own.most_steps is None and settings.most_steps is None:
            raise UserError(f"task.most_steps: {settings.environment} does not say when an episode ends; give a number")
        self.own_steps = own.most_steps or settings.most_steps or 1
        self.actions, self.steps_per_second, self._bytes = own.actions, own.steps_per_second, own.in_bytes
        self.steps_per_example = settings.most_steps or self.own_steps
        self.validation = self._held_out("validation")
        self.act_together = FEW if own.in_bytes else SOME
        self._episodes, self._at = Episodes(settings.world, self._count), (0, 0, 0)
        self._turn, self._noted = threading.Lock(), False

    def _count(self, seed: int, step: int) -> None:
        self._at = self._at[0] + 1, seed, step

    def calls(self) -> tuple[int, str]:
        """Number of calls of environments so far, and a phrase on the last one."""
        calls, seed, step = self._at
        return calls, f"{self.data_name}: {f'step {step}' if step else 'reset'} (episode with seed {seed})"

    def _seeds(self, episodes: int, generator: torch.Generator, most_steps: int, patience: int | None = None) -> Batch:
        limits = torch.tensor([most_steps, patience or most_steps])
        return torch.randint(2**31 - 1, (episodes,), generator=generator), limits.expand(episodes, 2)

    def _held_out(self, part: str) -> Batch:
        generator = torch.Generator().manual_seed(2**62 + HELD_OUT[part])
        return self._seeds(self.settings.validation, generator, self.own_steps)

    def batch(self, seed: int, generation: int) -> Batch:
        """Seeds of one generation's episodes: a function of the seed and the generation."""
        generator = generator_for(seed, generation)
        return self._seeds(self.settings.episodes, generator, self.steps_per_example, self.settings.patience)

    def calibration(self, examples: int) -> Batch:
        """Observations (examples, features) at the first step of episodes, and the limits."""
        seeds, limits = self._seeds(examples, torch.Generator().manual_seed(2**62), self.own_steps)
        if not examples:
            return torch.empty(0, self.inputs.units, device=self.device), limits
        episodes = Episodes(self.settings.world)
        shown = self._shown(episodes.reset(seeds.tolist()))
        episodes.close()
        return shown, limits

    def test(self) -> Batch:
        """Seeds that no generation has; for the end of a run."""
        return self._held_out("test")

    def _shown(self, observations: np.ndarray) -> Tensor:
        """Observations (n, …) as (n, features), bytes as shares of 255."""
        flat = torch.tensor(observations.reshape(len(observations), -1), device=self.device)
        return flat.float().div_(255) if observations.dtype == np.uint8 else flat

    def act(self, outputs: Tensor) -> list[np.ndarray]:
        """Actions for outputs (n, outputs), an array (n, …) for each leaf of the space."""
        return actions_of(self.actions, outputs)

    @torch.no_grad()
    def play(self, target: Target, weights: Weights, seeds: Tensor, limits: Tensor) -> Tensor:
        """Outcomes (P, N, 2) of every network's episodes with seeds (N,): sum of rewards and number of steps."""
        most_steps, patience = limits.amax(0).tolist()
        players = Actors(target, weights, len(seeds))
        # Episode n of network p has the number p · N + n.
        with self._turn:
            shown = self._shown(self._episodes.reset(seeds.tolist() * weights.population))
            shown = shown.unflatten(0, (weights.population, -1)).clone()
            returns, steps = np.zeros(shown.shape[:2]), np.zeros(shown.shape[:2], int)
            idle, running = np.zeros(shown.shape[:2], int), np.ones(shown.shape[:2], bool)
            for first in range(0, most_steps, self.settings.repeat):
                actions = [part[running.ravel()] for part in self.act(players.outputs(shown).flatten(0, 1))]
                observations, reward, taken, over = self._episodes.step(
                    np.flatnonzero(running).tolist(), actions, min(self.settings.repeat, most_steps - first))
                shown[torch.from_numpy(running).to(self.device)] = self._shown(observations)
                returns[running] += reward
                steps[running] += taken
                self._note(seeds, running, reward, steps)
                idle[running] = np.where(reward > 0, 0, idle[running] + taken)
                running[running] = ~over & (idle[running] < patience)
                if not running.any():
                    break
                players.rest(np.any(running, 1))
        return torch.from_numpy(np.stack([returns, steps], 2)).float()

    def fitness(self, played: Tensor, limits: Tensor) -> Tensor:
        """Fitness (P,) of outcomes (P, N, 2): the mean sum of rewards."""
        return played[..., 0].mean(1)

    def score(self, played: Tensor, limits: Tensor) -> Tensor:
        """Score (P,) of outcomes (P, N, 2): the mean sum of rewards."""
        return self.fitness(played, limits)

    def preprocessing(self) -> Standardise | None:
        """Bytes of pictures to shares of 255."""
        return Standardise(255.0) if self._bytes else None

    @torch.no_grad()
    def film(self, target: Target, weights: Weights, seed: int) -> Iterator[Scene]:
        """One network's episode, before every action and after the last."""
        episode, players = Episode(self.settings.world, seed, "rgb_array"), Actors(target, weights, 1)
        try:
            observation, total, step, over = episode.reset(), 0.0, 0, False
            while not over and step < self.own_steps:
                yield step, total, episode.picture, False
                outputs = players.outputs(self._shown(observation[None])[None])[0]
                observation, reward, taken, over = episode.step([part[0] for part in self.act(outputs)],
                                                                self.settings.repeat)
                step, total = step + taken, total + reward
            yield step, total, episode.picture, True
        finally:
            with suppress(RunFailed):  # all has been seen
                episode.close()

    def _note(self, seeds: Tensor, running: np.ndarray, reward: np.ndarray, steps: np.ndarray) -> None:
        """Say once that a network counts as worst, and why."""
        wrong = np.isnan(reward)
        if self._noted or not wrong.any():
            return
        self._noted = True
        network, episode = np.argwhere(running)[wrong][0]
        log.warning("%s: step %d gave a reward or an observation that is not a number (episode with seed %d); networks "
                    "in whose episodes that happens count as worst", self.data_name, steps[network, episode],
                    seeds[episode])

    def close(self) -> None:
        """End the episodes."""
        try:
            self._episodes.close()
        except RunFailed as error:  # what was to be had of them is there
            log.warning("%s", error)


def _sheet(shape: tuple[int, ...]) -> Sheet:
    return Frame(shape) if len(shape) > 1 else Sheet(shape or (1,))


def _outputs(actions: Any) -> int:
    return sum(map(width, leaves(actions)))


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the observations, and number of outputs."""
    own = facts(settings.world)
    return _sheet(own.shape), _outputs(own.actions)


def build(settings: Settings, device: torch.device) -> Gymnasium:
    """The task."""
    return Gymnasium(settings, device)
