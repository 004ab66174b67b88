"""A user's own arrays, of a .npz or .csv file: classification where labels are integers or text, regression where they
are floats.

Inputs are standardised: every one has mean 0 and standard deviation 1 over the training examples. On a sheet of more
axes than one, where units are alike, all share one deviation. Labels of a regression are taken as they are, so outputs
are in their units.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from hyperevo.components import NotNegative
from hyperevo.data import ArrayData, Examples, given_arrays, read_arrays
from hyperevo.devices import resident
from hyperevo.errors import UserError, shown
from hyperevo.geometry import Sheet
from hyperevo.measure import ACCURACY, R_SQUARED
from hyperevo.modules import Standardise
from hyperevo.parts import Batch, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._classes import ACCURACY_HAS_NO_GRADIENT, accuracy, minus_cross_entropy
from hyperevo.tasks._draws import Draws, Sampling, split
from hyperevo.tasks._own_data import OwnDataSettings

Names = tuple[str, ...] | str


PARTS = ("training", "validation", "test")


class Settings(OwnDataSettings):
    """Options of the task. A .npz file may hold validation and test examples too, in arrays whose names begin with
    validation_ and test_; no share is drawn then."""

    name: Literal["arrays"] = "arrays"
    inputs: Names = ()
    """Columns of a .csv file that are inputs, by default all but the labels'; or the name of the array in a .npz file,
    by default inputs."""
    label: Names = ()
    """Column of a .csv file that holds the labels, or several of numbers; or the name of the array in a .npz file, by
    default labels or targets."""
    shape: tuple[PositiveInt, ...] = ()
    """Sheet that the inputs of an example lie on, such as [28, 28] or [3, 32, 32]; by default the array's own shape."""
    examples: int = Field(500, ge=1)
    """Training examples per generation; all of them, in every generation, where there are no more."""
    sampling: Sampling = "fresh"
    """Examples drawn anew for every generation, or all training examples in turn, in a new order every epoch; what does
    not fill a batch at the end of an epoch is left out."""
    fitness: Literal["cross-entropy", "accuracy", "squared-error"] | None = None
    """Fitness on the examples of a generation: minus the mean cross-entropy, the share that is classified correctly, or
    minus the mean squared error, which makes a regression of labels that are integers too. By default cross-entropy
    where labels are integers or text, and squared-error where they are floats."""
    scale_outputs: NotNegative = 0.0
    """Above zero: before the cross-entropy every network's outputs are scaled to this standard deviation over the
    batch, so that fitness feels which class leads, not how large the weights are. Accuracy is the same either way."""

    def fitness_label(self) -> str:
        """Axis label; no more than "fitness" where the labels decide on it."""
        if self.fitness is None:
            return "fitness"
        return "fitness (accuracy)" if self.fitness == "accuracy" else f"fitness (minus {MINUS[self.fitness]})"

    def fitness_remark(self) -> str:
        """Scale of the outputs before the cross-entropy, if they are scaled."""
        return f"outputs scaled to a deviation of {self.scale_outputs:g}" if self.scale_outputs else ""

    def data_set(self) -> str:
        """Name of the file without its suffix."""
        return Path(self.path).stem or self.name


MINUS = {"cross-entropy": "cross-entropy", "squared-error": "squared error"}


class Arrays(Task):
    """Inputs (N, units) in; one output a class, or one a column of labels, out."""

    settings: Settings

    def __init__(self, settings: Settings, data: ArrayData, device: torch.device | str = "cpu"):
        """data: examples of training, and of validation and test where they are not drawn from those."""
        self.settings, self.data_name, self.checksum = settings, settings.data_set(), data.checksum
        self.device = torch.device(device)
        examples = data.parts["training"]
        self.inputs = _sheet(settings.shape or examples.inputs.shape[1:], examples)
        self.class_names, wanted = _wanted(data.parts, settings)
        self.outputs = len(self.class_names) or wanted["training"].shape[1]
        self.measure = ACCURACY if self.class_names else R_SQUARED
        if settings.fitness == "accuracy":
            self.without_gradient = ACCURACY_HAS_NO_GRADIENT
        raw = {part: (self._flat(own), wanted[part]) for part, own in data.parts.items()}
        raw = _with_held_out(raw, settings, examples.where)
        _check_held_out(raw, settings, bool(self.class_names))
        self._first = _standardise(raw["training"][0], len(self.inputs.sizes) > 1)
        prepared = {part: (self._first(inputs).to(self.device), own.to(self.device))
                    for part, (inputs, own) in raw.items()}
        self._training, self.validation, self._test = (prepared[part] for part in ("training", "validation", "test"))
        self._draws = Draws(len(self._training[1]), min(settings.examples, len(self._training[1])), settings.sampling)

    def _flat(self, examples: Examples) -> Tensor:
        """Inputs (N, units) of a part, as many as those of training."""
        flat = torch.from_numpy(np.ascontiguousarray(examples.inputs)).flatten(1)
        if flat.shape[1] != self.inputs.units:
            raise UserError(f"{examples.where}: has {flat.shape[1]} inputs an example, and the training examples have "
                            f"{self.inputs.units}")
        return flat

    def batch(self, seed: int, generation: int) -> Batch:
        """Training examples (N, units) of one generation and their labels: a function of seed and generation."""
        if self._draws.size == self._draws.examples:
            return self._training
        chosen = resident(self._draws.indices(seed, generation, generator_for(seed, generation)), self.device)
        return self._training[0][chosen], self._training[1][chosen]

    def batch_size(self) -> int:
        """Number of examples of a generation."""
        return self._draws.size

    def calibration(self, examples: int) -> Batch:
        """First training examples, as many as asked for where there are."""
        return self._training[0][:examples], self._training[1][:examples]

    def test(self) -> Batch:
        """Test examples and their labels; for the end of a run."""
        return self._test

    def preprocessing(self) -> Standardise:
        """Examples as they are in the array to what networks read."""
        return self._first

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, outputs), classes (N,) or values (N, outputs) → (P,), higher is better."""
        if not self.class_names:
            return -(outputs - wanted).square().mean((1, 2))
        if self.settings.fitness == "accuracy":
            return accuracy(outputs, wanted)
        return minus_cross_entropy(outputs, wanted, self.settings.scale_outputs)

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """outputs (P, N, outputs), classes (N,) or values (N, outputs) → (P,): the share of examples whose largest
        output is their class, or R², the share of the values' variance that is explained, the mean of all columns."""
        if self.class_names:
            return accuracy(outputs, wanted)
        error = (outputs - wanted).square().sum(1)
        return (1 - error / (wanted - wanted.mean(0)).square().sum(0)).mean(1)


def _sheet(shape: tuple[int, ...], examples: Examples) -> Sheet:
    sheet = Sheet(tuple(shape))
    if sheet.units != (has := examples.inputs[0].size):
        raise UserError(f"task.shape: {' × '.join(map(str, shape))} are {sheet.units} inputs, and {examples.where} has "
                        f"{has} an example")
    return sheet


def _wanted(parts: Mapping[str, Examples], settings: Settings) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Names of the classes, none for a regression, and wanted outputs by part: classes (N,) or values (N, columns)."""
    labels = parts["training"].labels
    if settings.fitness == "squared-error" or (settings.fitness is None and labels.dtype.kind == "f"):
        return (), {part: _values(own, labels) for part, own in parts.items()}
    known = sorted(set(_flat_labels(parts["training"])))
    if len(known) < 2:
        raise UserError(f"{parts['training'].where}: all labels are {shown(known[0])}; classes are two at least")
    numbers = {label: number for number, label in enumerate(known)}
    return tuple(map(str, known)), {part: _classes(own, numbers) for part, own in parts.items()}


def _values(examples: Examples, training: np.ndarray) -> Tensor:
    labels = examples.labels
    if labels.dtype.kind not in "biuf" or labels.ndim > 2:
        what = "text" if labels.dtype.kind == "U" else f"of shape {labels.shape}"
        raise UserError(f"{examples.where}: a regression wants labels that are numbers (N,) or (N, outputs), and these "
                        f"are {what}")
    values = torch.from_numpy(labels.astype(np.float32)).reshape(len(labels), -1)
    if values[0].numel() != training[0].size:
        raise UserError(f"{examples.where}: has {values[0].numel()} labels an example, and the training examples have "
                        f"{training[0].size}")
    return values


def _flat_labels(examples: Examples) -> list[Any]:
    labels = examples.labels
    if labels[0].size != 1:
        raise UserError(f"{examples.where}: has {labels[0].size} labels an example, and a class is one integer or text")
    if labels.dtype.kind == "f" and (labels != labels.round()).any():
        raise UserError(f"{examples.where}: has labels that are fractions, which are no classes")
    return (labels.astype(np.int64) if labels.dtype.kind == "f" else labels).reshape(-1).tolist()


def _classes(examples: Examples, numbers: Mapping[Any, int]) -> Tensor:
    labels = _flat_labels(examples)
    for label in labels:
        if label not in numbers:
            raise UserError(f"{examples.where}: label {shown(label)} is not among those of the training examples")
    return torch.tensor([numbers[label] for label in labels])


def _with_held_out(raw: Mapping[str, Batch], settings: Settings, where: str) -> dict[str, Batch]:
    """Examples of all parts; those that are not given are drawn from training."""
    validation, test = (0.0 if part in raw or isinstance(share, str) else share
                        for part, share in (("validation", settings.validation), ("test", settings.test)))
    inputs, wanted = raw["training"]
    chosen = split(len(wanted), (validation, test), settings.split, where)
    drawn = {part: (inputs[own], wanted[own]) for part, own in zip(PARTS, chosen, strict=True)}
    return {**drawn, **raw, "training": drawn["training"]}


def _check_held_out(raw: Mapping[str, Batch], settings: Settings, classes: bool) -> None:
    """Raise UserError where R² does not exist: a column of labels is constant."""
    for part in ("validation", "test"):
        labels = raw[part][1]
        if not classes and bool((labels == labels[0]).all(0).any()):
            raise UserError(f"task.{part}: R² wants labels that differ, and those of the {len(labels)} {part} examples "
                            f"of {settings.data_set()} are all the same")


def _standardise(inputs: Tensor, together: bool) -> Standardise:
    """Module that takes training inputs (N, units) to mean 0 and a deviation of 1 each, or together; constants to 0."""
    values = inputs.double()
    variance = values.var(0, correction=0)
    spread = (variance.mean() if together else variance).sqrt()
    # A constant's own deviation is not 0 but a rounding error.
    varies = spread > 1e-7 * values.abs().amax(0)
    return Standardise(1.0, values.mean(0), torch.where(varies.any() if together else varies, spread, 1.0))


def arrays_task(settings: Settings, inputs: Any, labels: Any, *, validation_inputs: Any = None,
                validation_labels: Any = None, test_inputs: Any = None, test_labels: Any = None,
                device: torch.device | str = "cpu") -> Arrays:
    """Task on arrays in memory: inputs (N, …) and labels (N,) or (N, columns), and perhaps those of validation and
    test; raises UserError, in one line, for whatever is wrong with them, and for settings that are about files."""
    for key, value in (("path", settings.path), ("inputs", settings.inputs), ("label", settings.label)):
        if value:
            raise UserError(f"task.{key}: arrays in memory have none (given: {shown(value)})")
    for key, part in (("validation", settings.validation), ("test", settings.test)):
        if isinstance(part, str):
            raise UserError(f"task.{key}: a share of the arrays in memory is wanted, or {key}_inputs and {key}_labels "
                            f"(given: {shown(part)})")
    arrays = {"inputs": inputs, "labels": labels, "validation_inputs": validation_inputs,
              "validation_labels": validation_labels, "test_inputs": test_inputs, "test_labels": test_labels}
    return Arrays(settings, given_arrays(arrays), device)


def build(settings: Settings, device: torch.device) -> Arrays:
    """The task with its files read; raises UserError where they cannot be, or do not fit together."""
    if not settings.path:
        raise UserError("task.path: is missing: the path of a .npz or .csv file")
    inputs, labels = (((names,) if names else ()) if isinstance(names, str) else names
                      for names in (settings.inputs, settings.label))
    data = read_arrays(settings.path, inputs, labels)
    for part, path in (("validation", settings.validation), ("test", settings.test)):
        if isinstance(path, str):
            other = read_arrays(path, inputs, labels)
            checksum = hashlib.sha256(f"{data.checksum} {other.checksum}".encode()).hexdigest()
            data = ArrayData({**data.parts, part: other.parts["training"]}, checksum)
    return Arrays(settings, data, device)
