"""Any table of numbers as a map of colours that are centred on zero."""

from matplotlib.figure import Figure

from hyperevo.pictures import MapPicture
from hyperevo.plots._style import SMALL, TEXT, colour_bar, new_figure, show_map, symmetric_limit


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
