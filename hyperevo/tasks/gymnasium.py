"""gymnasium: networks act in any of its environments, all networks at once; fitness is the mean sum of rewards.

Every generation has fresh seeds of episodes, drawn from (seed, generation) alone, the same for all networks.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.errors import UserError
from hyperevo.geometry import Frame, Sheet
from hyperevo.randomness import generator_for
from hyperevo.tasks._episodes import Episodes, Picture, World, make, seen, spaces, take
from hyperevo.tasks._workers import Workers
from hyperevo.weights import Factored, Weight, Weights

CLASS_NAMES = ()
"""Outputs are what the environment takes for an action."""

HELD_OUT = {"validation": 1, "test": 2}
"""Streams of seeds that are the same in every run; generations have others."""

Batch = tuple[Tensor, Tensor]
Scene = tuple[int, float, Callable[[], np.ndarray], bool]
"""A step, the return until then, a function that draws the picture (H, W, 3), and whether it is the last."""


class Settings(ComponentSettings):
    """Options of the task."""

    name: Literal["gymnasium"] = "gymnasium"
    environment: str = "CartPole-v1"
    """Its id; `module:id` imports the module that registers it."""
    options: dict[str, bool | int | float | str] = {}
    """Keyword arguments of the environment, such as `{continuous = false}`."""
    episodes: int = Field(4, ge=1)
    """Episodes of every network in a generation."""
    most_steps: int | None = Field(None, ge=1)
    """After so many an episode of a generation ends; by default after the environment's own number."""
    patience: int | None = Field(None, ge=1)
    """An episode of a generation ends after so many steps in which no action earned anything."""
    repeat: int = Field(1, ge=1)
    """Steps that an action is kept for; each counts as one."""
    picture: Picture = "colours"
    """What is seen of pictures: all colours, or one plane."""
    pixels: int | None = Field(None, ge=1)
    """Pictures are made squares of so many pixels a side."""
    validation: int = Field(20, ge=1)
    """Episodes of the environment's own number of steps that choose the champion, and as many that test it."""
    workers: int = Field(0, ge=0)
    """Processes that step the episodes; with 0 this one does."""

    @property
    def images(self) -> int:
        """Episodes of every network in a generation."""
        return self.episodes

    @property
    def world(self) -> World:
        """The environment, and what is made of its pictures."""
        return World(self.environment, self.options, self.picture, self.pixels)


class Gymnasium:
    """Seeds of episodes (N,), and of each the most steps and the patience, (N, 2)."""

    measure = "mean return"
    examples = "episodes"
    checksum = "drawn"

    def __init__(self, settings: Settings, device: torch.device | str = "cpu"):
        self.settings, self.device, self.data_name = settings, torch.device(device), settings.environment
        shape, self.actions, own, self.steps_per_second = spaces(settings.world)
        self.inputs, self.classes = _sheet(shape), _outputs(self.actions)
        if own is None and settings.most_steps is None:
            raise UserError(f"task.most_steps: {settings.environment} does not say when an episode ends; give a number")
        self.own_steps = own or settings.most_steps or 1
        self.most_steps = settings.most_steps or self.own_steps
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
        """The seeds of one generation's episodes: a function of the seed and the generation."""
        generator = generator_for(seed, generation)
        return self._seeds(self.settings.episodes, generator, self.most_steps, self.settings.patience)

    def calibration(self, images: int) -> Batch:
        """What networks read at the first step of an episode (N, observations)."""
        seeds, limits = self._seeds(images, torch.Generator().manual_seed(2**62), self.own_steps)
        if not images:
            return torch.empty(0, self.inputs.units, device=self.device), limits
        return self._shown(Episodes(self.settings.world).reset(seeds.tolist())), limits

    def test(self) -> Batch:
        """Seeds that no generation has; for the end of a run."""
        return self._held_out("test")

    def _shown(self, observations: np.ndarray) -> Tensor:
        """Observations (n, …) → (n, features), bytes as shares of 255."""
        flat = torch.tensor(observations.reshape(len(observations), -1), device=self.device)
        return flat.float().div_(255) if observations.dtype == np.uint8 else flat

    def act(self, outputs: Tensor) -> np.ndarray:
        """Actions (n, …) that outputs (n, classes) mean: the largest one's number; or, for a box, tanh of each from its
        lowest to its highest value, and the output itself where it has none."""
        if type(self.actions).__name__ == "Discrete":
            return outputs.argmax(-1).cpu().numpy() + self.actions.start
        outputs = outputs.nan_to_num()  # engines do not survive actions that are no numbers
        low, high = (torch.from_numpy(end.reshape(-1)).to(outputs) for end in (self.actions.low, self.actions.high))
        middle, reach = (low + high) / 2, (high - low) / 2
        actions = torch.where(torch.isfinite(reach), middle + reach * outputs.tanh(), outputs)
        return actions.cpu().numpy().reshape(-1, *self.actions.shape).astype(self.actions.dtype)

    @torch.no_grad()
    def play(self, target: Any, weights: Weights, seeds: Tensor, limits: Tensor) -> Tensor:
        """(P, N, 2): sum of rewards and number of steps of every network's episodes with seeds (N,)."""
        most_steps, patience = limits.amax(0).tolist()
        players = _Players(target, weights, len(seeds))
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
        """(P, N, 2) → (P,): the mean sum of rewards."""
        return played[..., 0].mean(1)

    accuracy = fitness

    @torch.no_grad()
    def film(self, target: Any, weights: Weights, seed: int) -> Iterator[Scene]:
        """One network's episode, before every action and after the last."""
        environment, players = make(self.settings.world, "rgb_array"), _Players(target, weights, 1)
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


class _Players:
    """P networks that act in N episodes each: their weights, and what they remember. Networks whose episodes are over
    rest, and their outputs are 0."""

    def __init__(self, target: Any, weights: Weights, episodes: int):
        self.target, self.weights, self.episodes = target, _ready(weights), episodes
        self.acting = torch.arange(weights.population)
        self.population, self.memory = weights.population, None

    def outputs(self, shown: Tensor) -> Tensor:
        """(P, N, outputs) of those that act for what is shown (P, N, features)."""
        if len(self.acting) < self.population:
            shown = shown[self.acting.to(shown.device)]
        outputs = self._answers(shown)
        if len(self.acting) == self.population:
            return outputs
        return outputs.new_zeros(self.population, *outputs.shape[1:]).index_copy_(
            0, self.acting.to(outputs.device), outputs)

    def _answers(self, shown: Tensor) -> Tensor:
        if hasattr(self.target, "step"):
            if self.memory is None:
                self.memory = self.target.initial(self.population, self.episodes, shown)
            self.memory, outputs = self.target.step(self.weights, self.memory, shown)
            return outputs
        if hasattr(self.target, "own_inputs"):
            return self.target.forward(self.weights, shown)
        return torch.cat([self.target.forward(self.weights.networks(slice(network, network + 1)), own)
                          for network, own in enumerate(shown)])

    def rest(self, acting: np.ndarray) -> None:
        """Leave out networks that have no episode to act in (P,), once they are half of all."""
        kept = torch.from_numpy(acting)[self.acting].nonzero()[:, 0]
        if 2 * len(kept) > len(self.acting):
            return
        self.acting = self.acting[kept]
        self.weights = Weights({name: _chosen(value, kept) for name, value in self.weights.items()})
        self.memory = None if self.memory is None else self.memory[kept]


def _ready(weights: Weights) -> Weights:
    """Weights that every step reads: built once, but for matrices whose factors are much smaller than they."""
    return Weights({name: value if _slim(value) else weights.tensor(name) for name, value in weights.items()})


def _chosen(weight: Weight, networks: Tensor) -> Weight:
    """Of some networks, by number, what `_ready` left."""
    if isinstance(weight, Factored):
        left, right = (factor if factor.dim() == 2 else factor[networks] for factor in (weight.left, weight.right))
        return Factored(left, right, None if weight.core is None else weight.core[networks])
    return weight[networks] if isinstance(weight, Tensor) else weight.dense()[networks]


def _slim(weight: Weight) -> bool:
    if not isinstance(weight, Factored):
        return False
    size = sum(factor.shape[-1] * factor.shape[-2] for factor in (weight.left, weight.right, weight.core)
               if factor is not None)
    return 4 * size < weight.shape[1] * weight.shape[2]


def _sheet(shape: tuple[int, ...]) -> Sheet:
    return Frame(shape) if len(shape) > 1 else Sheet(shape or (1,))


def _outputs(actions: Any) -> int:
    return int(actions.n) if type(actions).__name__ == "Discrete" else int(np.prod(actions.shape))


def shape(settings: Settings) -> tuple[Sheet, int]:
    """What networks read at a step, and how many outputs they have."""
    seen_shape, actions, *_ = spaces(settings.world)
    return _sheet(seen_shape), _outputs(actions)


def build(settings: Settings, device: torch.device) -> Gymnasium:
    """The task."""
    return Gymnasium(settings, device)
