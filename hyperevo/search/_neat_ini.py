"""neat-python's INI files, checked key by key: neat-python itself takes negative rates, and numbers not finite."""

import configparser
from typing import Annotated, Any, Literal, Self

import numpy as np
from neat.genes import DefaultConnectionGene, DefaultNodeGene
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from hyperevo.components import nearest
from hyperevo.errors import shortened

MOST_CHARACTERS = 2**16
MOST_IN_A_LINE = 1_000
"""Python's reader takes a time that grows with the square of a line."""

LARGEST = float(np.finfo(np.float32).max)

Rate = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0, le=LARGEST)]
Place = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=100_000)]
InitType = Annotated[str, Field(pattern="(?i)^(gauss|gaussian|normal|uniform)$")]
Truth = Annotated[str, Field(pattern="(?i)^(1|on|yes|true|0|off|no|false|random|none)$")]

MATRICES = ("bias", "response", "time_constant", "weight")
"""Kinds of numbers that genes hold."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Neat(_Section):
    pop_size: int = Field(ge=2, le=100_000)
    fitness_criterion: Literal["max", "min", "mean"]
    fitness_threshold: float
    reset_on_extinction: bool
    no_fitness_termination: bool = False
    seed: int | None = None


class _Genome(_Section):
    num_inputs: Count
    num_outputs: Count
    num_hidden: int = Field(ge=0, le=10_000)
    feed_forward: bool
    compatibility_disjoint_coefficient: Size
    compatibility_weight_coefficient: Size
    conn_add_prob: Rate
    conn_delete_prob: Rate
    node_add_prob: Rate
    node_delete_prob: Rate
    single_structural_mutation: bool = False
    structural_mutation_surer: str = Field("default", pattern="(?i)^(1|yes|true|on|0|no|false|off|default)$")
    initial_connection: str = Field("unconnected", pattern=r"^(unconnected|fs_neat(_nohidden|_hidden)?"
                                    r"|full(_nodirect|_direct)?|partial(_nodirect|_direct)? +(0|1|[01]?\.\d+))$")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in MATRICES:
            least, most = (vars(self)[f"{name}_{end}_value"] for end in ("min", "max"))
            if least > most:
                raise ValueError(f"{name}_min_value = {least} is above {name}_max_value = {most}")
        for name in ("activation", "aggregation"):
            default, options = (vars(self)[f"{name}_{key}"] for key in ("default", "options"))
            if default not in ("none", "random", *options.split(" ")):
                raise ValueError(f"{name}_default = {shortened(default)} is not among {name}_options")
        return self


class _SpeciesSet(_Section):
    compatibility_threshold: float = Field(gt=0, le=LARGEST)


class _Stagnation(_Section):
    species_fitness_func: Literal["max", "min", "mean", "median", "median2"] = "mean"
    max_stagnation: int = Field(15, ge=0, le=10**9)
    species_elitism: Count = 0


class _Reproduction(_Section):
    elitism: Count = 0
    survival_threshold: Rate = 0.2
    min_species_size: int = Field(1, ge=1, le=100_000)


def _gene_fields() -> dict[str, Any]:
    """Type and default of every key of neat-python's genes, by name."""
    types = {"rate": Rate, "add": Rate, "stdev": Size, "power": Size, "type": InitType, "options": str, "default": str}
    fields = {}
    for parameter in (*DefaultNodeGene.get_config_params(), *DefaultConnectionGene.get_config_params()):
        required = parameter.default is None or parameter.name.endswith("options")
        fields[parameter.name] = (types.get(parameter.name.rpartition("_")[2], Place),
                                  ... if required else parameter.default)
    return fields | {"enabled_default": (Truth, ...)}


SECTIONS: dict[str, Any] = {
    "NEAT": _Neat, "DefaultGenome": create_model("_WholeGenome", __base__=_Genome, **_gene_fields()),
    "DefaultSpeciesSet": _SpeciesSet, "DefaultStagnation": _Stagnation, "DefaultReproduction": _Reproduction,
}


def read_sections(text: str, path: str) -> dict[str, Any]:
    """Checked sections of an INI file by name, as objects with its keys; other sections are left out.

    Raises ValueError, one line that names section and key where there are any.
    """
    if len(text) > MOST_CHARACTERS or max(map(len, text.splitlines()), default=0) > MOST_IN_A_LINE:
        raise ValueError(f"is too large: at most {MOST_CHARACTERS:,} characters, and {MOST_IN_A_LINE:,} in a line, are "
                         "read")
    # Without interpolation: a few short values that name each other could fill the memory.
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text, path)
    if missing := [section for section in SECTIONS if not parser.has_section(section)]:
        raise ValueError(f"the section [{missing[0]}] is missing")
    found = {section: _checked(section, dict(parser.items(section))) for section in SECTIONS}
    for key in ("elitism", "min_species_size"):
        if (value := vars(found["DefaultReproduction"])[key]) > found["NEAT"].pop_size:
            raise ValueError(f"[DefaultReproduction] {key} = {value}: is more than pop_size = {found['NEAT'].pop_size}")
    return found


def _checked(section: str, values: dict[str, str]) -> Any:
    try:
        return SECTIONS[section].model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
    if not problem["loc"]:
        raise ValueError(f"[{section}] {problem['msg'].removeprefix('Value error, ')}")
    key, message = str(problem["loc"][0]), problem["msg"][0].lower() + problem["msg"][1:]
    if problem["type"] == "extra_forbidden":
        message = f"unknown key; {nearest(key, sorted(SECTIONS[section].model_fields))}"
    given = f" = {shortened(values[key])}" if key in values else ""
    raise ValueError(f"[{section}] {shortened(key)}{given}: {message}")
