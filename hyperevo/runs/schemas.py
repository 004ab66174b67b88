"""Schemas of the files in a run folder, which anybody may have written: read, checked, or told in one line."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, Strict, ValidationError, model_validator

from hyperevo.config import Values
from hyperevo.errors import UserError, shortened, shown
from hyperevo.runs.files import read_json, read_rows

Count = Annotated[int, Field(ge=0, lt=2**63)]
Size = Annotated[int, Field(ge=1, lt=2**31)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Sizes = Annotated[list[Size], Field(min_length=1, max_length=8)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Open(BaseModel):
    """Further keys may be there, such as those of an earlier version, a task, or a library."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class GenesFile(_File):
    """Plain data of genes."""

    kind: Literal["genes"]


class GraphFile(_File):
    """Plain data of a graph: nodes are (activation, aggregation, sources[, time constant])."""

    kind: Literal["graph"]
    inputs: Size
    outputs: list[Count]
    nodes: list[Annotated[tuple[str, str, list[Count]], Strict(False)]
                | Annotated[tuple[str, str, list[Count], float], Strict(False)]]
    recurrent: Literal[True] | None = None


class GenotypeFile(_File):
    """Picture of the filmstrip, and a part of other files."""

    genotype: Annotated[GenesFile | GraphFile, Field(discriminator="kind")]


class ChampionFile(GenotypeFile):
    """champion/state.json."""

    round: Count
    validation_accuracy: float


class CheckpointFile(_File):
    """checkpoint/ROUND/state.json."""

    config: Values
    round: Count
    evaluations: Count
    seconds: Annotated[float, Field(ge=0)]
    search: Values
    lengths: dict[str, Count]
    champion: Annotated[GenesFile | GraphFile, Field(discriminator="kind")] | None
    champion_round: Count
    champion_accuracy: float
    hashes: dict[str, Hash] = {}
    limits_before: Values = {}
    constants: Hash | None = None


class RingFile(_File):
    """Sheet of units on a ring."""

    ring: Size
    radius: Annotated[float, Field(gt=0)]


class FrameFile(_File):
    """Sheet of units on a frame."""

    frame: Sizes


class LineFile(_File):
    """Sheet of units at positions of their own on a line."""

    line: Annotated[list[Annotated[float, Field(ge=-1, le=1)]], Field(min_length=1)]


class ReadingFile(_File):
    """Format of a score."""

    factor: float
    unit: str
    digits: Annotated[int, Field(ge=0, le=20)]


class _Measured(_Open):
    measure: str = "accuracy"
    reading: ReadingFile | None = None


class TaskFile(_Measured):
    """task.json."""

    data: str
    inputs: Sizes | FrameFile | RingFile | LineFile
    classes: Size
    outputs: Sizes | FrameFile | RingFile | LineFile | None = None
    class_names: list[str]
    alphabet: list[Annotated[str, Field(min_length=1, max_length=1)]] | list[Annotated[int, Field(ge=0, le=255)]] = []
    examples_per_batch: Count = 0

    @model_validator(mode="after")
    def _names_all(self) -> Self:
        if len(self.class_names) not in (0, self.classes):
            raise ValueError(f"class_names: there are {len(self.class_names)} for {self.classes} classes")
        return self


class ResultFile(_Measured):
    """result.json."""

    name: str
    data: str
    test_accuracy: float
    test_images: Count
    examples: str = "images"
    validation_accuracy: float
    champion_round: Count
    rounds: Count
    evaluations: Count
    images: Count
    seconds: float
    seed: Count
    encoded_genes: Count
    direct_parameters: Count
    generated_weights: Count
    fitted_parameters: Count = 0
    operations: Count = 0
    peak_memory_gb: float = 0.0
    origins: dict[str, list[str]] = {}
    test_accuracies: list[float | None] = []


class EnvironmentFile(_Open):
    """environment.json; further keys are plain values."""

    __pydantic_extra__: dict[str, str | int | float | None] = Field(init=False)
    libraries: dict[str, str] = {}
    memory_gb: Annotated[float, Field(gt=0)]


class InputsFile(RootModel[dict[str, Hash]]):
    """inputs.json."""


Schema = TypeVar("Schema", bound=BaseModel)


def checked(schema: type[Schema], values: object, path: Path) -> Schema:
    """Plain values as a schema has them; raises UserError, one line that names the file and the key."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = shortened(".".join(map(str, problem["loc"])))
        silent = not key or problem["type"] in ("missing", "extra_forbidden")
        given = "" if silent else f" (given: {shown(problem['input'])})"
        said = shortened(problem["msg"].removeprefix("Value error, "))
        raise UserError(f"{path}: {f'{key}: ' if key else ''}{said}{given}") from error


def read_checked(path: Path, schema: type[BaseModel]) -> Values:
    """Values of a JSON file that are as its schema says; raises UserError, one line that names the file and the key."""
    values = read_json(path)
    checked(schema, values, path)
    assert isinstance(values, dict)
    return values


# Logs

METRICS = ("round", "evaluations", "best", "mean", "deviation", "champion_accuracy", "validation_accuracy")
TIMING = ("seconds",)
SPECIES = ("round", "species", "members")
"""Columns that are read of the logs."""

WHOLE = ("round", "generation", "evaluations", "population", "species", "members")
MAY_LACK = ("champion_accuracy", "validation_accuracy")


def read_log(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of metrics.csv, timing.csv or species.csv; none where it is missing. Raises UserError that names file, line
    and column where one of `columns` is not there, or a cell is no number."""
    rows = read_rows(path)
    lacking = next((column for column in columns if rows and column not in rows[0]), None)
    if lacking is not None:
        raise UserError(f"{path}: has no column {lacking}")
    for number, row in enumerate(rows, start=2):
        _check_row(path, number, row, columns)
    return rows


def _check_row(path: Path, number: int, row: Mapping[str, str], columns: Sequence[str]) -> None:
    for column, cell in row.items():
        kind: Callable[[str], float] = int if column in WHOLE else float
        if not cell and (column in MAY_LACK or column not in columns):
            continue
        try:
            value = kind(cell)
            good = 0 <= value < 2**63 if column in WHOLE else math.isfinite(value) or column not in columns
        except (ValueError, OverflowError):
            good = False
        if not good:
            raise UserError(f"{path}: line {number}: {shortened(column)} is {shown(cell)}")
