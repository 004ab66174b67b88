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

from hyperevo.encodings.es_hyperneat import EsHyperneatEncoding
from hyperevo.graph import Graph
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

RESOLUTION = 240
"""Points along each side of a painting."""

PAINTER = "#f0e442"
"""Colour of the hidden node whose weights are painted."""

DRAWN = 1500
"""Most connections in a picture, the strongest: more would be a grey cloud."""

KINDS = {"input": ("s", "#009e73", 80), "bias": ("D", "#e69f00", 60), "hidden node": ("o", "white", 34),
         "output": ("^", "#b0559a", 110)}
"""Marker, colour and size of a node."""

Link = tuple[tuple[float, float], tuple[float, float], float]
"""A connection: the positions (x, y) of its source and target, and its weight."""


@torch.no_grad()
def found_network(encoding: EsHyperneatEncoding, graph: Graph, label: str = "") -> Figure:
    """A network on its two-dimensional substrate. In the middle are all nodes and connections; to the left and right
    are the weights that the CPPN paints from one input and one hidden node to every point, with the connections found.
    """
    values, cells = encoding.connections([graph])
    links = _links(encoding, values, cells[0])
    nodes = {"input": encoding.inputs, "hidden node": encoding.cells.places[cells[0]], "output": encoding.outputs,
             "bias": encoding.sources[len(encoding.inputs):]}
    painters = _painters(links, nodes)
    figure = new_figure(6.2 + 5.2 * len(painters), 6.8, label,
                        f"the network found in the CPPN ({len(nodes['hidden node'])} hidden nodes, {len(links)} "
                        "connections)", _caption(encoding, links))
    grid = figure.subplots(1, 1 + len(painters), width_ratios=[1.0, *[1.35] * (len(painters) > 0),
                                                              *[1.0] * (len(painters) - 1)], squeeze=False)[0]
    middle = min(1, len(painters))
    _draw_network(grid[middle], links, nodes)
    paintings = [_painting(encoding, graph, place) for place in painters.values()]
    limit = symmetric_limit([painting[0] for painting in paintings])
    sides = [axes for number, axes in enumerate(grid) if number != middle]
    for axes, (name, place), painting in zip(sides, painters.items(), paintings, strict=True):
        axes.imshow(painting[0].numpy(), cmap=DIVERGING, vmin=-limit, vmax=limit, extent=(-1, 1, -1, 1), origin="lower")
        if len(painting) > 1:
            axes.imshow(torch.where(painting[1] > 0, torch.nan, 0.5).numpy(), cmap="gray", vmin=0, vmax=1, alpha=0.6,
                        extent=(-1, 1, -1, 1), origin="lower")
        _draw_painter(axes, name, place, links)
    if sides:
        colour_bar(figure, sides[-1].images[0], sides[-1], "weight from the marked node to each point")
    return figure


def _caption(encoding: EsHyperneatEncoding, links: Sequence[Link]) -> str:
    return ", ".join(["red: weights above zero", "blue: below",
                      *["grey: no connection is expressed"] * encoding.settings.link_expression,
                      *[f"the {DRAWN} strongest connections are drawn"] * (len(links) > DRAWN)])


def _links(encoding: EsHyperneatEncoding, values: Mapping[str, Tensor], cells: Tensor) -> list[Link]:
    """All connections of one network, the weakest first."""
    hidden, bias = encoding.cells.places[cells], encoding.sources[len(encoding.inputs):]
    sheets = {"input.weight": (encoding.inputs, hidden), "recurrent.bias": (bias, hidden),
              "recurrent.weight": (hidden, hidden), "readout.weight": (hidden, encoding.outputs)}
    links: list[Link] = []
    for name, value in values.items():
        sources, targets = (places.tolist() for places in sheets[name])
        weights = value[0].reshape(len(targets), len(sources)) * encoding.settings.maximum_weight
        links += [(tuple(sources[source]), tuple(targets[target]), float(weights[target, source]))
                  for target, source in (~weights.isnan()).nonzero().tolist()]
    return sorted(links, key=lambda link: abs(link[2]))


def _painters(links: Sequence[Link], nodes: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """The input and the hidden node with the most outgoing connections; there may be no hidden node."""
    sources = [source for source, _, _ in links]
    return {kind: max((tuple(place) for place in nodes[kind].tolist()), key=sources.count)
            for kind in ("input", "hidden node") if len(nodes[kind])}


def _painting(encoding: EsHyperneatEncoding, graph: Graph, place: tuple[float, float]) -> Tensor:
    """Patterns (outputs, RESOLUTION, RESOLUTION), rows from the bottom upwards: the weights from a point to every other
    and, with link expression, the CPPN output that is above zero where a connection is expressed."""
    line = (torch.arange(RESOLUTION, dtype=torch.float64) + 0.5) * 2 / RESOLUTION - 1
    targets = torch.cartesian_prod(line, line).flip(1)
    outputs = encoding.asked(graph, torch.tensor([place], dtype=torch.float64).expand_as(targets), targets)
    outputs[0] = outputs[0] * encoding.settings.maximum_weight
    return torch.stack(outputs).reshape(len(outputs), RESOLUTION, RESOLUTION)


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


def _draw_painter(axes: Axes, name: str, place: tuple[float, float], links: Sequence[Link]) -> None:
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
