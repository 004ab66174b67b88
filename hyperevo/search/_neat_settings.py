"""Options of NEAT, as a config names them."""

from typing import Any, Literal

from pydantic import Field, field_validator

from hyperevo.components import NotNegative, Positive, nearest
from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.search._neat_learn import LearnSettings
from hyperevo.search._neat_python import read_ini
from hyperevo.search._neat_refine import RefineSettings
from hyperevo.search._neat_start import read_run
from hyperevo.search._start import StartSettings


class Settings(StartSettings):
    """Options of the search by NEAT."""

    reads = read_run
    name: Literal["neat"] = "neat"
    ini: str | None = None
    """Path of a neat-python INI file that replaces all values here but `refine` and `learn`. A run keeps its text, so
    that the file is needed only once."""
    start: str = ""
    """Run folder of NEAT whose last population is the first one; or its champion and mutants of that, where its
    checkpoints are gone. The run keeps a copy: the folder is needed once."""
    population: int = Field(60, ge=2)
    """Genomes in a generation."""
    functions: tuple[str, ...] = ("sin", "gauss", "sigmoid", "tanh", "abs", "identity", "relu", "square", "cos", "step")
    """Activation functions that nodes may have."""
    aggregations: tuple[str, ...] = ("sum",)
    """Aggregation functions that nodes may have."""
    time_constants: tuple[Positive, Positive] = (0.02, 0.5)
    """Smallest and largest time constant of a node, in seconds, of networks in continuous time."""

    hidden: int = Field(0, ge=0)
    """Hidden nodes of the seed genomes."""
    hidden_function: str | None = None
    """Activation function of the seeds' hidden nodes; by default drawn for every node."""
    output_function: str | None = "identity"
    """Activation function of all output nodes, kept through evolution; without one, outputs evolve like all nodes."""
    connection: Literal["unconnected", "fs_neat_nohidden", "fs_neat_hidden", "full_nodirect", "full_direct",
                        "partial_nodirect", "partial_direct"] = "full_nodirect"
    """Links of the seed genomes, in neat-python's terms."""
    connected: float = Field(1.0, ge=0, le=1)
    """Share of links that a partial connection makes."""
    locality: Literal["", "x", "xy"] = ""
    """Gaussians in the seed genomes: of x1 - x2 for x, of x1 - x2 and of y1 - y2 for xy. They are the only links into
    every output that says where connections exist; without such outputs they are linked to every output that paints
    weights. The biases of the former start at -1, with x alone at -0.9, so that connections exist where x1 = x2, as
    under the paper's step from 0 on."""
    layering: bool = False
    """true: seed genomes hold a gaussian of y1 - y2 + 1/3, linked to every output that paints weights. It is a band of
    connections from every unit to those 1/3 above it, in which ES-HyperNEAT finds hidden nodes."""
    local_fields: bool = False
    """true: seed genomes hold, for every output that paints weights, the product of two gaussians, of x1 - x2 and of
    y1 - y2: a field around every unit's own position. `aggregations` must have product."""
    deviation: NotNegative = 0.3
    """Standard deviation of new weights and biases."""
    limit: Positive = 30.0
    """Largest magnitude of a weight or bias. At 2, sin and cos of four coordinates and a bias stay below the 60 where
    neat-python clamps their argument 5z; beyond, they are no longer separable, and slow."""

    mutate_rate: float = Field(0.05, ge=0, le=1)
    """Chance that a weight or bias is perturbed in a child."""
    mutate_power: NotNegative = 0.05
    """Standard deviation of that perturbation."""
    replace_rate: float = Field(0.0, ge=0, le=1)
    """Chance that a weight or bias is drawn anew."""
    toggle_rate: float = Field(0.005, ge=0, le=1)
    """Chance that a link is switched on or off at random."""
    function_rate: float = Field(0.005, ge=0, le=1)
    """Chance that a node's activation function is drawn anew."""
    aggregation_rate: float = Field(0.0, ge=0, le=1)
    """Chance that a node's aggregation is drawn anew."""
    add_node: float = Field(0.2, ge=0, le=1)
    """Chance of a child to get a node in the middle of a link."""
    delete_node: float = Field(0.1, ge=0, le=1)
    """Chance of a child to lose a hidden node."""
    add_link: float = Field(0.4, ge=0, le=1)
    """Chance of a child to get a link."""
    delete_link: float = Field(0.2, ge=0, le=1)
    """Chance of a child to lose a link."""
    single_structural_mutation: bool = False
    """true: at most one of the four mutations above per child."""
    neutral_growth: bool = True
    """true: new links, and the links out of new nodes, start at weight 0, and a link that gets a node stays. A child
    that grew is then as fit as its parent, is preferred to it as the younger one, and refinement finds the new weights.
    """

    separable: bool = False
    """true: accept only mutations after which the patterns over all connections stay sums of products of a source value
    and a target value, which are much cheaper to express and to run. Waves of both sides may be added, not nested."""

    compatibility_threshold: Positive | None = None
    """Genetic distance below which two genomes are one species; by default the one that divides the first population
    into `target_species`."""
    target_species: int = Field(6, ge=0)
    """Count of species that the threshold is moved towards; 0 keeps the threshold fixed."""
    disjoint_coefficient: NotNegative = 1.0
    """Coefficient of genes that one genome has alone, in the genetic distance of two."""
    weight_coefficient: NotNegative = 0.5
    """Coefficient of differences between genes that both genomes have, in their genetic distance."""
    elitism: int = Field(1, ge=0)
    """Best members of every species that live on unchanged."""
    survival: float = Field(0.2, gt=0, le=1)
    """Share of a species, its best members, that may have children."""
    minimum_species: int = Field(2, ge=1)
    """Smallest count of members of a species."""
    stagnation: int = Field(20, ge=1)
    """Generations without improvement after which a species dies out."""
    species_elitism: int = Field(2, ge=0)
    """Count of the best species, which never stagnate."""

    refine: RefineSettings = RefineSettings()
    """Evolution strategy on the champions' numbers, between NEAT generations."""
    learn: LearnSettings = LearnSettings()
    """Steps along the gradient that genomes take before they are judged."""

    def numbers_held(self, genes: int) -> int:
        """Some thousand numbers for every genome."""
        return 4000 * self.population

    @field_validator("locality", mode="before")
    @classmethod
    def _once_a_switch(cls, axes: Any) -> Any:
        # Runs that were made when it was on or off can still be read.
        return {False: "", True: "xy"}.get(axes, axes) if isinstance(axes, bool) else axes

    @field_validator("ini")
    @classmethod
    def _text(cls, ini: str | None) -> str | None:
        return ini if ini is None or "\n" in ini else read_ini(ini)

    @field_validator("functions", "aggregations")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = ACTIVATIONS if info.field_name == "functions" else AGGREGATIONS
        if not names:
            raise ValueError("needs at least one name")
        for name in names:
            if name not in known:
                raise ValueError(f"no {info.field_name[:-1]} called {name!r}; {nearest(name, known)}")
        return names

    @field_validator("time_constants")
    @classmethod
    def _ordered(cls, times: tuple[float, float]) -> tuple[float, float]:
        if times[0] > times[1]:
            raise ValueError("the smallest is above the largest")
        return times

    @field_validator("hidden_function", "output_function")
    @classmethod
    def _known_function(cls, name: str | None) -> str | None:
        if name is not None and name not in ACTIVATIONS:
            raise ValueError(f"no function called {name!r}; {nearest(name, ACTIVATIONS)}")
        return name
