"""Figures of the plain data that encodings and tasks give of themselves, one function a kind of data."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from hyperevo.pictures import (
    CoefficientsPicture,
    EmbeddingsPicture,
    FoundNetworkPicture,
    GraphPicture,
    MapPicture,
    NodesPicture,
    PanelsPicture,
    Picture,
)
from hyperevo.plots.cppn import cppn_graph, cppn_nodes
from hyperevo.plots.dct import dct_coefficients
from hyperevo.plots.embeddings import embedding_map
from hyperevo.plots.maps import number_map, panels
from hyperevo.plots.substrate import found_network

DRAW: dict[type, Callable[[Any, str], Figure]] = {
    GraphPicture: lambda own, label: cppn_graph(own.graph, own.input_names, own.output_names, label,
                                                own.network),
    NodesPicture: lambda own, label: cppn_nodes(own.graph, own.inputs, own.outputs, own.target, own.source,
                                                own.output_names, label, own.parameter),
    CoefficientsPicture: lambda own, label: dct_coefficients(own.coefficients, own.target_block, own.source_block,
                                                             label, own.parameter),
    EmbeddingsPicture: lambda own, label: embedding_map(own.embeddings, label),
    FoundNetworkPicture: found_network,
    MapPicture: number_map,
    PanelsPicture: panels,
}

NAMES: dict[type, Callable[[Any], str]] = {
    GraphPicture: lambda own: "network_graph" if own.network else "cppn_graph",
    NodesPicture: lambda own: f"cppn_nodes_{own.parameter}",
    CoefficientsPicture: lambda own: f"dct_coefficients_{own.parameter}",
    EmbeddingsPicture: lambda own: "embeddings",
    FoundNetworkPicture: lambda own: "found_network",
    MapPicture: lambda own: f"map_{own.name}",
    PanelsPicture: lambda own: own.name,
}


def figure_name(picture: Picture) -> str:
    """File name of a figure, without suffix."""
    return NAMES[type(picture)](picture)


def draw_picture(picture: Picture, label: str = "") -> Figure:
    """Figure of plain data."""
    return DRAW[type(picture)](picture, label)
