"""Any `nn.Module` as a target: its parameters are generated, its buffers belong to each individual.

A network whose normalisation keeps running statistics (BatchNorm) uses those of the batch while fitness is measured,
and its own, taken from training data by `calibrate`, where it is validated, tested and exported.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hyperevo.components import ComponentSettings
from hyperevo.errors import UserError
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.guests import CodeName, name_in
from hyperevo.parts import Target, output_units
from hyperevo.targets._lent import Lent
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of a target made from a module."""

    name: Literal["module"] = "module"
    module: str
    """`package.module:name` or `file.py:name` of a class or function that returns the module. The module must take
    examples (N, *shape) and return (N, outputs)."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for the class or function that returns the module."""
    shape: tuple[int, ...] | None = None
    """Shape of one example as the module takes it; by default that of the task's inputs, with one channel for images
    without channels."""

    @field_validator("module")
    @classmethod
    def _has_both(cls, module: str, info: ValidationInfo) -> CodeName:
        place, _, name = module.rpartition(":")
        if not place or not name:
            raise ValueError("is not of the form package.module:name or file.py:name")
        try:
            return name_in(module, info.context)
        except UserError as error:
            raise ValueError(str(error)) from error

    def code(self) -> tuple[CodeName, ...]:
        """Code of the module."""
        return (self.module,) if isinstance(self.module, CodeName) else ()


class ModuleTarget(Target):
    """P copies of a module that differ in parameters and buffers.

    module: stays unchanged, except for its device and mode. shape: of one example as the module takes it. inputs: sheet
    that the first layer reads, for the positions of that layer's weights.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], inputs: Sheet | None = None):
        self.original, self.shape = module.eval().requires_grad_(False), tuple(shape)
        self.geometry = module_geometry(module, inputs)
        self._buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        self.calibration_examples = 2000 if self._buffers else 0
        self._lent = Lent(self.original)
        # torch.vmap has no rule for the recurrent layers.
        self._mappable = not any(isinstance(part, nn.RNNBase) for part in module.modules())
        self.units = self._count_units()

    def _count_units(self) -> int:
        """Number of values that the module's leaves compute for one example; raises ValueError where the module does
        not take such an example, or does not answer a tensor (examples, outputs)."""
        counted: list[int] = []

        def count(_part: nn.Module, _inputs: Any, answer: Any) -> None:
            first = answer[0] if isinstance(answer, tuple) else answer
            counted.append(first.numel() if isinstance(first, Tensor) else 0)

        leaves = [part for part in self.original.modules() if not any(part.children())]
        hooks = [part.register_forward_hook(count) for part in leaves]
        try:
            answer = self.original(torch.zeros(1, *self.shape))
        except Exception as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"target.shape: the module does not take examples of shape {self.shape}: {reason}") \
                from error
        finally:
            for hook in hooks:
                hook.remove()
        if not isinstance(answer, Tensor) or answer.dim() != 2:
            raise ValueError("target.module: must answer a tensor (examples, outputs)")
        return max(sum(counted), answer.numel())

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The module with these parameters and buffers, after an `Unflatten` of inputs (N, values)."""
        own = copy.deepcopy(self.original)
        own.load_state_dict(dict(weights), strict=False)
        return nn.Sequential(nn.Unflatten(1, self.shape), own)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, values), the same for all networks → outputs (P, N, outputs).

        Weights that hold buffers too, as `calibrate` gives them, are used as they are; without buffers, normalisations
        use the statistics of these inputs.
        """
        calibrated = all(name in weights for name in self._buffers)
        return self._run(weights, inputs, normalise_by_batch=not calibrated)[0]

    def calibrate(self, weights: Weights, inputs: Tensor, labels: Tensor | None = None) -> Weights:
        """Weights with every network's own buffers added, their statistics those of inputs (N, values)."""
        if not self._buffers:
            return weights
        _, buffers = self._run(weights, inputs, normalise_by_batch=True)
        return Weights({**weights, **buffers})

    def _run(self, weights: Weights, inputs: Tensor, normalise_by_batch: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs (P, N, outputs) and buffers of all networks. The CPU takes network by network: `vmap` makes batched
        products of the layers, which are slower there."""
        values = self._state(weights, inputs)
        inputs = inputs.reshape(len(inputs), *self.shape)
        run = _together if self._mappable and inputs.device.type != "cpu" else _one_by_one
        with self._lent.borrowed(inputs.device) as module, _normalising(module, normalise_by_batch):
            return run(partial(self._one, module), values, inputs)

    def _state(self, weights: Weights, inputs: Tensor) -> dict[str, Tensor]:
        """Every parameter and buffer with the leading axis P."""
        state = {name: weights.tensor(name).reshape(-1, *parameter.tensor_shape)
                 for name, parameter in self.geometry.items()}
        for name, buffer in self._buffers.items():
            own = weights.tensor(name) if name in weights else \
                buffer.to(inputs.device).expand(weights.population, *buffer.shape)
            state[name] = own.clone()
        return state

    def _one(self, module: nn.Module, state: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        state = dict(state)
        outputs = functional_call(module, state, (inputs,))
        return outputs, {name: state[name] for name in self._buffers}


@contextmanager
def _normalising(module: nn.Module, by_batch: bool) -> Iterator[None]:
    """Context in which normalisations use the batch's statistics, or, if not `by_batch`, those that they keep."""
    parts: list[Any] = [part for part in module.modules() if "running_mean" in dict(part.named_buffers(recurse=False))]
    momenta = [part.momentum for part in parts]
    for part in parts:
        part.train(by_batch)
        part.momentum = 1.0  # these inputs alone decide
    try:
        yield
    finally:
        for part, momentum in zip(parts, momenta, strict=True):
            part.eval()
            part.momentum = momentum


Network = Callable[[dict[str, Tensor], Tensor], tuple[Tensor, dict[str, Tensor]]]


def _one_by_one(network: Network, state: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    answers = [network(dict(zip(state, own, strict=True)), inputs) for own in zip(*state.values(), strict=True)]
    outputs, buffers = zip(*answers, strict=True)
    return torch.stack(outputs), {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}


def _together(network: Network, state: dict[str, Tensor], inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return vmap(network, in_dims=(0, None))(state, inputs)


def build(settings: Settings, inputs: Sheet, outputs: int | Sheet) -> ModuleTarget:
    """The target for a task with `inputs` and `outputs` classes; raises ValueError where the module does not fit."""
    place = name_in(settings.module, None)
    try:
        maker = place.get()
    except UserError as error:
        raise type(error)(f"target.module: {error}") from error
    if not callable(maker):
        raise ValueError(f"target.module: {place.source.spelled} has no class or function {place.attribute!r}")
    # The module draws numbers for parameters that are never used; they are nobody else's.
    with torch.random.fork_rng(devices=[]):
        module = _made(maker, settings)
    if not isinstance(module, nn.Module):
        raise ValueError(f"target.module: {settings.module} returned {type(module).__name__}, not an nn.Module")
    return fitting_target(module, settings.module, inputs, outputs, settings.shape)


def fitting_target(module: nn.Module, name: str, inputs: Sheet, outputs: int | Sheet,
                   shape: tuple[int, ...] | None = None) -> ModuleTarget:
    """Target of a module, called `name`, for a task; see `Settings` for the shape. Raises ValueError where the module
    does not fit."""
    target, needed = ModuleTarget(module, shape or _example_shape(inputs), inputs), output_units(outputs)
    answered = module(torch.zeros(1, *target.shape)).shape[1]
    if answered != needed:
        raise ValueError(f"target.module: {name} has {answered} outputs, and the task needs {needed}")
    return target


def _made(maker: Any, settings: Settings) -> Any:
    """Result of a guest's class or function; raises ValueError, in one line, for whatever it raises."""
    try:
        return maker(**settings.arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"target.arguments: {settings.module}: {type(error).__name__}: {reason}") from error


def _example_shape(inputs: Sheet) -> tuple[int, ...]:
    return (1, *inputs.sizes) if len(inputs.sizes) == 2 else inputs.sizes
