"""Contract of encodings, as rules."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperevo.abilities import FixedLength, PaintsGraphs
from hyperevo.components import ComponentSettings, find_component
from hyperevo.contracts._rules import (
    NETWORKS,
    Rule,
    bits,
    check_attributes,
    check_repr,
    far_apart,
    other_global_seeds,
    shape_line,
    some,
)
from hyperevo.encodings import build_encoding
from hyperevo.genotypes import Genotypes, as_graphs, first_of
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph
from hyperevo.parts import Encoding, Target
from hyperevo.runs.compose import build_search, shaped_target
from hyperevo.weights import Weights

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((2, 5)), Sheet((3, 4))),
            "readout.bias": ParameterGeometry(Sheet((2, 5)))}
"""Parameters that an encoding under test gives."""

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """An encoding under test, and the target that reads its weights where it finds their nodes."""

    part: Encoding
    target: Target | None = None


def with_own_nodes() -> list[Target]:
    """Targets of encodings that find hidden nodes."""
    return [shaped_target(find_component("target", name).settings(), Sheet((4, 4)), Sheet((2, 2)))
            for name in ("substrate", "network")]


def case_of(settings: ComponentSettings) -> Case:
    """Encoding of these settings, for plain parameters or, if it finds nodes, for a target that leaves them to it."""
    try:
        return Case(build_encoding(settings, GEOMETRY, CPU))
    except Exception as error:  # whatever a guest makes of parameters that it is not for
        for target in with_own_nodes():
            try:
                return Case(build_encoding(settings, target.geometry, CPU), target)
            except Exception:
                continue
        raise error from None


def genotypes_of(encoding: Encoding, count: int, seed: int = 0) -> Genotypes:
    """Genotypes (count, genes) of normal numbers, or graphs of NEAT's after two generations."""
    if encoding.genes:
        return torch.randn(count, encoding.genes, generator=torch.Generator().manual_seed(seed))
    if not isinstance(encoding, PaintsGraphs):
        raise ValueError("genes is 0, and input_names, output_names and matrix_outputs of an encoding of graphs are "
                         "not there: nobody can make genotypes")
    # Graphs with hidden nodes and large numbers, which paint connections of every kind.
    settings = find_component("search", "neat").settings.model_validate(
        {"population": max(count, 10), "hidden": 4, "deviation": 1.0})
    search = build_search(settings, encoding, seed)
    while search.generation < 2:
        search.tell(torch.arange(len(search.ask())).float())
    return search.ask()[:count]


def express(case: Case, genotypes: Genotypes) -> Weights:
    """Weights of genotypes; raises ValueError where they are none."""
    weights = case.part.express(genotypes)
    if not isinstance(weights, Weights):
        raise TypeError(f"express gives {type(weights).__name__}, not hyperevo.Weights")
    return weights


def keeps_attributes(case: Case) -> Iterator[str]:
    """Attributes are those of the contract."""
    return check_attributes(Encoding, case.part)


def gives_shapes(case: Case) -> Iterator[str]:
    """Weights of every parameter, (P, …), of one network and of several."""
    for count in (1, NETWORKS):
        weights = express(case, genotypes_of(case.part, count))
        if case.target is not None:
            yield from shape_line("outputs with its weights", case.target.forward(weights, torch.ones(3, 16)),
                                  (count, 3, 4))
            continue
        if unlike := set(weights).symmetric_difference(case.part.geometry):
            yield f"parameters differ from those of its geometry: {some(sorted(unlike))}"
        for name in set(weights) & set(case.part.geometry):
            yield from shape_line(name, weights.tensor(name), (count, *case.part.geometry[name].shape))


def gives_every_parameter(case: Case) -> Iterator[str]:
    """Geometry holds what was asked for."""
    wanted = GEOMETRY if case.target is None else case.target.geometry
    if unlike := set(case.part.geometry).symmetric_difference(wanted):
        yield f"differs from what was asked for: {some(sorted(unlike))}"


def gives_finite_weights(case: Case) -> Iterator[str]:
    """Weights are finite numbers in single precision; where networks bring nodes of their own, integers may say which.
    """
    for name, value in express(case, genotypes_of(case.part, NETWORKS)).dense().items():
        if value.dtype != torch.float32 and not (case.target is not None and value.dtype == torch.int64):
            yield f"{name} is {value.dtype}, not torch.float32"
        if not name.endswith("places") and not torch.isfinite(value).all():
            yield f"{name} holds values that are not finite"


def keeps_networks_apart(case: Case) -> Iterator[str]:
    """A network's weights do not depend on the others of the population."""
    if case.target is not None:  # nodes are laid out side by side with those of others
        inputs = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
        whole, part = (case.target.forward(express(case, genotypes_of(case.part, NETWORKS)[chosen]), inputs)
                       for chosen in (slice(None), slice(2, 3)))
        if far_apart(whole[2], part[0]):
            yield "outputs of network 2 are others beside other networks"
        return
    genotypes = genotypes_of(case.part, NETWORKS)
    together, alone = (express(case, genotypes[chosen]).dense() for chosen in (slice(None), slice(2, 3)))
    yield from (f"{name} of network 2 is another beside other networks" for name in alone
                if far_apart(together[name][2:3], alone[name]))


def leaves_genotypes(case: Case) -> Iterator[str]:
    """Genotypes are not changed."""
    genotypes = genotypes_of(case.part, NETWORKS)
    before = bits(genotypes)
    express(case, genotypes)
    if bits(genotypes) != before:
        yield "changes the genotypes that it is given"


def gives_same_bits(case: Case) -> Iterator[str]:
    """Weights follow from the genotypes alone."""
    genotypes = genotypes_of(case.part, NETWORKS)
    first = bits(express(case, genotypes))
    with other_global_seeds():
        if bits(express(case, genotypes)) != first:
            yield "gives other weights for the same genotypes"


def passes_gradients(case: Case) -> Iterator[str]:
    """Every gene of some genotype has a gradient."""
    genotypes = genotypes_of(case.part, 2 * NETWORKS)
    if isinstance(genotypes, Tensor):
        yield from _without_gradient(_gradient(case, genotypes.requires_grad_(), genotypes), "genes", "gene")
        return
    graphs = [_with_gradient(graph) for graph in as_graphs(genotypes)]
    gradients = [_gradient(case, graph.weights, graphs) for graph in graphs]
    if not all(torch.isfinite(own).all() for own in gradients):
        yield "the gradient of a graph's weights is not finite"
    if not any((own != 0).any() for own in gradients):
        yield "no weight of any graph has a gradient"


def _with_gradient(graph: Graph) -> Graph:
    return replace(graph, weights=graph.weights.detach().clone().requires_grad_())


def _gradient(case: Case, leaf: Tensor, genotypes: Genotypes) -> Tensor:
    """Gradient of a weighted sum of all weights, which no symmetry makes 0."""
    generator = torch.Generator().manual_seed(2)
    values = [value for name, value in express(case, genotypes).dense().items() if not name.endswith("places")]
    total = sum(((value * torch.randn(value.shape, generator=generator)).sum() for value in values), torch.zeros(()))
    if not total.requires_grad:
        return torch.zeros_like(leaf)
    gradient, = torch.autograd.grad(total, leaf, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _without_gradient(gradient: Tensor, plural: str, singular: str) -> Iterator[str]:
    """Lines on numbers (P, n) whose gradient is nowhere other than 0, or not finite."""
    dead = (gradient == 0).all(0).nonzero().flatten().tolist()
    wild = (~torch.isfinite(gradient)).any(0).nonzero().flatten().tolist()
    for indices, fault in ((dead, "no gradient"), (wild, "a gradient that is not finite")):
        if indices:
            yield f"{len(indices)} of {gradient.shape[1]} {plural} have {fault}: {singular} {some(indices)}"


def counts_add_up(case: Case) -> Iterator[str]:
    """Counts and generated parameters are those of the encoding."""
    counts = case.part.counts(first_of(genotypes_of(case.part, 1)))
    if case.part.genes and counts.encoded_genes + counts.direct_parameters != case.part.genes:
        yield f"{counts.encoded_genes} encoded genes and {counts.direct_parameters} direct parameters are not " \
              f"{case.part.genes} genes"
    if unknown := set(case.part.generated()) - set(case.part.geometry):
        yield f"generated names parameters that it does not give: {some(sorted(unknown))}"


def gives_samples(case: Case) -> Iterator[str]:
    """Genotypes for a gradient to start from follow from their generator."""
    if not case.part.genes:
        return
    if not isinstance(case.part, FixedLength):
        yield "is missing: searches of numbers start from sample(size, generator), genotypes (size, genes)"
        return
    first = case.part.sample(3, torch.Generator().manual_seed(0))
    yield from shape_line("sample(3, …)", first, (3, case.part.genes))
    with other_global_seeds():
        if bits(case.part.sample(3, torch.Generator().manual_seed(0))) != bits(first):
            yield "gives other genotypes for the same generator"


def gives_figures(case: Case) -> Iterator[str]:
    """Figures of one genotype can be made."""
    list(case.part.figures(first_of(genotypes_of(case.part, 1))))
    yield from ()


RULES: dict[str, Rule] = {
    "attributes": keeps_attributes,
    "geometry": gives_every_parameter,
    "express, shapes": gives_shapes,
    "express, numbers": gives_finite_weights,
    "express, networks apart": keeps_networks_apart,
    "express, genotypes unchanged": leaves_genotypes,
    "express, same bits": gives_same_bits,
    "express, gradient": passes_gradients,
    "sample": gives_samples,
    "counts": counts_add_up,
    "figures": gives_figures,
    "repr": check_repr,
}
