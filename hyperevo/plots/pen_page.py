"""A page on which the pen writes while the matrices that move it light up: one HTML file that needs nothing else."""

import base64
from importlib import resources

import numpy as np
import torch.nn.functional as F
from jinja2 import Environment, StrictUndefined
from torch import Tensor

from hyperevo.dynamic import GATES
from hyperevo.plots.sequences import GATE_COLOURS, GATE_NAMES, PERCENTILE, full_at, lines_of

CELLS = 72
"""Squares along each side of a matrix on the page; a larger matrix has several weights in each."""


def pen_page(drawings: Tensor, changes: Tensor, matrices: Tensor, title: str) -> str:
    """The page of drawings (N, points, 3) in stroke-3 form that a network made.

    changes: how far each row of the gates' matrices moved when a point was drawn, (N, points, gates, hidden).
    matrices: those of the gates, (gates, hidden, hidden). What a weight changed by is its share of its row's change.
    """
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
    """x, y in a drawing's own square of 1, and 1 where a new line begins, of every point."""
    lines = lines_of(drawing)
    places = np.concatenate(lines)
    middle, reach = (places.max(0) + places.min(0)) / 2, max(float(np.ptp(places, axis=0).max()), 1e-9)
    firsts = np.concatenate([np.arange(len(line)) == 0 for line in lines])
    placed = (places - middle) / reach + 0.5
    return [[round(float(x), 4), round(float(y), 4), int(first)] for (x, y), first in zip(placed, firsts, strict=True)]


def _in_gates(values: Tensor) -> np.ndarray:
    """(N, points, gates, …) → bytes, 255 where a gate's colour is full; square roots, so that small changes are
    seen."""
    numbers = values.detach().double().cpu().numpy()
    limits = full_at(np.moveaxis(numbers, (1, 2), (-2, -1))).reshape(-1, *[1] * (numbers.ndim - 3))
    return (np.sqrt(numbers / limits) * 255).clip(0, 255).round().astype(np.uint8)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
