"""Populations of neat-python's genomes as graphs with a table, made from columns of genes by array operations."""

from collections.abc import Sequence
from typing import Any

from neat.genome import DefaultGenome

from hyperevo.encodings._table import LinkColumns, NodeColumns, Table, TabledGraphs, table_from_columns
from hyperevo.functions import ACTIVATIONS
from hyperevo.graph import Graph, without_garbage_collection
from hyperevo.search._neat_genes import Genes, Pool
from hyperevo.search._neat_genomes import gather, graphs_from_pool, is_continuous, places_of_links


def tabled_graphs(genomes: Sequence[DefaultGenome], config: Any) -> TabledGraphs:
    """CPPNs of many genomes, see `graph_from_genome`. Later changes of the genomes' numbers do not change them."""
    pool = gather(genomes)

    def graphs() -> list[Graph]:
        with without_garbage_collection():
            return graphs_from_pool(pool, config)

    def part(first: int, last: int) -> Table:
        return table_from_pool(Pool(_genes(pool.nodes, first, last), _genes(pool.links, first, last)), config)

    return TabledGraphs(len(genomes), graphs, lambda: table_from_pool(pool, config), part)


def _genes(genes: Genes, first: int, last: int) -> Genes:
    """Genes of genomes first … last - 1, without a copy."""
    start = int(genes.starts[first]) if first < len(genes.sizes) else len(genes)
    sizes = genes.sizes[first:last]
    rows = slice(start, start + int(sizes.sum()))
    return Genes(sizes, {name: column[rows] for name, column in genes.columns.items()})


def table_from_pool(pool: Pool, config: Any) -> Table:
    """Table of all genomes' graphs."""
    nodes, links = pool.nodes, pool.links.where(pool.links["enabled"])
    # Activations are the first of the names that a gene's word is an index into, aggregations the others.
    own = NodeColumns(nodes.sizes, nodes["activation"], nodes["aggregation"] - len(ACTIVATIONS), nodes["bias"],
                      nodes["response"], nodes["time_constant"] if is_continuous(config) else None)
    sources, targets = places_of_links(nodes, links, config)
    return table_from_columns(config.num_inputs, config.num_outputs, own,
                              LinkColumns(links.owners, sources, targets, links["weight"]), not config.feed_forward)
