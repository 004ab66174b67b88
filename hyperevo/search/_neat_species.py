"""Genetic distances of one genome to a whole population at a time, and neat-python's speciation by them.

Distances and species are neat-python's to the last bit: the terms of a distance are added up in its order.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import neat
import numpy as np
from neat.genome import DefaultGenome
from neat.species import Species

from hyperevo.search._neat_genomes import GenomeConfig


class GeneTable:
    """The genes of N genomes, by gene."""

    def __init__(self, genomes: Sequence[DefaultGenome], config: GenomeConfig):
        self._config = config
        self._words: dict[str, int] = {}
        self._nodes = _ByGene([genome.nodes for genome in genomes], self._node_columns(
            [node for genome in genomes for node in genome.nodes.values()]))
        self._links = _ByGene([genome.connections for genome in genomes], _link_columns(
            [link for genome in genomes for link in genome.connections.values()]))

    def _node_columns(self, nodes: list[Any]) -> list[np.ndarray]:
        words = [node.activation for node in nodes], [node.aggregation for node in nodes]
        for word in set(chain(*words)):
            self._words.setdefault(word, len(self._words))
        return [np.array([node.bias for node in nodes]), np.array([node.response for node in nodes]),
                np.array([node.time_constant for node in nodes]),
                *(np.array([self._words[word] for word in column]) for column in words)]

    def distances(self, genomes: Sequence[DefaultGenome]) -> np.ndarray:
        """(len(genomes), N): neat-python's `genome.distance(other, config)` for each of these and all others."""
        nodes = self._node_columns([node for genome in genomes for node in genome.nodes.values()])
        links = _link_columns([link for genome in genomes for link in genome.connections.values()])
        return self._part([genome.nodes for genome in genomes], nodes, self._nodes) \
            + self._part([genome.connections for genome in genomes], links, self._links)

    def _part(self, genes: Sequence[dict[Any, Any]], columns: list[np.ndarray], table: "_ByGene") -> np.ndarray:
        """The part of the distances that one kind of gene makes."""
        sizes = np.array([len(own) for own in genes])[:, None]
        owner, gene, place = table.matches(genes)
        pairs = owner * len(table.sizes) + table.holders[place]
        # Numbers differ by their distance, words and switches by 1; added up column by column as neat-python does.
        apart = np.zeros(len(place))
        for ours, theirs in zip(columns, table.columns, strict=True):
            mine, other = ours[gene], theirs[place]
            apart += np.abs(mine - other) if mine.dtype == np.float64 else mine != other
        apart *= self._config.compatibility_weight_coefficient
        shape = (len(genes), len(table.sizes))
        total = np.bincount(pairs, apart, minlength=shape[0] * shape[1]).reshape(shape)
        shared = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
        disjoint = sizes + table.sizes - 2 * shared
        # Without genes on either side there is no distance.
        return (total + self._config.compatibility_disjoint_coefficient * disjoint) \
            / np.maximum(np.maximum(sizes, table.sizes), 1)


def _link_columns(links: list[Any]) -> list[np.ndarray]:
    return [np.array([link.weight for link in links], dtype=np.float64),
            np.array([link.enabled for link in links], dtype=bool)]


class _ByGene:
    """One kind of gene of N genomes, sorted by key: the genome that holds each, and columns of what it is there."""

    def __init__(self, genes: Sequence[dict[Any, Any]], columns: list[np.ndarray]):
        self.sizes = np.array([len(own) for own in genes])
        keys = list(chain.from_iterable(genes))
        self._numbers: dict[Any, int] = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        number = np.array([self._numbers[key] for key in keys], dtype=np.int64)
        order = np.argsort(number, kind="stable")
        self.holders = np.repeat(np.arange(len(genes)), self.sizes)[order]
        self.columns = [column[order] for column in columns]
        self._held = np.bincount(number, minlength=len(self._numbers))
        self._first = np.cumsum(self._held) - self._held

    def matches(self, genes: Sequence[dict[Any, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All pairs of a gene of these genomes with the same gene in the table, in the order of the former: whose gene
        it is, which of all their genes, and its row in the table."""
        number = np.array([self._numbers.get(key, -1) for key in chain.from_iterable(genes)], dtype=np.int64)
        gene = np.flatnonzero(number >= 0)
        number = number[gene]
        held = self._held[number]
        owner = np.repeat(np.arange(len(genes)), [len(own) for own in genes])[gene]
        row = np.arange(held.sum()) + np.repeat(self._first[number] - np.cumsum(held) + held, held)
        return np.repeat(owner, held), np.repeat(gene, held), row


class SpeciesSet(neat.DefaultSpeciesSet):
    """neat-python's species set; `speciate` computes all distances to the representatives at once."""

    def speciate(self, config: Any, population: dict[int, DefaultGenome], generation: int) -> None:
        """Every species keeps the genome closest to its representative; every other genome joins the closest species
        within the threshold, or founds one."""
        keys = sorted(population)
        genomes = [population[key] for key in keys]
        table = GeneTable(genomes, config.genome_config)
        place = {key: number for number, key in enumerate(keys)}
        old = sorted(self.species)
        representatives = [self.species[species].representative for species in old]
        known = _Asked(len(keys))
        free = np.ones(len(keys), dtype=bool)
        leaders: dict[int, int] = {}
        if old:
            for species, representative, distances in zip(old, representatives, table.distances(representatives),
                                                          strict=True):
                own = place.get(representative.key)
                if own is not None:
                    distances = known.first(own, distances)
                    known.add(own, np.where(free, distances, np.nan))
                leaders[species] = int(np.where(free, distances, np.inf).argmin())
                free[leaders[species]] = False
        members = self._join(genomes, table, leaders, known, free)
        self._update(keys, genomes, leaders, members, generation)

    def _join(self, genomes: list[DefaultGenome], table: GeneTable, leaders: dict[int, int], known: "_Asked",
              free: np.ndarray) -> dict[int, list[int]]:
        """Members by species, as places; new species are added to `leaders`."""
        threshold = self.species_set_config.compatibility_threshold
        closest, joined = np.full(len(genomes), np.inf), np.zeros(len(genomes), dtype=np.int64)

        def offer(species: int, distances: np.ndarray) -> None:
            distances = known.first(leaders[species], distances)
            closer = (distances < threshold) & (distances < closest)
            closest[closer], joined[closer] = distances[closer], species

        if leaders:
            for species, distances in zip(leaders, table.distances([genomes[leader] for leader in leaders.values()]),
                                          strict=True):
                offer(species, distances)
        members = {species: [leader] for species, leader in leaders.items()}
        for number in np.flatnonzero(free).tolist():
            if closest[number] < np.inf:
                members[int(joined[number])].append(number)
                continue
            species = next(self.indexer)
            leaders[species], members[species] = number, [number]
            offer(species, table.distances([genomes[number]])[0])
        return members

    def _update(self, keys: list[int], genomes: list[DefaultGenome], leaders: dict[int, int],
                members: dict[int, list[int]], generation: int) -> None:
        self.genome_to_species: dict[int, int] = {}
        for key in sorted(leaders):
            species = self.species.setdefault(key, Species(key, generation))
            own = {keys[number]: genomes[number] for number in members[key]}
            self.genome_to_species |= dict.fromkeys(own, key)
            species.update(genomes[leaders[key]], own)


class _Asked:
    """Distances that were asked for: neat-python computes a pair of genomes once, in one direction, and rounding can
    tell the directions apart."""

    def __init__(self, size: int):
        self._owners: list[int] = []
        self._rows = np.empty((0, size))

    def add(self, number: int, distances: np.ndarray) -> None:
        """The distances of a genome to all others, NaN where nobody asked."""
        self._owners.append(number)
        self._rows = np.concatenate([self._rows, distances[None]])

    def first(self, number: int, distances: np.ndarray) -> np.ndarray:
        """The distances of a genome, those of pairs that were asked for before as they were then."""
        if not self._owners:
            return distances
        distances = distances.copy()
        column = self._rows[:, number]
        distances[self._owners] = np.where(np.isnan(column), distances[self._owners], column)
        if number in self._owners:
            row = self._rows[self._owners.index(number)]
            distances = np.where(np.isnan(row), distances, row)
        return distances
