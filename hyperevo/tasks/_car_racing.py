"""CarRacing-v3 with the same pixels for a fraction of the time. Nearly all time of a step in gymnasium goes into
drawing: 700 pieces of grass and road, of which some 40 are in the window, and pictures that nobody looks at."""

from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD, WINDOW_H, WINDOW_W, CarRacing

from hyperevo.tasks._episodes import Glimpsed

FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
GRASS = [[(GRASS_DIM * (x + 1), GRASS_DIM * y), (GRASS_DIM * x, GRASS_DIM * y), (GRASS_DIM * x, GRASS_DIM * (y + 1)),
          (GRASS_DIM * (x + 1), GRASS_DIM * (y + 1))] for x in range(-20, 20, 2) for y in range(-20, 20, 2)]

Circles = tuple[np.ndarray, np.ndarray]
"""Centres (M, 2) and radii (M,)."""


class QuickCarRacing(Glimpsed, CarRacing):
    """CarRacing that returns no picture where it is told that a step is `unseen`."""

    _pieces: tuple[Circles, Circles] | None = None
    """Bounding circles of the pieces of grass, and of the pieces of road."""

    def reset(self, **options: Any) -> Any:
        """Begin an episode on a new road; arguments and results are those of CarRacing."""
        self._pieces, self.unseen = None, False
        return super().reset(**options)

    def close(self) -> None:
        """Close the environment and destroy its bodies; CarRacing leaves them in its world, 80 kB an episode."""
        self._destroy()
        super().close()

    def look(self) -> np.ndarray:
        """Picture after the last step."""
        return super()._render("state_pixels")

    def _render(self, mode: str) -> Any:
        return None if self.unseen and mode == "state_pixels" else super()._render(mode)

    def _render_road(self, zoom: float, translation: Any, angle: float) -> None:
        self._draw_colored_polygon(self.surf, FIELD, self.bg_color, zoom, translation, angle, clip=False)
        if self._pieces is None:
            self._pieces = _around(GRASS), _around([piece for piece, _ in self.road_poly])
        grass, road = (_in_window(circles, zoom, translation, angle) for circles in self._pieces)
        for place in grass:
            self._draw_colored_polygon(self.surf, GRASS[place], self.grass_color, zoom, translation, angle)
        for place in road:
            piece, colour = self.road_poly[place]
            self._draw_colored_polygon(self.surf, piece, [int(part) for part in colour], zoom, translation, angle)


def _around(pieces: Any) -> Circles:
    """Bounding circles of pieces with four corners (x, y) each."""
    corners = np.array(pieces)
    centres = corners.mean(1)
    return centres, np.linalg.norm(corners - centres[:, None], axis=2).max(1)


def _in_window(circles: Circles, zoom: float, translation: Any, angle: float) -> np.ndarray:
    """Indices of the circles that reach into the window, or nearly so."""
    centres, radii = circles
    sine, cosine = np.sin(angle), np.cos(angle)
    x = (cosine * centres[:, 0] - sine * centres[:, 1]) * zoom + translation[0]
    y = (sine * centres[:, 0] + cosine * centres[:, 1]) * zoom + translation[1]
    reach = radii * zoom + 2
    return np.flatnonzero((x > -reach) & (x < WINDOW_W + reach) & (y > -reach) & (y < WINDOW_H + reach))
