"""CPPN graphs in JSON: checked, and made into a `Graph`."""

from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hyperevo.errors import shortened
from hyperevo.graph import Graph, Node, Topology, check_topology, numbers_needed

LARGEST = torch.finfo(torch.float32).max

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class _GraphText(BaseModel):
    """A graph's JSON. A source below `inputs` is an input, others are nodes; each comes before its use, unless it is
    recurrent. A node's last number is its time constant, 1 where there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    inputs: int = Field(ge=0)
    outputs: tuple[int, ...]
    nodes: tuple[tuple[str, str, tuple[int, ...]] | tuple[str, str, tuple[int, ...], Number], ...]
    weights: tuple[Number, ...]
    biases: tuple[Number, ...]
    responses: tuple[Number, ...]
    recurrent: bool = False

    @property
    def topology(self) -> Topology:
        """Nodes and outputs."""
        return Topology(self.inputs, tuple(Node(*node) for node in self.nodes), self.outputs, self.recurrent)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_topology(self.topology)
        for name, needed in numbers_needed(self.topology).items():
            if (count := len(vars(self)[name])) != needed:
                raise ValueError(f"{name}: has {count} numbers, and the nodes need {needed}")
        return self


def graph_from_text(text: str) -> Graph:
    """The graph that JSON spells, float64; raises ValueError, one line that names the place, where it spells none."""
    try:
        values = _GraphText.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = f"{'.'.join(map(str, problem['loc']))}: " if problem["loc"] else ""
        raise ValueError(f"{place}{shortened(problem['msg'].removeprefix('Value error, '))}") from error
    numbers = [torch.tensor(row, dtype=torch.float64) for row in (values.weights, values.biases, values.responses)]
    return Graph(values.topology, *numbers)
