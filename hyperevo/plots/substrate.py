"""ES-HyperNEAT: the pattern that a CPPN paints over the substrate, and the nodes and connections found in it."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from hyperevo.pictures import FoundNetworkPicture, Link, Place
from hyperevo.plots._style import (
    DIVERGING,
    FAINT,
    GAP,
    INK,
    NEGATIVE,
    POSITIVE,
    SMALL,
    TEXT,
    colour_bar,
    frame,
    new_figure,
    symmetric_limit,
)

PAINTER = "#f0e442"
"""Colour of the hidden node whose weights are painted."""

DRAWN = 1500
"""Most connections in a picture, the strongest: more would be a grey cloud."""

KINDS = {"input": ("s", "#009e73", 80), "bias": ("D", "#e69f00", 60), "hidden node": ("o", "white", 34),
         "output": ("^", "#b0559a", 110)}
"""Marker, colour and size of a node."""


def found_network(found: FoundNetworkPicture, label: str = "") -> Figure:
    """A network on its substrate of two axes: in the middle all nodes and connections; left and right of it the weights
    painted from one input and from one hidden node to every place, with the connections found there."""
    links, nodes, paintings = found.links, found.nodes, found.paintings
    expressed = any(len(values) > 1 for _, values in paintings.values())
    figure = new_figure(6.2 + 5.2 * len(paintings), 6.8, label,
                        f"the network found in the CPPN ({len(nodes['hidden node'])} hidden nodes, {len(links)} "
                        "connections)", _caption(expressed, links))
    grid = figure.subplots(1, 1 + len(paintings), width_ratios=[1.0, *[1.35] * (len(paintings) > 0),
                                                                *[1.0] * (len(paintings) - 1)], squeeze=False)[0]
    middle = min(1, len(paintings))
    _draw_network(grid[middle], links, nodes)
    limit = symmetric_limit([values[0] for _, values in paintings.values()])
    sides = [axes for index, axes in enumerate(grid) if index != middle]
    for axes, (name, (place, values)) in zip(sides, paintings.items(), strict=True):
        axes.imshow(values[0].numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit, extent=(-1, 1, -1, 1), origin="lower")
        if len(values) > 1:
            axes.imshow(torch.where(values[1] > 0, torch.nan, 0.5).numpy(), cmap="gray", vmin=0, vmax=1, alpha=0.6,
                        extent=(-1, 1, -1, 1), origin="lower")
        _draw_painter(axes, name, place, links)
    if sides:
        colour_bar(figure, sides[-1].images[0], sides[-1], "weight from the marked node to each point")
    return figure


def _caption(expressed: bool, links: Sequence[Link]) -> str:
    return ", ".join(["red: weights above zero", "blue: below",
                      *["grey: no connection is expressed"] * expressed,
                      *[f"the {DRAWN} strongest connections are drawn"] * (len(links) > DRAWN)])


def _draw_network(axes: Axes, links: Sequence[Link], nodes: Mapping[str, Tensor]) -> None:
    links = links[-DRAWN:]
    largest = float(np.percentile([abs(weight) for *_, weight in links], 95)) if links else 1.0
    shares = np.array([min(abs(weight) / (largest or 1.0), 1.0) for *_, weight in links])
    # Among hundreds of links only the strong ones can be followed.
    crowd = min(1.0, (60 / max(len(links), 1)) ** 0.5)
    axes.add_collection(LineCollection([link[:2] for link in links], linewidths=0.4 + 2.4 * crowd * shares,
                                       colors=[matplotlib.colors.to_rgba(POSITIVE if weight > 0 else NEGATIVE,
                                                                         0.12 + 0.75 * crowd * share)
                                               for (*_, weight), share in zip(links, shares, strict=True)]))
    for kind, places in nodes.items():
        marker, colour, size = KINDS[kind]
        across, up = places.T.tolist()
        axes.scatter(across, up, s=size, marker=marker, facecolor=colour, edgecolor=INK, linewidth=1.0,
                     zorder=4)
    axes.legend(handles=[Line2D([], [], linestyle="", marker=KINDS[kind][0], markerfacecolor=KINDS[kind][1],
                                markeredgecolor=INK, markersize=8, label=f"{len(nodes[kind])} {kind}"
                                + ("s" if len(nodes[kind]) != 1 else "")) for kind in KINDS if len(nodes[kind])],
                loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, frameon=False, fontsize=SMALL)
    axes.set_title("all nodes and connections", fontsize=TEXT, pad=12)
    _finish(axes)


def _draw_painter(axes: Axes, name: str, place: Place, links: Sequence[Link]) -> None:
    targets = [target for source, target, _ in links if source == place]
    if targets:
        across, up = np.array(targets).T
        axes.scatter(across, up, s=30 if len(targets) < 80 else 16, facecolor="white", edgecolor=INK,
                     linewidth=1.0, zorder=3)
    marker, colour, size = KINDS[name]
    axes.scatter(place[0], place[1], s=1.5 * size, marker=marker, edgecolor=INK, linewidth=1.2, zorder=5,
                 facecolor=colour if name == "input" else PAINTER)
    kind = "an input" if name == "input" else "a hidden node"
    axes.set_title(f"from {kind} ({place[0]:.2g}, {place[1]:.2g})", fontsize=TEXT, pad=12)
    found = f"{len(targets)} connection{'s' * (len(targets) != 1)}"
    axes.set_xlabel(f"{found} found (circles)", fontsize=SMALL, color=FAINT)
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.set_xlim(-1.04, 1.04)
    axes.set_ylim(-1.04, 1.04)
    axes.set_aspect("equal")
    frame(axes, GAP, 0.6)
