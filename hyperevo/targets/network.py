"""Network: nodes and links come with the weights, each network's own, as NEAT's genomes have them.

    value = activation(bias + response · aggregation(weight · value of the source, for every link))

A feed-forward network is computed from its inputs to its outputs. In a recurrent one all nodes are updated at once,
from the inputs of this step and the nodes' values after the step before, which begin at 0; a node that no link leads to
stays at 0. So one step takes a value along one link. (Both as neat-python's FeedForwardNetwork and RecurrentNetwork.)
In a network in continuous time (CTRNN) a node goes step_seconds / time constant of the way towards that value, as
Euler's method takes it.
All networks of a population are computed together, whatever their graphs: see `_graph_program`.

Parameters of P networks of at most N nodes and L links, padded with -1 and 0:

- node.activation, node.aggregation, node.depth (P, N): indices of functions, and longest way from an input; a recurrent
  network has no depths,
- node.bias, node.response (P, N), and node.time_constant (P, N) in continuous time,
- link.source (P, L): an input, or after these a node; link.target (P, L): a node; link.weight (P, L),
- output.node (P, outputs).
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal
from weakref import ref

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from hyperevo.components import ComponentSettings, Positive
from hyperevo.geometry import NETWORK, ParameterGeometry, Sheet
from hyperevo.parts import Target, output_sheet, output_units
from hyperevo.targets._graph_program import (
    Numbers,
    Structure,
    is_array,
    numbers_of,
    operations_of,
    rows_of,
    run,
    structure_of,
)
from hyperevo.weights import Weights

FEW_VALUES = 2**22
"""Number of values, 16 MB, that links may read at a time; more examples are taken one part after the other."""


class Settings(ComponentSettings):
    """Options of the network."""

    name: Literal["network"] = "network"
    steps: int = Field(10, ge=1, le=10_000)
    """Number of updates of a recurrent network for one example; where it acts, a step is one update."""
    step_seconds: Positive = 0.02
    """Seconds that an update of a network in continuous time takes."""


class NetworkTarget(Target):
    """P networks at once, of any graphs."""

    own_inputs = True
    """True: every network may have inputs of its own."""

    def __init__(self, settings: Settings, inputs: Sheet, outputs: int | Sheet):
        self.settings = settings
        self.geometry = {NETWORK: ParameterGeometry(output_sheet(outputs), inputs)}
        self.units = inputs.units + output_units(outputs)
        # By a tensor they were made of: whoever acts asks for many steps of the same networks.
        self._kept = WeakIdKeyDictionary()
        self._last: _Asked | None = None

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, …), or (P, N, …) where every network has its own → outputs (P, N, outputs), not normalised. A
        recurrent network takes `steps` steps at the same inputs, from zeros on."""
        own = inputs if inputs.dim() == 3 and len(inputs) == weights.population else inputs.flatten(1)
        structure, numbers = self._program(weights)
        most = max((len(group.sources) for group in structure.groups), default=1)
        return torch.cat([_answer(structure, numbers, piece, self.settings.steps)
                          for piece in own.split(max(FEW_VALUES // most, 1), -2)], 1)

    def initial(self, population: int, episodes: int, like: Tensor) -> Tensor:
        """First state (P, 0, episodes): nothing, which stands for nodes at 0."""
        return like.new_zeros(population, 0, episodes)

    def step(self, weights: Weights, state: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        """State (P, nodes, N), the values of all nodes, and observations (N, units), or (P, N, units) where every
        network has its own → the next state, and outputs (P, N, outputs). Feed-forward networks have no state."""
        structure, numbers = self._program(weights)
        if not structure.recurrent:
            return state, _answer(structure, numbers, observations, 1)
        before = state.reshape(-1, state.shape[2])[structure.nodes] if state.shape[1] else None
        rows = run(structure, numbers, rows_of(structure, observations, before))
        return rows[structure.state].view(structure.networks, -1, rows.shape[1]), _outputs(structure, rows)

    def in_arrays(self, weights: Weights, state: Tensor) -> "ActingNetworks | None":
        """Networks that go on from a state of `step`; None elsewhere than on the CPU."""
        if torch.is_grad_enabled() or not is_array(state):
            return None
        return ActingNetworks(*self._program(weights), state)

    @torch.no_grad()
    def activity(self, weights: Weights) -> tuple[Tensor, Tensor]:
        """Inputs (P, units) and values of all nodes (P, nodes) in the last step of a single episode; 0 before it."""
        structure, _ = self._program(weights)
        numbers = weights.tensor("link.weight")
        rows = structure.buffers.get((1, numbers.dtype))
        if rows is None:
            rows = rows_of(structure, numbers.new_zeros(1, structure.inputs))
        inputs, nodes = rows[: structure.before - 2, 0], rows[structure.state, 0]
        return inputs.view(-1, structure.networks).T.clone(), nodes.view(structure.networks, -1)

    def outputs_of(self, weights: Weights) -> Tensor:
        """Indices (P, outputs) of the nodes that are outputs."""
        return weights.tensor("output.node")

    def _program(self, weights: Weights) -> tuple[Structure, Numbers]:
        """Structure and numbers of P networks; those made of the same tensors before are kept."""
        last = self._last
        if last is not None and not torch.is_grad_enabled() and last.weights() is weights and last.is_as_it_was():
            return last.program
        program = self._program_of(weights.dense())
        if not torch.is_grad_enabled() and all(isinstance(part, Tensor) for part in weights.values()):
            self._last = _Asked(weights, program)
        return program

    def _program_of(self, own: dict[str, Tensor]) -> tuple[Structure, Numbers]:
        same = tuple((id(part), part._version) for part in own.values())
        known = self._kept.get(own["link.source"])
        if known is None or known[0] != same:
            source = self.geometry[NETWORK].source
            assert source is not None
            # The tensors are kept as well: another could get the place in memory of one that is gone.
            others = [part for name, part in own.items() if name != "link.source"]
            structure = structure_of(own, source.units, self.settings.step_seconds)
            known = self._kept[own["link.source"]] = [same, structure, None, others]
        _, structure, numbers, _ = known
        if torch.is_grad_enabled() and any(part.requires_grad for part in own.values()):
            return structure, numbers_of(structure, own)
        if numbers is None:
            numbers = known[2] = numbers_of(structure, own)
        return structure, numbers

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """One network as an ordinary module: inputs (N, …) to outputs (N, outputs)."""
        return PlainGraph(self, Weights({name: value[None] for name, value in weights.items()}))

    def __repr__(self) -> str:
        ends = self.geometry[NETWORK]
        assert ends.source is not None
        return f"{type(self).__name__}({ends.source.units} inputs → {ends.target.units} outputs, nodes as evolved)"


class _Asked:
    """Weights that were asked for last, as they were then, with their program: to find it again takes little time."""

    def __init__(self, weights: Weights, program: tuple[Structure, Numbers]):
        self.weights, self.program = ref(weights), program
        self._parts = [ref(part) for part in weights.dense().values()]
        self._versions = [part._version for part in weights.dense().values()]

    def is_as_it_was(self) -> bool:
        """True where no tensor was written to. The weights must be there still."""
        return self._versions == [part()._version for part in self._parts]  # type: ignore[union-attr]


class ActingNetworks:
    """P networks in the middle of N episodes: the operations of `run`, on arrays over the same memory."""

    def __init__(self, structure: Structure, numbers: Numbers, state: Tensor):
        episodes = state.shape[2]
        before = state.reshape(-1, episodes)[structure.nodes] if state.shape[1] else None
        self._structure, self._state = structure, state
        self._rows = rows_of(structure, state.new_zeros(structure.networks, episodes, structure.inputs), before)
        self._operations = operations_of(structure, numbers, self._rows)
        self._values, self._places = self._rows.numpy(), structure.outputs.numpy()
        self._inputs = self._values[: structure.before - 2].reshape(structure.inputs, structure.networks, episodes)
        outputs = np.empty((len(self._places), episodes), dtype=self._values.dtype)
        self._outputs = outputs.reshape(-1, *self._inputs.shape[1:])
        # One column is gathered in two thirds of the time from flat values.
        read, written = (self._values, outputs) if episodes != 1 else (self._values.reshape(-1), outputs.reshape(-1))
        self._operations = *self._operations, partial(read.take, self._places, 0, written, "wrap")

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Outputs (outputs, P, N) for observations (units, P, N), valid until the next call. An overflow is the
        caller's to ignore."""
        np.copyto(self._inputs, observations)
        for operation in self._operations:
            operation()
        return self._outputs

    def memory(self) -> Tensor:
        """State that `step` would have returned."""
        if not self._structure.recurrent:
            return self._state
        return self._rows[self._structure.state].view(self._structure.networks, -1, self._rows.shape[1])


class PlainGraph(nn.Module):
    """One network with a fixed graph, whose parameters are its numbers."""

    def __init__(self, target: NetworkTarget, weights: Weights):
        super().__init__()
        self.structure, self.steps = target._program(weights)[0], target.settings.steps
        self.names = {name: name.replace(".", "_") for name in ("link.weight", "node.bias", "node.response")}
        for name, own in self.names.items():
            self.register_parameter(own, nn.Parameter(weights.tensor(name).clone()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (N, outputs) of inputs (N, …)."""
        numbers = numbers_of(self.structure, {name: self.get_parameter(own) for name, own in self.names.items()})
        return _answer(self.structure, numbers, inputs.flatten(1), self.steps)[0]


def _answer(structure: Structure, numbers: Numbers, inputs: Tensor, steps: int) -> Tensor:
    """Outputs (P, N, outputs) of inputs (N, units) or (P, N, units); in a recurrent network after so many steps."""
    rows = rows_of(structure, inputs)
    for _ in range(steps if structure.recurrent else 1):
        rows = run(structure, numbers, rows)
    return _outputs(structure, rows)


def _outputs(structure: Structure, values: Tensor) -> Tensor:
    """Outputs (P, N, outputs) from the values of all rows."""
    columns = values.shape[1]
    # One column is gathered four times as fast from flat values.
    chosen = (values.view(-1) if columns == 1 else values).index_select(0, structure.outputs)
    return chosen.view(-1, structure.networks, columns).permute(1, 2, 0)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> NetworkTarget:
    """The target for a task with `inputs` and `outputs`."""
    return NetworkTarget(settings, inputs, outputs)
