"""Genes of many genomes as columns of numbers, and neat-python's crossover and mutation of all of them at once.

A column holds one attribute of all genes of a kind, genome after genome. Activations and aggregations are indices into
NAMES. The key of a link, (source, target) in neat-python, is source · 2³² + target.
"""

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from neat.genes import DefaultConnectionGene, DefaultNodeGene

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS

NAMES = [*ACTIVATIONS, *AGGREGATIONS]
WORDS = {name: number for number, name in enumerate(NAMES)}

LOWER = 0xFFFFFFFF
"""Bits of a link's key that are its target."""

DENSE = 32
"""Largest size of a table by keys, as a multiple of the number of genes."""

NODE_NUMBERS = ("bias", "response", "time_constant")
NODE_WORDS = ("activation", "aggregation")


class Genes:
    """All genes of one kind of N genomes: `sizes` (N,), the count of each genome's genes, and columns (genes,) by name.
    """

    def __init__(self, sizes: np.ndarray, columns: dict[str, np.ndarray]):
        self.sizes, self.columns = sizes, columns
        self.starts = np.cumsum(sizes) - sizes

    def __len__(self) -> int:
        return len(self["key"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    @cached_property
    def owners(self) -> np.ndarray:
        """Index (genes,) of every gene's genome."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def of(self, genomes: np.ndarray) -> "Genes":
        """A copy of the genes of these genomes."""
        return self.rows(self.sizes[genomes], self.rows_of(genomes))

    def rows_of(self, genomes: np.ndarray) -> np.ndarray:
        """Rows of the genes of these genomes."""
        sizes = self.sizes[genomes]
        return np.arange(sizes.sum()) + np.repeat(self.starts[genomes] - np.cumsum(sizes) + sizes, sizes)

    def rows(self, sizes: np.ndarray, rows: np.ndarray) -> "Genes":
        """A copy of these rows, as the genes of genomes of these sizes."""
        return Genes(sizes, {name: column[rows] for name, column in self.columns.items()})

    def where(self, mask: np.ndarray) -> "Genes":
        """A copy of the genes in the mask."""
        return self.rows(np.bincount(self.owners[mask], minlength=len(self.sizes)), np.flatnonzero(mask))

    def find(self, genomes: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Rows of genes by pairs of a genome's index and a gene's key; -1 where the genome has no such gene."""
        return self.find_kind(genomes, self.kind_of(keys))

    def find_kind(self, genomes: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Rows of genes by pairs of a genome's index and a kind, as `find` gives them."""
        asked = genomes * (len(self.kinds) + 1) + kind
        if self._is_dense(len(self.sizes) * (len(self.kinds) + 1)):
            return self._table[asked]
        codes, rows = self._index
        place = np.searchsorted(codes[:-1], asked)
        return np.where(codes[place] == asked, rows[place], -1)

    def _is_dense(self, size: int) -> bool:
        """True where a table of this size is faster to make and to read than a sorted list."""
        return size <= DENSE * len(self)

    @cached_property
    def _codes(self) -> np.ndarray:
        """A number for every gene's genome and key."""
        return self.owners * (len(self.kinds) + 1) + self.kind

    @cached_property
    def _table(self) -> np.ndarray:
        """Rows by code; -1 where there is no gene."""
        table = np.full(len(self.sizes) * (len(self.kinds) + 1), -1)
        table[self._codes] = np.arange(len(self))
        return table

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes, sorted, and their rows; both have a -1 at the end."""
        order = np.argsort(self._codes)
        return np.append(self._codes[order], -1), np.append(order, -1)

    @cached_property
    def _kinds(self) -> tuple[np.ndarray, np.ndarray]:
        keys, (high, low) = self["key"], ends(self["key"])
        if not len(keys):
            return keys, keys
        # Keys are few numbers close together: a table of those that there are is faster to make than a sorted list.
        first, width = high.min(), low.max() + 1
        if not self._is_dense((high.max() - first + 1) * width):
            kinds, kind = np.unique(keys, return_inverse=True)
            return kinds, kind
        code = (high - first) * width + low
        held = np.zeros(code.max() + 1, dtype=np.int32)
        held[code] = 1
        kinds = np.flatnonzero(held)
        return link_key(kinds // width + first, kinds % width), (np.cumsum(held, dtype=np.int32) - 1)[code]

    @property
    def kinds(self) -> np.ndarray:
        """Different keys, sorted."""
        return self._kinds[0]

    @property
    def kind(self) -> np.ndarray:
        """Index of every gene's key in `kinds`."""
        return self._kinds[1]

    def kind_of(self, keys: np.ndarray) -> np.ndarray:
        """Indices of any keys in `kinds`; len(kinds) for a key that no gene has."""
        kinds = self.kinds
        if len(kinds) and self._is_dense(span := int(kinds[-1] - kinds[0]) + 1):
            table = np.full(span + 1, len(kinds))
            table[kinds - kinds[0]] = np.arange(len(kinds))
            place = keys - kinds[0]
            return table[np.where((place >= 0) & (place < span), place, span)]
        kind = np.searchsorted(kinds, keys)
        return np.where(np.append(kinds, 0)[kind] == keys, kind, len(kinds))


class Pool(NamedTuple):
    """All genes of N genomes."""

    nodes: Genes
    links: Genes

    def of(self, genomes: np.ndarray) -> "Pool":
        """A copy of the genes of these genomes."""
        return Pool(self.nodes.of(genomes), self.links.of(genomes))


def join(pools: Sequence[Pool]) -> Pool:
    """Concatenate pools: the genomes of the first, then those of the second, and so on."""
    return Pool(join_genes([pool.nodes for pool in pools]), join_genes([pool.links for pool in pools]))


def join_genes(parts: Sequence[Genes]) -> Genes:
    """Concatenate tables of one kind of gene."""
    return Genes(np.concatenate([part.sizes for part in parts]),
                 {name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns})


# Between columns and neat-python's objects


def node_columns(nodes: Sequence[Any]) -> dict[str, np.ndarray]:
    """Columns of neat-python's nodes."""
    return {"key": np.array([node.key for node in nodes], dtype=np.int64),
            **{name: np.array(list(map(attrgetter(name), nodes)), dtype=np.float64) for name in NODE_NUMBERS},
            **{name: np.array([WORDS[word] for word in map(attrgetter(name), nodes)], dtype=np.int64)
               for name in NODE_WORDS}}


def link_columns(links: Sequence[Any]) -> dict[str, np.ndarray]:
    """Columns of neat-python's links."""
    keys = np.array([link.key for link in links], dtype=np.int64).reshape(-1, 2)
    return {"key": link_key(keys[:, 0], keys[:, 1]),
            "innovation": np.array([link.innovation for link in links], dtype=np.int64),
            "weight": np.array([link.weight for link in links], dtype=np.float64),
            "enabled": np.array([link.enabled for link in links], dtype=bool)}


def link_key(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Keys of links, source · 2³² + target, from their nodes' keys."""
    return (sources << 32) + targets


def ends(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets of links, from the links' keys."""
    return keys >> 32, keys & LOWER


def pairs(keys: np.ndarray) -> list[tuple[int, int]]:
    """Keys of links as neat-python writes them, (source, target)."""
    sources, targets = ends(keys)
    return list(zip(sources.tolist(), targets.tolist(), strict=True))


def objects(pool: Pool, genome: int) -> tuple[dict[int, Any], dict[tuple[int, int], Any]]:
    """neat-python's nodes and links of one genome, by key."""
    nodes, links = pool.of(np.array([genome]))
    made_nodes, made_links = {}, {}
    for key, *values in zip(*(nodes[name].tolist() for name in ("key", *NODE_NUMBERS, *NODE_WORDS)), strict=True):
        node: Any = DefaultNodeGene(key)
        node.bias, node.response, node.time_constant = values[:3]
        node.activation, node.aggregation = NAMES[values[3]], NAMES[values[4]]
        made_nodes[key] = node
    for pair, innovation, weight, enabled in zip(pairs(links["key"]), *(links[name].tolist() for name in (
            "innovation", "weight", "enabled")), strict=True):
        link: Any = DefaultConnectionGene(pair, innovation=innovation)
        link.weight, link.enabled = weight, enabled
        made_links[pair] = link
    return made_nodes, made_links


# Crossover


def cross(pool: Pool, fitter: np.ndarray, other: np.ndarray, draws: np.random.Generator) -> Pool:
    """Children of pairs of a pool's genomes, `fitter` and `other` by index: matching genes come from either parent at
    random, all others from the fitter one. A child has just the genes of its fitter parent, in their order, so that no
    new cycle can arise."""
    (nodes, node_match), (links, match) = (matched(genes, fitter, other) for genes in pool)
    _mix(nodes, pool.nodes, np.flatnonzero(node_match >= 0), node_match, (*NODE_NUMBERS, *NODE_WORDS), draws)
    same = np.flatnonzero((match >= 0) & (pool.links["innovation"][match] == links["innovation"]))
    # A link that one parent has disabled often stays disabled.
    doubtful = ~(links["enabled"][same] & pool.links["enabled"][match[same]])
    _mix(links, pool.links, same, match, ("weight", "enabled"), draws)
    links["enabled"][same[doubtful & (draws.random(len(same)) < 0.75)]] = False
    return Pool(nodes, links)


def matched(genes: Genes, fitter: np.ndarray, other: np.ndarray) -> tuple[Genes, np.ndarray]:
    """A copy of the genes of the fitter genomes, and the row of each one's match in the other; -1 where it has none."""
    rows = genes.rows_of(fitter)
    own = genes.rows(genes.sizes[fitter], rows)
    return own, genes.find_kind(other[own.owners], genes.kind[rows])


def _mix(genes: Genes, pool: Genes, rows: np.ndarray, match: np.ndarray, names: Sequence[str],
         draws: np.random.Generator) -> None:
    """Take each value of these rows from its match in the pool, with a probability of one half."""
    for name in names:
        taken = rows[~(draws.random(len(rows)) > 0.5)]
        genes[name][taken] = pool[name][match[taken]]


# Mutation of all but the structure


def mutate_genes(pool: Pool, config: Any, draws: np.random.Generator) -> None:
    """Mutate every gene in place, as neat-python does."""
    _mutate_numbers(pool.links["weight"], "weight", config, draws)
    _mutate_switches(pool.links["enabled"], "enabled", config, draws)
    for name in NODE_NUMBERS:
        _mutate_numbers(pool.nodes[name], name, config, draws)
    for name in NODE_WORDS:
        _mutate_words(pool.nodes[name], name, config, draws)


def _options(config: Any, attribute: str, *names: str) -> list[Any]:
    """Options of neat-python's config that belong to an attribute of genes."""
    return [attrgetter(f"{attribute}_{name}")(config) for name in names]


def _mutate_numbers(values: np.ndarray, name: str, config: Any, draws: np.random.Generator) -> None:
    rate, replaced, power, low, high = _options(
        config, name, "mutate_rate", "replace_rate", "mutate_power", "min_value", "max_value")
    if rate + replaced <= 0:
        return
    drawn = draws.random(len(values))
    moved, anew = drawn < rate, np.flatnonzero((drawn >= rate) & (drawn < replaced + rate))
    values[moved] = np.clip(values + power * draws.standard_normal(len(values)), low, high)[moved]
    values[anew] = new_numbers(len(anew), name, config, draws)


def _mutate_switches(values: np.ndarray, name: str, config: Any, draws: np.random.Generator) -> None:
    rate, enabling, disabling = _options(config, name, "mutate_rate", "rate_to_true_add", "rate_to_false_add")
    drawn = np.flatnonzero(draws.random(len(values)) < rate + np.where(values, disabling, enabling))
    values[drawn] = draws.random(len(drawn)) < 0.5


def _mutate_words(values: np.ndarray, name: str, config: Any, draws: np.random.Generator) -> None:
    drawn = np.flatnonzero(draws.random(len(values)) < _options(config, name, "mutate_rate")[0])
    values[drawn] = _any_words(len(drawn), name, config, draws)


# Initial values of new genes


def new_numbers(count: int, name: str, config: Any, draws: np.random.Generator) -> np.ndarray:
    """Initial values (count,) of an attribute that is a number."""
    mean, deviation, kind, low, high = _options(
        config, name, "init_mean", "init_stdev", "init_type", "min_value", "max_value")
    if "gauss" in kind.lower() or "normal" in kind.lower():
        return np.clip(mean + deviation * draws.standard_normal(count), low, high)
    low, high = max(low, mean - 2 * deviation), min(high, mean + 2 * deviation)
    return low + (high - low) * draws.random(count)


def new_switches(count: int, name: str, config: Any, draws: np.random.Generator) -> np.ndarray:
    """Initial values (count,) of an attribute that is true or false."""
    default = str(_options(config, name, "default")[0]).lower()
    if default in ("random", "none"):
        return draws.random(count) < 0.5
    return np.full(count, default in ("1", "on", "yes", "true"))


def new_words(count: int, name: str, config: Any, draws: np.random.Generator) -> np.ndarray:
    """Initial values (count,) of an activation or aggregation, as indices into NAMES."""
    default = _options(config, name, "default")[0]
    return _any_words(count, name, config, draws) if default.lower() in ("random", "none") \
        else np.full(count, WORDS[default])


def _any_words(count: int, name: str, config: Any, draws: np.random.Generator) -> np.ndarray:
    options = _options(config, name, "options")[0]
    return np.array([WORDS[option] for option in options])[draws.integers(len(options), size=count)]
