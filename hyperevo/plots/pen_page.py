"""Animated page of a network's drawings beside the changes of its matrices, in one self-contained HTML file."""

import base64
from importlib import resources

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from hyperevo.dynamic import GATES
from hyperevo.plots.sequences import GATE_COLOURS, GATE_NAMES, PERCENTILE, full_at, lines_of

CELLS = 72
"""Most squares along a side of a matrix on the page; a square of a larger matrix is the mean of several weights."""


def pen_page(drawings: Tensor, changes: Tensor, matrices: Tensor, title: str) -> str:
    """The page of drawings (N, points, 3) in stroke-3 form that a network made.

    changes: distances (N, points, gates, hidden) that the rows of the gates' matrices moved at every point.
    matrices: the gates' (gates, hidden, hidden). A weight's change is its share of its row's change.
    """
    from jinja2 import Environment, StrictUndefined  # for this page alone

    template = resources.files("hyperevo.plots").joinpath("pen_page.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    gates = matrices.shape[0]
    cells = min(CELLS, matrices.shape[1])
    rows = F.adaptive_avg_pool1d(changes.abs().flatten(0, 2), cells).unflatten(0, changes.shape[:3])
    shares = matrices.abs() / matrices.norm(dim=2, keepdim=True).clamp(min=1e-12)
    names = [f"{GATE_NAMES[gate]} gate" for gate in GATES] if gates > 1 else ["hidden weights"]
    content = {
        "points": [_placed(drawing) for drawing in drawings], "cells": cells, "steps": changes.shape[1],
        "rows": _packed(_in_gates(rows)), "strips": _packed(_in_gates(changes.norm(dim=3)[..., None])),
        "shares": _packed(_in_gates(F.adaptive_avg_pool2d(shares, cells)[None, None])),
        "gates": [{"name": name, "symbol": symbol, "colour": _channels(colour)} for name, symbol, colour
                  in zip(names, GATES if gates > 1 else [""], GATE_COLOURS, strict=False)]}
    return environment.from_string(template).render(title=title, content=content, percentile=PERCENTILE)


def _placed(drawing: Tensor) -> list[list[float]]:
    """Points of a drawing: x and y in the drawing's own square of side 1, and 1 where a new line begins, else 0."""
    lines = lines_of(drawing)
    places = np.concatenate(lines)
    middle, reach = (places.max(0) + places.min(0)) / 2, max(float(np.ptp(places, axis=0).max()), 1e-9)
    firsts = np.concatenate([np.arange(len(line)) == 0 for line in lines])
    placed = (places - middle) / reach + 0.5
    return [[round(float(x), 4), round(float(y), 4), int(first)] for (x, y), first in zip(placed, firsts, strict=True)]


def _in_gates(values: Tensor) -> np.ndarray:
    """Changes (N, points, gates, …) as bytes, 255 where a gate's colour is full; on a square-root scale, so that small
    changes are visible."""
    numbers = values.detach().double().cpu().numpy()
    limits = full_at(np.moveaxis(numbers, (1, 2), (-2, -1))).reshape(-1, *[1] * (numbers.ndim - 3))
    return (np.sqrt(numbers / limits) * 255).clip(0, 255).round().astype(np.uint8)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
