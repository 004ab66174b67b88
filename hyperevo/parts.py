"""Contracts of the four parts of a run: task, target, encoding and search.

    genotype ──encoding──▶ weights ──target──▶ outputs ──task──▶ fitness ──search──▶ next genotype

Each part has one abstract class. An abstract method, or an attribute without a value, must be given; all other members
may be given, and their defaults do nothing. An ability that changes the way the work goes is a protocol of its own
(`hyperevo.abilities`); a part has it by having its methods. P is the number of networks, N the number of examples.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hyperevo.components import ComponentSettings, TaskSettings
from hyperevo.genotypes import Genotype, Genotypes
from hyperevo.geometry import WITH_OWN_NODES, ParameterGeometry, Sheet, near_square
from hyperevo.graph import Graph
from hyperevo.measure import Measure
from hyperevo.modules import PlainNetwork, Standardise
from hyperevo.pictures import Picture
from hyperevo.weights import Weights

Batch = tuple[Tensor, Tensor]
"""Inputs (N, …) and wanted outputs (N, …) of N examples."""

State = dict[str, Any]
"""Plain data: tensors, numbers, strings, lists and dictionaries of these."""

Form = Literal["values", "sequences", "symbols", "observations", "pairs", "networks"]
"""Layout of inputs: values (N, units); sequences (N, steps, features); symbols (N, steps), integers; observations
(N, units) of an environment, one step at a time; pairs (N, 2, steps) of a sentence and an answer as far as it is
written, integers; networks (N, units), weights to be encoded and given back."""


def output_units(outputs: int | Sheet) -> int:
    """Number of outputs, which a task gives as a number or as the sheet they lie on."""
    return outputs.units if isinstance(outputs, Sheet) else outputs


def output_sheet(outputs: int | Sheet) -> Sheet:
    """Sheet of the outputs: the task's own, or one as near to a square as their number allows."""
    return outputs if isinstance(outputs, Sheet) else near_square(outputs)


NO_GRADIENT = "search.name: what networks come to in {} has no gradient to follow; use an evolutionary search"
"""Message of a task that refuses gradients; its field is the name of the environment."""


class Task(ABC):
    """Data or an environment, and the meaning of fitness on it."""

    settings: TaskSettings
    """Options the task was built with."""
    inputs: Sheet
    """Sheet of the units that a network reads, for one example or one step."""
    outputs: int | Sheet
    """Number of outputs of a network, or the sheet they lie on."""
    measure: Measure
    """Name and format of `score`."""
    data_name: str
    """Name of the data set or the environment, for titles."""
    checksum: str
    """sha256 over the data, or any text that changes when they do; a run resumes only on data with the same one."""
    validation: Batch
    """Examples that choose the champion."""

    examples: str = "examples"
    """Plural noun of the examples, for titles: images, episodes, sequences."""
    class_names: tuple[str, ...] = ()
    """Names of the outputs where these are classes."""
    form: Form = "values"
    """Layout of the inputs."""
    every_step: bool = False
    """True where outputs are wanted at every step, (P, N, steps, outputs), and not once, (P, N, outputs)."""
    exact_outputs: bool = True
    """True where `fitness` wants outputs in float32, and not as products in half precision give them."""
    without_gradient: str = ""
    """Line with which a search that follows a gradient is refused; empty where fitness has one with respect to the
    outputs."""
    steps_per_example: int = 1
    """Largest number of steps of one example, an episode's; for the count of operations."""
    alphabet: Sequence[str | bytes] = ()
    """Symbols of a text in order."""
    subwords_model: bytes = b""
    """Model, in sentencepiece's form, of the sub-words that symbols stand for; the run keeps it. Empty for none."""
    retests: tuple[int, ...] = ()
    """Resolutions at which `Resizes` tests the champion again."""
    act_together: int = 1024
    """Largest number of networks that act side by side, where they act in an environment; larger populations are
    evaluated in several blocks, which worker processes share."""

    @abstractmethod
    def batch(self, seed: int, generation: int) -> Batch:
        """Training examples of one generation: a function of the seed and the generation alone."""

    @abstractmethod
    def test(self) -> Batch:
        """Test examples, looked at once, at the end of a run."""

    @abstractmethod
    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Fitness (P,) of outputs (P, N, …) on wanted outputs (N, …); higher is better. Differentiable in the outputs,
        if `without_gradient` is empty."""

    @abstractmethod
    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Score (P,) that people read, such as accuracy; higher is better."""

    def batch_size(self) -> int:
        """Number of examples in a generation's batch, counted in budgets."""
        return len(self.batch(0, 0)[1])

    def calibration(self, examples: int) -> Batch:
        """At most `examples` training examples, for targets that fit statistics or a readout."""
        inputs, wanted = self.batch(0, 0)
        return inputs[:examples], wanted[:examples]

    def count(self, wanted: Tensor) -> int:
        """Number of answers that wanted outputs (N, …) ask for."""
        return len(wanted)

    def describe(self, target: "Target", weights: Weights) -> dict[str, float]:
        """Further facts about one network (P = 1) for result.json."""
        return {}

    def shown(self, target: "Target", weights: Weights, batch: Batch) -> dict[str, Tensor]:
        """Tensors for figures of the test examples: what one network (P = 1) makes of a batch."""
        return {}

    def figures(self) -> Iterator[Picture]:
        """Plain data of figures of the task itself; drawn where `TaskSettings.needs_no_data`."""
        return iter(())

    def preprocessing(self) -> Standardise | None:
        """Module that turns raw examples (N, …) into what networks read; None where they read examples as they are."""
        return None

    def close(self) -> None:
        """Give back processes and windows."""

    def __repr__(self) -> str:
        sizes = f"{self.inputs.shape} inputs → {output_units(self.outputs)} outputs"
        return f"{type(self).__name__}({self.data_name}, {sizes})"


class Target(ABC):
    """A network that takes its weights from outside, for P networks at once."""

    geometry: Mapping[str, ParameterGeometry]
    """Place of every parameter that an encoding gives, by its name in the `state_dict`."""
    units: int
    """Number of values computed for one example, or one step; memory is reckoned from it."""

    forms: frozenset[Form] = frozenset({"values", "observations"})
    """Layouts of inputs that the network reads."""
    every_step: bool = False
    """True where the network answers at every step, (P, N, steps, outputs), and not once, (P, N, outputs)."""
    own_inputs: bool = False
    """True where inputs (P, N, …) are taken too, each network's own."""
    takes_bfloat16: bool = False
    """True where weights and inputs may be in bfloat16 too, and outputs are then."""
    layers: Sequence[str] = ()
    """Names of layers, from inputs to readout, of a plain feed-forward chain: parameters NAME.weight and NAME.bias."""
    constants: Mapping[str, Tensor] = {}
    """Parameters and buffers that nobody searches, as they begin."""
    fitted: Mapping[str, ParameterGeometry] = {}
    """Parameters that `Calibrates` fits in closed form."""
    calibration_examples: int = 0
    """Number of training examples that `Calibrates` wants."""

    @abstractmethod
    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """Outputs (P, N, …), not normalised, of inputs (N, …), the same for all networks. Differentiable in the
        weights."""

    def state_dict(self, network: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`state_dict` of one network, from its weights and what it calibrated, with the constants."""
        places = {**self.geometry, **self.fitted}
        return {name: value.reshape(places[name].tensor_shape) if name in places else value
                for name, value in network.items()} | dict(self.constants)

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """One network as an ordinary module with these weights, of the shapes in its `state_dict`: inputs (N, …), as
        `forward` takes them, to outputs (N, …)."""
        return PlainNetwork(self.forward, {name: value.reshape(self.geometry[name].shape) if name in self.geometry
                                           else value for name, value in weights.items()})

    def start(self, generator: torch.Generator) -> Mapping[str, Tensor] | None:
        """Parameters of one network as training begins with them; None where their geometry says enough."""
        return None

    def values(self, inputs: Tensor) -> int:
        """Number of values computed for one of these examples."""
        return self.units

    def matrices(self) -> dict[str, tuple[Sheet, Sheet]]:
        """Target and source sheet of every weight matrix worth a picture, from the inputs to the readout."""
        return {name: (place.target, place.source) for name, place in {**self.geometry, **self.fitted}.items()
                if place.source is not None and name not in WITH_OWN_NODES}

    @property
    def size(self) -> int:
        """Number of weights that an encoding gives."""
        return sum(place.size for place in self.geometry.values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.geometry)} parameters, {self.size:,} weights)"


@dataclass(frozen=True)
class Counts:
    """Counts of what is searched, genes of the encoding and direct parameters, and of the weights that the encoding
    generates."""

    encoded_genes: int
    direct_parameters: int
    generated_weights: int


class Encoding(ABC):
    """Map from genotypes to the weights of a target's networks, a differentiable function of the genes."""

    settings: ComponentSettings
    """Options the encoding was built with."""
    geometry: Mapping[str, ParameterGeometry]
    """Place of every parameter that the encoding gives."""
    device: torch.device
    """Device of the weights."""

    genes: int = 0
    """Length of a genotype that is a tensor; 0 where genotypes are graphs."""
    finds_nodes: bool = False
    """True where the encoding makes hidden nodes of its own, for targets that leave them to it."""

    @abstractmethod
    def express(self, genotypes: Genotypes) -> Weights:
        """Weights of P networks from P genotypes: a tensor (P, genes), or a sequence of graphs."""

    def counts(self, genotype: Genotype | None = None) -> Counts:
        """Counts of genes and weights; of one genotype, where genotypes differ in size."""
        genes = genotype.genes if isinstance(genotype, Graph) else self.genes
        return Counts(genes, 0, sum(place.size for place in self.geometry.values()))

    def generated(self) -> list[str]:
        """Names of the parameters that come out of the encoding, in contrast to those searched directly."""
        return list(self.geometry)

    def figures(self, genotype: Genotype) -> Iterator[Picture]:
        """Plain data of the encoding's own figures for one genotype."""
        return iter(())

    def __repr__(self) -> str:
        genes = f"{self.genes:,} genes" if self.genes else "graphs"
        weights = f"{sum(place.size for place in self.geometry.values()):,} weights"
        return f"{type(self).__name__}({genes} → {'networks with hidden nodes' if self.finds_nodes else weights})"


class Search(ABC):
    """Method by which genotypes improve: ask for a population, tell its fitness."""

    generation: int
    """Number of tells so far."""

    @abstractmethod
    def ask(self) -> Genotypes:
        """Population to evaluate next; the same until it is told."""

    @abstractmethod
    def tell(self, fitness: Tensor) -> None:
        """Take the fitness (P,) of the population asked for, in its order; higher is better."""

    @abstractmethod
    def candidates(self) -> Genotypes:
        """Genotypes worth validating after a tell."""

    @abstractmethod
    def statistics(self) -> dict[str, float | int]:
        """Numbers about the last tell, for metrics.csv."""

    @abstractmethod
    def state(self) -> State:
        """Plain data on which the rest of the search depends; tensors at the top level."""

    @abstractmethod
    def restore(self, state: State, told: Sequence[Tensor]) -> None:
        """Continue, bit by bit, where `state` was taken from a search of the same settings; `told` is the fitness (P,)
        of every round until then, read from disk where it is looked at, which takes longer the later it is."""

    def prepare(self) -> None:
        """Do what takes long or can fail, before anything is written."""

    def plan(self, rounds: Callable[[int], int]) -> None:
        """Learn the length of the run, for schedules; `rounds(n)` is the number of rounds if each takes n
        evaluations."""

    def validated(self, scores: Tensor) -> None:
        """Take the validation scores (C,) of the candidates."""

    def selected(self) -> Genotypes | None:
        """Best genotype of each member of a population that learns side by side; None where members are not kept."""
        return None

    def close(self) -> None:
        """Give back threads and processes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(generation {self.generation})"


@dataclass(frozen=True)
class Parts:
    """A composed run: task, target, encoding and search, on one device."""

    device: torch.device
    task: Task
    target: Target
    encoding: Encoding
    search: Search
