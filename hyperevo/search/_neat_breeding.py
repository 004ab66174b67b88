"""Crossover and mutation of all children of a generation at once, which neat-python makes one by one."""

import math
import random
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from hyperevo.search._neat_genes import (
    LOWER,
    NODE_NUMBERS,
    NODE_WORDS,
    Genes,
    Pool,
    cross,
    join,
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
    couples = [parent for child in children if child.parents for parent in child.parents]
    parents = list({id(parent): parent for parent in couples}.values())
    number = {id(parent): place for place, parent in enumerate(parents)}
    fitter, other = np.array([number[id(parent)] for parent in couples]).reshape(-1, 2).T
    # numpy's draws follow from the search's own stream, so a checkpoint need not know them.
    draws = np.random.default_rng(random.getrandbits(128))
    crossed = cross(gather(parents), fitter, other, draws)
    waiting = np.arange(len(children))
    for _ in range(MUTATION_ATTEMPTS):
        mutated = mutate(crossed.of(waiting), config, draws)
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
    """Mutate all genomes of a pool as neat-python does: the structure first, then the genes."""
    wanted = _structural_mutations(len(pool.nodes.sizes), config, draws)
    changed = np.flatnonzero(wanted.any(axis=1))
    order = np.arange(len(wanted))
    order[changed] = len(wanted) + np.arange(len(changed))
    grown = join([pool, Growth(pool.of(changed), config).grown(wanted[changed], draws)]).of(order)
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


Own = tuple[list[int], list[int]]
"""Keys and rows of one genome's genes of a kind, while they are mutated."""


class Growth:
    """Structural mutations of the genomes of a pool, with neat-python's random choices. New genes get rows after those
    of the pool; links are enabled and disabled in the pool itself."""

    def __init__(self, pool: Pool, config: GenomeConfig):
        self.pool, self.config = pool, config
        self.neutral = vars(config).get("neutral_growth", False)
        self.acyclic = config.feed_forward
        self.inputs, self.outputs = set(config.input_keys), set(config.output_keys)
        self.old_nodes, self.old_links = len(pool.nodes), len(pool.links)
        self.new_nodes: list[int] = []
        # New links: keys, innovations, weights (NaN: drawn later) and whether they are enabled (None: drawn later).
        self.keys: list[int] = []
        self.innovations: list[int] = []
        self.weights: list[float] = []
        self.enabled: list[bool | None] = []

    def grown(self, wanted: np.ndarray, draws: np.random.Generator) -> Pool:
        """The pool after the mutations in a mask (genomes, 4), whose columns have the order of the methods here."""
        nodes, links = map(_by_genome, self.pool)
        mutations = self.add_node, self.delete_node, self.add_link, self.delete_link
        for number, mutation in zip(*(places.tolist() for places in wanted.nonzero()), strict=True):
            mutations[mutation](nodes[number], links[number])
        return Pool(_chosen(self.pool.nodes, self._node_columns(draws), nodes),
                    _chosen(self.pool.links, self._link_columns(draws), links))

    def _node_columns(self, draws: np.random.Generator) -> dict[str, np.ndarray]:
        count = len(self.new_nodes)
        return {"key": np.array(self.new_nodes, dtype=np.int64),
                **{name: new_numbers(count, name, self.config, draws) for name in NODE_NUMBERS},
                **{name: new_words(count, name, self.config, draws) for name in NODE_WORDS}, "bias": np.zeros(count)}

    def _link_columns(self, draws: np.random.Generator) -> dict[str, np.ndarray]:
        weights = np.array(self.weights, dtype=np.float64)
        drawn = np.array([own is None for own in self.enabled], dtype=bool)
        enabled, free = np.array(self.enabled, dtype=bool), np.isnan(weights)
        weights[free] = new_numbers(int(free.sum()), "weight", self.config, draws)
        enabled[drawn] = new_switches(int(drawn.sum()), "enabled", self.config, draws)
        return {"key": np.array(self.keys, dtype=np.int64), "innovation": np.array(self.innovations, dtype=np.int64),
                "weight": weights, "enabled": enabled}

    def add_node(self, nodes: Own, links: Own) -> None:
        """Split a link by a new node. With neutral growth the link stays, and the link out of the node has weight 0."""
        keys, rows = links
        if not keys:
            if self.config.check_structural_mutation_surer():
                self.add_link(nodes, links)
            return
        place = _below(len(keys))
        key, split = keys[place], rows[place]
        node = self.config.get_new_node_key(nodes[0])
        nodes[0].append(node)
        nodes[1].append(self.old_nodes + len(self.new_nodes))
        self.new_nodes.append(node)
        weight = self.pool.links["weight"][split] if not self.neutral else 0.0
        self._link(links, key >> 32, node, "add_node_in", math.nan if self.neutral else 1.0, True)
        self._link(links, node, key & LOWER, "add_node_out", weight, True)
        if not self.neutral:
            self.pool.links["enabled"][split] = False

    def delete_node(self, nodes: Own, links: Own) -> None:
        """Delete a random node that is no output, with its links."""
        hidden = [place for place, key in enumerate(nodes[0]) if key not in self.outputs]
        if hidden:
            place = hidden[_below(len(hidden))]
            gone = nodes[0].pop(place)
            del nodes[1][place]
            for place in range(len(links[0]) - 1, -1, -1):
                if gone in (links[0][place] >> 32, links[0][place] & LOWER):
                    del links[0][place], links[1][place]

    def add_link(self, nodes: Own, links: Own) -> None:
        """Add a new link that leaves no output and, in a feed-forward network, closes no cycle; with neutral growth its
        weight is 0."""
        target = nodes[0][_below(len(nodes[0]))]
        # By way of a dictionary, as in neat-python: a set of a list has another order.
        sources = list((set(dict.fromkeys(nodes[0])) - self.outputs) | self.inputs)
        source = sources[_below(len(sources))]
        key = (source << 32) + target
        if key in links[0]:
            if self.config.check_structural_mutation_surer():
                self._enable(links[1][links[0].index(key)])
        elif not self.acyclic or source in self.inputs or not closes_cycle(links[0], source, target):
            self._link(links, source, target, "add_connection", 0.0 if self.neutral else math.nan, None)

    def delete_link(self, nodes: Own, links: Own) -> None:
        """Delete a random link."""
        if links[0]:
            place = _below(len(links[0]))
            del links[0][place], links[1][place]

    def _link(self, links: Own, source: int, target: int, mutation: str, weight: float, enabled: bool | None) -> None:
        key = (source << 32) + target
        links[0].append(key)
        links[1].append(self.old_links + len(self.keys))
        self.keys.append(key)
        self.innovations.append(self.config.innovation_tracker.get_innovation_number(source, target, mutation))
        self.weights.append(weight)
        self.enabled.append(enabled)

    def _enable(self, row: int) -> None:
        if row < self.old_links:
            self.pool.links["enabled"][row] = True
        else:
            self.enabled[row - self.old_links] = True


def _below(count: int) -> int:
    """Index of one of so many things, as `random.choice` draws it."""
    bits = count.bit_length()
    number = random.getrandbits(bits)
    while number >= count:
        number = random.getrandbits(bits)
    return number


def _by_genome(genes: Genes) -> list[Own]:
    """Keys and rows of every genome's genes."""
    keys, rows, starts = genes["key"].tolist(), list(range(len(genes))), genes.starts.tolist()
    stops = (genes.starts + genes.sizes).tolist()
    return [(keys[start:stop], rows[start:stop]) for start, stop in zip(starts, stops, strict=True)]


def _chosen(genes: Genes, new: dict[str, np.ndarray], own: Sequence[Own]) -> Genes:
    """Genes at these rows of a table of the genes followed by the new ones, genome by genome."""
    rows = list(chain.from_iterable([part[1] for part in own]))
    return join_genes([genes, Genes(np.array([len(new["key"])]), new)]).rows(
        np.array([len(part[1]) for part in own], dtype=np.int64), np.array(rows, dtype=np.int64))


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
