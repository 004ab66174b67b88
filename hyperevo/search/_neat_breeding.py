"""Crossover and mutation of all children of a generation at once, which neat-python makes one by one."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

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
from hyperevo.search._neat_genomes import Genome, GenomeConfig, gather, settle, structures_of

MUTATION_ATTEMPTS = 4
"""Mutations that are tried on a child until its graph stays separable; after that it is left a plain crossover."""


def breed(children: Sequence[Genome], config: GenomeConfig) -> None:
    """Give children their genes, by crossover of their parents and then mutation. A mutation whose graph the config
    does not accept is undone and tried again, up to MUTATION_ATTEMPTS times in all."""
    couples = [child.parents for child in children if child.parents]
    parents = list({id(parent): parent for couple in couples for parent in couple}.values())
    number = {id(parent): place for place, parent in enumerate(parents)}
    fitter, other = np.array([[number[id(parent)] for parent in couple] for couple in couples]).T
    # numpy's draws follow from the search's own stream, so a checkpoint need not know them.
    draws = np.random.default_rng(random.getrandbits(128))
    crossed = cross(gather(parents), fitter, other, draws)
    settle(children, crossed)
    waiting = np.arange(len(children))
    for _ in range(MUTATION_ATTEMPTS):
        mutated = mutate(crossed.of(waiting), config, draws)
        accepted = _accepted(mutated, config)
        for place, child in zip(np.flatnonzero(accepted).tolist(), waiting[accepted].tolist(), strict=True):
            children[child].place = mutated, place
        waiting = waiting[~accepted]
        if not len(waiting):
            break


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


@dataclass
class NewLink:
    """A link that a mutation makes; a weight of NaN and an `enabled` of None are drawn later."""

    code: int
    innovation: int
    weight: float = math.nan
    enabled: bool | None = None


class Own:
    """Genes of one kind of one genome while they are mutated: their keys, links' as one number, and their rows."""

    def __init__(self, keys: list[int], start: int, size: int):
        self.keys, self.rows = keys[start : start + size], [*range(start, start + size)]

    def add(self, key: int, row: int) -> None:
        """Append a gene."""
        self.keys.append(key)
        self.rows.append(row)

    def delete(self, place: int) -> None:
        """Delete a gene by its index."""
        del self.keys[place], self.rows[place]


class Growth:
    """Structural mutations of the genomes of a pool, with neat-python's random choices. New genes get rows after those
    of the pool; links are enabled and disabled in the pool itself."""

    def __init__(self, pool: Pool, config: GenomeConfig):
        self.pool, self.config = pool, config
        self.neutral = vars(config).get("neutral_growth", False)
        self.inputs, self.outputs = set(config.input_keys), set(config.output_keys)
        self.new_nodes: list[int] = []
        self.new_links: list[NewLink] = []

    def grown(self, wanted: np.ndarray, draws: np.random.Generator) -> Pool:
        """The pool after the mutations in a mask (genomes, 4), whose columns have the order of the methods here."""
        nodes, links = ([*map(Own, repeat(genes["key"].tolist()), genes.starts.tolist(), genes.sizes.tolist())]
                        for genes in self.pool)
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
        made = self.new_links
        weights = np.array([link.weight for link in made], dtype=np.float64)
        drawn = np.array([link.enabled is None for link in made], dtype=bool)
        enabled = np.array([bool(link.enabled) for link in made], dtype=bool)
        free = np.isnan(weights)
        weights[free] = new_numbers(int(free.sum()), "weight", self.config, draws)
        enabled[drawn] = new_switches(int(drawn.sum()), "enabled", self.config, draws)
        return {"key": np.array([link.code for link in made], dtype=np.int64),
                "innovation": np.array([link.innovation for link in made], dtype=np.int64),
                "weight": weights, "enabled": enabled}

    def add_node(self, nodes: Own, links: Own) -> None:
        """Split a link by a new node. With neutral growth the link stays, and the link out of the node has weight 0."""
        if not links.keys:
            if self.config.check_structural_mutation_surer():
                self.add_link(nodes, links)
            return
        place = random.choice(range(len(links.keys)))
        code, split = links.keys[place], links.rows[place]
        key = self.config.get_new_node_key(nodes.keys)
        nodes.add(key, len(self.pool.nodes) + len(self.new_nodes))
        self.new_nodes.append(key)
        into = self._link(links, code >> 32, key, "add_node_in")
        out_of = self._link(links, key, code & LOWER, "add_node_out")
        into.enabled = out_of.enabled = True
        if self.neutral:
            out_of.weight = 0.0
        else:
            into.weight, out_of.weight = 1.0, self.pool.links["weight"][split]
            self.pool.links["enabled"][split] = False

    def delete_node(self, nodes: Own, links: Own) -> None:
        """Delete a random node that is no output, with its links."""
        hidden = [place for place, key in enumerate(nodes.keys) if key not in self.outputs]
        if hidden:
            place = random.choice(hidden)
            gone = nodes.keys[place]
            nodes.delete(place)
            for link in reversed([*enumerate(links.keys)]):
                if gone in (link[1] >> 32, link[1] & LOWER):
                    links.delete(link[0])

    def add_link(self, nodes: Own, links: Own) -> None:
        """Add a new link that leaves no output and closes no cycle; with neutral growth its weight is 0."""
        target = random.choice(nodes.keys)
        # By way of a dictionary, as in neat-python: a set of a list has another order.
        source = random.choice(list((set(dict.fromkeys(nodes.keys)) - self.outputs) | self.inputs))
        code = (source << 32) + target
        if code in links.keys:
            if self.config.check_structural_mutation_surer():
                self._enable(links.rows[links.keys.index(code)])
        elif source in self.inputs or not closes_cycle(links.keys, source, target):
            link = self._link(links, source, target, "add_connection")
            if self.neutral:
                link.weight = 0.0

    def delete_link(self, nodes: Own, links: Own) -> None:
        """Delete a random link."""
        if links.keys:
            links.delete(random.choice(range(len(links.keys))))

    def _link(self, links: Own, source: int, target: int, mutation: str) -> NewLink:
        innovation = self.config.innovation_tracker.get_innovation_number(source, target, mutation)
        link = NewLink((source << 32) + target, innovation)
        links.add(link.code, len(self.pool.links) + len(self.new_links))
        self.new_links.append(link)
        return link

    def _enable(self, row: int) -> None:
        inherited = len(self.pool.links)
        if row < inherited:
            self.pool.links["enabled"][row] = True
        else:
            self.new_links[row - inherited].enabled = True


def _chosen(genes: Genes, new: dict[str, np.ndarray], own: Sequence[Own]) -> Genes:
    """Genes at these rows of a table of the genes followed by the new ones, genome by genome."""
    sizes = np.array([len(part.rows) for part in own], dtype=np.int64)
    every = np.fromiter(chain.from_iterable([part.rows for part in own]), np.int64, sizes.sum())
    return join_genes([genes, Genes(np.array([len(new["key"])]), new)]).rows(sizes, every)


def closes_cycle(codes: Iterable[int], start: int, end: int) -> bool:
    """True where a link from start to end would close a cycle in an acyclic graph of links, given by their keys."""
    if start == end:
        return True
    targets: dict[int, list[int]] = {}
    for code in codes:
        if code >= 0:  # the keys of inputs are below 0, and no path leads to one
            targets.setdefault(code >> 32, []).append(code & LOWER)
    reached, waiting = {end}, [end]
    while waiting:
        for target in targets.get(waiting.pop(), ()):
            if target == start:
                return True
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return False
