"""Crossover and mutation of all children of a generation at once, which neat-python makes one by one."""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from hyperevo.search._neat_genes import (
    NODE_NUMBERS,
    NODE_WORDS,
    Genes,
    Pool,
    cross,
    join,
    join_genes,
    link_columns,
    mutate_genes,
    new_numbers,
    new_switches,
    new_words,
    pairs,
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


Nodes = dict[int, int]
Links = dict[tuple[int, int], int]


@dataclass
class NewLink:
    """A link that a mutation makes; a weight of NaN and an `enabled` of None are drawn later."""

    key: tuple[int, int]
    innovation: int
    weight: float = math.nan
    enabled: bool | None = None


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
        nodes = _by_key(self.pool.nodes, self.pool.nodes["key"].tolist())
        links = _by_key(self.pool.links, pairs(self.pool.links["key"]))
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
        columns = link_columns(self.new_links)
        drawn = np.array([link.enabled is None for link in self.new_links], dtype=bool)
        free = np.isnan(columns["weight"])
        columns["weight"][free] = new_numbers(int(free.sum()), "weight", self.config, draws)
        columns["enabled"][drawn] = new_switches(int(drawn.sum()), "enabled", self.config, draws)
        return columns

    def add_node(self, nodes: Nodes, links: Links) -> None:
        """Split a link by a new node. With neutral growth the link stays, and the link out of the node has weight 0."""
        if not links:
            if self.config.check_structural_mutation_surer():
                self.add_link(nodes, links)
            return
        (source, target), split = random.choice(list(links.items()))
        key = self.config.get_new_node_key(nodes)
        nodes[key] = len(self.pool.nodes) + len(self.new_nodes)
        self.new_nodes.append(key)
        into = self._link(links, source, key, "add_node_in")
        out_of = self._link(links, key, target, "add_node_out")
        into.enabled = out_of.enabled = True
        if self.neutral:
            out_of.weight = 0.0
        else:
            into.weight, out_of.weight = 1.0, self.pool.links["weight"][split]
            self.pool.links["enabled"][split] = False

    def delete_node(self, nodes: Nodes, links: Links) -> None:
        """Delete a random node that is no output, with its links."""
        hidden = [key for key in nodes if key not in self.outputs]
        if hidden:
            gone = random.choice(hidden)
            del nodes[gone]
            for link in [link for link in links if gone in link]:
                del links[link]

    def add_link(self, nodes: Nodes, links: Links) -> None:
        """Add a new link that leaves no output and closes no cycle; with neutral growth its weight is 0."""
        target = random.choice(list(nodes))
        source = random.choice(list((set(nodes) - self.outputs) | self.inputs))
        row = links.get((source, target))
        if row is not None:
            if self.config.check_structural_mutation_surer():
                self._enable(row)
        elif source in self.inputs or not closes_cycle(links, (source, target)):
            link = self._link(links, source, target, "add_connection")
            if self.neutral:
                link.weight = 0.0

    def delete_link(self, nodes: Nodes, links: Links) -> None:
        """Delete a random link."""
        if links:
            del links[random.choice(list(links))]

    def _link(self, links: Links, source: int, target: int, mutation: str) -> NewLink:
        innovation = self.config.innovation_tracker.get_innovation_number(source, target, mutation)
        link = NewLink((source, target), innovation)
        links[link.key] = len(self.pool.links) + len(self.new_links)
        self.new_links.append(link)
        return link

    def _enable(self, row: int) -> None:
        inherited = len(self.pool.links)
        if row < inherited:
            self.pool.links["enabled"][row] = True
        else:
            self.new_links[row - inherited].enabled = True


def _by_key(genes: Genes, keys: list[Any]) -> list[dict[Any, int]]:
    """Rows of every genome's genes, by key."""
    return [dict(zip(keys[start : start + size], range(start, start + size), strict=True))
            for start, size in zip(genes.starts.tolist(), genes.sizes.tolist(), strict=True)]


def _chosen(genes: Genes, new: dict[str, np.ndarray], rows: Sequence[Mapping[Any, int]]) -> Genes:
    """Genes at these rows of a table of the genes followed by the new ones, genome by genome."""
    sizes = np.array([len(own) for own in rows], dtype=np.int64)
    every = np.fromiter(chain.from_iterable(own.values() for own in rows), np.int64, sizes.sum())
    return join_genes([genes, Genes(np.array([len(new["key"])]), new)]).rows(sizes, every)


def closes_cycle(links: Iterable[tuple[int, int]], link: tuple[int, int]) -> bool:
    """True where one more link would close a cycle in an acyclic graph."""
    start, end = link
    targets: dict[int, list[int]] = {}
    for first, second in links:
        targets.setdefault(first, []).append(second)
    reached, waiting = {end}, [end]
    while waiting:
        node = waiting.pop()
        if node == start:
            return True
        for target in targets.get(node, ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return False
