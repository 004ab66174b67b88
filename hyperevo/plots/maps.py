"""Any table of numbers as a map of colours that are centred on zero."""

from math import ceil

import torch
from matplotlib.figure import Figure

from hyperevo.pictures import MapPicture, PanelsPicture
from hyperevo.plots._style import POSITIVE, SMALL, TEXT, colour_bar, new_figure, show_map, symmetric_limit


def number_map(picture: MapPicture, label: str = "") -> Figure:
    """Numbers (rows, columns), red above zero and blue below."""
    rows, columns = picture.values.shape
    aspect = min(max(rows / columns, 0.3), 2.0)
    figure = new_figure(9.4, 7.8 * aspect + 1.4, label, picture.headline)
    axes = figure.add_subplot()
    image = show_map(axes, picture.values, symmetric_limit(picture.values))
    axes.set_ylabel(picture.rows, fontsize=TEXT)
    axes.set_xlabel(picture.columns, fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
    colour_bar(figure, image, axes, "value", "c")
    return figure


def panels(picture: PanelsPicture, label: str = "") -> Figure:
    """Small maps in rows, black the highest value and white the lowest, with a cross at marked places."""
    columns = min(len(picture.panels), 8)
    rows = ceil(len(picture.panels) / columns)
    height, width = picture.panels[0][1].shape
    figure = new_figure(max(1.5 * columns, 7.0), rows * (1.5 * min(height / width, 2.0) + 0.5) + 1.4, label,
                        picture.headline, picture.caption)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(picture.panels):]:
        axes.set_axis_off()
    low, high = (float(bound) for bound in torch.stack([values for _, values, _ in picture.panels]).aminmax())
    for axes, (title, values, mark) in zip(grid.flat, picture.panels, strict=False):
        axes.imshow(values.detach().cpu().numpy(), cmap="Greys", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(title, fontsize=SMALL)
        axes.set_xticks([])
        axes.set_yticks([])
        if mark is not None:
            axes.plot(mark[1], mark[0], "x", color=POSITIVE, markersize=8, markeredgewidth=2)
    return figure
