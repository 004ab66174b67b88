"""Tasks of a user's own function, for Python: of outputs and labels, or of networks alone."""

import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from hyperevo.abilities import Steps
from hyperevo.components import TaskSettings
from hyperevo.control import Actors, forward_own
from hyperevo.data import Examples, given_arrays
from hyperevo.devices import resident
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet
from hyperevo.measure import Measure
from hyperevo.parts import Batch, Target, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._draws import Draws
from hyperevo.weights import Weights

OWN_FITNESS = Measure("fitness", factor=1.0, unit="", digits=4)


class FunctionTask(Task):
    """Fitness of a user's own function of outputs (P, N, outputs) and labels (N, …) → (P,), higher is better.

    A gradient can be followed where the function has one. Inputs are shown as they are.
    """

    measure = OWN_FITNESS

    def __init__(self, fitness: Callable[[Tensor, Tensor], Any], inputs: Any, labels: Any, *,
                 outputs: int | None = None, validation: tuple[Any, Any] | None = None,
                 test: tuple[Any, Any] | None = None, examples: int | None = None, device: torch.device | str = "cpu"):
        """inputs: (N, …); labels: numbers (N, …). outputs: number of a network's, by default one a column of labels
        that are floats. validation, test: inputs and labels that choose and test the champion, by default those of
        training. examples: number drawn for a generation, by default all. Raises UserError, in one line, for what is
        wrong."""
        given = {"inputs": inputs, "labels": labels}
        for part, pair in (("validation", validation), ("test", test)):
            if pair is not None:
                given |= {f"{part}_inputs": pair[0], f"{part}_labels": pair[1]}
        data = given_arrays(given, "task")
        self.settings, self.data_name, self.checksum = TaskSettings(name="function"), _name(fitness), data.checksum
        self._function, self._device = fitness, torch.device(device)
        training = data.parts["training"]
        self.inputs = Sheet(training.inputs.shape[1:])
        self.outputs = _outputs(training) if outputs is None else outputs
        self._training = self._batch(training)
        self.validation, self._test = (self._batch(data.parts[part]) if part in data.parts else self._training
                                       for part in ("validation", "test"))
        count = len(training.labels)
        self._draws = Draws(count, min(examples or count, count), "fresh")

    def _batch(self, examples: Examples) -> Batch:
        if (units := examples.inputs[0].size) != self.inputs.units:
            raise UserError(f"task: has {units} inputs an example, and the training examples have {self.inputs.units}")
        if examples.labels.dtype.kind == "U":
            raise UserError("task: labels: are text, and numbers are wanted")
        labels = torch.tensor(examples.labels)
        return (torch.tensor(examples.inputs, device=self._device).flatten(1),
                (labels.float() if labels.is_floating_point() else labels.long()).to(self._device))

    def batch(self, seed: int, generation: int) -> Batch:
        """Training examples of one generation: all of them, or those drawn by the seed and the generation."""
        if self._draws.size == self._draws.examples:
            return self._training
        chosen = resident(self._draws.indices(seed, generation, generator_for(seed, generation)), self._device)
        return self._training[0][chosen], self._training[1][chosen]

    def batch_size(self) -> int:
        """Number of examples of a generation."""
        return self._draws.size

    def calibration(self, examples: int) -> Batch:
        """First training examples."""
        return self._training[0][:examples], self._training[1][:examples]

    def test(self) -> Batch:
        """Test examples, or those of training where none are given."""
        return self._test

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Value (P,) of the user's function; raises UserError where it gives another shape."""
        return _one_each(self._function(outputs, wanted), len(outputs), self.data_name)

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Fitness."""
        return self.fitness(outputs, wanted)


def _name(function: Any) -> str:
    name = function.__name__ if inspect.isroutine(function) else type(function).__name__
    return name if name.isidentifier() else "function"  # a lambda's is none


def _outputs(examples: Examples) -> int:
    if examples.labels.dtype.kind != "f":
        raise UserError("task.outputs: is missing: the number of a network's outputs has to be given where labels are "
                        "no floats")
    return int(examples.labels[0].size)


def _one_each(values: Any, networks: int, name: str) -> Tensor:
    values = torch.as_tensor(values)
    if values.shape != (networks,):
        raise UserError(f"task.fitness: {name} gives values of shape {tuple(values.shape)}, and one for each of "
                        f"{networks} networks is wanted")
    return values if values.is_floating_point() else values.float()


class Networks:
    """P networks as one function; in a loop, one network after the other.

    networks(inputs): inputs (N, units), the same for all, or (P, N, units) → outputs (P, N, outputs). Of a single one:
    inputs (units,) or (N, units) → outputs (outputs,) or (N, outputs). Networks that remember do so from call to call,
    until `forget`.
    """

    def __init__(self, target: Target, weights: Weights, device: torch.device, single: bool = False):
        self._target, self._weights, self._device, self._single = target, weights, device, single
        self._actors: Actors | None = None

    def __len__(self) -> int:
        return self._weights.population

    def __iter__(self) -> Iterator["Networks"]:
        for number in range(len(self)):
            yield Networks(self._target, self._weights.networks(slice(number, number + 1)), self._device, single=True)

    def forget(self) -> None:
        """Begin anew."""
        self._actors = None

    @torch.no_grad()
    def __call__(self, inputs: Any) -> Tensor:
        """Outputs of these inputs, a tensor or what `torch.as_tensor` makes one of."""
        values = torch.as_tensor(inputs, dtype=torch.float32, device=self._device)
        if self._single and values.dim() == 1:
            return self._answer(values[None])[0, 0]
        outputs = self._answer(values)
        return outputs[0] if self._single else outputs

    def _answer(self, values: Tensor) -> Tensor:
        if not isinstance(self._target, Steps):
            return self._target.forward(self._weights, values) if values.dim() == 2 \
                else forward_own(self._target, self._weights, values)
        own = values.expand(len(self), *values.shape) if values.dim() == 2 else values
        if self._actors is None:
            self._actors = Actors(self._target, self._weights, own.shape[1])
        if self._actors.episodes != own.shape[1]:
            raise UserError(f"task.fitness: networks that remember {self._actors.episodes} sequences were shown "
                            f"{own.shape[1]}; `forget` begins anew")
        return self._actors.outputs(own)


class NetworksTask(Task):
    """Fitness of a user's own function of networks alone: it takes P `Networks` and gives (P,), higher is better.

    It has to be a function of the networks alone: what is random in it has to be drawn from the same seed at every
    call. There is no gradient, and the same function chooses and tests the champion.
    """

    measure = OWN_FITNESS
    form = "observations"
    examples = "evaluations"
    checksum = "function"
    without_gradient = "search.name: a function of networks has no gradient to follow; use an evolutionary search"

    def __init__(self, fitness: Callable[[Networks], Any], inputs: int | tuple[int, ...], outputs: int,
                 device: torch.device | str = "cpu"):
        """inputs: number of a network's inputs, or sizes of the sheet they lie on; outputs: number of its outputs."""
        self.settings, self.data_name, self._function = TaskSettings(name="function"), _name(fitness), fitness
        self.inputs, self.outputs = Sheet((inputs,) if isinstance(inputs, int) else tuple(inputs)), outputs
        if min(*self.inputs.sizes, outputs) < 1:
            raise UserError(f"task.inputs, task.outputs: {self.inputs.sizes} and {outputs}; 1 is the least")
        self._device, self._turn = torch.device(device), threading.Lock()
        self.validation = self.test()

    def batch(self, seed: int, generation: int) -> Batch:
        """One evaluation: nothing is shown by the task."""
        return self.test()

    def test(self) -> Batch:
        """One evaluation."""
        return torch.zeros(1, self.inputs.units, device=self._device), torch.zeros(1, device=self._device)

    def calibration(self, examples: int) -> Batch:
        """Inputs (N, units) of zeros."""
        inputs, wanted = self.test()
        return inputs.expand(examples, -1), wanted.expand(examples)

    @torch.no_grad()
    def play(self, target: Target, weights: Weights, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Values (P, 1) of the user's function; raises UserError where it gives other shapes."""
        with self._turn:  # blocks of a population are evaluated in threads, and the function is the user's
            values = self._function(Networks(target, weights, self._device))
        return _one_each(values, weights.population, self.data_name)[:, None]

    def fitness(self, played: Tensor, wanted: Tensor) -> Tensor:
        """(P, 1) → (P,): the user's function."""
        return played[:, 0]

    def score(self, played: Tensor, wanted: Tensor) -> Tensor:
        """(P, 1) → (P,): the user's function."""
        return played[:, 0]
