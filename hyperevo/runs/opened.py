"""Run folder as Python opens it: config, metrics, result, champion, and its network as an ordinary module."""

import html
from collections import OrderedDict
from functools import cached_property
from math import nan
from pathlib import Path

from torch import Tensor, nn

from hyperevo.errors import UserError, shortened
from hyperevo.genotypes import Genotype, unpack_genotype
from hyperevo.modules import Standardise
from hyperevo.runs.compose import shaped_target
from hyperevo.runs.files import read_folder
from hyperevo.runs.folder import finished, read_run_config
from hyperevo.runs.result import PREPROCESSING, Result
from hyperevo.runs.schemas import METRICS, ChampionFile, ResultFile, checked, read_checked, read_log
from hyperevo.runs.task_facts import read_task
from hyperevo.seal import STATE
from hyperevo.tensors import read_tensors


class OpenedRun:
    """A run folder, read as far as is asked for. Nothing in it is changed, and no data set is needed.

    config: the resolved config, with every setting.
    """

    def __init__(self, folder: Path, trust: bool = False):
        """Raises UserError where the folder is not a run, and UntrustedCode where it names code that came with it, has
        not run here before, and is not to be trusted."""
        self.folder = folder
        self.config = read_run_config(folder, trust)

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Columns of metrics.csv, one value a round; not-a-number where a round has none."""
        rows = read_log(self.folder / "metrics.csv", METRICS)
        return {key: [float(row[key] or nan) for row in rows] for key in (rows[0] if rows else ())}

    @cached_property
    def result(self) -> Result:
        """Content of result.json; raises UserError where the run is not finished."""
        self._check_finished()
        result = Result(read_checked(self.folder / "result.json", ResultFile))
        result.folder, result.weights = self.folder, self.weights
        return result

    @cached_property
    def genotype(self) -> Genotype:
        """The champion's genotype, a tensor (genes,) or a graph; raises UserError where the run is not finished."""
        self._check_finished()
        values, tensors = read_folder(self.folder / "champion")
        checked(ChampionFile, values, self.folder / "champion" / STATE)
        return unpacked(self.folder / "champion", values["genotype"], tensors)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The champion's weights, a `state_dict`; raises UserError where the run is not finished."""
        self._check_finished()
        return read_tensors(self.folder / "champion" / "weights.safetensors")

    def module(self) -> nn.Module:
        """The champion's network as an ordinary module in evaluation mode, with weights of its own.

        It takes raw examples (N, …), such as an image's bytes as the data set has them, to outputs (N, …), not
        normalised; what the task does to its inputs is its first layer. A network that remembers starts anew with every
        call: it takes all observations of an episode so far, (N, steps, units). Raises UserError where the run is not
        finished, or was made before what the task does to its inputs was kept.
        """
        facts, first = read_task(self.folder), self._preprocessing()
        target = shaped_target(self.config.part("target"), facts.inputs, facts.outputs)
        try:
            network = target.module(self.weights)
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(f"{self.folder}: the champion's weights do not fit the config: "
                            f"{shortened(error)}") from error
        if first is not None:
            network = nn.Sequential(OrderedDict(preprocessing=first, network=network))
        return network.eval()

    def _preprocessing(self) -> Standardise | None:
        self._check_finished()
        path = self.folder / "champion" / PREPROCESSING
        if not path.is_file():
            raise UserError(f"{path}: is missing: the run was made by an earlier version, which did not keep what the "
                            "task does to its inputs; the network's own weights are in .weights")
        tensors = read_tensors(path)
        try:
            return Standardise(**tensors) if tensors else None
        except TypeError as error:
            raise UserError(f"{path}: does not say what the task does to its inputs: {shortened(error)}") from error

    def _check_finished(self) -> None:
        if not finished(self.folder):
            raise UserError(f"{self.folder}: is not finished; go on with: python -m hyperevo resume {self.folder}")

    def __repr__(self) -> str:
        if finished(self.folder):
            return repr(self.result)
        done = len(read_log(self.folder / "metrics.csv", METRICS))
        return f"{self.config.name}: not finished, round {done} of {self.config.run.rounds}, {self.folder}"

    def _repr_html_(self) -> str:
        return self.result._repr_html_() if finished(self.folder) else f"<p>{html.escape(repr(self))}</p>"


def unpacked(folder: Path, plain: object, tensors: dict[str, Tensor]) -> Genotype:
    """Genotype as it was written; raises UserError that names the folder."""
    try:
        return unpack_genotype(plain, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: holds no genotype: {shortened(error)}") from error
