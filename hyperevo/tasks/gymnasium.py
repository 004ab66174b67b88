"""gymnasium: networks act in any of its environments, all networks at once; fitness is the mean sum of rewards.

Every generation has fresh seeds of episodes, drawn from (seed, generation) alone, the same for all networks.
"""

import threading
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import TaskSettings
from hyperevo.control import Actors
from hyperevo.errors import UserError
from hyperevo.geometry import Frame, Sheet
from hyperevo.measure import MEAN_RETURN
from hyperevo.modules import Standardise
from hyperevo.parts import NO_GRADIENT, Batch, Scene, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._episodes import Episodes, Picture, World, make, seen, spaces, take
from hyperevo.tasks._workers import Workers
from hyperevo.weights import Weights

HELD_OUT = {"validation": 1, "test": 2}
"""Random streams of seeds that are held out, equal in every run; generations have others."""


class Settings(TaskSettings):
    """Options of the task."""

    name: Literal["gymnasium"] = "gymnasium"
    environment: str = "CartPole-v1"
    """Id of the environment; `module:id` imports the module that registers it."""
    options: dict[str, bool | int | float | str] = {}
    """Keyword arguments of the environment, such as `{continuous = false}`."""
    episodes: int = Field(4, ge=1)
    """Number of episodes of every network in a generation."""
    most_steps: int | None = Field(None, ge=1)
    """Largest number of steps of an episode in a generation; by default the environment's own."""
    patience: int | None = Field(None, ge=1)
    """Number of steps without a positive reward after which an episode of a generation ends; by default none."""
    repeat: int = Field(1, ge=1)
    """Number of steps that every action is kept for; each counts as a step."""
    picture: Picture = "colours"
    """Part of a picture that networks see: all colours, or one plane, its grey values or its saturation."""
    pixels: int | None = Field(None, ge=1)
    """Number of pixels along each side of the square that pictures are scaled to; by default they keep their size."""
    validation: int = Field(20, ge=1)
    """Number of episodes that choose the champion, with the environment's own number of steps; as many others test
    it."""
    workers: int = Field(0, ge=0)
    """Number of worker processes that step the episodes; with 0 the run's own process does."""

    watchable: ClassVar[bool] = True

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (return)"

    def data_set(self) -> str:
        """Name of the environment."""
        return self.environment

    @property
    def world(self) -> World:
        """The environment with its options, and the form of its pictures."""
        return World(self.environment, self.options, self.picture, self.pixels)


class Gymnasium(Task):
    """Seeds of episodes (N,), and the limits of each (N, 2): the largest number of steps, and the patience."""

    settings: Settings

    measure = MEAN_RETURN
    examples = "episodes"
    checksum = "drawn"
    form = "observations"

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.device, self.data_name = settings, torch.device(device), settings.environment
        shape, self.actions, own, self.steps_per_second, shows_bytes = spaces(settings.world)
        self.without_gradient = NO_GRADIENT.format(settings.environment)
        self.inputs, self.outputs = _sheet(shape), _outputs(self.actions)
        if own is None and settings.most_steps is None:
            raise UserError(f"task.most_steps: {settings.environment} does not say when an episode ends; give a number")
        self.own_steps = own or settings.most_steps or 1
        self._bytes = shows_bytes
        self.steps_per_example = settings.most_steps or self.own_steps
        self.validation = self._held_out("validation")
        self._crew = Workers(settings.world, settings.workers) if settings.workers else Episodes(settings.world)
        self._turn = threading.Lock()

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
        return self._shown(Episodes(self.settings.world).reset(seeds.tolist())), limits

    def test(self) -> Batch:
        """Seeds that no generation has; for the end of a run."""
        return self._held_out("test")

    def _shown(self, observations: np.ndarray) -> Tensor:
        """Observations (n, …) as (n, features), bytes as shares of 255."""
        flat = torch.tensor(observations.reshape(len(observations), -1), device=self.device)
        return flat.float().div_(255) if observations.dtype == np.uint8 else flat

    def act(self, outputs: Tensor) -> np.ndarray:
        """Actions (n, …) for outputs (n, classes): the index of the largest output; or, for a box, the outputs' tanh
        scaled to the interval of each value, and the output itself where a value is unbounded."""
        if type(self.actions).__name__ == "Discrete":
            return outputs.argmax(-1).cpu().numpy() + self.actions.start
        outputs = outputs.nan_to_num()  # engines do not survive actions that are no numbers
        low, high = (torch.from_numpy(end.reshape(-1)).to(outputs) for end in (self.actions.low, self.actions.high))
        middle, reach = (low + high) / 2, (high - low) / 2
        actions = torch.where(torch.isfinite(reach), middle + reach * outputs.tanh(), outputs)
        return actions.cpu().numpy().reshape(-1, *self.actions.shape).astype(self.actions.dtype)

    @torch.no_grad()
    def play(self, target: Target, weights: Weights, seeds: Tensor, limits: Tensor) -> Tensor:
        """Outcomes (P, N, 2) of every network's episodes with seeds (N,): sum of rewards and number of steps."""
        most_steps, patience = limits.amax(0).tolist()
        players = Actors(target, weights, len(seeds))
        # Episode n of network p has the number p · N + n.
        with self._turn:
            shown = self._shown(self._crew.reset(seeds.tolist() * weights.population))
            shown = shown.unflatten(0, (weights.population, -1)).clone()
            returns, steps = np.zeros(shown.shape[:2]), np.zeros(shown.shape[:2], int)
            idle, running = np.zeros(shown.shape[:2], int), np.ones(shown.shape[:2], bool)
            for first in range(0, most_steps, self.settings.repeat):
                actions = self.act(players.outputs(shown).flatten(0, 1)).reshape(*shown.shape[:2], *self.actions.shape)
                observations, reward, taken, over = self._crew.step(
                    np.flatnonzero(running).tolist(), actions[running], min(self.settings.repeat, most_steps - first))
                shown[torch.from_numpy(running).to(self.device)] = self._shown(observations)
                returns[running] += reward
                steps[running] += taken
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
        environment, players = make(self.settings.world, "rgb_array"), Actors(target, weights, 1)
        observation, _ = environment.reset(seed=seed)
        total, step, over = 0.0, 0, False
        while not over and step < self.own_steps:
            yield step, total, environment.render, False
            shown = self._shown(seen(self.settings.world, observation)[None])[None]
            action = self.act(players.outputs(shown)[0])[0]
            observation, reward, taken, over = take(environment, action, self.settings.repeat)
            step, total = step + taken, total + reward
        yield step, total, environment.render, True
        environment.close()

    def close(self) -> None:
        """End the episodes, and the processes that step them."""
        self._crew.close()


def _sheet(shape: tuple[int, ...]) -> Sheet:
    return Frame(shape) if len(shape) > 1 else Sheet(shape or (1,))


def _outputs(actions: Any) -> int:
    return int(actions.n) if type(actions).__name__ == "Discrete" else int(np.prod(actions.shape))


def shape(settings: Settings) -> tuple[Sheet, int]:
    """Sheet of the observations, and number of outputs."""
    seen_shape, actions, *_ = spaces(settings.world)
    return _sheet(seen_shape), _outputs(actions)


def build(settings: Settings, device: torch.device) -> Gymnasium:
    """The task."""
    return Gymnasium(settings, device)
