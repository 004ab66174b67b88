"""View of a run folder for its figures: config, task, champion and weights, without its data set or its search."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.components import TaskSettings, component_of
from hyperevo.config import RunConfig
from hyperevo.data import data_title
from hyperevo.encodings import build_encoding
from hyperevo.errors import UserError, shortened
from hyperevo.genotypes import Genotype, stack
from hyperevo.geometry import Sheet
from hyperevo.parts import Encoding, Target, output_units
from hyperevo.runs.checkpoint import latest_checkpoint
from hyperevo.runs.compose import shaped_target, task_shape
from hyperevo.runs.files import read_folder
from hyperevo.runs.folder import read_run_config
from hyperevo.runs.opened import unpacked
from hyperevo.runs.schemas import ChampionFile, checked
from hyperevo.runs.task_facts import TaskFacts, read_task
from hyperevo.seal import STATE
from hyperevo.tensors import read_tensors

PUT_BACK = "shuffled pixels are drawn where they are in the image"
"""Remark below pictures of matrices that read shuffled pixels."""


@dataclass(frozen=True)
class RunView:
    """View of a run folder for its figures; `weights` are the champion's, by parameter."""

    folder: Path
    config: RunConfig
    task: TaskFacts
    label: str
    encoding: Encoding
    target: Target
    champion: Genotype
    weights: dict[str, Tensor]
    has_readout: bool = True
    """False for a run that goes on and whose readout is fitted at the end."""
    trust: bool = False

    @property
    def task_settings(self) -> TaskSettings:
        """Options of the task."""
        return self.config.task

    @cached_property
    def matrices(self) -> dict[str, tuple[Sheet, Sheet]]:
        """Target and source sheet of every weight matrix worth a picture, from the inputs to the readout."""
        return {name: sheets for name, sheets in self.target.matrices().items() if name in self.weights}

    def over_image(self, name: str, weights: Tensor) -> Tensor:
        """Weights (target units, source units) of the matrix called `name`, with source units in the image's order
        where pixels are shuffled."""
        places = self._shuffled(name)
        return weights if places is None else weights[:, places.argsort()]

    def weights_of(self, genotype: Genotype, folder: Path) -> dict[str, Tensor]:
        """Weights of another genotype, which a folder holds; raises UserError where it does not fit."""
        try:
            return expressed(self.encoding, genotype)
        except (ValueError, IndexError, RuntimeError) as error:
            raise UserError(f"{folder}: does not fit the config: {shortened(error)}") from error

    def remark(self, name: str) -> str:
        """Remark below a picture of a matrix; empty where none is needed."""
        return "" if self._shuffled(name) is None else PUT_BACK

    def _shuffled(self, name: str) -> Tensor | None:
        """Index (source units,) of the pixel that every source unit of a matrix is; None unless it reads all pixels
        shuffled."""
        is_first = name == next(iter(self.matrices)) and self.matrices[name][1] == self.task.inputs
        return self.task_settings.input_order(self.task.inputs.units) if is_first else None


def shown_data(config: RunConfig, data: str) -> str:
    """Name of a data set in titles, with a note where its pixels are shuffled."""
    shuffled = config.task.input_order(1) is not None
    return data_title(data) + (" with shuffled pixels" if shuffled else "")


def open_view(folder: Path, trust: bool = False) -> RunView:
    """Read a run's champion and rebuild its encoding; raises UserError where there is no run or no champion yet, and
    UntrustedCode where that would run code that came with the folder."""
    config, task = read_run_config(folder, trust), read_task(folder)
    _check_shape(folder, config, task)
    champion, note = _read_champion(folder, config)
    try:
        target = shaped_target(config.part("target"), task.inputs, task.outputs)
        encoding = build_encoding(config.part("encoding"), target.geometry, torch.device("cpu"))
        weights = expressed(encoding, champion)
        fitted = target.fitted
        if fitted and (folder / "champion").is_dir():
            weights |= {name: value for name, value in read_tensors(folder / "champion" / "weights.safetensors").items()
                        if name in fitted}
    except (ValueError, IndexError, RuntimeError) as error:
        raise UserError(f"{folder}: the champion does not fit the config: {error}") from error
    name = shortened(config.name or folder.resolve().name)
    label = f"{name} (seed {config.seed}) on {shown_data(config, task.data)}{note}"
    return RunView(folder, config, task, label, encoding, target, champion, weights, set(fitted) <= set(weights), trust)


def _check_shape(folder: Path, config: RunConfig, task: TaskFacts) -> None:
    """Raise UserError where a task's shape is known without its data, and task.json has another."""
    if component_of("task", config.task).shape is None:
        return
    inputs, outputs = task_shape(config)
    if (inputs, output_units(outputs)) != (task.inputs, output_units(task.outputs)):
        raise UserError(f"{folder / 'task.json'}: has {task.inputs.units} inputs and {output_units(task.outputs)} "
                        f"outputs, and the config's task {inputs.units} and {output_units(outputs)}")


def _read_champion(folder: Path, config: RunConfig) -> tuple[Genotype, str]:
    """Champion, and a note in titles on a run that is not finished; raises UserError where there is no champion yet."""
    if (folder / "champion").is_dir():
        values, tensors = read_folder(folder / "champion")
        checked(ChampionFile, values, folder / "champion" / STATE)
        return unpacked(folder / "champion", values["genotype"], tensors), ""
    checkpoint = latest_checkpoint(folder)
    if checkpoint.champion is None:
        raise UserError(f"{folder}: has no champion yet after round {checkpoint.round} of {config.run.rounds}; "
                        f"the first is chosen after round {min(config.run.validate_every, config.run.rounds)}")
    return checkpoint.champion, f", unfinished, round {checkpoint.round} of {config.run.rounds}"


@torch.no_grad()
def expressed(encoding: Encoding, genotype: Genotype) -> dict[str, Tensor]:
    """Weights of one genotype's network, by parameter."""
    return encoding.express(stack(genotype)).network(0)
