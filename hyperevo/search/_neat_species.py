"""Genetic distances of one genome to a whole population at a time, and neat-python's speciation by them.

Distances and species are neat-python's to the last bit: the terms of a distance are added up in its order.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import neat
import numpy as np
from neat.genome import DefaultGenome
from neat.species import Species

from hyperevo.search._neat_genes import NODE_NUMBERS, NODE_WORDS, Genes
from hyperevo.search._neat_genomes import GenomeConfig, gather


class GeneTable:
    """Genes of N genomes, indexed by key, for their distances to other genomes."""

    def __init__(self, genomes: Sequence[DefaultGenome], config: GenomeConfig, order: np.ndarray | None = None):
        """order (N,): indices of the genomes in the order of their distances; by default their own."""
        self._config, self._order = config, order
        nodes, links = gather(genomes)
        self._nodes, self._links = _ByGene(nodes), _ByGene(links)

    def distances(self, genomes: Sequence[DefaultGenome]) -> np.ndarray:
        """Distances (len(genomes), N), neat-python's `genome.distance(other, config)`, from these to the table's N."""
        nodes, links = gather(genomes)
        distances = self._part(nodes, self._nodes, (*NODE_NUMBERS, *NODE_WORDS)) \
            + self._part(links, self._links, ("weight", "enabled"))
        return distances if self._order is None else distances[:, self._order]

    def _part(self, genes: Genes, table: "_ByGene", names: Sequence[str]) -> np.ndarray:
        """The term of the distances that comes from one kind of gene."""
        gene, place = table.matches(genes)
        pairs = genes.owners[gene] * len(table.genes.sizes) + table.genes.owners[place]
        # Numbers differ by their distance, names and switches by 1; added up column by column as neat-python does.
        apart = np.zeros(len(place))
        for name in names:
            if table.are_all(name, genes[name]):
                continue
            mine, other = genes[name][gene], table.genes[name][place]
            apart += np.abs(mine - other) if mine.dtype == np.float64 else mine != other
        apart *= self._config.compatibility_weight_coefficient
        sizes, others = genes.sizes[:, None], table.genes.sizes
        shape = (len(sizes), len(others))
        total = np.bincount(pairs, apart, minlength=shape[0] * shape[1]).reshape(shape)
        shared = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
        disjoint = sizes + others - 2 * shared
        # Without genes on either side there is no distance.
        return (total + self._config.compatibility_disjoint_coefficient * disjoint) \
            / np.maximum(np.maximum(sizes, others), 1)


class _ByGene:
    """Genes of one kind of N genomes, and their rows grouped by key."""

    def __init__(self, genes: Genes):
        self.genes = genes
        # Sorted in small integers, which takes a fifth of the time.
        kind = genes.kind.astype(np.min_scalar_type(len(genes.kinds)))
        self._order = np.argsort(kind, kind="stable")
        # The last kind is that of keys that no gene here has: it is empty.
        self._held = np.bincount(genes.kind, minlength=len(genes.kinds) + 1)
        self._first = np.cumsum(self._held) - self._held

    def are_all(self, name: str, values: np.ndarray) -> bool:
        """True where these values and all of the table's are one, as those of an attribute that does not evolve."""
        return name in self._constants and bool((values == self._constants[name]).all())

    @cached_property
    def _constants(self) -> dict[str, Any]:
        """Attributes with one value throughout."""
        columns = {name: column for name, column in self.genes.columns.items() if len(column)}
        return {name: column[0] for name, column in columns.items() if (column == column[0]).all()}

    def matches(self, genes: Genes) -> tuple[np.ndarray, np.ndarray]:
        """Rows of all pairs of one of these genes and one of the table's with the same key, in the order of the former.
        """
        kind = self.genes.kind_of(genes["key"])
        held = self._held[kind]
        place = np.arange(held.sum()) + np.repeat(self._first[kind] - np.cumsum(held) + held, held)
        return np.repeat(np.arange(len(kind)), held), self._order[place]


class SpeciesSet(neat.DefaultSpeciesSet):
    """neat-python's species set; `speciate` computes all distances to the representatives at once."""

    def speciate(self, config: Any, population: dict[int, DefaultGenome], generation: int) -> None:
        """Divide the population into species: each keeps the genome closest to its representative, and every other
        genome joins the closest species within the threshold, or founds one."""
        keys = sorted(population)
        genomes = [population[key] for key in keys]
        table = GeneTable(list(population.values()), config.genome_config, np.argsort(np.array(list(population))))
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
        """Members by species, as indices of genomes; new species are added to `leaders`."""
        threshold = self.species_set_config.compatibility_threshold
        closest, joined = np.full(len(genomes), np.inf), np.zeros(len(genomes), dtype=np.int64)

        def offer(species: int, distances: np.ndarray) -> None:
            distances = known.first(leaders[species], distances)
            closer = (distances < threshold) & (distances < closest)
            closest[closer], joined[closer] = distances[closer], species

        if leaders:
            asked = table.distances([genomes[leader] for leader in leaders.values()])
            near = np.stack([known.first(leader, own) for leader, own in zip(leaders.values(), asked, strict=True)])
            near[near >= threshold] = np.inf
            joined = np.array(list(leaders))[near.argmin(0)]
            closest = near.min(0)
        members = {species: [leader] for species, leader in leaders.items()}
        left = np.flatnonzero(free)
        while len(left):
            # All before the first genome that no species takes join one; it founds its own, and the others look again.
            alone = np.flatnonzero(np.isinf(closest[left]))
            joining = left[: alone[0]] if len(alone) else left
            for number, species in zip(joining.tolist(), joined[joining].tolist(), strict=True):
                members[species].append(number)
            if not len(alone):
                break
            founder, left = int(left[alone[0]]), left[alone[0] + 1 :]
            species = next(self.indexer)
            leaders[species], members[species] = founder, [founder]
            offer(species, table.distances([genomes[founder]])[0])
        return members

    def _update(self, keys: list[int], genomes: list[DefaultGenome], leaders: dict[int, int],
                members: dict[int, list[int]], generation: int) -> None:
        self.genome_to_species: dict[int, int] = {}
        for key in sorted(leaders):
            species = self.species.setdefault(key, Species(key, generation))
            own = {keys[number]: genomes[number] for number in members[key]}
            self.genome_to_species |= dict.fromkeys(own, key)
            species.update(genomes[leaders[key]], own)

    def keep_best(self, count: int) -> None:
        """Drop all species but the `count` whose best members are fittest."""
        kept = sorted(self.species.values(), key=lambda species: max(species.get_fitnesses()), reverse=True)
        for species in kept[count:]:
            del self.species[species.key]

    def merge(self, config: GenomeConfig) -> None:
        """Forget species that have come closer to an older one than the threshold; their members are shared out.
        neat-python never merges species, so a rising threshold alone would not lower their number."""
        keys = sorted(self.species)
        leaders = [self.species[key].representative for key in keys]
        near = GeneTable(leaders, config).distances(leaders) < self.species_set_config.compatibility_threshold
        kept: list[int] = []
        for place, key in enumerate(keys):
            if near[kept, place].any():
                del self.species[key]
            else:
                kept.append(place)


def threshold_between(genomes: Sequence[DefaultGenome], config: GenomeConfig, species: int) -> float:
    """The distance that parts genomes into about this many species, from the first genome outwards."""
    table = GeneTable(genomes, config)
    distances = lru_cache(maxsize=None)(lambda leader: table.distances([genomes[leader]])[0])

    def count(threshold: float) -> int:
        leaders, free = 0, np.ones(len(genomes), dtype=bool)
        while free.any() and leaders <= species:
            leader = int(free.argmax())
            free &= distances(leader) >= threshold
            free[leader] = False
            leaders += 1
        return leaders

    low, high = 0.0, 1.0
    while count(high) > species and high < 1e9:
        low, high = high, high * 2
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) > species else (low, middle)
    return high


class _Asked:
    """Distances computed so far. neat-python computes the distance of a pair once, in one direction, and rounding can
    differ between the directions."""

    def __init__(self, size: int):
        self._owners: list[int] = []
        self._rows = np.empty((0, size))

    def add(self, number: int, distances: np.ndarray) -> None:
        """Add the distances of a genome to all others, NaN where neat-python would not compute them."""
        self._owners.append(number)
        self._rows = np.concatenate([self._rows, distances[None]])

    def first(self, number: int, distances: np.ndarray) -> np.ndarray:
        """Distances of a genome, with those of earlier pairs as they were computed then."""
        if not self._owners:
            return distances
        distances = distances.copy()
        column = self._rows[:, number]
        distances[self._owners] = np.where(np.isnan(column), distances[self._owners], column)
        if number in self._owners:
            row = self._rows[self._owners.index(number)]
            distances = np.where(np.isnan(row), distances, row)
        return distances
