"""Contract of searches, as rules."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor

from hyperevo.abilities import FollowsGradient, FollowsPolicyGradient, HasSpecies, StepsInPlace
from hyperevo.components import ComponentSettings, find_component
from hyperevo.contracts._rules import Rule, bits, check_attributes, check_repr, other_global_seeds
from hyperevo.encodings import build_encoding
from hyperevo.genotypes import Drawn, Genotypes, Neighbours, as_graphs
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph
from hyperevo.parts import Encoding, Search, State
from hyperevo.runs.checkpoint import Checkpoint, latest_checkpoint, write_checkpoint
from hyperevo.runs.compose import build_search

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3,)), Sheet((4,))), "hidden.bias": ParameterGeometry(Sheet((3,))),
            "readout.weight": ParameterGeometry(Sheet((2,)), Sheet((3,)))}
"""Parameters whose weights are searched; few, for the searches that keep a covariance."""

ENCODINGS: dict[str, dict[str, object]] = {
    "direct": {}, "cppn": {}, "hypergan": {"noise": 5, "layer_code": 4, "mixer": (6,), "generator": (6,)}}
"""Encodings, with their options, that a search under test is built for: the first that it takes."""

STOPS, FURTHER = (0, 1, 2, 7), 5
"""Numbers of tells after which a search is stopped, and tells for which it goes on after it is restored."""


@dataclass(frozen=True)
class Case:
    """A search under test, its encoding, and a function of a seed that builds it anew."""

    part: Search
    encoding: Encoding
    another: Callable[[int], Search]

    def fitness(self, genotypes: Genotypes) -> Tensor:
        """Fitness (P,) of genotypes, with its graph: minus the mean squared distance of all weights from 0.1."""
        values = self.encoding.express(genotypes).dense().values()
        return -torch.cat([value.flatten(1) for value in values], 1).sub(0.1).square().mean(1)

    def advance(self, search: Search, tells: int) -> list[Tensor]:
        """Tell a search so often, validate its candidates, and give what it was told."""
        told = []
        for _ in range(tells):
            told.append(self.tell(search))
            search.validated(self.fitness(search.candidates()).detach())
        return told

    def tell(self, search: Search) -> Tensor:
        """Tell a search the fitness of what it asks for, with its graph where it follows a gradient."""
        fitness = self.fitness(search.ask())
        search.tell(fitness if isinstance(search, FollowsGradient | FollowsPolicyGradient) else fitness.detach())
        return fitness.detach()


def case_of(settings: ComponentSettings) -> Case:
    """Search of these settings over genes or, if it takes none, over graphs."""
    errors: list[Exception] = []
    for name, options in ENCODINGS.items():
        own = find_component("encoding", name).settings.model_validate(options)
        encoding = build_encoding(own, GEOMETRY, torch.device("cpu"))
        try:
            return Case(build_search(settings, encoding, 0), encoding,
                        lambda seed, encoding=encoding: build_search(settings, encoding, seed))  # type: ignore[misc]
        except Exception as error:  # whatever a guest makes of genotypes that it is not for
            errors.append(error)
    raise errors[0]


def _closing(rule: Callable[[Case, Search], Iterator[str]]) -> Rule:
    """Rule with a search of its own, which is closed at its end."""
    def closed(case: Case) -> Iterator[str]:
        search = case.another(0)
        try:
            search.prepare()
            yield from rule(case, search)
        finally:
            search.close()

    return closed


def keeps_attributes(case: Case) -> Iterator[str]:
    """Attributes are those of the contract."""
    yield from check_attributes(Search, case.part)
    if case.part.generation != 0:
        yield f"generation is {case.part.generation} before the first tell"


def asks_for_a_population(case: Case, search: Search) -> Iterator[str]:
    """Genotypes are of the encoding, and the same until they are told."""
    first = search.ask()
    yield from _unlike_genotypes("ask", case.encoding, first)
    if bits(search.ask()) != bits(first):
        yield "ask gives another population the second time"


def _unlike_genotypes(name: str, encoding: Encoding, genotypes: Genotypes) -> Iterator[str]:
    if not len(genotypes):
        yield f"{name} gives no genotype"
    elif not encoding.genes:
        tensors = isinstance(genotypes, Tensor | Neighbours | Drawn)
        if tensors or not all(isinstance(own, Graph) for own in as_graphs(genotypes)):
            yield f"{name} gives {type(genotypes).__name__}, and graphs are wanted"
    elif isinstance(genotypes, Tensor) and genotypes.shape[1:] != (encoding.genes,):
        yield f"{name} gives genotypes of shape {tuple(genotypes.shape)}, and (P, {encoding.genes}) is wanted"


def counts_its_tells(case: Case, search: Search) -> Iterator[str]:
    """A tell is one generation."""
    for tells in range(1, FURTHER + 1):
        case.advance(search, 1)
        if search.generation != tells:
            yield f"generation is {search.generation} after {tells} tells"
            return


def gives_candidates(case: Case, search: Search) -> Iterator[str]:
    """Genotypes to validate, and the best of each member, are of the encoding."""
    case.tell(search)
    yield from _unlike_genotypes("candidates", case.encoding, search.candidates())
    selected = search.selected()
    if selected is not None:
        yield from _unlike_genotypes("selected", case.encoding, selected)


def gives_statistics(case: Case, search: Search) -> Iterator[str]:
    """Statistics of every tell are numbers under the same names."""
    names: list[str] = []
    for _ in range(FURTHER):
        case.advance(search, 1)
        own = search.statistics()
        yield from (f"{key} is {value!r:.40}, not a number" for key, value in own.items()
                    if not isinstance(value, Real))
        if names and list(own) != names:
            yield f"names are {', '.join(own)} after another tell, and were {', '.join(names)}"
        names = list(own)
    if isinstance(search, HasSpecies) and not all(isinstance(number, int) for pair in search.species_sizes().items()
                                                  for number in pair):
        yield "species_sizes are not numbers of members by number of species"


def learns_its_length(case: Case, search: Search) -> Iterator[str]:
    """The length of the run can be learnt before and within it."""
    search.plan(lambda evaluations: 10)
    case.advance(search, 1)
    search.plan(lambda evaluations: 20)
    case.advance(search, 1)
    yield from ()


def follows_its_seed(case: Case, search: Search) -> Iterator[str]:
    """Bits are the same for the same seed and fitness."""
    case.advance(search, FURTHER)
    with other_global_seeds():
        other = case.another(0)
        try:
            case.advance(other, FURTHER)
            yield from _differences(search, other)
        finally:
            other.close()


def _differences(search: Search, other: Search) -> Iterator[str]:
    """Lines on what two searches differ in, to the last bit."""
    for name, own, others in (("generation", search.generation, other.generation), ("ask", search.ask(), other.ask()),
                              ("candidates", search.candidates(), other.candidates()),
                              ("statistics", search.statistics(), other.statistics()),
                              ("selected", search.selected(), other.selected())):
        if bits(own) != bits(others):
            yield f"{name} is not the same bit for bit"


def has_plain_state(case: Case, search: Search) -> Iterator[str]:
    """State is tensors at the top level and plain data, and does not change with the search."""
    case.advance(search, 1)
    state = search.state()
    yield from (f"{key}: {line}" for key, value in state.items() if not isinstance(value, Tensor)
                for line in _not_plain(value))
    before = bits(state)
    case.advance(search, 2)
    if bits(state) != before:
        yield "changes while the search goes on"


def _not_plain(value: object) -> Iterator[str]:
    """Lines on what JSON does not give back as it was."""
    if isinstance(value, dict):
        yield from (f"key {key!r} is no text" for key in value if not isinstance(key, str))
        value = list(value.values())
    if isinstance(value, list):
        for own in value:
            yield from _not_plain(own)
    elif isinstance(value, Tensor):
        yield "is a tensor below the top level"
    elif value is not None and type(value) not in (bool, int, float, str):
        yield f"is {type(value).__name__}, and not a number, text, list or dictionary"


def goes_on_after_a_restore(case: Case) -> Iterator[str]:
    """A search restored from a checkpoint's files goes on to the same bits."""
    for tells in STOPS:
        unbroken = case.another(0)
        try:
            told = case.advance(unbroken, tells)
            yield from (f"after {tells} tells {line}" for line in _restored(case, unbroken, told))
        finally:
            unbroken.close()


def _restored(case: Case, unbroken: Search, told: Sequence[Tensor]) -> Iterator[str]:
    """Lines on where a restored search and the unbroken one part."""
    state = through_files(unbroken.state())
    with other_global_seeds():
        restored = case.another(0)
        try:
            restored.restore(state, told)
            if bits(restored.ask()) != bits(unbroken.ask()) or restored.generation != unbroken.generation:
                yield "and a restore, what it asks for or its generation is not the same bit for bit"
                return
            for further in range(1, FURTHER + 1):
                case.advance(unbroken, 1)
                case.advance(restored, 1)
                if lines := list(_differences(unbroken, restored)):
                    yield from (f"and a restore, {further} tells later, {line}" for line in lines)
                    return
        finally:
            restored.close()


def through_files(state: State) -> State:
    """State as the files of a checkpoint keep it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoint").mkdir()
        write_checkpoint(Path(folder), Checkpoint({}, 0, 0, 0.0, state, {}, None, 0, 0.0))
        return latest_checkpoint(Path(folder)).search


def steps_in_place(case: Case, search: Search) -> Iterator[str]:
    """Steps that are tried leave no trace, and a step in its three parts is a tell."""
    if not isinstance(search, StepsInPlace):
        return
    other = case.another(0)
    try:
        with search.rehearsal():
            search.step(case.fitness(search.ask()))
        for _ in range(FURTHER):
            search.begin_step()
            search.step(case.fitness(search.ask()))
            search.end_step()
            case.tell(other)
        yield from _differences(search, other)
    finally:
        other.close()


def closes_twice(case: Case, search: Search) -> Iterator[str]:
    """A search can be closed, and again, and before it was asked."""
    case.advance(search, 1)
    search.close()
    case.another(0).close()
    yield from ()


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "ask": _closing(asks_for_a_population),
    "tell": _closing(counts_its_tells),
    "candidates": _closing(gives_candidates),
    "statistics": _closing(gives_statistics),
    "plan": _closing(learns_its_length),
    "same seed, same bits": _closing(follows_its_seed),
    "steps in place": _closing(steps_in_place),
    "state": _closing(has_plain_state),
    "state and restore": goes_on_after_a_restore,
    "close": _closing(closes_twice),
    "repr": check_repr,
}
