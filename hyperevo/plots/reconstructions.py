"""An autoencoder's reconstructions of images that it has never seen."""

from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.plots._style import FAINT, TEXT, frame, new_figure, rows_and_columns


def reconstructions(seen: Tensor, restored: Tensor, whole: Tensor, sheet: Sheet, label: str = "") -> Figure:
    """Images (N, pixels) in [0, 1], one column each: with missing pixels as the network sees them, as it restores them,
    and whole."""
    figure = new_figure(1.0 * len(seen) + 1.2, 3.9, label, "test images restored")
    grid = figure.subplots(3, len(seen), squeeze=False)
    for row, (name, images) in enumerate((("seen", seen), ("restored", restored), ("whole", whole))):
        grid[row, 0].set_ylabel(name, fontsize=TEXT)
        for axes, image in zip(grid[row], images, strict=True):
            axes.imshow(image.detach().cpu().reshape(rows_and_columns(sheet.sizes)).numpy(), cmap="gray_r", vmin=0,
                        vmax=1, interpolation="nearest")
            frame(axes, FAINT, 0.5)
    return figure
