"""Contract of targets, as rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from hyperevo.abilities import Calibrates, ReadsOn, Steps
from hyperevo.components import ComponentSettings, find_component
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
    some,
)
from hyperevo.encodings import build_encoding
from hyperevo.encodings.direct import DirectEncoding
from hyperevo.geometry import NETWORK, SUBSTRATE, Frame, Sheet
from hyperevo.parts import Encoding, Form, Target
from hyperevo.runs.compose import shaped_target
from hyperevo.weights import Weights

OUTPUTS, EXAMPLES = 4, 6
SHEETS = (Sheet((8, 8)), Sheet((6,)), Sheet((3, 8, 8)), Frame((3, 8, 8)), Sheet((2, OUTPUTS)))
"""Inputs that a target under test is built for: the first that it takes."""


@dataclass(frozen=True)
class Case:
    """A target under test, and the sheet of its inputs."""

    part: Target
    sheet: Sheet

    @cached_property
    def encoding(self) -> Encoding:
        """One gene a weight, or graphs that find the nodes of a substrate."""
        own = {SUBSTRATE: ("es-hyperneat", {"maximum_depth": 2}), NETWORK: ("network", {})}
        name, options = next((own[key] for key in own if key in self.part.geometry), ("direct", {}))
        return build_encoding(find_component("encoding", name).settings.model_validate(options), self.part.geometry,
                              torch.device("cpu"), self.part.start)

    def plain(self) -> Weights:
        """Weights of several networks as an encoding gives them."""
        genotypes = genotypes_of(self.encoding, NETWORKS)
        if isinstance(self.encoding, DirectEncoding) and isinstance(genotypes, Tensor):
            genotypes = genotypes + self.encoding.sample(NETWORKS, torch.Generator().manual_seed(0))
        return self.encoding.express(genotypes)

    def weights(self) -> Weights:
        """Weights, with what networks take from examples."""
        return self.calibrated(self.plain())

    def calibrated(self, weights: Weights) -> Weights:
        """Weights with statistics, or a fitted readout."""
        if not isinstance(self.part, Calibrates):
            return weights
        generator = torch.Generator().manual_seed(3)
        inputs = self.inputs(form_of(self.part), 40)
        return self.part.calibrate(weights, inputs, torch.randint(OUTPUTS, (40,), generator=generator))

    def inputs(self, form: Form, examples: int = EXAMPLES) -> Tensor:
        """Inputs of a form."""
        generator, sizes = torch.Generator().manual_seed(1), self.sheet.sizes
        if form == "pairs":
            return torch.randint(1, OUTPUTS, (examples, 2, 5), generator=generator)
        if form == "symbols":
            return torch.randint(sizes[-1], (examples, self.sheet.units // sizes[-1]), generator=generator)
        shape = (-1, sizes[-1]) if form == "sequences" else (self.sheet.units,)
        return torch.randn(examples, self.sheet.units, generator=generator).reshape(examples, *shape)


def form_of(target: Target) -> Form:
    """First of the forms that a target reads."""
    return sorted(target.forms)[-1]


def case_of(settings: ComponentSettings) -> Case:
    """Target of these settings for the first sheet that it takes."""
    errors: list[Exception] = []
    for sheet in SHEETS:
        try:
            return Case(shaped_target(settings, sheet, OUTPUTS), sheet)
        except Exception as error:  # whatever a guest makes of inputs that it is not for
            errors.append(error)
    raise errors[0]


def keeps_attributes(case: Case) -> Iterator[str]:
    """Attributes are those of the contract."""
    yield from check_attributes(Target, case.part)
    if not case.part.geometry:
        yield "geometry is empty"
    if case.part.units < 1:
        yield f"units is {case.part.units}, and at least 1 is wanted"
    if not case.part.forms:
        yield "forms is empty"


def answers_in_shape(case: Case) -> Iterator[str]:
    """Outputs are (P, N, outputs), or (P, N, steps, outputs), of inputs of every form."""
    for form in sorted(case.part.forms):
        inputs = case.inputs(form)
        # Rows of an image are steps.
        steps = {"pairs": inputs.shape[-1], "sequences": inputs.shape[1], "symbols": inputs.shape[1]} \
            .get(form, case.sheet.units // case.sheet.sizes[-1])
        wanted = (NETWORKS, len(inputs), *([steps] if case.part.every_step else []), OUTPUTS)
        outputs = case.part.forward(case.weights(), inputs)
        yield from shape_line(f"outputs of {form}", outputs, wanted)
        if isinstance(outputs, Tensor) and not torch.isfinite(outputs).all():
            yield f"outputs of {form} are not finite"
        if case.part.values(inputs) < 1:
            yield f"values of {form} is {case.part.values(inputs)}, and at least 1 is wanted"


def keeps_networks_apart(case: Case) -> Iterator[str]:
    """A network's outputs do not depend on the others of the population."""
    weights, inputs = case.weights(), case.inputs(form_of(case.part))
    together, alone = (case.part.forward(weights.networks(chosen), inputs) for chosen in (slice(None), slice(2, 3)))
    if far_apart(together[2:3], alone):
        yield "outputs of network 2 are others beside other networks"


def leaves_its_inputs(case: Case) -> Iterator[str]:
    """Weights and inputs are not changed."""
    weights, inputs = case.weights(), case.inputs(form_of(case.part))
    before = bits(weights.dense()), bits(inputs)
    case.part.forward(weights, inputs)
    for name, value, own in (("weights", weights.dense(), before[0]), ("inputs", inputs, before[1])):
        if bits(value) != own:
            yield f"changes the {name} that it is given"


def gives_same_bits(case: Case) -> Iterator[str]:
    """Outputs follow from weights and inputs alone."""
    weights, inputs = case.weights(), case.inputs(form_of(case.part))
    first = bits(case.part.forward(weights, inputs))
    with other_global_seeds():
        if bits(case.part.forward(weights, inputs)) != first:
            yield "gives other outputs for the same weights and inputs"


def passes_gradients(case: Case) -> Iterator[str]:
    """Every parameter of some network has a gradient."""
    leaves = {name: value.detach().requires_grad_(value.is_floating_point())
              for name, value in case.plain().dense().items()}
    outputs = case.part.forward(case.calibrated(Weights(leaves)), case.inputs(form_of(case.part)))
    total = (outputs * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2))).sum()
    searched = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad and not name.endswith("places")}
    if not total.requires_grad:
        yield "no weight has a gradient"
        return
    gradients = torch.autograd.grad(total, list(searched.values()), allow_unused=True)
    for name, gradient in zip(searched, gradients, strict=True):
        if gradient is None or not (gradient != 0).any():
            yield f"{name} has no gradient"
        elif not torch.isfinite(gradient).all():
            yield f"{name} has a gradient that is not finite"


def becomes_a_module(case: Case) -> Iterator[str]:
    """One network as a module answers as `forward` does."""
    weights, inputs = case.weights(), case.inputs(form_of(case.part))
    module = case.part.module(case.part.state_dict(weights.network(0)))
    if not isinstance(module, nn.Module):
        yield f"gives {type(module).__name__}, not a torch.nn.Module"
    elif far_apart(module.eval()(inputs), case.part.forward(weights.networks(slice(1)), inputs)[0]):
        yield "answers otherwise than forward does"


def starts_its_parameters(case: Case) -> Iterator[str]:
    """Parameters that training starts with are those of the geometry, and follow from their generator."""
    first = case.part.start(torch.Generator().manual_seed(0))
    if first is None:
        return
    if unlike := set(first).symmetric_difference(case.part.geometry):
        yield f"differs from the geometry: {some(sorted(unlike))}"
    yield from (f"{name} has {first[name].numel()} values, and {place.size} are wanted"
                for name, place in case.part.geometry.items() if name in first and first[name].numel() != place.size)
    with other_global_seeds():
        if bits(case.part.start(torch.Generator().manual_seed(0))) != bits(first):
            yield "gives other parameters for the same generator"


def takes_own_inputs(case: Case) -> Iterator[str]:
    """Inputs of each network's own, where they are taken, are read as shared ones are."""
    if not case.part.own_inputs:
        return
    weights, inputs = case.weights(), case.inputs(form_of(case.part))
    own = case.part.forward(weights, inputs.expand(NETWORKS, *inputs.shape))
    if far_apart(own, case.part.forward(weights, inputs)):
        yield "own inputs (P, N, …) that are equal give other outputs than shared ones"


def names_its_matrices(case: Case) -> Iterator[str]:
    """Matrices for pictures, layers and constants are parameters."""
    known = {**case.part.geometry, **case.part.fitted}
    yield from (f"matrices names {name}, which is no parameter" for name in case.part.matrices() if name not in known)
    yield from (f"layers names {name}, and {name}.weight is no parameter" for name in case.part.layers
                if f"{name}.weight" not in known)
    chain = [known[f"{name}.weight"] for name in case.part.layers if f"{name}.weight" in known]
    units = [case.sheet.units, *(place.target.units for place in chain)]
    yield from (f"layer {name} reads {place.source and place.source.units} units, and {before} come before it"
                for name, place, before in zip(case.part.layers, chain, units, strict=False)
                if place.source is None or place.source.units != before)
    if chain and units[-1] != OUTPUTS:
        yield f"layers end with {units[-1]} units, and there are {OUTPUTS} outputs"
    yield from (f"{name} is both a constant and a parameter" for name in case.part.constants if name in known)


def has_its_abilities(case: Case) -> Iterator[str]:
    """Calibrating, reading on and stepping are what their protocols say."""
    weights, target = case.weights(), case.part
    if isinstance(target, Calibrates) and (lost := set(case.plain()) - set(weights)):
        yield f"calibrate loses {some(sorted(lost))}"
    if isinstance(target, ReadsOn):
        yield from _reads_on(case, target, weights)
    if isinstance(target, Steps):
        # Who reads sequences too reads a sheet row by row.
        units = case.sheet.sizes[-1] if "sequences" in target.forms else case.sheet.units
        observations = torch.randn(EXAMPLES, units, generator=torch.Generator().manual_seed(4))
        state = target.initial(NETWORKS, EXAMPLES, observations)
        for inputs in (observations, observations.expand(NETWORKS, -1, -1)):
            after, outputs = target.step(weights, state, inputs)
            yield from shape_line("state after a step", after, state.shape)
            yield from shape_line("outputs of a step", outputs, (NETWORKS, EXAMPLES, OUTPUTS))


def _reads_on(case: Case, target: ReadsOn, weights: Weights) -> Iterator[str]:
    """Two halves of a sequence, the second from the state after the first, are read as the whole."""
    inputs = case.inputs("sequences")
    middle = inputs.shape[1] // 2
    whole, _ = target.read(weights, inputs)
    first, state = target.read(weights, inputs[:, :middle])
    second, _ = target.read(weights, inputs[:, middle:], state)
    if far_apart(torch.cat([first, second], 2) if case.part.every_step else second, whole):
        yield "read gives other outputs for a sequence in two halves"
    with other_global_seeds():
        drawn = target.read(weights, inputs, None, 7)[0]
    if bits(drawn) != bits(target.read(weights, inputs, None, 7)[0]):
        yield "read draws other dropout for the same number"


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "forward, shapes": answers_in_shape,
    "forward, networks apart": keeps_networks_apart,
    "forward, inputs unchanged": leaves_its_inputs,
    "forward, same bits": gives_same_bits,
    "forward, gradient": passes_gradients,
    "forward, own inputs": takes_own_inputs,
    "module": becomes_a_module,
    "start": starts_its_parameters,
    "matrices, layers, constants": names_its_matrices,
    "abilities": has_its_abilities,
    "repr": check_repr,
}
