"""Abilities that change the way the work goes: protocols that a part has by having their methods.

P is the number of networks, N the number of examples; see `hyperevo.parts`.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from hyperevo.genotypes import Drawn, Genotypes
from hyperevo.parts import Target, Task
from hyperevo.weights import Weights

# Abilities of tasks


@runtime_checkable
class Acts(Protocol):
    """A task whose networks act in an environment instead of reading a batch."""

    act_together: int

    def play(self, target: Target, weights: Weights, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Outcomes (P, N, …) of P networks' episodes; `fitness` and `score` take them as outputs."""


@dataclass(frozen=True)
class Experience:
    """Episodes of P networks whose actions were drawn, as N episodes of T steps.

    observations: (P, T, N, features); choices: (P, T, N) indices of actions, or (P, T, N, outputs) disturbed outputs;
    rewards: (P, T, N), 0 after an episode's end; counted: (P, T, N), 1 for the steps of an episode and 0 after its end.
    """

    observations: Tensor
    choices: Tensor
    rewards: Tensor
    counted: Tensor


@runtime_checkable
class Explores(Protocol):
    """A task in whose environment actions can be drawn at random, so that a policy gradient can be followed."""

    def explore(self, target: Target, weights: Weights, inputs: Tensor, wanted: Tensor,
                generator: torch.Generator) -> Experience:
        """Experience of P networks whose actions are drawn from their outputs."""

    def log_likelihoods(self, target: Target, weights: Weights, experience: Experience) -> Tensor:
        """Logarithm (P, T, N) of the probability or density of every choice, differentiable in the weights."""


@runtime_checkable
class Writes(Protocol):
    """A task whose networks write their answers symbol by symbol when they are judged. While a gradient is followed
    they are told what is written before each symbol."""

    def write(self, target: Target, weights: Weights, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Answers (P, N, …) that P networks write; `fitness` and `score` take them as outputs."""


@runtime_checkable
class Continues(Protocol):
    """A task whose batches follow each other in one text or recording."""

    def continues(self, generation: int) -> bool:
        """True where a generation's batch begins where the batch before ended."""


@runtime_checkable
class Resizes(Protocol):
    """A task that exists at several resolutions."""

    retests: tuple[int, ...]

    def resized(self, size: int) -> Task:
        """Task at another resolution."""

    def retest(self, target: Target, weights: Weights) -> dict[str, float]:
        """Facts about one network (P = 1) at this resolution."""


Scene = tuple[int, float, Callable[[], Any], bool]
"""A step, the return until then, a function that draws the state (a `Sketch`, or a picture (H, W, 3) of bytes), and
whether the state is the last."""


@runtime_checkable
class Filmed(Protocol):
    """A task whose episodes can be watched."""

    steps_per_second: float

    def film(self, target: Target, weights: Weights, seed: int) -> Iterator[Scene]:
        """One network's episode, before every step and after the last."""


@runtime_checkable
class Calls(Protocol):
    """A task that calls environments, whose calls may not return."""

    def calls(self) -> tuple[int, str]:
        """Number of calls so far, and a phrase on the last one, such as "CartPole-v1: step 3 (episode with seed 7)"."""


# Abilities of targets


@runtime_checkable
class Calibrates(Protocol):
    """A target that takes statistics or a readout from examples."""

    def calibrate(self, weights: Weights, inputs: Tensor, wanted: Tensor) -> Weights:
        """Weights, and every network's own statistics or readout from inputs (N, …) and wanted outputs (N, …)."""


@runtime_checkable
class ReadsOn(Protocol):
    """A target that reads a sequence on from a state."""

    def read(self, weights: Weights, inputs: Tensor, state: tuple[Tensor, ...] | None = None,
             draw: int | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Outputs, and the state after the last step, starting from `state`; `draw` seeds the dropout, and None
        switches it off."""


@runtime_checkable
class DropsOut(Protocol):
    """A target that may answer otherwise while a gradient is followed, as with dropout."""

    drops: bool
    """True where its networks do."""

    def forward_dropping(self, weights: Weights, inputs: Tensor, draw: int) -> Tensor:
        """Outputs as `forward` gives them, with dropout drawn from the seed `draw`, every network's alike. What else a
        task's fitness wants of a network that draws, such as the distribution of its code, may follow the outputs."""


class InArrays(Protocol):
    """P networks in the middle of N episodes, as numpy computes them."""

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Outputs (outputs, P, N) for observations (units, P, N), valid until the next call."""

    def memory(self) -> Tensor:
        """State that the target's `step` would have returned."""


@runtime_checkable
class StepsInArrays(Protocol):
    """A target with `step` whose networks can act without a torch operation, each of which takes longer to start than
    small networks to compute."""

    def in_arrays(self, weights: Weights, state: Tensor) -> InArrays | None:
        """Networks that go on from a state (P, values, N); None where they would gain nothing."""


@runtime_checkable
class Steps(Protocol):
    """A target that remembers from one observation to the next."""

    def initial(self, population: int, episodes: int, like: Tensor) -> Tensor:
        """First state (P, …, episodes), on the device and in the dtype of `like`."""

    def step(self, weights: Weights, state: Tensor, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Next state, and outputs (P, N, outputs), for observations (N, units) or (P, N, units)."""


@runtime_checkable
class ShowsActivity(Protocol):
    """A target that can be asked for the values of its networks' nodes."""

    def activity(self, weights: Weights) -> tuple[Tensor, Tensor]:
        """Inputs (P, units) and values of all nodes (P, nodes) in the last step of a single episode of these weights.
        """

    def outputs_of(self, weights: Weights) -> Tensor:
        """Indices (P, outputs) of the nodes that are outputs."""


@dataclass(frozen=True)
class Beam:
    """Sizes of a beam search: answers that are kept in each step, most symbols of one, and α and β of the penalties."""

    width: int = 1
    most: int = 100
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0


@runtime_checkable
class Translates(Protocol):
    """A target that reads a whole sentence and then writes another by itself."""

    def translate(self, weights: Weights, source: Tensor, beam: Beam) -> Tensor:
        """Translations (P, N, steps) of sentences (N, S) by a beam search; 0 after the last symbol of each."""


# Abilities of encodings


@runtime_checkable
class FixedLength(Protocol):
    """An encoding whose genotypes are tensors (P, genes)."""

    genes: int

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from."""


@runtime_checkable
class TakesNeighbours(Protocol):
    """An encoding that expresses `Neighbours` too: weights are linear in genes that are matrices and vectors."""

    def blocks_of_genes(self) -> Mapping[str, tuple[int, int | None]]:
        """Shape of the genes of every parameter, in the genotype's order: rows and columns of a matrix, or the length
        of a vector and None."""


@runtime_checkable
class HasPrior(Protocol):
    """An encoding whose genotypes have a distribution: it generates networks."""

    def prior(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) drawn from the prior; what they express are samples of networks."""


@runtime_checkable
class LearnsPrior(Protocol):
    """An encoding of networks that share all numbers but the noise of each: a search trains what they share."""

    genes: int
    noise: int
    """Numbers of a network's noise, the last genes."""
    parts: tuple[int, int]
    """Numbers that make codes of the noise, and numbers that make weights of the codes; the first genes."""
    device: torch.device

    def sample(self, size: int, generator: torch.Generator) -> Tensor:
        """Genotypes (size, genes) for a gradient to start from."""

    def drawn(self, shared: Tensor, size: int, generator: torch.Generator) -> Drawn:
        """Networks that share all numbers, with noise from the prior."""

    def codes(self, drawn: Drawn) -> Tensor:
        """Codes (P, layers, length) of networks, differentiable in the shared numbers, of which the first part is
        enough."""


@runtime_checkable
class HasDivergence(Protocol):
    """An encoding that learns its prior, and whose distribution of weights has a divergence from theirs."""

    def divergence(self, shared: Tensor) -> Tensor:
        """Divergence () in nats, differentiable in the shared numbers."""


@runtime_checkable
class PaintsGraphs(Protocol):
    """An encoding whose genotypes are graphs of these inputs and outputs."""

    input_names: list[str]
    output_names: list[str]

    def matrix_outputs(self) -> list[int] | None:
        """Indices of the outputs that paint a weight matrix from the places of both units; None for all of them."""


@runtime_checkable
class Decides(Protocol):
    """An encoding that computes in one of several ways, by the numbers of its genotypes."""

    def decisions(self, genotypes: Genotypes) -> Hashable:
        """Everything that such numbers decide: where it is equal, and so are the structures, `express` takes the same
        operations."""


@runtime_checkable
class MayRecur(Protocol):
    """An encoding whose graphs may have links that lead back."""

    recurrent: bool
    """True where they may."""
    continuous: bool
    """True where they are networks in continuous time, whose nodes have time constants."""


# Abilities of searches


@dataclass(frozen=True)
class Loss:
    """Options of the loss that a gradient follows: decay of generated weights, precision of products, torch.compile,
    and steps as CUDA graphs."""

    generated_decay: float = 0.0
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    compile: bool = False
    graph: Literal["auto", "on", "off"] = "auto"


@runtime_checkable
class FollowsGradient(Protocol):
    """A search that is told fitness with its graph, and follows its gradient."""

    steps_per_round: int

    def loss(self) -> Loss:
        """Options of the loss."""


@runtime_checkable
class FollowsPolicyGradient(Protocol):
    """A search that follows the gradient of the expected return, from episodes whose actions were drawn. It is told the
    surrogate of every network, with its graph."""

    steps_per_round: int
    epochs: int
    """Steps along the gradient for one experience."""

    def surrogate(self, likelihoods: Tensor, before: Tensor, experience: Experience) -> Tensor:
        """Values (P,) whose gradient is followed. likelihoods: logarithms (P, T, N) under the present weights, with
        their graph; before: under the weights that drew the choices."""


@runtime_checkable
class StepsInPlace(Protocol):
    """A search that follows the gradient by tensor operations on memory that stays where it is, so that a step can be
    captured as a CUDA graph. `tell` is `begin_step`, `step` and `end_step`."""

    def begin_step(self) -> None:
        """Write the numbers that the coming step reads, such as its learning rate, where it reads them."""

    def step(self, fitness: Tensor) -> None:
        """Take the step along the gradient of the fitness (P,), by tensor operations alone."""

    def end_step(self) -> None:
        """Count the step."""

    def rehearsal(self) -> AbstractContextManager[None]:
        """Context of steps that are tried: at its end all that they changed is as before, in the same memory."""


class Lessons(Protocol):
    """Steps along the gradient that a generation of graphs takes before it is judged."""

    steps: int

    def __len__(self) -> int:
        """Number of graphs."""

    @property
    def widest(self) -> int:
        """Number of nodes and links of the largest graph, for reckoning memory."""

    def leaf(self, block: slice) -> tuple[Tensor, Genotypes]:
        """Leaf tensor with the numbers of a block of graphs, and the graphs made of its parts."""

    def step(self, gradient: Tensor) -> None:
        """Take one step up the gradient (numbers,)."""

    def graphs(self) -> Genotypes:
        """Graphs with what they have learned so far."""


@runtime_checkable
class LessonsInPlace(Lessons, Protocol):
    """Lessons that change memory which stays where it is, by tensor operations alone, so that a step can be captured as
    a CUDA graph. `step` is `begin_step`, `follow` and `end_step`."""

    def place(self, device: torch.device) -> None:
        """Put all numbers on a device, before the first step."""

    def begin_step(self) -> None:
        """Write the numbers that the coming step reads, such as its learning rate, where it reads them."""

    def follow(self, gradient: Tensor) -> None:
        """Take the step up the gradient (numbers,), by tensor operations alone."""

    def end_step(self) -> None:
        """Count the step."""

    def rehearsal(self) -> AbstractContextManager[None]:
        """Context of steps that are tried: at its end all that they changed is as before, in the same memory."""


@runtime_checkable
class Teaches(Protocol):
    """A search whose genomes may learn along the gradient within a generation."""

    @property
    def teaches(self) -> bool:
        """True where genomes learn along the gradient."""

    def lessons(self) -> Lessons | None:
        """Steps to be taken before the next tell; None where there are none."""

    def tell_learned(self, fitness: Tensor, learned: Genotypes) -> None:
        """Take the fitness (P,) of the learned graphs, in the order of the genomes asked for."""


@runtime_checkable
class HasSpecies(Protocol):
    """A search whose population is parted into species."""

    def species_sizes(self) -> dict[int, int]:
        """Number of members, by species, of the generation last told."""
