"""Films of a network at work in its environment, and strips of their pictures."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from hyperevo.abilities import Filmed
from hyperevo.control import Sketch
from hyperevo.errors import UserError, reason
from hyperevo.parts import Target
from hyperevo.plots._style import FAINT, GAP, INK, POSITIVE, TEXT, frame, new_figure
from hyperevo.runs.files import whole
from hyperevo.weights import Weights

SHADES = {"ground": GAP, "body": INK, "moved": POSITIVE}
WIDTH, BAR = 480, 26
"""Width of a film and height of the line of text below it, in pixels; both even, as encoders of video need it."""
FINENESS = 2
"""Pixels of a drawn sketch per pixel of the picture, along both axes."""
PER_SECOND = 25
MOST_STEPS = 2000
"""Steps after which a film of an episode ends."""
CHANNELS = ((), (1,), (3,), (4,))
"""Last axes of a drawing."""
STRIP = 9
"""Pictures in a strip."""


class Shot(NamedTuple):
    """A picture of an episode after `step` steps, and the sum of rewards until then."""

    step: int
    total: float
    picture: Image.Image


def shots(task: Filmed, target: Target, weights: Weights, seed: int) -> Iterator[Shot]:
    """Shots of one network's episode for a film at about the environment's own speed: one every few steps, and one at
    the end."""
    every, wanted = max(round(task.steps_per_second / PER_SECOND), 1), 0
    for step, total, look, last in task.film(target, weights, seed):
        last = last or step >= MOST_STEPS
        if step >= wanted or last:
            yield Shot(step, total, picture(look()))
            wanted += every
        if last:
            return


def spread_shots(task: Filmed, target: Target, weights: Weights, seed: int) -> list[Shot]:
    """Shots of one network's episode for a strip, at equal intervals, and one at the end. The interval doubles as the
    episode goes on, for its length is not known beforehand."""
    kept: list[Shot] = []
    every = 1
    for number, (step, total, look, last) in enumerate(task.film(target, weights, seed)):
        last = last or step >= MOST_STEPS
        if number % every == 0 or last:
            kept.append(Shot(step, total, picture(look())))
        if last:
            break
        if len(kept) == 4 * STRIP:
            kept, every = kept[::2], 2 * every
    return kept


def picture(scene: Sketch | np.ndarray) -> Image.Image:
    """Picture of an environment's own drawing (H, W, 3), or of its sketch, no wider than a film. Raises UserError for
    anything else."""
    drawn = _sketched(scene) if isinstance(scene, Sketch) else _photograph(scene)
    width = max(min(WIDTH, drawn.width // 2 * 2), 2)
    return drawn.resize((width, max(round(drawn.height * width / drawn.width / 2), 1) * 2), Image.Resampling.BOX)


def _photograph(scene: Any) -> Image.Image:
    """A drawing (H, W, 3), or with one channel, or with opacity as a fourth."""
    pixels = np.asarray(scene)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size or pixels.shape[2:] not in CHANNELS:
        raise UserError(f"the environment draws an array of shape {pixels.shape} and type {pixels.dtype}, and no "
                        "picture (H, W, 3) of bytes")
    flat = pixels.reshape(pixels.shape[:2]) if pixels.shape[2:] == (1,) else pixels
    return Image.fromarray(np.ascontiguousarray(flat)).convert("RGB")


def _sketched(sketch: Sketch) -> Image.Image:
    (left, bottom), (right, top) = sketch.lowest, sketch.highest
    scale = FINENESS * WIDTH / (right - left)
    image = Image.new("RGB", (FINENESS * WIDTH, round(scale * (top - bottom))), "white")
    draw = ImageDraw.Draw(image)
    for stroke in sketch.strokes:
        points, half = [((x - left) * scale, (top - y) * scale) for x, y in stroke.points], stroke.width * scale / 2
        draw.line(points, SHADES[stroke.shade], max(round(2 * half), 1), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - half, y - half, x + half, y + half), SHADES[stroke.shade])
    return image


def _titled(shot: Shot, label: str) -> Image.Image:
    """A shot's picture above a line of text: its step, its return and a label."""
    image = Image.new("RGB", (shot.picture.width, shot.picture.height + BAR), "white")
    image.paste(shot.picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    place = shot.picture.height + BAR / 2
    draw.text((6, place), f"step {shot.step}, return {shot.total:.1f}", INK, font, "lm")
    draw.text((image.width - 6, place), label, FAINT, font, "rm")
    return image


def save_film(film: Sequence[Shot], path: Path, label: str = "") -> None:
    """Write an animated GIF, or with ffmpeg an MP4, whole or not at all; the last picture stays for a second."""
    images = (_titled(shot, label) for shot in film)
    try:
        with whole(path) as temporary:
            if path.suffix == ".mp4":
                if code := _write_mp4(temporary, images):
                    raise UserError(f"{path}: ffmpeg failed with exit code {code}")
                return
            # A palette of 128 colours for each picture keeps a film of 500 pictures below a few megabytes.
            first, *others = (image.quantize(128, Image.Quantize.FASTOCTREE) for image in images)
            first.save(temporary, "GIF", save_all=True, append_images=others, loop=0, comment=b"hyperevo",
                       duration=[1000 // PER_SECOND] * len(others) + [1000])
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from error


def check_film(path: Path) -> None:
    """Raise UserError where a film of that name cannot be written here."""
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"--out {path}: is neither a .gif nor a .mp4")
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise UserError(f"--out {path}: needs ffmpeg, which is not on the PATH; a .gif needs nothing")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: its folder does not exist")


def _write_mp4(path: Path, images: Iterator[Image.Image]) -> int:
    """Write images as an MP4 by ffmpeg, and return its exit code."""
    first = next(images)
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s",
               f"{first.width}x{first.height}", "-r", str(PER_SECOND), "-i", "-", "-pix_fmt", "yuv420p", "-f", "mp4",
               str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for image in (first, *images):
            process.stdin.write(image.tobytes())
    return process.returncode


def frame_strip(film: Sequence[Shot], label: str = "") -> Figure:
    """Pictures of an episode in rows, evenly spread from its beginning to its end."""
    places = sorted({round(place) for place in np.linspace(0, len(film) - 1, STRIP)})
    width, height = film[0].picture.size
    columns = _columns(len(places), height / width)
    rows = -(-len(places) // columns)
    figure = new_figure(max(2.9 * columns + 0.3, 6.0), (2.9 * height / width + 0.6) * rows + 0.9, label,
                        "the champion at work", f"one episode of {film[-1].step} steps")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(places):]:
        axes.set_axis_off()
    for axes, place in zip(grid.flat, places, strict=False):
        axes.imshow(np.asarray(film[place].picture))
        axes.set_title(f"step {film[place].step}\nreturn {film[place].total:.1f}", fontsize=TEXT, color=INK)
        frame(axes, FAINT, 0.5)
    return figure


def _columns(pictures: int, aspect: float) -> int:
    """Number of columns, of pictures so many times as high as wide, with which the figure is near to 8 by 5 and has few
    empty places."""
    def fault(columns: int) -> float:
        rows = -(-pictures // columns)
        return abs(np.log(columns / (rows * (aspect + 0.25)) * 5 / 8)) + 0.2 * (rows * columns - pictures)

    return min(range(1, min(pictures, 5) + 1), key=fault)
