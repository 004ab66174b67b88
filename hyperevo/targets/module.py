"""Any `nn.Module` as a target: its parameters are generated, its buffers belong to each individual.

A network whose normalisation keeps running statistics (BatchNorm) uses those of the batch while fitness is measured,
and its own, taken from training data by `calibrate`, where it is validated, tested and exported.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hyperevo.components import ComponentSettings
from hyperevo.geometry import Sheet, module_geometry
from hyperevo.targets._lent import Lent
from hyperevo.weights import Weights


class Settings(ComponentSettings):
    """Options of a target made from a module."""

    name: Literal["module"] = "module"
    module: str
    """`package.module:name` or `file.py:name` of a class or function that returns the module. It must take examples
    (N, *shape) and answer (N, outputs)."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What it is called with, by keyword."""
    shape: tuple[int, ...] | None = None
    """Shape of one example as the module takes it; by default that of the task's inputs, and an image without channels
    gets one."""

    @field_validator("module")
    @classmethod
    def _has_both(cls, module: str) -> str:
        place, _, name = module.rpartition(":")
        if not place or not name:
            raise ValueError("is not of the form package.module:name or file.py:name")
        return module


class ModuleTarget:
    """P copies of a module that differ in parameters and buffers.

    module: is not changed, but for where it lies and its mode. shape: of one example as the module takes it. inputs:
    the sheet its first layer reads, which places that layer's weights.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], inputs: Sheet | None = None):
        self.module, self.shape = module.eval().requires_grad_(False), tuple(shape)
        self.geometry = module_geometry(module, inputs)
        self._buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        self.calibration_images = 2000 if self._buffers else 0
        self._lent = Lent(self.module)
        # torch.vmap has no rule for the recurrent layers.
        self._mappable = not any(isinstance(part, nn.RNNBase) for part in module.modules())
        self.units = self._count_units()

    def _count_units(self) -> int:
        """Values that the module's parts without parts compute for one example."""
        counted: list[int] = []

        def count(_part: nn.Module, _inputs: Any, answer: Any) -> None:
            first = answer[0] if isinstance(answer, tuple) else answer
            counted.append(first.numel() if isinstance(first, Tensor) else 0)

        leaves = [part for part in self.module.modules() if not any(part.children())]
        hooks = [part.register_forward_hook(count) for part in leaves]
        try:
            answer = self.module(torch.zeros(1, *self.shape))
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

    def forward(self, weights: Weights, inputs: Tensor) -> Tensor:
        """inputs (N, values), the same for all networks → outputs (P, N, outputs).

        Weights that hold the buffers too, as `calibrate` gives them, are used as they are; without them,
        normalisations use the statistics of these inputs.
        """
        calibrated = all(name in weights for name in self._buffers)
        return self._run(weights, inputs, normalise_by_batch=not calibrated)[0]

    def calibrate(self, weights: Weights, inputs: Tensor, labels: Tensor | None = None) -> Weights:
        """The weights together with every network's own buffers, its statistics those of these inputs (N, values)."""
        if not self._buffers:
            return weights
        _, buffers = self._run(weights, inputs, normalise_by_batch=True)
        return Weights({**weights, **buffers})

    def _run(self, weights: Weights, inputs: Tensor, normalise_by_batch: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Outputs and buffers of all networks. On the CPU network by network: `vmap` makes batched products of the
        layers, which are slower there."""
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
    """While it lasts, normalisations use the batch's own statistics, or those that they keep."""
    parts: list[Any] = [part for part in module.modules() if getattr(part, "running_mean", None) is not None]
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


def _load(place: str) -> Any:
    """What `package.module:name` or `file.py:name` names; raises ValueError where it cannot be had."""
    where, _, name = place.rpartition(":")
    if where.endswith(".py") and not Path(where).is_file():
        raise ValueError(f"target.module: {where}: no such file")
    try:
        source = _run_file(where) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:  # somebody else's code runs here
        raise ValueError(f"target.module: {where}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not callable(getattr(source, name, None)):
        raise ValueError(f"target.module: {where} has no class or function {name!r}")
    return getattr(source, name)


def _run_file(path: str) -> Any:
    specification = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert specification is not None and specification.loader is not None
    source = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(source)
    return source


def build(settings: Settings, inputs: Sheet, outputs: int) -> ModuleTarget:
    """The target for a task with `inputs` and `outputs` classes; raises ValueError where the module does not fit."""
    maker = _load(settings.module)
    # The module draws numbers for parameters that are never used; they are nobody else's.
    with torch.random.fork_rng(devices=[]):
        try:
            module = maker(**settings.arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"target.arguments: {settings.module}: {' '.join(str(error).split())}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"target.module: {settings.module} returned {type(module).__name__}, not an nn.Module")
    target = ModuleTarget(module, settings.shape or _example_shape(inputs), inputs)
    answered = module(torch.zeros(1, *target.shape)).shape[1]
    if answered != outputs:
        raise ValueError(f"target.module: {settings.module} has {answered} outputs, and the task needs {outputs}")
    return target


def _example_shape(inputs: Sheet) -> tuple[int, ...]:
    return (1, *inputs.sizes) if len(inputs.sizes) == 2 else inputs.sizes
