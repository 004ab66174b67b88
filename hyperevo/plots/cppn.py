"""CPPNs: their graph, and the pattern that each of their nodes paints."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve
from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.graph import Graph, Topology, node_values
from hyperevo.plots._layout import Layout, lay_out, live_links
from hyperevo.plots._style import (
    FAINT,
    INK,
    NEGATIVE,
    POSITIVE,
    SMALL,
    in_words,
    new_figure,
    rows_and_columns,
    show_map,
    symmetric_limit,
)
from hyperevo.plots.cppn_matrix import cppn_matrix, function_name

MOST_LINKS = 150
"""Largest number of links in a drawing that can still be followed."""

HIDDEN_COLOUR, INPUT_COLOUR, OUTPUT_COLOUR = "#f2efe6", "#dfe8df", "#e6e0ee"


def cppn_graph(graph: Graph, input_names: Sequence[str], output_names: Sequence[str], label: str = "",
               network: bool = False) -> Figure:
    """A graph, a CPPN's or a `network`'s own, in layers: inputs left, outputs right, nodes named by function (and
    aggregation where it is not a sum).

    Links are as wide as their weights are large, red above and blue below zero. Dead nodes are left out. More than 150
    links are a matrix.
    """
    if len(live_links(graph)) > MOST_LINKS:
        return cppn_matrix(graph, input_names, output_names, label)
    layout, topology = lay_out(graph), graph.topology
    hidden = sum(vertex >= topology.inputs for vertex in layout.heights) - len(set(topology.outputs))
    last = len(layout.layers) - 1
    width = 14.0 if layout.dense else min(max(1.25 * last + 4.0, 8.0), 20.0)
    size = f"({hidden} hidden node{'s' * (hidden != 1)}, {len(layout.routes)} links)"
    back = "links that lead back bow below nodes; " if topology.recurrent else ""
    title, note = (f"the network {size}", f"inputs enter left, outputs leave right; {back}small numbers name nodes") \
        if network else \
        (f"the CPPN {size}", "coordinates of two units enter left, the weight between them leaves right; "
         "small numbers name nodes")
    figure = new_figure(width, max(0.44 * layout.tallest + 1.9, 4.5), label, title, note)
    axes = figure.add_subplot()
    axes.set_axis_off()
    # Beside the layers there is room for half a box on the left, and for the outputs' names on the right.
    names = 0.7 + 0.08 * max(len(name) for name in output_names)
    inch = last / (width - 0.6 - names)
    axes.set_xlim(-0.5 * inch, last + names * inch)
    axes.set_ylim(layout.tallest + 0.2, -0.2)
    _draw_links(axes, layout)
    used = {vertices[0] for vertices, _ in layout.routes}
    for vertex, (x, y) in layout.places.items():
        if vertex >= 0:
            _draw_vertex(axes, topology, vertex, x, y, input_names, output_names, vertex in used)
    _draw_legend(axes, layout)
    return figure


def _largest(layout: Layout) -> float:
    sizes = [abs(weight) for _, weight in layout.routes]
    return float(np.percentile(sizes, 95)) or 1.0 if sizes else 1.0


def _draw_links(axes: Axes, layout: Layout) -> None:
    places, largest = layout.places, _largest(layout)
    for vertices, weight in sorted(layout.routes, key=lambda route: abs(route[1])):
        share = min(abs(weight) / largest, 1.0)
        axes.add_patch(PathPatch(_curve([places[vertex] for vertex in vertices]), fill=False, capstyle="round",
                                 edgecolor=POSITIVE if weight > 0 else NEGATIVE, **_stroke(share, layout.dense)))


def _stroke(share: float, dense: bool) -> dict[str, Any]:
    """A link's width and opacity. Among hundreds only the strong ones can be followed; the others are a tint."""
    if dense:
        return {"linewidth": 0.2 + 2.8 * share**2, "alpha": 0.1 + 0.7 * share**2}
    return {"linewidth": 0.5 + 3.0 * share, "alpha": 0.3 + 0.55 * share}


def _curve(points: Sequence[tuple[float, float]]) -> Curve:
    """A smooth curve through points from left to right, level at both ends; a bow below two points that lead back."""
    (start, high), (end, low) = points[0], points[-1]
    if end <= start:
        bow = [(start, high), (start + 0.4, high + 0.9), (end - 0.4, low + 0.9), (end, low)]
        return Curve(bow, [Curve.MOVETO, *[Curve.CURVE4] * 3])
    slopes = [0.0, *((after[1] - before[1]) / (after[0] - before[0])
                     for before, after in zip(points[:-2], points[2:], strict=True)), 0.0]
    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x1, y1), (x2, y2), first, second in zip(points[:-1], points[1:], slopes[:-1], slopes[1:], strict=True):
        reach = 0.4 * (x2 - x1)
        vertices += [(x1 + reach, y1 + first * reach), (x2 - reach, y2 - second * reach), (x2, y2)]
        codes += [Curve.CURVE4] * 3
    return Curve(vertices, codes)


def _draw_vertex(axes: Axes, topology: Topology, vertex: int, x: float, y: float, input_names: Sequence[str],
                 output_names: Sequence[str], used: bool) -> None:
    box: dict[str, Any] = {"boxstyle": "round,pad=0.32", "facecolor": HIDDEN_COLOUR, "edgecolor": INK, "linewidth": 0.8}
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "color": INK, "zorder": 5}
    if vertex < topology.inputs:
        faded: dict[str, Any] = {} if used else {"edgecolor": "#bbbbbb", "facecolor": "white"}
        text = axes.text(x, y, input_names[vertex], **style | ({} if used else {"color": "#999999"}))
        text.set_bbox(box | {"facecolor": INPUT_COLOUR} | faded)
        return
    index = vertex - topology.inputs
    node = topology.nodes[index]
    names = [output_names[at] for at, output in enumerate(topology.outputs) if output == index]
    axes.text(x, y, function_name(node), **style).set_bbox(box | ({"facecolor": OUTPUT_COLOUR} if names else {}))
    axes.annotate(str(index), (x, y), (0, -8.5), textcoords="offset points", ha="center", va="top", fontsize=7.5,
                  color=FAINT, zorder=6)
    if names:
        beside = 10 + 0.29 * SMALL * len(function_name(node))
        axes.annotate(", ".join(names), (x, y), (beside, 0), textcoords="offset points", ha="left", va="center",
                      fontsize=SMALL, color=INK, zorder=6)


def _draw_legend(axes: Axes, layout: Layout) -> None:
    largest = _largest(layout)
    lines = [Line2D([], [], color=colour, **_stroke(share, layout.dense), label=f"{sign}{largest * share:.2g}{more}")
             for sign, colour in (("+", POSITIVE), ("−", NEGATIVE))
             for share, more in ((1.0, " or more" if sign == "+" else " or less"), (0.5, ""))]
    axes.legend(handles=lines, title="weight of a link", title_fontsize=SMALL, fontsize=SMALL, ncols=4, frameon=False,
                loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1)


def cppn_nodes(graph: Graph, inputs: Sequence[Tensor], outputs: Sequence[int], target: Sheet, source: Sheet,
               output_names: Sequence[str], label: str = "", parameter: str = "hidden.weight") -> Figure:
    """Patterns of all nodes that some CPPN outputs need, one small picture each.

    inputs: the CPPN's inputs over one weight matrix, of shapes (1, S), (T, 1), (T, S) or (1, 1), as from
    `CppnEncoding.inputs`; outputs: indices of the CPPN outputs that paint the matrix. A node whose value depends on the
    source unit is drawn over the source sheet, one whose value depends on the target unit over the target sheet. A node
    that depends on both is drawn over the source sheet, for the unit at the centre of the target sheet.
    """
    with torch.no_grad():
        values = node_values(graph, inputs, tuple(outputs))
    # A panel is about as wide as one word of a name.
    names = {graph.topology.outputs[output]: output_names[output].replace(" ", "\n") for output in outputs}
    order = sorted(values, key=lambda index: (index in names, index))
    rows = ceil(len(order) / 8)
    columns = ceil(len(order) / rows)
    figure = new_figure(max(1.5 * columns, 9.0), rows * 1.9 + 1.5, label,
                        f"what the CPPN's nodes paint for {parameter}", _describe(target, source, values))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(order):]:
        axes.set_axis_off()
    for index, axes in zip(order, grid.flat, strict=False):
        _paint(axes, values[index], target, source)
        title = f"{index} {function_name(graph.topology.nodes[index])}"
        axes.set_title(f"{names[index]}\n{title}" if index in names else title, fontsize=SMALL,
                       fontweight="bold" if index in names else "normal")
    return figure


def _describe(target: Sheet, source: Sheet, values: dict[int, Tensor]) -> str:
    parts = []
    if any(value.shape[-1] > 1 and value.shape[-2] == 1 for value in values.values()):
        parts.append(f"from: over the {in_words(source.sizes)} the weights come from")
    if any(value.shape[-2] > 1 and value.shape[-1] == 1 for value in values.values()):
        parts.append(f"to: over the {in_words(target.sizes)} they go to")
    if any(value.shape[-1] > 1 and value.shape[-2] > 1 for value in values.values()):
        parts.append(f"both: over the {in_words(source.sizes)}, for the unit at the centre of the "
                     f"{in_words(target.sizes)}")
    return "\n".join([*parts, "red above zero, blue below, white zero; ± the value of full colour"])


def _paint(axes: Axes, value: Tensor, target: Sheet, source: Sheet) -> None:
    tall, wide = value.shape[-2] > 1, value.shape[-1] > 1
    rows, columns = rows_and_columns((source if wide or not tall else target).sizes)
    if float(value.max() - value.min()) <= 1e-6 * float(value.abs().max()):
        show_map(axes, torch.full((rows, columns), torch.nan), 1.0).set_alpha(0.25)
        axes.text(0.5, 0.5, f"constant\n{float(value.flatten()[0]):.3g}", ha="center", va="center", fontsize=SMALL,
                  transform=axes.transAxes)
        return
    if tall and wide:
        down, right = rows_and_columns(target.sizes)
        value = value[down // 2 * right + right // 2]
    limit = symmetric_limit(value, 100)
    show_map(axes, value.reshape(rows, columns), limit)
    side = "both" if tall and wide else "from" if wide else "to"
    axes.set_xlabel(f"{side}  ±{limit:.2g}", fontsize=SMALL, color=FAINT, labelpad=2)
