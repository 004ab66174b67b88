"""CPPN graphs in JSON: checked, and made into a `Graph`."""

from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hyperevo.components import nearest
from hyperevo.errors import shortened, shown
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.graph import Graph, Node, Topology

LARGEST = torch.finfo(torch.float32).max

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class _GraphText(BaseModel):
    """A graph's JSON. A source below `inputs` is an input, others are nodes; each comes before its use."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    inputs: int = Field(ge=0)
    outputs: tuple[int, ...]
    nodes: tuple[tuple[str, str, tuple[int, ...]], ...]
    weights: tuple[Number, ...]
    biases: tuple[Number, ...]
    responses: tuple[Number, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for index in range(len(self.nodes)):
            self._check_node(index)
        for output in self.outputs:
            if not 0 <= output < len(self.nodes):
                raise ValueError(f"outputs: there is no node {output} among {len(self.nodes)}")
        links = sum(len(sources) for *_, sources in self.nodes)
        for name, needed in (("weights", links), ("biases", len(self.nodes)), ("responses", len(self.nodes))):
            if (count := len(vars(self)[name])) != needed:
                raise ValueError(f"{name}: has {count} numbers, and the nodes need {needed}")
        return self

    def _check_node(self, index: int) -> None:
        activation, aggregation, sources = self.nodes[index]
        if activation not in ACTIVATIONS:
            raise ValueError(f"nodes.{index}: no activation called {shown(activation)}; "
                             f"{nearest(activation, ACTIVATIONS)}")
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"nodes.{index}: no aggregation called {shown(aggregation)}; "
                             f"{nearest(aggregation, AGGREGATIONS)}")
        for source in sources:
            if not 0 <= source < self.inputs + index:
                raise ValueError(f"nodes.{index}: source {source}: is neither one of {self.inputs} inputs nor, after "
                                 f"these, one of the {index} nodes before it")


def graph_from_text(text: str) -> Graph:
    """The graph that JSON spells, float64; raises ValueError, one line that names the place, where it spells none."""
    try:
        values = _GraphText.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = f"{'.'.join(map(str, problem['loc']))}: " if problem["loc"] else ""
        raise ValueError(f"{place}{shortened(problem['msg'].removeprefix('Value error, '))}") from error
    nodes = tuple(Node(*node) for node in values.nodes)
    numbers = [torch.tensor(row, dtype=torch.float64) for row in (values.weights, values.biases, values.responses)]
    return Graph(Topology(values.inputs, nodes, values.outputs), *numbers)
