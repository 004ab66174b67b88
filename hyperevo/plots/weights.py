"""A champion's weights: receptive fields and their development over the rounds, projective fields, readout maps.

Each takes the sheets that the units of a weight matrix lie on, or a `Target`, which knows them: it is asked for the
matrix of the weights' shape, and where several have it, `parameter` says which. Figures raise UserError, in one line,
where that does not settle it.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.components import nearest
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet, near_square
from hyperevo.parts import Target
from hyperevo.plots._style import (
    TEXT,
    added,
    colour_bar,
    in_words,
    new_figure,
    rows_and_columns,
    show_map,
    symmetric_limit,
    tiled,
)


def receptive_fields(weights: Tensor, target: Sheet | Target, source: Sheet | None = None, label: str = "",
                     parameter: str = "", remark: str = "") -> Figure:
    """Weights (target units, source units) as tiles, each one target unit's weights at the unit's place on its sheet.

    target: sheet of the units, with `source`, the sheet they read; or a `Target`. parameter: name of the weights, by
    default the target's for them, or hidden.weight. A convolution's kernels are tiles in rows of input channels and
    columns of output channels. `remark` is appended to the caption of other layers.
    """
    weights = weights.flatten(1)
    target, source, parameter = _placed(weights, target, source, parameter, "hidden.weight")
    if len(source.sizes) == 3:
        caption = (f"columns: {target.units} output channels; rows: {source.sizes[0]} input channels; each tile: "
                   f"a {in_words(source.sizes[1:]).replace('sheet', 'kernel')}")
        return _tiles(*by_channel(weights, target, source), label, "kernels", caption, parameter)
    caption = (f"{target.units} units at their places on a {in_words(target.sizes)}; "
               f"each tile: one unit's weights from the {in_words(source.sizes)} it reads") + added(remark)
    return _tiles(weights, target, source, label, "receptive fields", caption, parameter)


def projective_fields(weights: Tensor, target: Sheet | Target, source: Sheet | None = None, label: str = "",
                      parameter: str = "") -> Figure:
    """Weights (target units, source units) as tiles, each one source unit's outgoing weights at the unit's position on
    its sheet.

    target: sheet of the units, with `source`, the sheet they read; or a `Target`. parameter: name of the weights, by
    default the target's for them, or readout.weight.
    """
    target, source, parameter = _placed(weights, target, source, parameter, "readout.weight")
    caption = (f"{source.units} units at their places on a {in_words(source.sizes)}; "
               f"each tile: one unit's weights to the {in_words(target.sizes)} it writes")
    return _tiles(weights.T, source, target, label, "projective fields", caption, parameter)


def _placed(weights: Tensor, target: Sheet | Target, source: Sheet | None, parameter: str, default: str) \
        -> tuple[Sheet, Sheet, str]:
    """Target sheet, source sheet and name of weights (target units, source units)."""
    if isinstance(target, Target):
        return _found(tuple(weights.shape), target, parameter)
    if source is None:
        raise UserError("source: the sheet that the units read is missing")
    return target, source, parameter or default


def _found(shape: tuple[int, ...], target: Target, parameter: str) -> tuple[Sheet, Sheet, str]:
    """Sheets and name of a target's one matrix of a shape, or of that called `parameter`."""
    known = target.matrices()
    if parameter and parameter not in known:
        raise UserError(f"parameter: {target!r} has no weight matrix {parameter!r}; {nearest(parameter, known)}")
    fitting = [name for name, (rows, columns) in known.items() if (rows.units, columns.units) == shape]
    names = [name for name in fitting if parameter in ("", name)]
    if len(names) > 1:
        raise UserError(f"parameter: {' and '.join(names)} are all of shape {shape}; say which these weights are")
    if not names:
        shapes = ", ".join(f"{name} {(rows.units, columns.units)}" for name, (rows, columns) in known.items())
        called = f" {parameter}" if parameter else ""
        raise UserError(f"weights: {target!r} has no weight matrix{called} of shape {shape}; it has {shapes or 'none'}")
    return *known[names[0]], names[0]


def _tiles(weights: Tensor, outer: Sheet, inner: Sheet, label: str, title: str, caption: str,
           parameter: str) -> Figure:
    """Weights (outer units, inner units), one tile per outer unit; where both lie on lines, tiles are rows."""
    if outer.units == outer.sizes[-1] and 1 < inner.units == inner.sizes[-1]:
        outer, caption = Sheet((outer.units, 1)), f"{caption}; units from above to below"
    picture = tiled(weights, outer, inner)
    width, height = _fit(picture.shape[1] / picture.shape[0], 9.0)
    figure = new_figure(max(width, 7.0) + 1.2, max(height, 2.4) + 1.0, label, title, caption)
    axes = figure.add_subplot()
    image = show_map(axes, picture, symmetric_limit(weights))
    colour_bar(figure, image, axes, parameter)
    return figure


def kernels_side_by_side(kernels: Mapping[str, Tensor], target: Sheet | Target, source: Sheet | None = None,
                         label: str = "", parameter: str = "") -> Figure:
    """Kernels of one convolution in several runs, (output channels, input channels · rows · columns) by run name.

    target: sheet of the output channels, with `source`, (input channels, rows, columns); or a `Target`, with the name
    of the kernels' parameter where several have their shape. Every run has its own colour scale, so that the kernels'
    patterns can be compared and not their sizes.
    """
    kernels = {name: weights.flatten(1) for name, weights in kernels.items()}
    target, source, _ = _placed(next(iter(kernels.values())), target, source, parameter, "")
    figure = new_figure(5.6 * len(kernels), 6.4, label, " and ".join(kernels),
                        f"columns: {target.units} output channels; rows: {source.sizes[0]} input channels; each tile: "
                        f"a {source.sizes[1]} × {source.sizes[2]} kernel")
    for axes, (name, weights) in zip(figure.subplots(1, len(kernels), squeeze=False)[0], kernels.items(), strict=True):
        image = show_map(axes, tiled(*by_channel(weights, target, source)), symmetric_limit(weights))
        axes.set_title(name, fontsize=TEXT)
        colour_bar(figure, image, axes, "weight")
    return figure


def by_channel(weights: Tensor, target: Sheet, source: Sheet) -> tuple[Tensor, Sheet, Sheet]:
    """Split weights from feature maps (channels, rows, columns) by channel: every pair of an input channel and a target
    unit becomes a unit. Returns the weights of the pairs, their sheet (channels, units), and the sheet (rows, columns)
    that each of them reads."""
    channels, *kernel = source.sizes
    pairs = weights.reshape(target.units, channels, -1).transpose(0, 1).flatten(0, 1)
    return pairs, Sheet((channels, target.units)), Sheet(tuple(kernel))


def _fit(aspect: float, longest: float) -> tuple[float, float]:
    """Width and height, in inches, of a picture whose longer side is given; the shorter side is at least 1.5."""
    return (longest, max(longest / aspect, 1.5)) if aspect >= 1 else (max(longest * aspect, 1.5), longest)


def readout_maps(weights: Tensor, hidden: Sheet | Target, class_names: Sequence[str] = (), label: str = "",
                 parameter: str = "") -> Figure:
    """Weights (classes, hidden units) as one map per class on the hidden sheet, in one colour scale.

    hidden: sheet of the hidden units, or a `Target`. parameter: name of the weights, by default the target's for them,
    or readout.weight.
    """
    if isinstance(hidden, Target):
        _, hidden, parameter = _found(tuple(weights.shape), hidden, parameter)
    classes = len(weights)
    columns = min(5, classes)
    rows = ceil(classes / columns)
    maps = _readout_maps(weights, hidden)
    rows_high, columns_wide = maps[0].shape
    tile = 2.0 * min(max(rows_high / columns_wide, 0.3), 2.0)
    figure = new_figure(max(2.0 * columns, 6.0) + 1.2, max(rows * (tile + 0.35), 2.4) + 1.0, label, "readout by class",
                        f"each map: the weights from a {in_words(hidden.sizes)} to one class")
    grid = figure.subplots(rows, columns, squeeze=False)
    limit = symmetric_limit(weights)
    names = list(class_names) or [str(unit) for unit in range(classes)]
    for unit, axes in enumerate(grid.flat):
        if unit >= classes:
            axes.set_axis_off()
            continue
        image = show_map(axes, maps[unit], limit)
        axes.set_title(names[unit], fontsize=TEXT)
    colour_bar(figure, image, list(grid.flat), parameter or "readout.weight")
    return figure


def _readout_maps(weights: Tensor, hidden: Sheet) -> list[Tensor]:
    """One picture per class; feature maps are tiles on a sheet as near to a square as their count allows."""
    if len(hidden.sizes) < 3:
        return list(weights.reshape(len(weights), *rows_and_columns(hidden.sizes)))
    channels, *sizes = hidden.sizes
    return [tiled(own.reshape(channels, -1), near_square(channels), Sheet(tuple(sizes))) for own in weights]


def filmstrip(frames: Sequence[tuple[int, Tensor]], target: Sheet | Target, source: Sheet | None = None,
              label: str = "", parameter: str = "", tiles: int = 4, remark: str = "") -> Figure:
    """The champion's weights (target units, source units) after some rounds, in one colour scale.

    target: sheet of the units, with `source`, the sheet they read; or a `Target`. parameter: name of the weights, by
    default the target's for them, or hidden.weight. Every frame shows the same `tiles` × `tiles` units, spread evenly
    over the target sheet. `remark` is appended to the caption. Raises ValueError where there are no frames.
    """
    if not frames:
        raise ValueError("a filmstrip needs at least one frame")
    frames = [(number, weights.flatten(1)) for number, weights in frames]
    target, source, parameter = _placed(frames[0][1], target, source, parameter, "hidden.weight")
    if len(source.sizes) == 3:
        pairs = [by_channel(weights, target, source) for _, weights in frames]
        frames = [(number, own) for (number, _), (own, _, _) in zip(frames, pairs, strict=True)]
        _, target, source = pairs[0]
    units, shown = _spread(target, tiles)
    rows = ceil(len(frames) / 6)
    columns = ceil(len(frames) / rows)
    pictures = [tiled(weights[units], shown, source) for _, weights in frames]
    height = 2.2 * min(max(pictures[0].shape[0] / pictures[0].shape[1], 0.3), 2.0)
    caption = (f"each frame: {shown.units} of the {target.units} units of the best network so far, spread evenly over "
               f"their sheet; each tile: one unit's weights from the {in_words(source.sizes)} it reads{added(remark)}")
    figure = new_figure(max(2.3 * columns, 10.5) + 1.2, max(rows * (height + 0.35), 2.4) + 1.0, label,
                        "the champion's weights through the rounds", caption)
    grid = figure.subplots(rows, columns, squeeze=False)
    limit = symmetric_limit([weights for _, weights in frames])
    for axes in grid.flat[len(frames):]:
        axes.set_axis_off()
    for (number, _), picture, axes in zip(frames, pictures, grid.flat, strict=False):
        image = show_map(axes, picture, limit)
        axes.set_title(f"round {number}", fontsize=TEXT)
    colour_bar(figure, image, list(grid.flat), parameter)
    return figure


def _spread(sheet: Sheet, tiles: int) -> tuple[Tensor, Sheet]:
    """Indices of units spread evenly over a sheet, at most `tiles` along each side, and the smaller sheet they make."""
    rows, columns = rows_and_columns(sheet.sizes)
    down, right = _middles(rows, tiles), _middles(columns, tiles)
    return (down[:, None] * columns + right[None, :]).flatten(), Sheet((len(down), len(right)))


def _middles(size: int, wanted: int) -> Tensor:
    count = min(size, wanted)
    return (torch.arange(count) * size + size // 2) // count
