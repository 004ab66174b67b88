"""Crossover and mutation of all children of a generation at once, which neat-python makes one by one."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import chain, count

import numpy as np

from hyperevo.search._neat_genes import (
    LOWER,
    NODE_NUMBERS,
    NODE_WORDS,
    Genes,
    Pool,
    cross,
    join_genes,
    mutate_genes,
    new_numbers,
    new_switches,
    new_words,
)
from hyperevo.search._neat_genomes import Genome, GenomeConfig, gather, structures_of

MUTATION_ATTEMPTS = 4
"""Mutations that are tried on a child until its graph stays separable; after that it is left a plain crossover."""


def breed(children: Sequence[Genome], config: GenomeConfig) -> None:
    """Give children their genes, by crossover of their parents and then mutation. A mutation whose graph the config
    does not accept is undone and tried again, up to MUTATION_ATTEMPTS times in all."""
    couples = list(chain.from_iterable([child.parents for child in children if child.parents]))
    number = dict(zip(dict.fromkeys(couples), count(), strict=False))
    fitter, other = np.array(list(map(number.__getitem__, couples)), dtype=np.int64).reshape(-1, 2).T
    # numpy's draws follow from the search's own stream, so a checkpoint need not know them.
    draws = np.random.default_rng(random.getrandbits(128))
    crossed = cross(gather(list(number)), fitter, other, draws)
    waiting = np.arange(len(children))
    for _ in range(MUTATION_ATTEMPTS):
        mutated = mutate(crossed if len(waiting) == len(children) else crossed.of(waiting), config, draws)
        accepted = _accepted(mutated, config)
        for place, child in zip(np.flatnonzero(accepted).tolist(), waiting[accepted].tolist(), strict=True):
            children[child].place, children[child].parents = (mutated, place), None
        waiting = waiting[~accepted]
        if not len(waiting):
            break
    for child in waiting.tolist():
        children[child].place, children[child].parents = (crossed, child), None


def _accepted(pool: Pool, config: GenomeConfig) -> np.ndarray:
    accepts = vars(config).get("accepts")
    if accepts is None:
        return np.ones(len(pool.nodes.sizes), dtype=bool)
    return np.array([accepts(structure.topology) for structure in structures_of(pool, config)], dtype=bool)


def mutate(pool: Pool, config: GenomeConfig, draws: np.random.Generator) -> Pool:
    """A pool's genomes, mutated as neat-python does: the structure first, then the genes."""
    wanted = _structural_mutations(len(pool.nodes.sizes), config, draws)
    grown = Growth(pool, config).grown(wanted, draws)
    mutate_genes(grown, config, draws)
    return grown


def _structural_mutations(count: int, config: GenomeConfig, draws: np.random.Generator) -> np.ndarray:
    """Mask (count, 4) of the structural mutations of every genome: add and delete a node, add and delete a link. With
    `single_structural_mutation` at most one is true, else any of them."""
    chances = np.array([config.node_add_prob, config.node_delete_prob, config.conn_add_prob, config.conn_delete_prob])
    if not config.single_structural_mutation:
        return draws.random((count, 4)) < chances
    reached = np.cumsum(chances) / max(1, np.cumsum(chances)[-1])
    return np.searchsorted(reached, draws.random(count), side="right")[:, None] == np.arange(4)


class Kind:
    """Genes of one kind of all genomes, while these are mutated one after the other.

    keys, rows: those of the present genome's genes; new genes get rows after the old ones.
    """

    def __init__(self, genes: Genes):
        self.genes = genes
        self._all_keys, self._starts = genes["key"].tolist(), [*genes.starts.tolist(), len(genes)]
        self._next_row = len(genes)
        self._gone: list[int] = []
        self._new_owners: list[int] = []

    def turn_to(self, genome: int) -> None:
        """Go on to a genome that was not mutated yet."""
        start, stop = self._starts[genome], self._starts[genome + 1]
        self._genome, self.keys, self.rows = genome, self._all_keys[start:stop], list(range(start, stop))

    def add(self, key: int) -> None:
        """Add a new gene to the genome, in last place."""
        self.keys.append(key)
        self.rows.append(self._next_row)
        self._new_owners.append(self._genome)
        self._next_row += 1

    def delete(self, place: int) -> None:
        """Delete one of the genome's genes."""
        self._gone.append(self.rows.pop(place))
        del self.keys[place]

    def left(self, new: dict[str, np.ndarray]) -> Genes:
        """Genes that are left, old and new; `new` has the columns of the latter."""
        all_genes = join_genes([self.genes, Genes(np.array([len(new["key"])]), new)])
        kept = np.ones(len(all_genes), dtype=bool)
        kept[self._gone] = False
        owners = np.concatenate([self.genes.owners, np.array(self._new_owners, dtype=np.int64)])[kept]
        return all_genes.rows(np.bincount(owners, minlength=len(self.genes.sizes)),
                              np.flatnonzero(kept)[np.argsort(owners, kind="stable")])


class Growth:
    """Structural mutations of the genomes of a pool, with neat-python's random choices."""

    def __init__(self, pool: Pool, config: GenomeConfig):
        self.config = config
        self.neutral = vars(config).get("neutral_growth", False)
        self.acyclic = config.feed_forward
        self.inputs, self.outputs = set(config.input_keys), set(config.output_keys)
        self.old_weights, self.old_enabled = pool.links["weight"], pool.links["enabled"].copy()
        self.nodes = Kind(pool.nodes)
        self.links = Kind(Genes(pool.links.sizes, {**pool.links.columns, "enabled": self.old_enabled}))
        self.new_nodes: list[int] = []
        # New links: keys, innovations, weights (NaN: drawn later) and whether they are enabled (None: drawn later).
        self.new_links: list[tuple[int, int, float, bool | None]] = []
        self._sources: dict[tuple[int, ...], list[int]] = {}

    def grown(self, wanted: np.ndarray, draws: np.random.Generator) -> Pool:
        """The pool after the mutations in a mask (genomes, 4), whose columns have the order of the methods here."""
        mutations, present = (self.add_node, self.delete_node, self.add_link, self.delete_link), -1
        for genome, mutation in zip(*(places.tolist() for places in wanted.nonzero()), strict=True):
            if genome != present:
                present = genome
                self.nodes.turn_to(genome)
                self.links.turn_to(genome)
            mutations[mutation]()
        return Pool(self.nodes.left(self._node_columns(draws)), self.links.left(self._link_columns(draws)))

    def _node_columns(self, draws: np.random.Generator) -> dict[str, np.ndarray]:
        count = len(self.new_nodes)
        return {"key": np.array(self.new_nodes, dtype=np.int64),
                **{name: new_numbers(count, name, self.config, draws) for name in NODE_NUMBERS},
                **{name: new_words(count, name, self.config, draws) for name in NODE_WORDS}, "bias": np.zeros(count)}

    def _link_columns(self, draws: np.random.Generator) -> dict[str, np.ndarray]:
        keys, innovations, own_weights, own_enabled = zip(*self.new_links, strict=True) if self.new_links else [()] * 4
        weights = np.array(own_weights, dtype=np.float64)
        drawn = np.array([own is None for own in own_enabled], dtype=bool)
        enabled, free = np.array(own_enabled, dtype=bool), np.isnan(weights)
        weights[free] = new_numbers(int(free.sum()), "weight", self.config, draws)
        enabled[drawn] = new_switches(int(drawn.sum()), "enabled", self.config, draws)
        return {"key": np.array(keys, dtype=np.int64), "innovation": np.array(innovations, dtype=np.int64),
                "weight": weights, "enabled": enabled}

    def add_node(self) -> None:
        """Split a link by a new node. With neutral growth the link stays, and the link out of the node has weight 0."""
        links = self.links
        if not links.keys:
            if self.config.check_structural_mutation_surer():
                self.add_link()
            return
        place = _below(len(links.keys))
        key, split = links.keys[place], links.rows[place]
        node = self.config.get_new_node_key(self.nodes.keys)
        self.nodes.add(node)
        self.new_nodes.append(node)
        weight = float(self.old_weights[split]) if not self.neutral else 0.0
        self._link(key >> 32, node, "add_node_in", math.nan if self.neutral else 1.0, True)
        self._link(node, key & LOWER, "add_node_out", weight, True)
        if not self.neutral:
            self.old_enabled[split] = False

    def delete_node(self) -> None:
        """Delete a random node that is no output, with its links."""
        outputs, keys = self.outputs, self.links.keys
        hidden = [place for place, key in enumerate(self.nodes.keys) if key not in outputs]
        if hidden:
            place = hidden[_below(len(hidden))]
            gone = self.nodes.keys[place]
            self.nodes.delete(place)
            for place in [place for place, key in enumerate(keys) if key >> 32 == gone or key & LOWER == gone][::-1]:
                self.links.delete(place)

    def add_link(self) -> None:
        """Add a new link that leaves no output and, in a feed-forward network, closes no cycle; with neutral growth its
        weight is 0."""
        nodes, links = self.nodes.keys, self.links.keys
        target = nodes[_below(len(nodes))]
        sources = self._possible_sources(tuple(nodes))
        source = sources[_below(len(sources))]
        key = (source << 32) + target
        if key in links:
            if self.config.check_structural_mutation_surer():
                self._enable(self.links.rows[links.index(key)])
        elif not self.acyclic or source in self.inputs or not closes_cycle(links, source, target):
            self._link(source, target, "add_connection", 0.0 if self.neutral else math.nan, None)

    def _possible_sources(self, nodes: tuple[int, ...]) -> list[int]:
        """Inputs and nodes that a new link may leave, in neat-python's order."""
        known = self._sources.get(nodes)
        if known is None:
            # By way of a dictionary, as in neat-python: a set of a list has another order.
            known = self._sources[nodes] = list((set(dict.fromkeys(nodes)) - self.outputs) | self.inputs)
        return known

    def delete_link(self) -> None:
        """Delete a random link."""
        if self.links.keys:
            self.links.delete(_below(len(self.links.keys)))

    def _link(self, source: int, target: int, mutation: str, weight: float, enabled: bool | None) -> None:
        key = (source << 32) + target
        self.links.add(key)
        innovation = self.config.innovation_tracker.get_innovation_number(source, target, mutation)
        self.new_links.append((key, innovation, weight, enabled))

    def _enable(self, row: int) -> None:
        new = row - len(self.old_enabled)
        if new < 0:
            self.old_enabled[row] = True
        else:
            key, innovation, weight, _ = self.new_links[new]
            self.new_links[new] = key, innovation, weight, True


def _below(count: int) -> int:
    """Index of one of so many things, as `random.choice` draws it."""
    bits = count.bit_length()
    number = random.getrandbits(bits)
    while number >= count:
        number = random.getrandbits(bits)
    return number


def closes_cycle(keys: Iterable[int], start: int, end: int) -> bool:
    """True where a link from start to end would close a cycle in an acyclic graph of links, given by their keys."""
    if start == end:
        return True
    targets: dict[int, list[int]] = {}
    for key in keys:
        if key >= 0:  # the keys of inputs are below 0, and no path leads to one
            targets.setdefault(key >> 32, []).append(key & LOWER)
    reached, waiting = {end}, [end]
    while waiting:
        for target in targets.get(waiting.pop(), ()):
            if target == start:
                return True
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return False
