"""Episodes of gymnasium's environments: made, seen, stepped. Nothing here needs torch: worker processes import it."""

import importlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np

from hyperevo.components import nearest
from hyperevo.errors import RunFailed, UserError, shortened, shown
from hyperevo.guests import Source
from hyperevo.tasks._spaces import (
    NESTED,
    NotANumber,
    Picture,
    Reading,
    WrongValue,
    assembled,
    check_answerable,
    kind,
    reading,
)

Stepped = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Results of an action in n episodes: observations (n, …), and (n,) rewards, steps taken, and bools that say who is
done."""

Note = Callable[[int, int], object]
"""Function of an episode's seed and step."""


@dataclass(frozen=True)
class World:
    """An environment, by its name and options, and the form of its pictures: colours or one plane, and pixels along a
    side.

    name: its id in gymnasium, and before it and a colon the module that registers it, whose code is `source`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    picture: Picture = "colours"
    pixels: int | None = None
    source: Source | None = None


def make(world: World, render_mode: str | None = None) -> Any:
    """The environment; raises UserError, with gymnasium's reason in one line, where gymnasium cannot make it."""
    if render_mode is not None:
        # SDL looks for a screen before it draws into memory, and complains in its own words where there is none.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    import gymnasium
    try:
        with warnings.catch_warnings():
            # Box2D's types warn when they are imported, and where warnings are errors the interpreter crashes at that.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", ".*render_mode")  # who cannot draw is told when a picture is wanted
            # Not every environment takes a mode.
            drawn: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
            return gymnasium.make(_specified(world), disable_env_checker=True, **drawn, **world.options)
    except UserError:  # of the code that registers it
        raise
    except gymnasium.error.Error as error:
        raise UserError(f"task.environment: {world.name}: {str(error).strip() or repr(error)}") from error
    except (Exception, SystemExit) as error:  # whatever an environment raises at its options
        raise UserError(f"task.environment: {world.name}: {_raised(error).removeprefix('raised ')}") from error


def _specified(world: World) -> Any:
    """Specification or id for `gymnasium.make`; a registration that draws the same pictures faster, if there is one."""
    import gymnasium
    name = world.name.rpartition(":")[2]
    known = gymnasium.registry if world.source is None else _registered_by(world.source)
    if name not in known and known is not gymnasium.registry:
        others = nearest(name, known) if known else "nothing is"
        raise UserError(f"task.environment: {world.name} is not registered there; {others}")
    registered = known.get(name)
    if registered is None:
        return name
    if registered.entry_point == "gymnasium.envs.box2d.car_racing:CarRacing":
        return replace(registered, entry_point="hyperevo.tasks._car_racing:QuickCarRacing")
    return registered


_REGISTERED: dict[tuple[str, str], Mapping[str, Any]] = {}
"""Specifications by id that code registered, by its path and SHA-256: another version of it may register others."""


def _registered_by(source: Source) -> Mapping[str, Any]:
    """Specifications by id that code registers; that of an installed package may be any of gymnasium's."""
    import gymnasium
    source.load()
    return gymnasium.registry if source.installed else _REGISTERED[_key(source)]


def _key(source: Source) -> tuple[str, str]:
    return str(source.file.resolve()), source.sha256


@contextmanager
def registering(source: Source) -> Iterator[Callable[[ModuleType], object]]:
    """Context in which code runs that registers environments; its function notes which, and imports what they name:
    gymnasium would look for that in Python's own places."""
    import gymnasium
    before = dict(gymnasium.registry)

    def note(module: ModuleType) -> None:
        own = {name: spec for name, spec in gymnasium.registry.items() if spec is not before.get(name)}
        for spec in own.values():
            spec.entry_point = _entry(spec.entry_point, module, source)
        _REGISTERED[_key(source)] = own

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Overriding environment", UserWarning)
        yield note


def _entry(entry: Any, module: ModuleType, source: Source) -> Any:
    """Object that an entry point names, `module:name`; the name itself if it cannot be imported, which gymnasium says
    when the environment is made."""
    if not isinstance(entry, str):
        return entry
    where, _, name = entry.partition(":")
    if source.is_file and where == source.file.stem and name in vars(module):
        return vars(module)[name]
    try:
        return vars(importlib.import_module(where))[name]
    except (ImportError, KeyError):
        return entry


class Glimpsed:
    """An environment that draws its picture only when it is asked for."""

    unseen = False
    """True where the picture after the coming step is not wanted; the observation is None then."""

    def look(self) -> np.ndarray:
        """Current picture (H, W, 3)."""
        raise NotImplementedError


class Episode:
    """One episode: an environment of its own, from the reset with a seed until it is closed.

    It depends on nothing but its seed and its actions. Whatever its environment does wrong is a RunFailed, in one line
    with the environment's name, what it did, and the seed.

    note: told the seed and the step before each call of the environment; step 0 is what comes before the first.
    """

    def __init__(self, world: World, seed: int, render_mode: str | None = None, note: Note = lambda *_: None):
        self.world, self.seed, self.steps, self._note = world, seed, 0, note
        note(seed, 0)
        self.environment = make(world, render_mode)
        unwrapped = self.environment.unwrapped
        self._glimpsed = unwrapped if isinstance(unwrapped, Glimpsed) else None
        self._reading = reading(self.environment.observation_space, world.picture, world.pixels)
        space = self.environment.action_space
        # Nearly always the one value is the action.
        self._actions = space if kind(space) in NESTED or space.shape == () and kind(space) == "Box" else None

    def reset(self) -> np.ndarray:
        """First observation, as networks read it."""
        self._note(self.seed, 0)
        try:
            given = self.environment.reset(seed=self.seed)
            if not isinstance(given, tuple) or len(given) != 2:
                raise WrongValue(f"returned {_outline(given)}, not (observation, info)")
            return self._reading.read(given[0])
        except (Exception, SystemExit) as error:
            raise self._fault("reset", error) from error

    def step(self, action: Sequence[Any], times: int) -> tuple[np.ndarray, float, int, bool]:
        """Take an action, a value for each leaf of its space, `times` times or until the episode is over: the last
        observation as networks read it, the sum of rewards, the steps taken, and whether it is over.

        A reward or an observation that is not a number ends the episode, and the sum is then NaN.
        """
        total, taken, over = 0.0, 0, False
        try:
            own = action[0] if self._actions is None else assembled(self._actions, iter(action))
            while taken < times and not over:
                taken += 1
                self._note(self.seed, self.steps + taken)
                if self._glimpsed is not None:
                    self._glimpsed.unseen = taken < times
                observation, reward, over = _outcome(self.environment.step(own))
                total += reward
                over = over or math.isnan(total)
            observed = self._read(observation)
            if observed is None and not over:
                total, over = math.nan, True
        except (Exception, SystemExit) as error:
            raise self._fault(f"step {self.steps + taken}", error) from error
        self.steps += taken
        return self._nothing() if observed is None else observed, total, taken, over

    def _read(self, observation: Any) -> np.ndarray | None:
        """Observation as networks read it; None where there is a NaN in it."""
        if observation is None and self._glimpsed is not None:
            observation = self._glimpsed.look()
        with suppress(NotANumber):
            return self._reading.read(observation)
        return None

    def _nothing(self) -> np.ndarray:
        return np.zeros(self._reading.shape, np.uint8 if self._reading.in_bytes else np.float32)

    def picture(self) -> Any:
        """Picture of now; raises UserError where the environment draws none."""
        try:
            drawn = self.environment.render()
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.world.name}: render {_raised(error)}") from error
        if drawn is None:
            raise UserError(f"{self.world.name}: render draws nothing")
        return drawn

    def close(self) -> None:
        """End the episode."""
        self._note(self.seed, self.steps + 1)
        try:
            self.environment.close()
        except (Exception, SystemExit) as error:
            raise self._fault("close", error) from error

    def _fault(self, did: str, error: BaseException) -> RunFailed:
        return RunFailed(f"{self.world.name}: {did} {_raised(error)} (episode with seed {self.seed})")


def _raised(error: BaseException) -> str:
    return str(error) if isinstance(error, WrongValue) else \
        shortened(f"raised {type(error).__name__}: {error}").removesuffix(":")


def _outline(given: Any) -> str:
    """Kind of a returned value."""
    name = type(given).__name__
    return f"{len(given)} values" if isinstance(given, tuple) else f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _outcome(given: Any) -> tuple[Any, float, bool]:
    """Observation, reward, and whether the episode is over, of what a step returned."""
    if not isinstance(given, tuple) or len(given) != 5:
        raise WrongValue(f"returned {_outline(given)}, not (observation, reward, terminated, truncated, info)")
    observation, reward, terminated, truncated, _ = given
    over = bool(_scalar("terminated", terminated)) | bool(_scalar("truncated", truncated))
    return observation, _scalar("reward", reward), over


def _scalar(name: str, value: Any) -> float:
    if isinstance(value, float | int):  # as nearly always
        return float(value)
    values = np.asarray(value)
    if values.size != 1 or values.dtype.kind not in "biuf":
        raise WrongValue(f"returned {name} = {shown(value)}, not a {'number' if name == 'reward' else 'truth value'}")
    return float(values.item())


class Episodes:
    """Episodes side by side, by number. Each has an environment of its own, made for it and closed when it is over, so
    that none begins by itself where another ended. note: that of `Episode`."""

    def __init__(self, world: World, note: Note = lambda *_: None):
        self.world, self._note = world, note
        self._running: dict[int, Episode] = {}

    def reset(self, seeds: Sequence[int], numbers: Sequence[int] | None = None) -> np.ndarray:
        """Begin episodes with these seeds in place of all others; returns their first observations (n, …)."""
        self.close()
        for number, seed in zip(range(len(seeds)) if numbers is None else numbers, seeds, strict=True):
            self._running[number] = Episode(self.world, int(seed), note=self._note)
        return np.stack([episode.reset() for episode in self._running.values()])

    def step(self, numbers: Sequence[int], actions: Sequence[np.ndarray], times: int) -> Stepped:
        """Take each episode's action, of which every array (n, …) holds a part, `times` times, or until the episode is
        over. Episodes that are left out end. Raises RunFailed where an environment fails."""
        for number in self._running.keys() - set(numbers):
            self._running.pop(number).close()
        stepped = [self._running[number].step(action, times)
                   for number, *action in zip(numbers, *actions, strict=True)]
        observations, rewards, taken, over = zip(*stepped, strict=True)
        return np.stack(observations), np.array(rewards), np.array(taken), np.array(over)

    def close(self) -> None:
        """End all episodes; raises RunFailed, when all are closed, where one's environment could not be."""
        faults = []
        while self._running:
            try:
                self._running.popitem()[1].close()
            except RunFailed as error:
                faults.append(error)
        if faults:
            raise faults[0]


USUAL_SPEED = 30.0
"""Steps a second of environments that do not say."""


@dataclass(frozen=True)
class Facts:
    """Sizes and limits of an environment.

    shape: of an observation as networks read it. in_bytes: True for pictures. actions: their space. most_steps: largest
    number of steps of an episode; None where nobody says. steps_per_second: of a film.
    """

    shape: tuple[int, ...]
    in_bytes: bool
    actions: Any
    most_steps: int | None
    steps_per_second: float


def facts(world: World) -> Facts:
    """Facts about an environment. Raises UserError where networks cannot read its observations or give its actions, or
    where picture options are set without pictures."""
    environment = make(world)
    try:
        observations, actions = environment.observation_space, environment.action_space
        own = reading(observations, world.picture, world.pixels)
        check_answerable(actions)
        steps = None if environment.spec is None else environment.spec.max_episode_steps
        speed = environment.metadata.get("render_fps")
    except (Exception, SystemExit) as error:  # whatever its properties raise
        raise UserError(f"task.environment: {world.name} {_raised(error)}") from error
    try:
        environment.close()
    except (Exception, SystemExit) as error:
        raise UserError(f"task.environment: {world.name}: close {_raised(error)}") from error
    _check_pictures(world, own, observations)
    is_speed = isinstance(speed, int | float) and 0 < speed < math.inf
    return Facts(own.shape, own.in_bytes, actions, steps, float(speed) if is_speed else USUAL_SPEED)


def _check_pictures(world: World, own: Reading, space: Any) -> None:
    for key, changed in (("picture", world.picture != "colours"), ("pixels", world.pixels is not None)):
        if changed and not own.channels:
            raise UserError(f"task.{key}: {world.name} shows no pictures, but {shortened(space)}")
    for channels in own.channels:
        if world.picture != "colours" and channels != 3 and (world.picture, channels) != ("grey", 1):
            raise UserError(f"task.picture: {world.picture} is made of three channels, and {world.name} shows pictures "
                            f"with {channels}")
