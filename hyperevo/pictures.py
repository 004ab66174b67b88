"""Plain data of the figures that an encoding has of its own; `hyperevo.plots` draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperevo.geometry import Sheet
from hyperevo.graph import Graph

Place = tuple[float, ...]
Link = tuple[Place, Place, float]
"""Source, target and weight of a connection."""


@dataclass(frozen=True)
class GraphPicture:
    """A graph, with the names of its inputs and outputs: a CPPN's, or one that is a network itself."""

    graph: Graph
    input_names: Sequence[str]
    output_names: Sequence[str]
    network: bool = False


@dataclass(frozen=True)
class NodesPicture:
    """Values of every node of a CPPN over one weight matrix.

    inputs: the CPPN's inputs over the matrix, of shapes (1, S), (T, 1), (T, S) or (1, 1); outputs: indices of the CPPN
    outputs that paint it.
    """

    parameter: str
    graph: Graph
    inputs: Sequence[Tensor]
    outputs: Sequence[int]
    output_names: Sequence[str]
    target: Sheet
    source: Sheet


@dataclass(frozen=True)
class CoefficientsPicture:
    """Coefficients (target coefficients, source coefficients) of one weight matrix, by frequency; blocks are the counts
    kept along each axis."""

    parameter: str
    coefficients: Tensor
    target_block: Sequence[int]
    source_block: Sequence[int]


@dataclass(frozen=True)
class EmbeddingsPicture:
    """Embeddings (rows of tiles, columns of tiles, N_z), by parameter."""

    embeddings: Mapping[str, Tensor]


@dataclass(frozen=True)
class FoundNetworkPicture:
    """A network on a substrate of two axes, and the weights painted from some of its nodes to every position.

    links: connections, the weakest first; nodes (nodes, 2) by kind (input, hidden node, output, bias); paintings: by
    kind, a node's position and the weights from it, (1 or 2, rows, columns) from the bottom upwards; a second plane is
    above zero where connections are expressed.
    """

    links: Sequence[Link]
    nodes: Mapping[str, Tensor]
    paintings: Mapping[str, tuple[Place, Tensor]]


@dataclass(frozen=True)
class MapPicture:
    """Values (rows, columns) as a map whose colours are centred on zero.

    name: file name without suffix; headline: title of the figure; rows, columns: labels of the axes.
    """

    name: str
    headline: str
    values: Tensor
    rows: str = ""
    columns: str = ""


@dataclass(frozen=True)
class PanelsPicture:
    """Small maps side by side, such as examples of a task: (title, values (rows, columns), marked place) each.

    name: file name without suffix; headline: title of the figure; caption: meaning of colours and marks. A marked place
    is (row, column), or None.
    """

    name: str
    headline: str
    caption: str
    panels: Sequence[tuple[str, Tensor, tuple[float, float] | None]]


Picture = (GraphPicture | NodesPicture | CoefficientsPicture | EmbeddingsPicture | FoundNetworkPicture | MapPicture
           | PanelsPicture)
