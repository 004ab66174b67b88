"""Trial of somebody else's module: what it takes and gives, and the habits that whoever runs it must know."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from inspect import getclosurevars
from itertools import pairwise
from types import FunctionType
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hyperevo.errors import UserError
from hyperevo.targets._lent import copied
from hyperevo.targets._modes import mode

SPREAD = 0.05
"""Standard deviation of the numbers that are added to parameters for a second network."""


@dataclass(frozen=True)
class Habits:
    """Habits of a module.

    dtype: of the inputs that it takes. units: number of values that its leaves compute for one example. outputs: number
    of outputs. writes: whether it writes into its inputs or parameters. trains: whether it answers otherwise in
    training mode, as with dropout, apart from statistics. repeats: whether it answers the same there each time, from
    one seed.
    """

    dtype: torch.dtype
    units: int
    outputs: int
    writes: bool
    trains: bool
    repeats: bool


class Refused(UserError, ValueError):
    """Line that says why a module cannot be a target."""


def habits_of(module: nn.Module, shape: tuple[int, ...]) -> Habits:
    """Habits of a module in evaluation mode, which stays as it is.

    Raises ValueError, in one line, where the module does not take examples of this shape, does not answer a tensor
    (examples, outputs), draws random numbers in evaluation mode, remembers what it computed before, or has a
    `state_dict` that cannot be kept or does not say all.
    """
    _check_kinds(module.state_dict())
    with called(shape):
        return _tried(module, shape)


def _tried(module: nn.Module, shape: tuple[int, ...]) -> Habits:
    trial = _Trial(module, _accepted(module, shape))
    one, other = tensors_of(module), tensors_of(module) | _another(module)
    outputs = trial.call(one).shape[1]
    if tensors_of(trial.module).keys() != one.keys():
        raise Refused("target.module: has other parameters and buffers once it was called; make them beforehand")
    if trial.drew:
        raise Refused("target.module: draws random numbers in evaluation mode too, so that no result could be repeated "
                      "(F.dropout, for one, must be told training=self.training)")
    answer = trial.call(other)
    if not _same(answer, _Trial(module, trial.inputs).call(other)):
        raise Refused("target.module: remembers what it computed for another network, outside of its parameters and "
                      "buffers")
    _check_loading(module, trial.inputs, answer)
    units = max(_units(module, trial.inputs), outputs)
    trains, repeats = _training(trial, one)
    return Habits(trial.inputs.dtype, units, outputs, trial.writes, trains, repeats)


@contextmanager
def called(shape: tuple[int, ...]) -> Iterator[None]:
    """Context in which a module is called without a gradient, with random numbers that are the same each time; what it
    raises is said to be the shape's fault."""
    with explained(f"target.shape: the module does not take examples of shape {shape}"), torch.no_grad(), \
            torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@contextmanager
def explained(start: str) -> Iterator[None]:
    """Context in which whatever a module raises, exits included, becomes a ValueError of one line that starts so."""
    try:
        yield
    except (KeyboardInterrupt, Refused):
        raise
    except BaseException as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise Refused(f"{start}: {reason}") from error


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def fill(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy values, of any shape with as many numbers, into the parameters and buffers of these names."""
    own = tensors_of(module)
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value.reshape(own[name].shape))


class _Trial:
    """Calls of a module's copy with one network's values after another, and what they did besides answering."""

    def __init__(self, module: nn.Module, inputs: Tensor):
        self.module, self.inputs = copied(module), inputs
        self.parameters = [name for name, _ in module.named_parameters()]
        self.writes = self.drew = False

    def call(self, values: Mapping[str, Tensor]) -> Tensor:
        """Outputs of the module with these parameters and buffers."""
        own, inputs, state = {name: value.clone() for name, value in values.items()}, self.inputs.clone(), _random()
        kept = [(inputs, self.inputs), *((own[name], values[name]) for name in self.parameters)]
        try:
            return functional_call(self.module, dict(own), (inputs,))
        finally:
            self.writes |= any(now._version > 0 or not torch.equal(now, before) for now, before in kept)
            self.drew |= not torch.equal(state, _random())


def _random() -> Tensor:
    return torch.get_rng_state()


def _accepted(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Two examples as the module takes them: float32, or else of the dtype that all its parameters have; numbers from 0
    to 1, or else zeros."""
    own = {value.dtype for value in module.parameters() if value.is_floating_point()}
    dtypes = [torch.float32, *(own if len(own) == 1 else ())]
    examples = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    choices = [values.to(dtype) for dtype in dict.fromkeys(dtypes) for values in (examples, torch.zeros_like(examples))]
    for inputs in choices[:-1]:
        with suppress(Exception):
            return _answered(module, inputs)
    return _answered(module, choices[-1])


def _answered(module: nn.Module, inputs: Tensor) -> Tensor:
    """The inputs; raises `Refused` where the module does not answer them as it must."""
    answer = _Trial(module, inputs).call(tensors_of(module))
    if not isinstance(answer, Tensor) or answer.dim() != 2 or len(answer) != len(inputs) or answer.is_complex():
        raise Refused("target.module: must answer a tensor (examples, outputs) of real numbers")
    return inputs


def _another(module: nn.Module) -> dict[str, Tensor]:
    """Values of another network's parameters, of those that can be searched."""
    generator = torch.Generator().manual_seed(0)
    return {name: value.detach() + (SPREAD * torch.randn(value.shape, generator=generator)).to(value.dtype)
            for name, value in module.named_parameters() if value.is_floating_point()}


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first.float(), second.float(), rtol=1e-4, atol=1e-6, equal_nan=True)


def _check_kinds(state: Mapping[str, Any]) -> None:
    """Raise `Refused` where a `state_dict` holds what safetensors cannot."""
    for name, value in state.items():
        if not _can_be_kept(value):
            kind = f"a tensor of {value.dtype}, {value.layout}" if isinstance(value, Tensor) else type(value).__name__
            raise Refused(f"target.module: {name!r} in its state_dict is {kind}, which safetensors cannot hold")


def _check_loading(module: nn.Module, inputs: Tensor, answer: Tensor) -> None:
    """Raise `Refused` where a module that loads the `state_dict` of another network answers otherwise than that."""
    filled, other = copied(module), copied(module)
    fill(filled, _another(module))
    with explained("target.module: does not load its own state_dict"):
        other.load_state_dict(filled.state_dict())
    if not _same(other(inputs.clone()), answer):
        raise Refused("target.module: answers otherwise where its state_dict is loaded: a parameter is not in it, or "
                      "is not read by its name")


def check_closures(module: nn.Module) -> None:
    """Raise `Refused` where a function that a module holds, such as a hook, refers to a part or parameter of it: in a
    copy it would refer to those of the original."""
    own = {id(part) for part in module.modules()} | {id(value) for value in tensors_of(module).values()}
    for part in module.modules():
        for held in (*vars(part).values(), *part._forward_hooks.values(), *part._forward_pre_hooks.values()):
            seen = getclosurevars(held).nonlocals.values() if isinstance(held, FunctionType) else ()
            if any(id(value) in own for value in seen):
                raise Refused(f"target.module: function {held.__qualname__} refers to the module, of which there are "
                              "copies; write it as a method")


def check_memory(module: nn.Module) -> None:
    """Raise `Refused` where a parameter or buffer lies in another one's memory, or its numbers in each other's: what is
    loaded into one would change the other."""
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor) and value.layout == torch.strided and _is_expanded(value):
            raise Refused(f"target.module: {name!r} is expanded, and nothing can be loaded into it")
    spans = []
    for name, value in tensors_of(module).items():
        if value.layout == torch.strided and value.numel() and not value.is_meta:
            last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
            spans.append((value.data_ptr(), value.data_ptr() + last * value.itemsize, name))
    for (_, last, name), (start, _, other) in pairwise(sorted(spans)):
        if start <= last:
            raise Refused(f"target.module: {other!r} lies in the memory of {name!r}; what is shared must be one "
                          "and the same")


def _is_expanded(value: Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(value.shape, value.stride(), strict=True))


@torch.enable_grad()
def check_gradient(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Raise `Refused` where no gradient can be followed through a module, or where that with respect to parameters that
    are put in from outside is not that of its own."""
    with explained("target.module: no gradient can be followed through it"):
        values, inputs = _another(module), _accepted(module, shape)
        outside = {name: value.requires_grad_() for name, value in values.items()}
        slopes = _slopes(functional_call(copied(module), outside, (inputs.clone(),)), outside)
        own = copied(module)
        fill(own, values)
        inside = {name: value.requires_grad_() for name, value in own.named_parameters() if name in values}
        wanted = _slopes(own(inputs.clone()), inside)
    if not all(_same(slopes[name], wanted[name]) for name in values):
        raise Refused("target.module: its gradient is not that of the weights put into it: torch.utils.checkpoint, for "
                      "one, computes again with the module's own")


def _slopes(answer: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = torch.randn(answer.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad((answer.float() * weights).sum(), list(parameters.values()), materialize_grads=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        if gradient.is_sparse:
            raise Refused(f"target.module: the gradient of {name!r} is sparse; a gradient search needs sparse=False")
    return dict(zip(parameters, gradients, strict=True))


def _can_be_kept(value: object) -> bool:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    with suppress(Exception):
        return bool(safetensors.torch.save({"one": torch.zeros(1, dtype=value.dtype)}))
    return False


def _units(module: nn.Module, inputs: Tensor) -> int:
    """Number of values that the module's leaves compute for one of these examples."""
    counted: list[int] = []

    def count(_part: nn.Module, _inputs: Any, answer: Any) -> None:
        first = answer[0] if isinstance(answer, tuple) else answer
        counted.append(first.numel() if isinstance(first, Tensor) else 0)

    own = copied(module)
    for part in own.modules():
        if not any(part.children()):
            part.register_forward_hook(count)
    own(inputs.clone())
    return sum(counted) // len(inputs)


def _training(trial: _Trial, values: Mapping[str, Tensor]) -> tuple[bool, bool]:
    """(True where a module answers otherwise in training mode, apart from its statistics; true where it does so alike
    each time)."""
    answers = []
    for training in (False, True, True):
        torch.manual_seed(0)
        with suppress(Exception), mode(trial.module, by_batch=True, training=training):
            answers.append(trial.call(values))
    if len(answers) < 3:  # a module that cannot be trained may still be evolved
        return trial.drew, True
    plain, trained, again = answers
    return trial.drew or not _same(plain, trained), _same(trained, again)
