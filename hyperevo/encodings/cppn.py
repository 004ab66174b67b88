"""CPPN encoding (HyperNEAT): a graph paints every weight from the coordinates of the two units it joins.

    w = sign(o) · (|o| - threshold) / (1 - threshold) · maximum_weight   where |o| > threshold, else 0

(Stanley, D'Ambrosio & Gauci 2009). The genotypes are `Graph` objects of any shapes, usually from the search `neat`.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo import devices
from hyperevo.components import ComponentSettings, ParameterNames, Positive
from hyperevo.encodings._painter import Painter, Surface
from hyperevo.encodings._painting import Canvas, Painted, build_painted, plan
from hyperevo.encodings._program import answer, graph_numbers
from hyperevo.encodings._separable import MAXIMUM_RANK, SIDES, clamped_nodes
from hyperevo.encodings._table import TabledGraphs, table_from_graphs, wants_gradient
from hyperevo.genotypes import Genotype, Genotypes, as_graph, as_graphs
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, without_garbage_collection
from hyperevo.kept import kept
from hyperevo.parts import Encoding
from hyperevo.pictures import GraphPicture, NodesPicture, Picture
from hyperevo.weights import Deferred, Factored, Weight, Weights, join

POINTS = 16_384
"""Largest number of points painted together; matrices with more weights are taken apart."""


class Settings(ComponentSettings):
    """Options of the CPPN encoding."""

    name: Literal["cppn"] = "cppn"
    outputs: Literal["per-layer", "shared"] = "per-layer"
    """Number of CPPN outputs that paint weights: one per weight matrix (per-layer, multi-spatial), or one for all
    matrices (shared); biases likewise."""
    patterns: ParameterNames = ()
    """Weight matrices with one CPPN output per target unit, such as one readout pattern per class, in place of the
    unit's coordinates."""
    delta: bool = False
    """true: the CPPN has x1 - x2 and y1 - y2 as further inputs."""
    distance: bool = False
    """true: the CPPN has the distance between the two units as a further input."""
    link_expression: bool = False
    """true: a further CPPN output per weight output says where a connection exists: where it is above zero."""
    threshold: float = Field(0.2, ge=0, lt=1)
    """Magnitude of a CPPN output up to which the weight is 0."""
    maximum_weight: Positive = 3.0
    """Weight that a CPPN output of 1 becomes."""

    @field_validator("patterns")
    @classmethod
    def _unique(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(patterns)) < len(patterns):
            raise ValueError("names a weight matrix twice")
        return patterns


@dataclass(frozen=True)
class Painting:
    """Indices of the CPPN outputs that paint one parameter: `values`, one, or one per target unit, and their
    `expression`."""

    values: tuple[int, ...]
    expression: tuple[int, ...]


@dataclass(frozen=True)
class Coordinate:
    """CPPN input over a matrix: the sum of a part of the source unit (S,) and one of the target unit (T,), or `both`
    (T, S) where it is no such sum."""

    source: Tensor | None = None
    target: Tensor | None = None
    both: Tensor | None = None


class CppnEncoding(Encoding):
    """Map from CPPN graphs to weights.

    `input_names` and `output_names` say what a genome must read and write; the search builds its genomes to fit.
    """

    settings: Settings

    def __init__(self, settings: Settings, geometry: Mapping[str, ParameterGeometry],
                 device: torch.device | str = "cpu"):
        matrices = [name for name, parameter in geometry.items() if parameter.source is not None]
        if unknown := [name for name in settings.patterns if name not in matrices]:
            raise ValueError(f"encoding.patterns: no weight matrix called {unknown[0]!r}; "
                             f"allowed: {', '.join(matrices)}")
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        sheets = {"source": [place.source for place in geometry.values() if place.source],
                  "target": [place.target for place in geometry.values()]}
        self.input_names = [f"{axis}{number}" for number, side in enumerate(sheets, start=1)
                            for axis in ("xyz" if any(len(sheet.sizes) > 2 for sheet in sheets[side]) else "xy")]
        self.input_names += ["one"]
        self.input_names += ["dx", "dy"] if settings.delta else []
        self.input_names += ["distance"] if settings.distance else []
        self.output_names: list[str] = []
        self.paintings = {name: self._plan(name, parameter) for name, parameter in geometry.items()}
        self._places = {name: self._coordinates(name, parameter) for name, parameter in geometry.items()}
        self._kept: dict[tuple[Any, ...], Any] = {}

    def _plan(self, name: str, parameter: ParameterGeometry) -> Painting:
        kind = "weight" if parameter.source is not None else "bias"
        base = name if self.settings.outputs == "per-layer" else kind
        labels = [f"{name}[{unit}]" for unit in range(parameter.target.units)] if name in self.settings.patterns \
            else [base]
        values = tuple(self._output(label) for label in labels)
        expressed = self.settings.link_expression and parameter.source is not None
        return Painting(values, tuple(self._output(f"{label} expressed") for label in labels) if expressed else ())

    def _output(self, label: str) -> int:
        if label not in self.output_names:
            self.output_names.append(label)
        return self.output_names.index(label)

    def _coordinates(self, name: str, parameter: ParameterGeometry) -> dict[str, Coordinate]:
        """CPPN inputs of one parameter by name, float64."""
        zero = torch.zeros(1, dtype=torch.float64, device=self.device)
        target = None if name in self.settings.patterns else parameter.target
        x1, y1, z1 = _axes(parameter.source, zero)
        x2, y2, z2 = _axes(target, zero)
        known = {"x1": Coordinate(source=x1), "y1": Coordinate(source=y1), "z1": Coordinate(source=z1),
                 "x2": Coordinate(target=x2), "y2": Coordinate(target=y2), "z2": Coordinate(target=z2),
                 "one": Coordinate(zero + 1, zero + 1)}
        inputs = {name: place for name, place in known.items() if name in self.input_names}
        if self.settings.delta:
            inputs |= {"dx": Coordinate(x1, -x2), "dy": Coordinate(y1, -y2)}
        if self.settings.distance:
            inputs["distance"] = Coordinate(both=torch.sqrt((x1 - x2[:, None]) ** 2 + (y1 - y2[:, None]) ** 2))
        return inputs

    def inputs(self, name: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """CPPN inputs for every connection of one parameter, in the order of `input_names`: tensors of shapes (1, S),
        (T, 1), (T, S) or (1, 1)."""
        return [_over_connections(input_name, value).to(dtype) for input_name, value in self._places[name].items()]

    def matrix_outputs(self) -> list[int]:
        """Indices of the outputs that paint a weight matrix from the positions of both units, not one pattern per
        target unit."""
        return [output for name, painting in self.paintings.items()
                if self.geometry[name].source is not None and name not in self.settings.patterns
                for output in (*painting.values, *painting.expression)]

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """The graph, and the values of its nodes over the first matrix and over matrices with patterns."""
        graph = as_graph(genotype)
        yield GraphPicture(graph, self.input_names, self.output_names)
        matrices = {name: place.source for name, place in self.geometry.items() if place.source is not None}
        for name in dict.fromkeys([*list(matrices)[:1], *self.settings.patterns]):
            outputs = self.paintings[name].values + self.paintings[name].expression
            yield NodesPicture(name, graph, self.inputs(name), outputs, self.output_names, self.geometry[name].target,
                               matrices[name])

    @without_garbage_collection()
    def express(self, genotypes: Genotypes, dtype: torch.dtype = torch.float32) -> Weights:
        """Weights of P networks, differentiable in the weights and biases of every graph.

        The kernel, where the device has it, paints all weights. Elsewhere, and for a gradient, large matrices stay
        factored where their graph allows it, and small ones are painted together, point by point.
        """
        if devices.has_kernel(self.device) and dtype == torch.float32 and not wants_gradient(genotypes):
            table = table_from_graphs(genotypes if isinstance(genotypes, TabledGraphs) else as_graphs(genotypes))
            return Weights({name: painted.view(len(table), *self.geometry[name].shape)
                            for name, painted in self._painter.paint(table).items()})
        graphs = as_graphs(genotypes)
        numbers, starts = graph_numbers(graphs)
        numbers = numbers.to(self.device)
        wide = {name for name in self.geometry if self._is_wide(name)}
        values: dict[str, Weight] = {}
        for names in self._gather([name for name in self.geometry if name not in wide]):
            values |= self._paint_points(graphs, numbers, starts, names, dtype)
        for name in wide:
            values[name] = self._paint_wide(graphs, numbers, starts, name, dtype)
        return Weights({name: values[name] for name in self.geometry})

    @cached_property
    def _painter(self) -> Painter:
        threshold, maximum = self.settings.threshold, self.settings.maximum_weight
        return Painter({name: self._surface(name) for name in self.geometry}, threshold, maximum / (1 - threshold),
                       self.device)

    def _surface(self, name: str) -> Surface:
        """Points of one parameter; where every target unit has a pattern of its own, those of its source units."""
        places, parameter = self._places[name], self.geometry[name]
        across = 1 if parameter.source is None else parameter.source.units
        down = 1 if name in self.settings.patterns else parameter.target.units
        added = {input_name: place for input_name, place in places.items() if place.both is None}
        source = [_or_zero(place.source, across, self.device) for place in added.values()]
        target = [_or_zero(None if SIDES[input_name] == "constant" else place.target, down, self.device)
                  for input_name, place in added.items()]
        spread = [place.both.expand(down, across) for place in places.values() if place.both is not None]
        none = torch.zeros(0, down, across, dtype=torch.float64, device=self.device)
        own = [torch.stack(part).float().contiguous() if part else none.float() for part in (source, target, spread)]
        return Surface(own[0], own[1], own[2], self.paintings[name].values, self.paintings[name].expression)

    def decisions(self, genotypes: Genotypes) -> Hashable:
        """Nodes whose waves are clamped, of every graph and every matrix that is taken apart."""
        wide = [name for name in self.geometry if self._is_wide(name)]
        return tuple(own for name in wide
                     for own in clamped_nodes(as_graphs(genotypes), tuple(self._places[name]),
                                              self.paintings[name].values + self.paintings[name].expression))

    def _is_wide(self, name: str) -> bool:
        parameter = self.geometry[name]
        return parameter.source is not None and name not in self.settings.patterns and parameter.size > POINTS

    def _gather(self, names: list[str]) -> list[list[str]]:
        """Groups of parameters that are painted together, up to POINTS points each."""
        batches: list[list[str]] = []
        room = 0
        for name in names:
            points = self._points(name, torch.float64).shape[1]
            if points > room:
                batches.append([])
                room = POINTS
            batches[-1].append(name)
            room -= points
        return batches

    def _points(self, name: str, dtype: torch.dtype) -> Tensor:
        """CPPN inputs (inputs, points) at all points of one parameter."""
        if (name, dtype) not in self._kept:
            inputs = torch.broadcast_tensors(*self.inputs(name, dtype))
            self._kept[name, dtype] = torch.stack([values.reshape(-1) for values in inputs])
        return self._kept[name, dtype]

    def _paint_points(self, graphs: list[Graph], numbers: Tensor, starts: np.ndarray, names: list[str],
                      dtype: torch.dtype) -> dict[str, Tensor]:
        """Parameters of P networks, (P, *shape) each."""
        paintings = [self.paintings[name] for name in names]
        asked = tuple(sorted({output for painting in paintings for output in painting.values + painting.expression}))
        points = [self._points(name, dtype) for name in names]
        answers = answer(graphs, numbers, starts, torch.cat(points, 1), asked)
        parts = answers.split([part.shape[1] for part in points], dim=2)
        painted = {}
        for name, painting, part in zip(names, paintings, parts, strict=True):
            weights = self.weight(part[:, _indices(asked, painting.values, part.device)])
            if painting.expression:
                expressed = part[:, _indices(asked, painting.expression, part.device)] > 0
                weights = torch.where(expressed, weights, torch.zeros_like(weights))
            painted[name] = weights.reshape(len(graphs), *self.geometry[name].shape)
        return painted

    def _canvas(self, name: str, dtype: torch.dtype) -> Canvas:
        if (name, dtype, "canvas") not in self._kept:
            places, parameter = self._places[name], self.geometry[name]
            assert parameter.source is not None
            sizes = {"source": parameter.source.units, "target": parameter.target.units}
            own = {"source": [value.source for value in places.values()],
                   "target": [value.target for value in places.values()]}
            sides = {side: torch.stack([_or_zero(value, units, self.device) for value in own[side]]).to(dtype)
                     for side, units in sizes.items()}
            spread = tuple(value.both.to(dtype) for value in places.values() if value.both is not None)
            grid = torch.Size((*_rows_and_columns(parameter.target), *_rows_and_columns(parameter.source)))
            self._kept[name, dtype, "canvas"] = Canvas(tuple(places), grid, sides["source"], sides["target"], spread)
        return self._kept[name, dtype, "canvas"]

    def _paint_wide(self, graphs: list[Graph], numbers: Tensor, starts: np.ndarray, name: str,
                    dtype: torch.dtype) -> Weight:
        """One matrix of P networks: in factors where that is exact; otherwise painted when used, or at once for a
        gradient."""
        painting, shape = self.paintings[name], torch.Size((1, *self.geometry[name].shape))
        differentiable = numbers.requires_grad and torch.is_grad_enabled()
        pieces: list[Tensor | Factored | Deferred] = []
        for planned in plan(graphs, numbers, starts, self._canvas(name, dtype), painting.values + painting.expression):
            if not callable(planned):
                pieces.append(self._finish(planned))
            elif differentiable:
                pieces.append(self._build(planned()))
            else:
                pieces.append(Deferred(partial(self._build_planned, planned), shape))
        return join(pieces)

    def _finish(self, painted: list[Painted]) -> Tensor | Factored:
        """Weights from the outputs that paint them, in factors where no nonlinear function is in between."""
        if self.settings.threshold == 0 and len(painted) == 1 and isinstance(painted[0], tuple):
            left, right = painted[0]
            if left.shape[2] <= MAXIMUM_RANK:
                return Factored(left * self.settings.maximum_weight, right)
        return self._build(painted)

    def _build_planned(self, planned: Callable[[], list[Painted]]) -> Tensor:
        return self._build(planned())

    def _build(self, painted: list[Painted]) -> Tensor:
        values, *expression = (build_painted(output) for output in painted)
        weights = self.weight(values)
        for expressed in expression:
            weights = torch.where(expressed > 0, weights, torch.zeros_like(weights))
        return weights

    def weight(self, output: Tensor) -> Tensor:
        """The substrate's weight for a CPPN output: see the equation at the head of this file."""
        threshold, maximum = self.settings.threshold, self.settings.maximum_weight
        if threshold == 0:
            return output * maximum
        return torch.nn.functional.softshrink(output, threshold) * (maximum / (1 - threshold))


def _axes(sheet: Sheet | None, zero: Tensor) -> list[Tensor]:
    """Coordinates x, y and z of a sheet's units; 0 along axes that the sheet lacks."""
    places = [] if sheet is None else [axis.contiguous().to(zero.device) for axis in sheet.places.T]
    return places + [zero] * (3 - len(places))


def _over_connections(name: str, value: Coordinate) -> Tensor:
    if value.both is not None:
        return value.both
    source = None if value.source is None else value.source[None, :]
    if value.target is None or SIDES[name] == "constant":
        assert source is not None
        return source
    return value.target[:, None] if source is None else source + value.target[:, None]


def _indices(asked: tuple[int, ...], outputs: tuple[int, ...], device: torch.device) -> Tensor:
    """Indices of some outputs among those asked for."""
    return kept(lambda: torch.tensor([asked.index(output) for output in outputs], device=device))


def _rows_and_columns(sheet: Sheet) -> tuple[int, int]:
    """Rows and columns in which `Sheet.places` lays the units out; channels are stacked on the rows."""
    return sheet.units // sheet.sizes[-1], sheet.sizes[-1]


def _or_zero(values: Tensor | None, units: int, device: torch.device) -> Tensor:
    zero = torch.zeros(1, dtype=torch.float64, device=device)
    return (zero if values is None else values).expand(units)


def build(settings: Settings, geometry: Mapping[str, ParameterGeometry], device: torch.device) -> CppnEncoding:
    """The encoding for a target's parameters."""
    return CppnEncoding(settings, geometry, device)
