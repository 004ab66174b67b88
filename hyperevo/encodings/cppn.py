"""CPPN encoding (HyperNEAT): a graph paints every weight from the coordinates of the two units it joins.

    w = sign(o) · (|o| - threshold) / (1 - threshold) · maximum_weight   where |o| > threshold, else 0

(Stanley, D'Ambrosio & Gauci 2009). The genotypes are `Graph` objects of any shapes, usually from the search `neat`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.encodings._graph import Graph, stack
from hyperevo.encodings._separable import Separable, Value, as_tensor, separate
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Factored, Weights, join


class Settings(ComponentSettings):
    """Options of the CPPN encoding."""

    name: Literal["cppn"] = "cppn"
    outputs: Literal["per-layer", "shared"] = "per-layer"
    """One CPPN output per weight matrix (multi-spatial), or one for all matrices. Biases are painted likewise."""
    patterns: tuple[str, ...] = ()
    """Weight matrices whose target units have a CPPN output each (one readout pattern per class) instead of a place."""
    delta: bool = False
    """Give the CPPN x1 - x2 and y1 - y2 as inputs."""
    distance: bool = False
    """Give the CPPN the distance between the two units as an input."""
    link_expression: bool = False
    """A further CPPN output per weight output says where a connection exists: where it is above zero."""
    threshold: float = Field(0.2, ge=0, lt=1)
    maximum_weight: float = Field(3.0, gt=0)

    @field_validator("patterns")
    @classmethod
    def _unique(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(patterns)) < len(patterns):
            raise ValueError("names a weight matrix twice")
        return patterns


@dataclass(frozen=True)
class Painting:
    """Which CPPN outputs paint one parameter: `values` (one, or one per target unit) and `expression` beside them."""

    values: tuple[int, ...]
    expression: tuple[int, ...]


class CppnEncoding:
    """Graphs to weights.

    `input_names` and `output_names` say what a genome must read and write; the search builds its genomes to fit.
    """

    def __init__(self, settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device | str = "cpu"):
        matrices = [name for name, parameter in geometry.items() if parameter.source is not None]
        if unknown := [name for name in settings.patterns if name not in matrices]:
            raise ValueError(f"encoding.patterns: no weight matrix called {unknown[0]!r}; "
                             f"allowed: {', '.join(matrices)}")
        self.settings, self.geometry, self.device = settings, geometry, torch.device(device)
        self.input_names = ["x1", "y1", "x2", "y2", "one"]
        self.input_names += ["dx", "dy"] if settings.delta else []
        self.input_names += ["distance"] if settings.distance else []
        self.output_names: list[str] = []
        self.paintings = {name: self._plan(name, parameter) for name, parameter in geometry.items()}
        self._places = {name: self._coordinates(name, parameter) for name, parameter in geometry.items()}

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

    def _coordinates(self, name: str, parameter: ParameterGeometry) -> dict[str, Value]:
        """The CPPN's inputs for one parameter by name, float64, each (1, S), (T, 1), (T, S), (1, 1) or separable."""
        zero = torch.zeros(1, 1, dtype=torch.float64, device=self.device)
        x1 = y1 = x2 = y2 = zero
        if parameter.source is not None:
            x1, y1 = (axis[None, :].contiguous().to(self.device) for axis in parameter.source.plane.T)
        if name not in self.settings.patterns:
            x2, y2 = (axis[:, None].contiguous().to(self.device) for axis in parameter.target.plane.T)
        inputs: dict[str, Value] = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "one": zero + 1}
        if self.settings.delta:
            inputs |= {"dx": Separable(x1, -x2), "dy": Separable(y1, -y2)}
        if self.settings.distance:
            inputs["distance"] = torch.sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2)
        return inputs

    def inputs(self, name: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The CPPN's inputs for every connection of one parameter, in the order of `input_names`."""
        return [as_tensor(value) for value in self._inputs(name, dtype)]

    def _inputs(self, name: str, dtype: torch.dtype) -> list[Value]:
        return [value.to(dtype) for value in self._places[name].values()]

    def express(self, genotypes: Sequence[Graph], dtype: torch.dtype = torch.float32) -> Weights:
        """Paint the weights of P networks; differentiable in the weights and biases of every graph.

        Neighbours of one topology are painted together. A weight matrix stays factored where its graph allows it.
        """
        inputs = {name: self._inputs(name, dtype) for name in self.geometry}
        pieces = []
        for _, group in groupby(genotypes, key=lambda graph: graph.topology):
            graphs = stack(list(group)).to(self.device, dtype)
            pieces.append({name: self._paint(graphs, name, inputs[name]) for name in self.geometry})
        return Weights({name: join([piece[name] for piece in pieces]) for name in self.geometry})

    def _paint(self, graphs: Graph, name: str, inputs: list[Value]) -> Tensor | Factored:
        """One parameter of a stack of P graphs: (P, T, S), (P, T) for a bias, or factored."""
        painting, parameter = self.paintings[name], self.geometry[name]
        painted = separate(graphs, inputs, painting.values + painting.expression)
        rows, sources = len(painting.values), parameter.source.units if parameter.source is not None else 1
        only = painted[0]
        if isinstance(only, Separable) and len(painted) == 1 and self.settings.threshold == 0 and parameter.source:
            left, right = only.factors(parameter.target.units, sources)
            return Factored(left * self.settings.maximum_weight, right)
        shape = (len(graphs.weights), parameter.target.units if rows == 1 else 1, sources)
        spread = [as_tensor(value).expand(shape) for value in painted]
        weights = self.weight(torch.cat(spread[:rows], dim=1))
        if painting.expression:
            weights = torch.where(torch.cat(spread[rows:], dim=1) > 0, weights, torch.zeros_like(weights))
        return weights.reshape(len(weights), *parameter.shape)

    def weight(self, output: Tensor) -> Tensor:
        """The substrate's weight for a CPPN output: see the equation at the head of this file."""
        threshold, maximum = self.settings.threshold, self.settings.maximum_weight
        if threshold == 0:
            return output * maximum
        return torch.nn.functional.softshrink(output, threshold) * (maximum / (1 - threshold))

    def count(self, genotype: Graph) -> int:
        """Encoded genes of one genotype."""
        return genotype.genes


def build(settings: Settings, geometry: dict[str, ParameterGeometry], device: torch.device) -> CppnEncoding:
    """The encoding for a target's parameters."""
    return CppnEncoding(settings, geometry, device)
