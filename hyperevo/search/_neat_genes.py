"""What neat-python does to genes, several times faster: the same draws in the same order, and so the same genes.

neat-python looks up every attribute and rate of every gene by a name put together from text.
"""

from collections.abc import Iterable, Mapping
from random import choice, gauss, random
from typing import Any

from neat.genes import DefaultConnectionGene, DefaultNodeGene

_new = object.__new__

FLOATS = {attribute.name: attribute for gene in (DefaultNodeGene, DefaultConnectionGene)
          for attribute in gene._gene_attributes if hasattr(attribute, "mutate_power_name")}


def copy_link(gene: DefaultConnectionGene) -> DefaultConnectionGene:
    """A link of its own with the same values. (Set one by one: Python is quickest so.)"""
    twin = _new(DefaultConnectionGene)
    twin.key = gene.key
    twin.innovation = gene.innovation
    twin.weight = gene.weight
    twin.enabled = gene.enabled
    return twin


def copy_node(gene: DefaultNodeGene) -> DefaultNodeGene:
    """A node of its own with the same values."""
    twin = _new(DefaultNodeGene)
    twin.key = gene.key
    twin.bias = gene.bias
    twin.response = gene.response
    twin.activation = gene.activation
    twin.aggregation = gene.aggregation
    twin.time_constant = gene.time_constant
    return twin


def cross_links(first: DefaultConnectionGene, second: DefaultConnectionGene) -> DefaultConnectionGene:
    """`first.crossover(second)`: each value from either; a link that one parent has disabled often stays disabled."""
    child = copy_link(first)
    if not random() > 0.5:
        child.weight = second.weight
    if not random() > 0.5:
        child.enabled = second.enabled
    if not (first.enabled and second.enabled) and random() < 0.75:
        child.enabled = False
    return child


def cross_nodes(first: DefaultNodeGene, second: DefaultNodeGene) -> DefaultNodeGene:
    """`first.crossover(second)`: each value from either."""
    child = copy_node(first)
    if not random() > 0.5:
        child.bias = second.bias
    if not random() > 0.5:
        child.response = second.response
    if not random() > 0.5:
        child.activation = second.activation
    if not random() > 0.5:
        child.aggregation = second.aggregation
    if not random() > 0.5:
        child.time_constant = second.time_constant
    return child


def mutate_links(links: Iterable[Any], config: Any) -> None:
    """`link.mutate(config)` of every link."""
    rate, power = config.weight_mutate_rate, config.weight_mutate_power
    replaced, low, high = rate + config.weight_replace_rate, config.weight_min_value, config.weight_max_value
    enabling = config.enabled_mutate_rate + config.enabled_rate_to_true_add
    disabling = config.enabled_mutate_rate + config.enabled_rate_to_false_add
    for link in links:
        drawn = random()
        if drawn < rate:
            link.weight = max(min(link.weight + gauss(0.0, power), high), low)
        elif drawn < replaced:
            link.weight = FLOATS["weight"].init_value(config)
        toggling = disabling if link.enabled else enabling
        if toggling > 0 and random() < toggling:
            link.enabled = random() < 0.5


def mutate_nodes(nodes: Iterable[Any], config: Any) -> None:
    """`node.mutate(config)` of every node."""
    bias, response, constant = _all_rates(config)
    activation, aggregation = config.activation_mutate_rate, config.aggregation_mutate_rate
    for node in nodes:
        drawn = random()
        if drawn < bias[1]:
            node.bias = _mutated("bias", node.bias, drawn, bias, config)
        drawn = random()
        if drawn < response[1]:
            node.response = _mutated("response", node.response, drawn, response, config)
        if activation > 0 and random() < activation:
            node.activation = choice(config.activation_options)
        if aggregation > 0 and random() < aggregation:
            node.aggregation = choice(config.aggregation_options)
        drawn = random()
        if drawn < constant[1]:
            node.time_constant = _mutated("time_constant", node.time_constant, drawn, constant, config)


Rates = tuple[float, float, float, float, float]


def _all_rates(config: Any) -> tuple[Rates, Rates, Rates]:
    """Of bias, response and time constant; kept with the config, whose rates do not change."""
    known = config.__dict__.get("known_rates")
    if known is None:
        known = config.known_rates = (_rates("bias", config), _rates("response", config),
                                      _rates("time_constant", config))
    return known


def _rates(name: str, config: Any) -> Rates:
    """Mutation rate, that and the replacement rate, mutation power, smallest and largest value."""
    rate, replaced, power, low, high = (getattr(config, f"{name}_{option}") for option in (
        "mutate_rate", "replace_rate", "mutate_power", "min_value", "max_value"))
    return rate, rate + replaced, power, low, high


def _mutated(name: str, value: float, drawn: float, rates: Rates, config: Any) -> float:
    rate, _, power, low, high = rates
    return max(min(value + gauss(0.0, power), high), low) if drawn < rate else FLOATS[name].init_value(config)


def closes_cycle(links: Mapping[tuple[int, int], Any], link: tuple[int, int]) -> bool:
    """Whether a graph without cycles would have one with a link more."""
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
