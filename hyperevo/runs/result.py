"""Result of a run: its champion on the test examples, which are looked at once."""

import html
import logging
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.config import Values
from hyperevo.errors import RunFailed
from hyperevo.genotypes import Genotypes, pack_genotype, stack
from hyperevo.measure import Measure
from hyperevo.parts import Batch, Parts
from hyperevo.runs.compose import gene_counts, learns, weight_origins
from hyperevo.runs.confusion import confusion
from hyperevo.runs.cost import operations, total
from hyperevo.runs.environment import peak_memory_gb
from hyperevo.runs.evaluate import calibrated, evaluate, judged_by
from hyperevo.runs.files import write_folder, write_json
from hyperevo.runs.retest import retested
from hyperevo.runs.state import Champion, Run
from hyperevo.weights import Weights

log = logging.getLogger(__name__)

PREPROCESSING = "preprocessing.safetensors"
"""File in `champion/`: the state of the module that turns raw examples into what the network reads."""

EXAMPLES = 10
"""Number of test examples that are kept, of tasks that show any."""


class Result(Values):
    """Content of result.json by key, and the run's `folder`, None where it has none."""

    folder: Path | None = None
    weights: Mapping[str, Tensor]
    """Weights of the champion, by their names in the `state_dict`."""

    @property
    def measure(self) -> Measure:
        """Name and format of the scores."""
        return Measure.read(self)

    def __repr__(self) -> str:
        measure, where = self.measure, "" if self.folder is None else f", {self.folder}"
        return (f"{self['name']}: test {measure.name} {measure.text(self['test_accuracy'])} on {self['test_images']:,} "
                f"{self['examples']} of {self['data']}, {self['evaluations']:,} evaluations in {self['seconds']:.0f} s"
                f"{where}")

    def _repr_html_(self) -> str:
        measure = self.measure
        rows = {f"test {measure.name}": measure.text(self["test_accuracy"]),
                f"validation {measure.name}": measure.text(self["validation_accuracy"]),
                "data": f"{self['data']}, {self['test_images']:,} test {self['examples']}",
                "encoded genes": f"{self['encoded_genes']:,}", "direct parameters": f"{self['direct_parameters']:,}",
                "generated weights": f"{self['generated_weights']:,}", "evaluations": f"{self['evaluations']:,}",
                "seconds": f"{self['seconds']:.1f}", "folder": str(self.folder or "none")}
        cells = "".join(f"<tr><th style='text-align:left'>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>"
                        for key, value in rows.items())
        return f"<table><caption>{html.escape(str(self['name']))}</caption>{cells}</table>"


def finish(run: Run) -> Result:
    """Look at the test examples, once, and write the champion and the result into the folder, if there is one.

    Raises RunFailed where there is no champion; and, with the champion already written, where its test score is not
    finite.
    """
    champion, parts = run.champion, run.parts
    if champion is None:
        raise RunFailed(f"no candidate had a finite {parts.task.measure.name} on {parts.task.data_name}, and so there "
                        "is no champion")
    population, examples = stack(champion.genotype), parts.task.test()
    calibration = parts.task.calibration(parts.target.calibration_examples)
    test = evaluate(parts.encoding, parts.target, population, examples, parts.task.score, run.memory_gb, calibration,
                    judged_by(parts.task))
    with torch.no_grad():
        networks = calibrated(parts.target, parts.encoding.express(population), calibration)
    weights = parts.target.state_dict(networks.network(0))
    if run.writer is not None:
        with run.writer.writing():
            _write_champion(run, champion, networks, weights, examples)
    if not torch.isfinite(test[0]):
        raise RunFailed(f"the champion's {parts.task.measure.name} on the test {parts.task.examples} of "
                        f"{parts.task.data_name} is not finite")
    result = Result(_plain_values({**_outcome(run, champion, float(test[0]), examples),
                                   "operations": _operations(run, population),
                                   **gene_counts(parts, champion.genotype), "origins": weight_origins(parts),
                                   **retested(run.config, parts, champion.genotype),
                                   **parts.task.describe(parts.target, networks),
                                   **_of_everyone(parts, examples, calibration, run.memory_gb)}))
    result.weights = weights
    if run.writer is not None:
        result.folder = run.folder
        with run.writer.writing():
            write_json(run.folder / "result.json", result)
    log.info("test %s %.4f on %s after %d evaluations", parts.task.measure.name, result["test_accuracy"],
             result["data"], run.evaluations)
    return result


def _plain_values(values: Values) -> Values:
    return {key: _plain(value) for key, value in values.items()}


def _plain(values: object) -> object:
    """Values for JSON, with None in place of numbers that are not finite."""
    if isinstance(values, dict):
        return _plain_values(values)
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def _outcome(run: Run, champion: Champion, test: float, examples: Batch) -> dict[str, object]:
    task, config = run.parts.task, run.config
    return {"name": config.name, "data": task.data_name, "test_accuracy": test,
            "test_images": task.count(examples[1]), "examples": task.examples, **task.measure.record(),
            "validation_accuracy": champion.validation_score, "champion_round": champion.round, "rounds": run.round,
            "evaluations": run.evaluations, "images": run.examples_seen, "seconds": round(run.seconds, 3),
            "peak_memory_gb": round(peak_memory_gb(), 3), "seed": config.seed,
            **_as_read(task.measure, test=test, validation=champion.validation_score)}


def _as_read(measure: Measure, **scores: float) -> dict[str, float]:
    """Scores that are no shares also under the measure's own name, such as test_bits_per_character."""
    return {} if measure.is_share else {f"{part}_{measure.name.replace(' ', '_')}": measure.drawn(score)
                                        for part, score in scores.items()}


@torch.no_grad()
def _write_champion(run: Run, champion: Champion, networks: Weights, weights: Mapping[str, Tensor],
                    examples: Batch) -> None:
    task = run.parts.task
    plain, tensors = pack_genotype(champion.genotype)
    first = task.preprocessing()
    shown = task.shown(run.parts.target, networks, (examples[0][:EXAMPLES], examples[1][:EXAMPLES]))
    shown = shown | confusion(task, run.parts.target, networks, examples, run.memory_gb)
    # Preprocessing is empty where there is none: a run that lacks the file was made before it was kept.
    also = {"weights.safetensors": weights, PREPROCESSING: {} if first is None else first.state_dict(),
            **({"examples.safetensors": shown} if shown else {})}
    write_folder(run.folder / "champion", {"genotype": plain, "round": champion.round,
                                           "validation_accuracy": champion.validation_score}, tensors, also)


def _operations(run: Run, population: Genotypes) -> int:
    """Floating-point operations of the whole run, counted on its champion."""
    parts = run.parts
    counted = operations(parts.encoding, parts.target, population, parts.task.calibration(6))
    # An episode counts as if it went on to its end.
    examples = run.examples_seen * parts.task.steps_per_example
    return total(run.evaluations, examples, *counted, learns=learns(parts.search))


def _of_everyone(parts: Parts, examples: Batch, calibration: Batch, memory_gb: float) -> dict[str, list[float]]:
    """Test scores of the best genotype of every member, such as the seeds that a gradient trained, where the search
    keeps them."""
    selected = parts.search.selected()
    if selected is None:
        return {}
    scores = evaluate(parts.encoding, parts.target, selected, examples, parts.task.score, memory_gb, calibration,
                      judged_by(parts.task))
    return {"test_accuracies": scores.tolist()}
