"""Spaces of gymnasium: values that networks read of an observation, and actions put together from their parts.

Nothing here needs torch, for worker processes import it, nor gymnasium: its spaces are known by the names of their
classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Literal

import numpy as np
from PIL import Image

from hyperevo.errors import shortened, shown

Picture = Literal["colours", "grey", "saturation"]

NESTED = ("Dict", "Tuple")
SIMPLE = ("Box", "Discrete", "MultiBinary", "MultiDiscrete")
KINDS = f"{', '.join(SIMPLE[:-1])} or {SIMPLE[-1]}, and {' or '.join(NESTED)} of these"

MOST_VALUES = 2**20
"""Most values of a one-hot observation, and most outputs of a network."""


class WrongValue(Exception):
    """A value of an environment that its spaces, or gymnasium's interface, do not allow. Its message is a verb and what
    follows it."""


class NotANumber(WrongValue):
    """An observation with a NaN in it."""

    def __init__(self) -> None:
        super().__init__("showed a value that is not a number")


def kind(space: Any) -> str:
    """Name of gymnasium's own class that a space belongs to, such as Box."""
    own = [base.__name__ for base in type(space).__mro__ if base.__module__.startswith("gymnasium.spaces.")]
    return own[0] if own else type(space).__name__


def _parts(space: Any) -> list[tuple[Any, Any]]:
    """(key, space) of every part of a Dict or a Tuple."""
    return list(space.spaces.items()) if kind(space) == "Dict" else list(enumerate(space.spaces))


# Actions


def leaves(space: Any) -> list[Any]:
    """Spaces that are no Dict or Tuple, in the order of their parts: the space itself, or those below it."""
    if kind(space) not in NESTED:
        return [space]
    return [leaf for _, part in _parts(space) for leaf in leaves(part)]


def width(leaf: Any) -> int:
    """Number of outputs that a network has for an action of a space that is no Dict or Tuple."""
    match kind(leaf):
        case "Discrete":
            return int(leaf.n)
        case "MultiDiscrete":
            return sum(leaf.nvec.ravel().tolist())
    return prod(leaf.shape)


def check_answerable(space: Any) -> None:
    """Raise WrongValue where networks cannot answer with actions of a space."""
    own = leaves(space)
    if not all(kind(leaf) in SIMPLE for leaf in own):
        raise WrongValue(f"takes {shortened(space)}; networks answer {KINDS}")
    outputs = sum(map(width, own))
    if not 1 <= outputs <= MOST_VALUES:
        raise WrongValue(f"takes {shortened(space)}, for which a network needs {outputs:,} outputs; allowed: 1 to "
                         f"{MOST_VALUES:,}")


def assembled(space: Any, values: Iterator[Any]) -> Any:
    """Action of a space from the values of its leaves, in order."""
    if kind(space) == "Dict":
        return {key: assembled(part, values) for key, part in _parts(space)}
    if kind(space) == "Tuple":
        return tuple([assembled(part, values) for _, part in _parts(space)])
    value = next(values)
    return np.asarray(value) if kind(space) == "Box" else value  # of a Box without axes it is none yet


# Observations


@dataclass(frozen=True)
class Reading:
    """Networks' view of an observation.

    read: function from an observation to an array of `shape`, of bytes or of float32; raises WrongValue. channels: of
    every picture in the observation, their number. in_bytes: whether the array is one of bytes, a picture.
    """

    read: Callable[[Any], np.ndarray]
    shape: tuple[int, ...]
    channels: tuple[int, ...] = ()
    in_bytes: bool = False


def reading(space: Any, picture: Picture = "colours", pixels: int | None = None) -> Reading:
    """Reading of a space's observations. A picture is bytes (C, H, W), or (H, W) where it has one channel; numbers of a
    Box are float32 as they are; a choice out of n is n values, a 1 among zeros; a Dict's or a Tuple's parts follow one
    another on a line. Raises WrongValue for other spaces."""
    match kind(space):
        case "Box" if _is_picture(space):
            return _picture_reading(space, picture, pixels)
        case "Box" | "MultiBinary":
            found = Reading(partial(_numbers, space), space.shape)
        case "Discrete":
            found = _one_hot_reading(space, np.array([space.n]), np.array([space.start]))
        case "MultiDiscrete":
            found = _one_hot_reading(space, space.nvec.ravel(), space.start.ravel())
        case "Dict" | "Tuple":
            found = _joined_reading(space, {key: reading(part, picture, pixels) for key, part in _parts(space)})
        case _:
            raise WrongValue(f"shows {shortened(space)}; networks read {KINDS}")
    if not prod(found.shape):
        raise WrongValue(f"shows {shortened(space)}, in which there is nothing to read")
    return found


def _array(space: Any, value: Any) -> np.ndarray:
    """Numbers of a space's shape."""
    values = np.asarray(value)
    if values.shape != space.shape or values.dtype.kind not in "biuf":
        raise WrongValue(f"showed {_described(values)}, and its space is {shortened(space)}")
    if values.dtype.kind == "f" and np.count_nonzero(np.isnan(values)):
        raise NotANumber
    return values


def _described(values: np.ndarray) -> str:
    return f"an array of shape {values.shape} and type {values.dtype}"


def _numbers(space: Any, value: Any) -> np.ndarray:
    return _array(space, value).astype(np.float32)


def _one_hot_reading(space: Any, sizes: np.ndarray, starts: np.ndarray) -> Reading:
    total = sum(sizes.tolist())
    if total > MOST_VALUES:
        raise WrongValue(f"shows {shortened(space)}, one of {total:,} values; at most {MOST_VALUES:,} are read")
    first = np.cumsum(sizes) - sizes

    def read(value: Any) -> np.ndarray:
        places = np.asarray(value)
        if places.dtype.kind not in "iu" or places.shape != space.shape:
            raise WrongValue(f"showed {_described(places)}, and its space is {shortened(space)}")
        places = places.ravel() - starts
        if (places < 0).any() or (places >= sizes).any():
            raise WrongValue(f"showed {shown(value)}, and its space is {shortened(space)}")
        hot = np.zeros(total, np.float32)
        hot[first + places] = 1
        return hot

    return Reading(read, (total,))


def _joined_reading(space: Any, own: Mapping[Any, Reading]) -> Reading:
    named = kind(space) == "Dict"

    def read(value: Any) -> np.ndarray:
        fits = isinstance(value, Mapping) and own.keys() <= value.keys() if named else \
            isinstance(value, tuple | list) and len(value) == len(own)
        if not fits:
            raise WrongValue(f"showed {shown(value)}, and its space is {shortened(space)}")
        return np.concatenate([as_shares(one.read(value[key])).ravel() for key, one in own.items()])

    sizes = [prod(one.shape) for one in own.values()]
    return Reading(read, (sum(sizes),), sum((one.channels for one in own.values()), ()))


def as_shares(values: np.ndarray) -> np.ndarray:
    """Bytes as float32 shares of 255; other values as they are."""
    return values.astype(np.float32) / np.float32(255) if values.dtype == np.uint8 else values


# Pictures


def _is_picture(space: Any) -> bool:
    """True for a Box of pictures: bytes or truth values with two or three axes, or one, three or four channels of
    numbers from 0 to 1 or to 255."""
    if len(space.shape) not in (2, 3) or not prod(space.shape):
        return False
    if space.dtype == np.uint8 or space.dtype.kind == "b":
        return True
    return (len(space.shape) == 3 and space.shape[_channel_axis(space.shape)] in (1, 3, 4)
            and bool((space.low == 0).all()) and any((space.high == most).all() for most in (1, 255)))


def _channel_axis(shape: tuple[int, ...]) -> int:
    """Axis of the channels, first or last: the one with 1 or 3 units, or beside a square, or the shorter one; the last
    where nothing tells."""
    first, middle, last = shape
    for is_first, is_last in ((first in (1, 3), last in (1, 3)), (middle == last, first == middle)):
        if is_first != is_last:
            return 0 if is_first else 2
    return 0 if first < last else 2


def _picture_reading(space: Any, picture: Picture, pixels: int | None) -> Reading:
    axis = _channel_axis(space.shape) if len(space.shape) == 3 else None
    channels = 1 if axis is None else space.shape[axis]
    # Shares, and the 0 and 1 of boards, have the whole range of bytes; bytes are what they are.
    factor = 255 if (space.high == 1).all() else None if space.dtype == np.uint8 else 1

    def read(value: Any) -> np.ndarray:
        values = _as_bytes(space, factor, _array(space, value))
        planes = values[:, :, None] if axis is None else np.moveaxis(values, axis, 2)
        return drawn(planes, picture, pixels)

    sides = [size for place, size in enumerate(space.shape) if place != axis] if pixels is None else [pixels, pixels]
    planes = channels if picture == "colours" else 1
    return Reading(read, (*([planes] if planes > 1 else []), *sides), (channels,), True)


def _as_bytes(space: Any, factor: int | None, values: np.ndarray) -> np.ndarray:
    if factor is not None:
        return np.rint(values * np.float32(factor)).clip(0, 255).astype(np.uint8)
    if values.dtype != np.uint8:
        raise WrongValue(f"showed {_described(values)}, and its space is {shortened(space)}")
    return values


def drawn(picture: np.ndarray, wanted: Picture, pixels: int | None) -> np.ndarray:
    """A picture (H, W, C) of bytes as networks read it: (C, H, W) in colours, or (H, W) in one plane. `pixels` is the
    side of a square that it is resized to."""
    channels = picture.shape[2]
    if channels != 3:
        planes = [_resized(Image.fromarray(np.ascontiguousarray(picture[:, :, place])), pixels)
                  for place in range(channels)]
        return np.stack(planes) if channels > 1 else planes[0]
    image = Image.fromarray(np.ascontiguousarray(picture))
    if wanted == "colours":
        return _resized(image, pixels).transpose(2, 0, 1)
    return _resized(image.convert("L") if wanted == "grey" else image.convert("HSV").getchannel(1), pixels)


def _resized(picture: Image.Image, pixels: int | None) -> np.ndarray:
    """The picture as a square of so many pixels a side, each the mean of what it covers."""
    return np.asarray(picture if pixels is None else picture.resize((pixels, pixels), Image.Resampling.BOX))
