"""Attention of a network that translates, and the change of its weights meanwhile."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.plots._style import FAINT, INK, SMALL, TEXT, frame, new_figure
from hyperevo.plots.sequences import CHANGE, shades, strip_names


def attention_over_a_pair(shares: Tensor, source: Sequence[str], written: Sequence[str], change: Tensor | None = None,
                          label: str = "", reference: str = "") -> Figure:
    """Attention (written, source) of every written symbol to those of the source, and below each the change of the
    weights at that step.

    change: (written, gates), or None where weights do not change.
    """
    gates = 0 if change is None else change.shape[1]
    explained = [f"reference: {reference}"] if reference else []
    explained += [CHANGE] if gates else []
    width, height = 0.42 * len(written) + 2.6, 0.3 * len(source) + 0.3 * gates + 2.6
    figure = new_figure(max(width, 8.0), height, label, "attention of every written sub-word (columns) to the source",
                        "\n".join(explained))
    rows = figure.subplots(2 if gates else 1, 1, squeeze=False,
                           height_ratios=[len(source), 1.1 * gates] if gates else [1])[:, 0]
    for axes in rows:
        frame(axes, FAINT, 0.5)  # first, for it takes ticks away
    image = rows[0].imshow(shares.T.cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    rows[0].set_yticks(np.arange(len(source)), [name.strip() or "·" for name in source], fontsize=TEXT)
    rows[0].set_xticks(np.arange(len(written)), [name.strip() or "·" for name in written], fontsize=TEXT, rotation=50,
                       ha="left", rotation_mode="anchor")
    rows[0].xaxis.tick_top()
    figure.colorbar(image, ax=rows[0], label="share of attention", pad=0.02, fraction=0.05)
    if change is not None:
        rows[1].imshow(shades(change).transpose(1, 0, 2), interpolation="nearest", aspect="auto",
                       extent=(-0.5, len(written) - 0.5, gates, 0))
        rows[1].set_yticks(np.arange(gates) + 0.5, strip_names(gates), fontsize=SMALL, color=INK)
        rows[1].set_xticks([])
        rows[1].set_xlabel("change of each gate's matrix at every written sub-word", fontsize=SMALL, color=FAINT)
    for axes in rows:
        axes.tick_params(length=0)
    return figure
