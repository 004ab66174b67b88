"""Episodes of gymnasium's environments: made, seen, stepped. Nothing here needs torch: worker processes import it."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from PIL import Image

from hyperevo.errors import RunFailed, UserError

Picture = Literal["colours", "grey", "saturation"]
Stepped = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Results of an action in n episodes: observations (n, …), and (n,) rewards, steps taken, and bools that say who is
done."""


@dataclass(frozen=True)
class World:
    """An environment, by its name and options, and the form of its pictures: colours or one plane, and pixels along a
    side."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    picture: Picture = "colours"
    pixels: int | None = None


def make(world: World, render_mode: str | None = None) -> Any:
    """The environment; raises UserError, with gymnasium's reason in one line, where gymnasium cannot make it."""
    if render_mode is not None:
        # SDL looks for a screen before it draws into memory, and complains in its own words where there is none.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    try:
        with warnings.catch_warnings():
            # Box2D's types warn when they are imported, and where warnings are errors the interpreter crashes at that.
            warnings.simplefilter("ignore", DeprecationWarning)
            import gymnasium
            return gymnasium.make(_specified(world.name), render_mode=render_mode, disable_env_checker=True,
                                  **world.options)
    except Exception as error:  # gymnasium's own errors, and whatever an environment raises at its options
        raise UserError(f"task.environment: {world.name}: {' '.join(str(error).split()) or repr(error)}") from error


def _specified(name: str) -> Any:
    """Specification for `gymnasium.make`: the name, or a registration that draws the same pictures faster."""
    import gymnasium
    registered = gymnasium.registry.get(name)
    if registered is None or registered.entry_point != "gymnasium.envs.box2d.car_racing:CarRacing":
        return name
    return replace(registered, entry_point="hyperevo.tasks._car_racing:QuickCarRacing")


def seen(world: World, observation: np.ndarray) -> np.ndarray:
    """Observation as a network reads it: a picture (H, W, 3) of bytes becomes (3, H, W) in colours and (H, W) in one
    plane, everything else float32."""
    if observation.dtype != np.uint8 or observation.ndim < 2:
        return observation.astype(np.float32)
    if observation.ndim == 2 or observation.shape[2] == 1:
        return np.asarray(_resized(Image.fromarray(observation.reshape(observation.shape[:2])), world.pixels))
    picture = Image.fromarray(np.ascontiguousarray(observation))
    if world.picture == "colours":
        return np.asarray(_resized(picture, world.pixels)).transpose(2, 0, 1)
    plane = picture.convert("L") if world.picture == "grey" else picture.convert("HSV").getchannel(1)
    return np.asarray(_resized(plane, world.pixels))


def _resized(picture: Image.Image, pixels: int | None) -> Image.Image:
    """The picture as a square of `pixels` along a side, each the mean of what it covers; unchanged where None."""
    return picture if pixels is None else picture.resize((pixels, pixels), Image.Resampling.BOX)


class Glimpsed:
    """An environment that draws its picture only when it is asked for."""

    unseen = False
    """True where the picture after the coming step is not wanted; the observation is None then."""

    def look(self) -> np.ndarray:
        """Current picture (H, W, 3)."""
        raise NotImplementedError


class Episodes:
    """Episodes side by side, by number. Each has an environment of its own, made for it and closed when it is over, so
    that it depends on nothing but its seed and its actions: none begins by itself where another ended."""

    def __init__(self, world: World):
        self.world = world
        self._running: dict[int, Any] = {}

    def reset(self, seeds: Sequence[int], numbers: Sequence[int] | None = None) -> np.ndarray:
        """Begin episodes with these seeds in place of all others; returns their first observations (n, …)."""
        self.close()
        self._running = {number: make(self.world) for number in (range(len(seeds)) if numbers is None else numbers)}
        return np.stack([seen(self.world, environment.reset(seed=int(seed))[0])
                         for environment, seed in zip(self._running.values(), seeds, strict=True)])

    def step(self, numbers: Sequence[int], actions: np.ndarray, times: int) -> Stepped:
        """Take each episode's action `times` times, or until the episode is over. Episodes that are left out end.
        Raises RunFailed where an environment fails."""
        for number in self._running.keys() - set(numbers):
            self._running.pop(number).close()
        try:
            stepped = [take(self._running[number], action, times)
                       for number, action in zip(numbers, actions, strict=True)]
        except Exception as error:
            raise RunFailed(f"{self.world.name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
        observations, rewards, taken, over = zip(*stepped, strict=True)
        return (np.stack([seen(self.world, observation) for observation in observations]), np.array(rewards),
                np.array(taken), np.array(over))

    def close(self) -> None:
        """End all episodes."""
        while self._running:
            self._running.popitem()[1].close()


def take(environment: Any, action: Any, times: int) -> tuple[np.ndarray, float, int, bool]:
    """Take an action `times` times, or until the episode is over: the last observation, the sum of rewards, the steps
    taken, and whether it is over."""
    reward, drawn = 0.0, environment.unwrapped
    for step in range(1, times + 1):
        if isinstance(drawn, Glimpsed):
            drawn.unseen = step < times
        observation, more, terminated, truncated, _ = environment.step(action)
        reward += float(more)
        if terminated or truncated:
            break
    if observation is None and isinstance(drawn, Glimpsed):
        observation = drawn.look()
    return observation, reward, step, bool(terminated or truncated)


def spaces(world: World) -> tuple[tuple[int, ...], Any, int | None, float, bool]:
    """(shape of an observation, action space, most steps of an episode, steps a second of a film, True for bytes) of an
    environment. Raises UserError where networks cannot read its observations or give its actions, or where picture
    options are set without pictures."""
    environment = make(world)
    observations, actions = environment.observation_space, environment.action_space
    steps = None if environment.spec is None else environment.spec.max_episode_steps
    speed = float(environment.metadata.get("render_fps") or 30)
    environment.close()
    if type(observations).__name__ != "Box":
        raise UserError(f"task.environment: {world.name} shows {observations}; networks read a Box only")
    if type(actions).__name__ not in ("Box", "Discrete"):
        raise UserError(f"task.environment: {world.name} takes {actions}; networks answer a Box or a Discrete only")
    pictures = observations.dtype == np.uint8 and len(observations.shape) in (2, 3)
    for key, changed in (("picture", world.picture != "colours"), ("pixels", world.pixels is not None)):
        if changed and not pictures:
            raise UserError(f"task.{key}: {world.name} shows no pictures, but {observations}")
    shown = seen(world, np.zeros(observations.shape, observations.dtype))
    return shown.shape, actions, steps, speed, shown.dtype == np.uint8

