"""Contract of tasks, as rules."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from numbers import Real

import torch
from torch import Tensor, nn

from hyperevo.abilities import Acts, Continues, Filmed, Resizes, Writes
from hyperevo.components import Component, find_component
from hyperevo.contracts._encoding import genotypes_of
from hyperevo.contracts._rules import (
    NETWORKS,
    Rule,
    bits,
    check_attributes,
    check_repr,
    far_apart,
    other_global_seeds,
    shape_line,
)
from hyperevo.encodings import build_encoding
from hyperevo.genotypes import as_genes
from hyperevo.parts import Batch, Target, Task, output_units
from hyperevo.runs.compose import build_target
from hyperevo.weights import Weights

EXAMPLES = 6
"""Examples of a batch under test, at most."""


@dataclass(frozen=True)
class Case:
    """A task under test, its component, and a function that builds it anew."""

    part: Task
    component: Component
    another: Callable[[], Task]

    @cached_property
    def batch(self) -> Batch:
        """A few training examples."""
        inputs, wanted = self.part.batch(0, 0)
        return inputs[:EXAMPLES], wanted[:EXAMPLES]

    @cached_property
    def network(self) -> tuple[Target, Weights]:
        """Perceptrons, or layers that read sequences, with weights of their own."""
        if self.part.form == "pairs":
            settings = find_component("target", "encoder-decoder").settings.model_validate(
                {"embedding": 3, "hidden": 4})
        elif self.part.form in ("sequences", "symbols"):
            answer = "every step" if self.part.every_step else "last step"
            settings = find_component("target", "sequence").settings.model_validate({"hidden": 5, "answer": answer})
        else:
            settings = find_component("target", "mlp").settings.model_validate({"hidden": [[2, 3]]})
        target = build_target(settings, self.part)
        encoding = build_encoding(find_component("encoding", "direct").settings(), target.geometry,
                                  torch.device("cpu"))
        return target, encoding.express(10 * as_genes(genotypes_of(encoding, NETWORKS)))

    def outcomes(self, count: int = NETWORKS) -> Tensor:
        """Outputs of networks on the batch, or the outcomes of their episodes."""
        target, weights = self.network
        inputs, wanted = self.batch
        some = weights.networks(slice(count))
        if isinstance(self.part, Acts):
            return self.part.play(target, some, inputs, wanted)
        return target.forward(some, inputs)


def keeps_attributes(case: Case) -> Iterator[str]:
    """Attributes are those of the contract."""
    yield from check_attributes(Task, case.part)
    if case.part.class_names and len(case.part.class_names) != output_units(case.part.outputs):
        yield f"class_names has {len(case.part.class_names)} names of {output_units(case.part.outputs)} outputs"
    if case.part.steps_per_example < 1:
        yield f"steps_per_example is {case.part.steps_per_example}, and at least 1 is wanted"


def says_its_shape(case: Case) -> Iterator[str]:
    """The module's `shape` says what the task's inputs and outputs are."""
    if case.component.shape is None:
        return
    inputs, outputs = case.component.shape(case.part.settings)
    if (inputs, outputs) != (case.part.inputs, case.part.outputs):
        yield f"says {inputs} and {outputs}, the task {case.part.inputs} and {case.part.outputs}"


def draws_by_seed_and_generation(case: Case) -> Iterator[str]:
    """A batch is a function of the seed and the generation alone."""
    numbers = [(0, 0), (0, 1), (1, 0), (3, 2**40 + 5)]
    first = [bits(case.part.batch(*own)) for own in numbers]
    with other_global_seeds():
        again = [bits(case.part.batch(*own)) for own in reversed(numbers)][::-1]
    yield from (f"batch({seed}, {generation}) is another when it is asked for again"
                for (seed, generation), one, other in zip(numbers, first, again, strict=True) if one != other)


def is_built_to_the_same_bits(case: Case) -> Iterator[str]:
    """A task built again has the same data; it can be closed, and again."""
    with other_global_seeds():
        other = case.another()
        try:
            if other.checksum != case.part.checksum:
                yield "checksum is another when the task is built again"
            yield from (f"{name} is another when the task is built again" for name, one, again in (
                ("batch(0, 0)", case.part.batch(0, 0), other.batch(0, 0)),
                ("validation", case.part.validation, other.validation),
                ("test()", case.part.test(), other.test())) if bits(one) != bits(again))
        finally:
            other.close()
            other.close()


def gives_batches(case: Case) -> Iterator[str]:
    """Examples are of the form that the task says."""
    batches = {"batch(0, 0)": case.part.batch(0, 0), "validation": case.part.validation, "test()": case.part.test()}
    for name, (inputs, wanted) in batches.items():
        if len(inputs) != len(wanted) or not len(inputs):
            yield f"{name} has {len(inputs)} inputs and {len(wanted)} wanted outputs"
        if not isinstance(case.part, Acts):
            yield from (f"{name}: {line}" for line in _unlike_form(case.part, inputs))
    if case.part.batch_size() != len(batches["batch(0, 0)"][1]):
        yield f"batch_size() is {case.part.batch_size()}, and the batch has {len(batches['batch(0, 0)'][1])} examples"
    if case.part.count(case.part.test()[1]) < 1:
        yield "count of the test's wanted outputs is below 1"


def _unlike_form(task: Task, inputs: Tensor) -> Iterator[str]:
    """Lines on inputs that a network of the task cannot read."""
    features = task.inputs.sizes[-1]
    if task.form in ("values", "observations", "networks"):
        yield from shape_line("inputs", inputs, (len(inputs), task.inputs.units))
    elif task.form == "sequences" and (inputs.dim() != 3 or inputs.shape[2] != features):
        yield f"inputs are of shape {tuple(inputs.shape)}, and (N, steps, {features}) is wanted"
    elif task.form == "symbols" and (inputs.dim() != 2 or inputs.dtype != torch.long or int(inputs.max()) >= features):
        yield f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}, and torch.int64 (N, steps) below " \
              f"{features} is wanted"
    elif task.form == "pairs" and (inputs.shape[1:2] != (2,) or inputs.dim() != 3 or inputs.dtype != torch.long
                                   or int(inputs.max()) >= features):
        yield f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}, and torch.int64 (N, 2, steps) below " \
              f"{features} is wanted"
    if task.form not in ("symbols", "pairs") and inputs.dtype != torch.float32:
        yield f"inputs are {inputs.dtype}, not torch.float32"


def gives_calibration(case: Case) -> Iterator[str]:
    """Examples for statistics are at most as many as asked for, and in the form that networks read."""
    for examples in (0, 3):
        inputs, wanted = case.part.calibration(examples)
        if len(inputs) > examples or len(inputs) != len(wanted):
            yield f"calibration({examples}) gives {len(inputs)} inputs and {len(wanted)} wanted outputs"
        if examples:
            yield from (f"calibration({examples}): {line}" for line in _unlike_form(case.part, inputs))


def scores_every_network(case: Case) -> Iterator[str]:
    """Fitness and score are one finite number a network."""
    outcomes, wanted = case.outcomes(), case.batch[1]
    before = bits(outcomes)
    for name, value in (("fitness", case.part.fitness(outcomes, wanted)), ("score", case.part.score(outcomes, wanted))):
        yield from shape_line(name, value, (NETWORKS,))
        if isinstance(value, Tensor) and not torch.isfinite(value).all():
            yield f"{name} is not finite: {value.tolist()}"
        if isinstance(value, Tensor) and not value.is_floating_point():
            yield f"{name} is {value.dtype}, and floating-point numbers are wanted"
    if bits(outcomes) != before:
        yield "the outputs are changed"


def keeps_networks_apart(case: Case) -> Iterator[str]:
    """A network's outcomes, fitness and score do not depend on the others of the population."""
    outcomes, wanted = case.outcomes(), case.batch[1]
    if far_apart(outcomes[:2], case.outcomes(2)):
        yield "what a network comes to is another beside other networks"
    for name, measured in (("fitness", case.part.fitness), ("score", case.part.score)):
        if far_apart(measured(outcomes, wanted)[2:3], measured(outcomes[2:3], wanted)):
            yield f"{name} of network 2 is another beside other networks"


def passes_gradients(case: Case) -> Iterator[str]:
    """Fitness has a gradient with respect to the outputs, or the task says that it has none."""
    if case.part.without_gradient or isinstance(case.part, Acts):
        return
    outputs = case.outcomes().detach().requires_grad_()
    fitness = case.part.fitness(outputs, case.batch[1])
    if not fitness.requires_grad:
        yield "has no gradient; `without_gradient` says so in one line"
        return
    gradient, = torch.autograd.grad(fitness.sum(), outputs)
    if not torch.isfinite(gradient).all():
        yield "its gradient is not finite"
    elif not (gradient != 0).any():
        yield "its gradient is 0 for every output"


def gives_facts(case: Case) -> Iterator[str]:
    """Facts, tensors for figures and the first module are of their types."""
    target, weights = case.network
    one, batch = weights.networks(slice(1)), case.batch
    yield from _not_numbers("describe", case.part.describe(target, one))
    yield from (f"shown gives {name} that is no tensor" for name, value in case.part.shown(target, one, batch).items()
                if not isinstance(value, Tensor))
    first = case.part.preprocessing()
    if first is not None and not isinstance(first, nn.Module):
        yield f"preprocessing gives {type(first).__name__}, not a module"


def _not_numbers(name: str, facts: Mapping[str, object]) -> Iterator[str]:
    yield from (f"{name} gives {key} = {value!r:.40}, not a number" for key, value in facts.items()
                if not isinstance(value, Real))


def has_its_abilities(case: Case) -> Iterator[str]:
    """Batches that continue, other resolutions and films are what their protocols say."""
    task, (target, weights) = case.part, case.network
    one = weights.networks(slice(1))
    if isinstance(task, Continues) and not isinstance(task.continues(1), bool):
        yield "continues(1) is neither True nor False"
    if isinstance(task, Resizes):
        if not isinstance(task.resized(task.retests[0]), Task):
            yield f"resized({task.retests[0]}) is not a task"
        yield from _not_numbers("retest", task.retest(target, one))
    if isinstance(task, Writes):
        written = task.write(target, weights, *case.batch)
        yield from shape_line("score of what is written", task.score(written, case.batch[1]), (NETWORKS,))
    if isinstance(task, Filmed):
        scenes = list(islice(task.film(target, one, 0), 3))
        if not all(len(scene) == 4 and callable(scene[2]) for scene in scenes) or not scenes:
            yield "film gives no scenes (step, return, function that draws, whether it is the last)"


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "shape": says_its_shape,
    "batch, by seed and generation": draws_by_seed_and_generation,
    "same bits": is_built_to_the_same_bits,
    "examples": gives_batches,
    "calibration": gives_calibration,
    "fitness and score": scores_every_network,
    "networks apart": keeps_networks_apart,
    "fitness, gradient": passes_gradients,
    "facts": gives_facts,
    "abilities": has_its_abilities,
    "repr": check_repr,
}
