"""Any `nn.Module` as a target: its parameters are generated, its buffers belong to each individual.

Parameters with `requires_grad=False` keep their values, as do those that are no floating-point numbers. A network whose
normalisation keeps running statistics (BatchNorm) uses those of the batch while fitness is measured, and its own, taken
from training data by `calibrate`, where it is validated, tested and exported; spectral norm's vectors likewise. While a
gradient is followed, a module with dropout, or anything else that acts in training mode alone, is in that mode;
everywhere else modules are in evaluation mode.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from functools import cached_property, partial
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.parameter import is_lazy

from hyperevo.components import ComponentSettings
from hyperevo.errors import RunFailed, UserError
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.guests import CodeName, name_in
from hyperevo.parts import Target, output_units
from hyperevo.randomness import drawing
from hyperevo.targets._habits import (
    Refused,
    called,
    check_closures,
    check_gradient,
    check_memory,
    explained,
    fill,
    habits_of,
    tensors_of,
)
from hyperevo.targets._lent import Lent, copied
from hyperevo.targets._modes import mode, normalising_in_full
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of a target made from a module."""

    name: Literal["module"] = "module"
    module: str
    """`package.module:name` or `file.py:name` of the module, or of a class or function that returns it. The module must
    take examples (N, *shape) and return (N, outputs)."""
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

    module: is copied, and stays as it is, but that its lazy parts are made. shape: of one example as the module takes
    it. inputs: sheet that the first layer reads, for the positions of that layer's weights. Raises ValueError, in one
    line, for a module that cannot be a target.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], inputs: Sheet | None = None):
        self.original, self.shape = _prepared(module, shape), tuple(shape)
        self._dtypes = {name: value.dtype for name, value in self.original.named_parameters() if _is_searched(value)}
        _check_searched(self.original, self._dtypes)
        for value in self.original.parameters():
            value.requires_grad_(False)
        places = module_geometry(self.original, inputs)
        self.geometry = {name: places[name] for name in self._dtypes}
        self.constants = {name: value for name, value in tensors_of(self.original).items() if name not in self.geometry}
        persistent = {id(value) for value in self.original.state_dict(keep_vars=True).values()}
        self._buffers = [name for name, value in self.original.named_buffers() if id(value) in persistent]
        self.calibration_examples = 2000 if self._buffers else 0
        self._habits = habits_of(self.original, self.shape)
        self.units, self.outputs, self.drops = self._habits.units, self._habits.outputs, self._habits.trains
        # A module that writes into its parameters needs copies of those that are not searched, too.
        self._own = self.constants if self._habits.writes else dict(self.original.named_buffers())
        self._copies: dict[torch.device, dict[str, Tensor]] = {}
        self._lent, self._gradient_checked = Lent(self.original), False

    def state_dict(self, network: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The module's own `state_dict` of one network, which the module loads: shared parameters under every name,
        buffers that are not persistent under none."""
        own = copied(self.original)
        fill(own, network)
        return {name: value.clone() for name, value in own.state_dict().items()}

    def module(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The module with this `state_dict`, after what shapes inputs (N, values); raises ValueError where a parameter
        or buffer is missing. Of shared ones a single name is enough."""
        own = copied(self.original)
        known = own.state_dict(keep_vars=True)
        given = {id(value) for name, value in known.items() if name in weights}
        for name, value in known.items():
            if id(value) not in given:
                raise ValueError(f"{name!r} is missing")
        own.load_state_dict(dict(weights), strict=False)
        for name, value in own.named_parameters():
            value.requires_grad_(name in self.geometry)
        return nn.Sequential(Shaped(self.shape, self._habits.dtype), own)

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, values), the same for all networks → outputs (P, N, outputs).

        Weights that hold buffers too, as `calibrate` gives them, are used as they are; without buffers, normalisations
        use the statistics of these inputs.
        """
        return self._run(weights, inputs, self._by_batch(weights))[0]

    def forward_dropping(self, weights: Weights, inputs: Tensor, draw: int) -> Tensor:
        """Outputs as `forward` gives them, in training mode. Raises ValueError where that is not the same each time."""
        if not self._habits.repeats:
            raise Refused("target.module: draws random numbers in training mode that are not torch's, so that no run "
                          "could be repeated")
        return self._run(weights, inputs, self._by_batch(weights), draw)[0]

    def calibrate(self, weights: Weights, inputs: Tensor, labels: Tensor | None = None) -> Weights:
        """Weights with every network's own buffers added, their statistics those of inputs (N, values)."""
        if not self._buffers:
            return weights
        _, buffers = self._run(weights, inputs, normalise_by_batch=True)
        return Weights({**weights, **buffers})

    def _by_batch(self, weights: Weights) -> bool:
        return not all(name in weights for name in self._buffers)

    def _run(self, weights: Weights, inputs: Tensor, normalise_by_batch: bool, draw: int | None = None) \
            -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs (P, N, outputs) and persistent buffers of all networks. Every network draws alike."""
        values = self._state(weights, inputs.device)
        inputs = inputs.reshape(len(inputs), *self.shape).to(self._habits.dtype)
        if not self._gradient_checked and any(value.requires_grad for value in values.values()):
            check_gradient(self.original, self.shape)
            self._gradient_checked = True
        before = inputs._version
        together = self._is_mapped(weights.population, inputs.device) and draw is None
        with self._lent.borrowed(inputs.device) as module, mode(module, normalise_by_batch, draw is not None), \
                normalising_in_full(module) if together else nullcontext():
            result = (_together if together else _one_by_one)(partial(self._one, module, draw), values, inputs)
        if inputs._version != before:
            raise RunFailed("target.module: writes into its inputs, which are other networks' too, and did not do so "
                            "when it was tried")
        return result

    def _is_mapped(self, population: int, device: torch.device) -> bool:
        """True where networks are computed together. `vmap` makes batched products of the layers, which on the CPU are
        slower than network by network; and one network alone needs none."""
        return population > 1 and device.type != "cpu" and self._mappable

    def _state(self, weights: Weights, device: torch.device) -> dict[str, Tensor]:
        """Every parameter that is searched and every buffer with the leading axis P; of modules that write into their
        parameters all of these."""
        state = {name: weights.tensor(name).reshape(-1, *place.tensor_shape).to(self._dtypes[name])
                 for name, place in self.geometry.items()}
        for name, value in self._own_on(device).items():
            own = weights.tensor(name) if name in self._buffers and name in weights else \
                value.expand(weights.population, *value.shape)
            state[name] = own.clone()
        return state

    def _own_on(self, device: torch.device) -> dict[str, Tensor]:
        """Numbers of the module that are not searched, on a device, where they stay once they were copied to it."""
        if device not in self._copies:
            self._copies[device] = {name: value.to(device) for name, value in self._own.items()}
        return self._copies[device]

    def _one(self, module: nn.Module, draw: int | None, state: dict[str, Tensor], inputs: Tensor) \
            -> tuple[Tensor, dict[str, Tensor]]:
        state = dict(state)
        if self._habits.writes:
            state, inputs = {name: value.clone() for name, value in state.items()}, inputs.clone()
        with drawing(draw, inputs.device):
            outputs = functional_call(module, state, (inputs,))
        return outputs.float(), {name: state[name] for name in self._buffers}

    @cached_property
    def _mappable(self) -> bool:
        """True where `torch.vmap` takes the module: it has no rule for recurrent layers, for one."""
        if self._habits.writes or any(isinstance(part, nn.RNNBase) for part in self.original.modules()):
            return False
        module, inputs = copied(self.original), torch.zeros(2, *self.shape, dtype=self._habits.dtype)
        own = {name: value for name, value in tensors_of(module).items() if name in self.geometry}
        state = {name: value.expand(2, *value.shape).clone()
                 for name, value in {**own, **dict(module.named_buffers())}.items()}
        with suppress(Exception), torch.no_grad(), mode(module, True, False):
            _together(partial(self._one, module, None), state, inputs)
            return True
        return False


class Shaped(nn.Module):
    """Examples (N, values) in a module's own shape and dtype."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype):
        super().__init__()
        self.shape, self.dtype = shape, dtype

    def forward(self, values: Tensor) -> Tensor:
        """(N, values) → (N, *shape)."""
        return values.unflatten(1, self.shape).to(self.dtype)


def _prepared(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Copy in evaluation mode on the CPU, its lazy parts made."""
    for part in module.modules():
        if isinstance(part, torch.jit.ScriptModule | nn.DataParallel):
            raise Refused(f"target.module: {type(part).__name__} takes no weights from outside; give the module in it")
    check_closures(module)
    if any(is_lazy(value) for value in (*module.parameters(), *module.buffers())):
        with called(shape):
            module.eval()(torch.zeros(2, *shape))  # before that they cannot be copied
    check_memory(module)
    with explained("target.module: cannot be copied"):
        return copied(module).cpu().eval()


def _is_searched(parameter: Tensor) -> bool:
    return parameter.requires_grad and parameter.numel() > 0


def _check_searched(module: nn.Module, dtypes: Mapping[str, torch.dtype]) -> None:
    """Raise `Refused` where a module has no parameters to search, or one that is no real number."""
    if not dtypes:
        frozen = any(True for _ in module.parameters())
        raise Refused(f"target.module: has no parameters to search"
                      f"{': all have requires_grad=False or no elements' if frozen else ''}")
    for name, dtype in dtypes.items():
        if dtype.is_complex:
            raise Refused(f"target.module: parameter {name!r} is {dtype}, and only real numbers are searched; "
                          "requires_grad=False keeps its value")


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
        maker = _same_each_time(place.get)
    except UserError as error:
        raise type(error)(f"target.module: {error}") from error
    module = _same_each_time(lambda: _made(maker, place, settings))
    return fitting_target(module, settings.module, inputs, outputs, settings.shape)


def _same_each_time(work: Callable[[], Any]) -> Any:
    """Result of a guest's work. It draws the same each time, for numbers that are not searched stay as they are, and
    draws nobody else's random numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return work()


def fitting_target(module: nn.Module, name: str, inputs: Sheet, outputs: int | Sheet,
                   shape: tuple[int, ...] | None = None) -> ModuleTarget:
    """Target of a module, called `name`, for a task; see `Settings` for the shape. Raises ValueError where the module
    does not fit."""
    target, needed = ModuleTarget(module, shape or _example_shape(inputs), inputs), output_units(outputs)
    if target.outputs != needed:
        raise ValueError(f"target.module: {name} has {target.outputs} outputs, and the task needs {needed}")
    return target


def _made(maker: Any, place: CodeName, settings: Settings) -> nn.Module:
    """A module itself, or the result of a guest's class or function; raises ValueError, in one line, for all that goes
    wrong."""
    if isinstance(maker, nn.Module):
        if settings.arguments:
            raise ValueError(f"target.arguments: {settings.module} is a module already, and takes none")
        return maker
    if not callable(maker):
        raise ValueError(f"target.module: {place.source.spelled} has no class or function {place.attribute!r}")
    try:
        module = maker(**settings.arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"target.arguments: {settings.module}: {type(error).__name__}: {reason}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"target.module: {settings.module} returned {type(module).__name__}, not an nn.Module")
    return module


def _example_shape(inputs: Sheet) -> tuple[int, ...]:
    return (1, *inputs.sizes) if len(inputs.sizes) == 2 else inputs.sizes
