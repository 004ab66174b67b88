"""A run in memory: its config, parts, progress and champion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import Tensor

from hyperevo.abilities import HasSpecies
from hyperevo.config import RunConfig
from hyperevo.genotypes import Genotype
from hyperevo.parts import Parts
from hyperevo.runs.captures import Captures
from hyperevo.runs.crew import Crew
from hyperevo.runs.inputs import constants_hash
from hyperevo.runs.learn import Carried, Fitness
from hyperevo.runs.steps import Steps
from hyperevo.runs.writer import Writer


@dataclass(frozen=True)
class Round:
    """One round of ask, evaluate and tell.

    spent: share of the run's rounds or budget that is used up, whichever ends it first; 1 after the last round.
    learned: True where the round was steps along a gradient, and fitness is minus their loss.
    """

    number: int
    generation: int
    spent: float
    fitness: Tensor = field(repr=False)
    failed: int
    validation_score: float | None
    champion_score: float | None
    seconds: float
    learned: bool = False

    @property
    def best(self) -> float:
        """Largest fitness."""
        return float(self.fitness.max())

    @property
    def mean(self) -> float:
        """Mean fitness."""
        return float(self.fitness.mean())


@dataclass
class Champion:
    """Genotype with the best validation score so far, and the round it was found in."""

    genotype: Genotype
    round: int
    validation_score: float


@dataclass
class Run:
    """A run in memory. Its `writer` keeps it in a folder; None for a run that leaves nothing on disk."""

    config: RunConfig
    parts: Parts
    memory_gb: float
    writer: Writer | None = None
    round: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    champion: Champion | None = None
    fitness: Fitness | None = None
    """Fitness with its gradient, where genomes learn within a generation."""
    captures: Captures | None = None
    """Captured steps of these genomes."""
    steps: Steps | None = None
    """Steps along the gradient, where the search follows it."""
    carried: Carried | None = None
    """State of a target that reads sequences on, where a gradient trains it."""
    result: Mapping[str, object] | None = None
    """Content of result.json, once the run is over."""
    crew: Crew | None = None
    """Other processes that evaluate networks."""
    examples_per_batch: int = field(init=False)

    def __post_init__(self) -> None:
        self.examples_per_batch = self.parts.task.batch_size()

    @property
    def folder(self) -> Path:
        """Folder of the run; raises ValueError where it has none."""
        if self.writer is None:
            raise ValueError("this run has no folder")
        return self.writer.folder

    @property
    def examples_seen(self) -> int:
        """Number of examples shown to networks in training; an example counts once for every network."""
        return self.evaluations * self.examples_per_batch

    @cached_property
    def constants(self) -> str | None:
        """SHA-256 of the target's numbers that are not searched."""
        return constants_hash(self.parts.target)

    def species_sizes(self) -> dict[int, int]:
        """Number of members by species; empty where the search has none."""
        return self.parts.search.species_sizes() if isinstance(self.parts.search, HasSpecies) else {}

    def close(self) -> None:
        """Close the folder's files, the workers, the search and the task."""
        if self.writer is not None:
            self.writer.close()
        if self.crew is not None:
            self.crew.close()
        self.parts.search.close()
        self.parts.task.close()

    def __repr__(self) -> str:
        where = "in memory" if self.writer is None else repr(str(self.folder))
        return f"Run({self.config.name}, {where}, round {self.round} of {self.config.run.rounds})"
