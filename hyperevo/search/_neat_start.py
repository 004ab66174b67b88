"""NEAT's first population from an earlier run: its last one, or its champion and mutants of that."""

from collections.abc import Iterator
from pathlib import Path

from hyperevo.errors import UserError
from hyperevo.genotypes import Packed, as_graph, read_packed
from hyperevo.graph import Graph
from hyperevo.search._neat_breeding import breed
from hyperevo.search._neat_genomes import PACKED, Genome, GenomeConfig, fill_genome, unpack_genomes
from hyperevo.search._neat_python import Counter
from hyperevo.search._start import RunStart, packed_champion

COUNTERS = ("names", "next_node", "innovation")
"""Plain data of a checkpoint without which its genomes cannot be read or mutated further."""


def read_run(run: Path) -> Packed:
    """Champion of a finished run, and the population of its newest checkpoint where NEAT made it; raises UserError
    where there is no champion or one of the two is damaged."""
    plain, tensors = packed_champion(run)
    for folder in sorted((run / "checkpoint").glob("[0-9]" * 8))[-1:]:
        try:
            values, parts = read_packed(folder)
            if values["config"]["search"]["name"] == "neat":
                plain["population"] = {key: values["search"][key] for key in COUNTERS}
                tensors |= {f"population.{key}": parts[f"search.{key}"] for key in PACKED}
        except (KeyError, TypeError) as error:
            raise UserError(f"{folder}: is not a checkpoint: {error!r}") from error
    return plain, tensors


def started_population(start: RunStart, keys: Iterator[int], config: GenomeConfig, size: int) -> list[Genome]:
    """Genomes of an earlier run under new keys, as many as it had, or its champion and `size` - 1 mutants of it. Raises
    UserError where they do not have the config's inputs and outputs."""
    _check_ends(start, config)
    plain, tensors = start.packed
    if "population" not in plain:
        return _champion_and_mutants(start, keys, config, size)
    try:
        own = plain["population"]
        packed = {key: tensors[f"population.{key}"] for key in PACKED}
        genomes = unpack_genomes(packed, own["names"])
        config.node_indexer = Counter(own["next_node"])
        tracker = config.innovation_tracker
        tracker.global_counter = max(tracker.global_counter, own["innovation"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"search.start: the population of {start} is damaged: {error!r}") from error
    for genome in genomes:
        genome.key = next(keys)
    return genomes


def _check_ends(start: RunStart, config: GenomeConfig) -> None:
    champion = start.champion
    if not isinstance(champion, Graph):
        raise UserError(f"search.start: the champion of {start} is {len(champion):,} genes, and neat evolves graphs")
    for what, has, needs in (("inputs", champion.topology.inputs, config.num_inputs),
                             ("outputs", len(champion.topology.outputs), config.num_outputs)):
        if has != needs:
            raise UserError(f"search.start: graphs of {start} have {has} {what}, and the encoding needs {needs}")


def _champion_and_mutants(start: RunStart, keys: Iterator[int], config: GenomeConfig, size: int) -> list[Genome]:
    tracker, graph = config.innovation_tracker, as_graph(start.champion)
    champion = fill_genome(Genome(next(keys)), graph, config, tracker.global_counter + 1)
    tracker.global_counter += graph.topology.links
    config.node_indexer = Counter(max(champion.nodes) + 1)
    mutants = [Genome(next(keys)) for _ in range(size - 1)]
    for mutant in mutants:
        mutant.parents = champion, champion
    breed(mutants, config)
    return [champion, *mutants]
