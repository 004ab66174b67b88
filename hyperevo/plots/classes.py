"""Confusion matrix: how often a champion takes one class for another."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.plots._style import INK, SMALL, TEXT, bare, new_figure

MOST_NUMBERS = 20
"""Largest number of classes whose counts are written into the cells."""


def confusion_matrix(counts: Tensor, class_names: Sequence[str], label: str = "") -> Figure:
    """Counts (classes, classes) of test examples: a row for every class, a column for every answer. A cell's colour is
    its share of the row. Raises ValueError for a table of another shape."""
    if counts.shape != (len(class_names), len(class_names)):
        raise ValueError(f"a table of shape {tuple(counts.shape)} for {len(class_names)} classes")
    shares = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    side, right = 0.45 * min(len(counts), MOST_NUMBERS), float(counts.diagonal().sum() / counts.sum().clamp(min=1))
    figure = new_figure(side + 3.4, side + 2.4, label, f"classes and answers ({right:.1%} right)",
                        "numbers: test examples" if len(counts) <= MOST_NUMBERS else "")
    axes = figure.add_subplot()
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    places = range(len(counts)) if len(counts) <= MOST_NUMBERS else range(0, len(counts), -(-len(counts) // 20))
    turned = 45 if max(map(len, class_names)) > 3 else 0
    axes.set_xticks(places, [class_names[place] for place in places], rotation=turned,
                    ha="right" if turned else "center", rotation_mode="anchor" if turned else "default")
    axes.set_yticks(places, [class_names[place] for place in places])
    axes.set_xlabel("answer", fontsize=TEXT)
    axes.set_ylabel("class", fontsize=TEXT)
    if len(counts) <= MOST_NUMBERS:
        for row, column in counts.nonzero().tolist():
            axes.text(column, row, f"{int(counts[row, column]):,}", ha="center", va="center", fontsize=SMALL,
                      color="white" if shares[row, column] > 0.5 else INK)
    bare(axes)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.015, aspect=30, format="{x:.0%}")
    bar.set_label("share of the class", fontsize=TEXT)
    bar.outline.set_visible(False)
    return figure
