"""Functions that give a run's workers what they can do: evaluate blocks, and compute gradients."""

from torch import Tensor

from hyperevo.abilities import Lessons
from hyperevo.genotypes import Genotypes
from hyperevo.runs.evaluate import Elsewhere
from hyperevo.runs.learn import Carried, Gradients, Slope, Slopes
from hyperevo.runs.state import Run
from hyperevo.runs.worker import Kind


def elsewhere(run: Run, kind: Kind) -> Elsewhere:
    """Function that has the run's workers evaluate blocks, if there are workers, and blocks to share."""
    def evaluated(genotypes: Genotypes, blocks: list[slice]) -> list[Tensor] | None:
        if run.crew is None or len(blocks) == 1:
            return None
        return run.crew.evaluate(kind, run.parts.search.generation, genotypes, blocks)

    return evaluated


def gradients_elsewhere(run: Run, lessons: Lessons, generation: int) -> Gradients:
    """Function that has the run's workers compute gradients of graphs that learn, on the batch of a generation."""
    def computed(blocks: list[slice]) -> list[Tensor] | None:
        return None if run.crew is None or len(blocks) == 1 else run.crew.gradients(lessons, generation, blocks)

    return computed


def slopes_elsewhere(run: Run) -> Slopes:
    """Function that has the run's workers compute genotypes' gradients for the coming step."""
    def computed(genotypes: Tensor, carried: Carried | None, blocks: list[slice]) -> list[Slope] | None:
        return None if run.crew is None else run.crew.slopes(genotypes, run.parts.search.generation, carried, blocks)

    return computed
