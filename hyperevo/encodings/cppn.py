"""CPPN encoding (HyperNEAT): a graph paints every weight from the coordinates of the two units it joins.

    w = sign(o) · (|o| - threshold) / (1 - threshold) · maximum_weight   where |o| > threshold, else 0

(Stanley, D'Ambrosio & Gauci 2009). The genotypes are `Graph` objects of any shapes, usually from the search `neat`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from hyperevo.components import ComponentSettings
from hyperevo.encodings._graph import Graph, activate
from hyperevo.geometry import ParameterGeometry
from hyperevo.weights import Weights


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

    def _coordinates(self, name: str, parameter: ParameterGeometry) -> list[Tensor]:
        """The CPPN's inputs for one parameter, float64, each (1, S), (T, 1), (T, S) or (1, 1)."""
        zero = torch.zeros(1, 1, dtype=torch.float64)
        x1 = y1 = x2 = y2 = zero
        if parameter.source is not None:
            x1, y1 = (axis[None, :] for axis in parameter.source.plane.T)
        if name not in self.settings.patterns:
            x2, y2 = (axis[:, None] for axis in parameter.target.plane.T)
        inputs = [x1, y1, x2, y2, zero + 1]
        if self.settings.delta:
            inputs += [x1 - x2, y1 - y2]
        if self.settings.distance:
            inputs.append(torch.sqrt((x1 - x2) ** 2 + (y1 - y2) ** 2))
        return [tensor.to(self.device).contiguous() for tensor in inputs]

    def inputs(self, name: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The CPPN's inputs for every connection of one parameter, in the order of `input_names`."""
        return [tensor.to(dtype) for tensor in self._places[name]]

    def express(self, genotypes: Sequence[Graph], dtype: torch.dtype = torch.float32) -> Weights:
        """Paint the weights of P networks; differentiable in the weights and biases of every graph."""
        inputs = {name: self.inputs(name, dtype) for name in self.geometry}
        return Weights({name: torch.stack([self._paint(graph, name, inputs[name]) for graph in genotypes])
                        for name in self.geometry})

    def _paint(self, graph: Graph, name: str, inputs: list[Tensor]) -> Tensor:
        painting, parameter = self.paintings[name], self.geometry[name]
        painted = activate(graph, inputs, painting.values + painting.expression)
        rows = len(painting.values)
        columns = parameter.source.units if parameter.source is not None else 1
        shape = (parameter.target.units, columns) if rows == 1 else (1, columns)
        values = torch.cat([tensor.expand(shape) for tensor in painted[:rows]])
        weights = self.weight(values)
        if painting.expression:
            present = torch.cat([tensor.expand(shape) for tensor in painted[rows:]]) > 0
            weights = torch.where(present, weights, torch.zeros_like(weights))
        return weights.reshape(parameter.shape)

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
