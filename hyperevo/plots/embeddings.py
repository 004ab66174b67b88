"""Embeddings of all generated layers in two dimensions."""

from collections.abc import Mapping

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.plots._style import FAINT, SMALL, TEXT, bare, new_figure

LAYERS = "viridis"
TILES = ("#0072b2", "#d55e00", "#009e73", "#b0559a", "#e69f00", "#56b4e9", "#222222", "#999933")
"""Okabe and Ito's colours, which most colour-blind people can tell apart; later tiles share the last."""


def embedding_map(embeddings: Mapping[str, Tensor], label: str = "") -> Figure:
    """Embeddings (rows of tiles, columns of tiles, N_z) by layer, on their two principal components: coloured by the
    depth of their layer, and by their tile's position in it. Raises ValueError for fewer than three embeddings."""
    every = torch.cat([values.detach().double().cpu().flatten(0, 1) for values in embeddings.values()])
    if len(every) < 3:
        raise ValueError("a map of embeddings needs at least three of them")
    places, shares = principal_components(every)
    figure = new_figure(13.0, 5.6, label, f"{len(every)} embeddings of {len(embeddings)} layers",
                        "each dot: the embedding of one tile of a layer; axes: principal components, with the share of "
                        "the variance that lies along them")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _by_layer(figure, left, places, embeddings)
    _by_tile(right, places, embeddings)
    for axes in (left, right):
        bare(axes)
        axes.set_xlabel(f"first component ({shares[0]:.0%})", fontsize=TEXT)
    left.set_ylabel(f"second component ({shares[1]:.0%})", fontsize=TEXT)
    return figure


def principal_components(values: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Coordinates (N, 2) of values (N, d) on their two principal components, and these components' shares of the
    variance."""
    centred = values - values.mean(0)
    left, sizes, right = torch.linalg.svd(centred, full_matrices=False)
    if len(sizes) < 2:
        left, sizes = torch.cat([left, torch.zeros_like(left)], 1), torch.cat([sizes, torch.zeros_like(sizes)])
    # A component has no sign of its own: its largest loading is taken to be positive.
    signs = torch.ones(2, dtype=values.dtype)
    for component, loading in enumerate(right[:2]):
        signs[component] = 1.0 if loading[loading.abs().argmax()] >= 0 else -1.0
    total = float(sizes.square().sum()) or 1.0
    first, second = (float(size) ** 2 / total for size in sizes[:2])
    return left[:, :2] * sizes[:2] * signs, (first, second)


def _by_layer(figure: Figure, axes, places: Tensor, embeddings: Mapping[str, Tensor]) -> None:
    depth = torch.cat([torch.full((values[..., 0].numel(),), float(layer))
                       for layer, values in enumerate(embeddings.values(), start=1)])
    dots = axes.scatter(*places.T, c=depth, cmap=matplotlib.colormaps[LAYERS], s=26, edgecolor="white", linewidth=0.4)
    axes.set_title("by layer", fontsize=TEXT)
    bar = figure.colorbar(dots, ax=axes, fraction=0.04, pad=0.015, aspect=30)
    bar.set_label("generated layer, from the inputs on", fontsize=SMALL, color=FAINT)


def _by_tile(axes, places: Tensor, embeddings: Mapping[str, Tensor]) -> None:
    tiles = [(row, column) for values in embeddings.values() for row in range(values.shape[0])
             for column in range(values.shape[1])]
    kinds = sorted(set(tiles), key=lambda tile: (sum(tile), tile))
    for number, kind in enumerate(kinds):
        chosen = torch.tensor([tile == kind for tile in tiles])
        named = number < len(TILES) - 1 or len(kinds) == len(TILES)
        axes.scatter(*places[chosen].T, color=TILES[min(number, len(TILES) - 1)], s=26, edgecolor="white",
                     linewidth=0.4, label=f"row {kind[0] + 1}, column {kind[1] + 1}" if named else None)
    if len(kinds) > len(TILES):
        axes.scatter([], [], color=TILES[-1], s=26, label="further tiles")
    axes.set_title("by place of the tile in its layer", fontsize=TEXT)
    axes.legend(fontsize=SMALL, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
