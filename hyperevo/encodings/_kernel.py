"""A Triton kernel that interprets a population of graphs over all points of a matrix, and writes its weights.

Programs stay and take one job after the other: one network over one tile of points. A node's values over the tile lie
in scratch memory of the program, which stays in cache. All points of a tile take the same branch of every switch, and
graphs are data: nothing is compiled for a topology.

Only `_painter` imports this file, where Triton is installed. Under TRITON_INTERPRET=1 it runs without a GPU, slowly.
"""

import triton
import triton.language as tl

from hyperevo.encodings._program import ACTIVATION_NAMES, AGGREGATION_NAMES

SIN = tl.constexpr(ACTIVATION_NAMES.index("sin"))
COS = tl.constexpr(ACTIVATION_NAMES.index("cos"))
GAUSS = tl.constexpr(ACTIVATION_NAMES.index("gauss"))
SIGMOID = tl.constexpr(ACTIVATION_NAMES.index("sigmoid"))
TANH = tl.constexpr(ACTIVATION_NAMES.index("tanh"))
ABS = tl.constexpr(ACTIVATION_NAMES.index("abs"))
RELU = tl.constexpr(ACTIVATION_NAMES.index("relu"))
SQUARE = tl.constexpr(ACTIVATION_NAMES.index("square"))
STEP = tl.constexpr(ACTIVATION_NAMES.index("step"))
CLAMPED = tl.constexpr(ACTIVATION_NAMES.index("clamped"))
HAT = tl.constexpr(ACTIVATION_NAMES.index("hat"))
SOFTPLUS = tl.constexpr(ACTIVATION_NAMES.index("softplus"))
ELU = tl.constexpr(ACTIVATION_NAMES.index("elu"))
LELU = tl.constexpr(ACTIVATION_NAMES.index("lelu"))
SELU = tl.constexpr(ACTIVATION_NAMES.index("selu"))
INV = tl.constexpr(ACTIVATION_NAMES.index("inv"))
LOG = tl.constexpr(ACTIVATION_NAMES.index("log"))
EXP = tl.constexpr(ACTIVATION_NAMES.index("exp"))
CUBE = tl.constexpr(ACTIVATION_NAMES.index("cube"))

SUM = tl.constexpr(AGGREGATION_NAMES.index("sum"))
PRODUCT = tl.constexpr(AGGREGATION_NAMES.index("product"))
MAX = tl.constexpr(AGGREGATION_NAMES.index("max"))
MIN = tl.constexpr(AGGREGATION_NAMES.index("min"))
MEDIAN = tl.constexpr(AGGREGATION_NAMES.index("median"))
MEAN = tl.constexpr(AGGREGATION_NAMES.index("mean"))

SCALE = tl.constexpr(1.0507009873554804934)
ALPHA = tl.constexpr(1.6732632423543772848)
"""The two constants of `selu`."""


@triton.jit
def _at_least(z, low):
    return tl.maximum(z, low, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _at_most(z, high):
    return tl.minimum(z, high, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _within(z, limit):
    return _at_most(_at_least(z, -limit), limit)


@triton.jit
def _exp(z):
    """e^z to the last bits: the GPU's own multiplies z by log2 e first, which rounds away what a large z needs."""
    z = _at_least(z, -200.0)
    whole = tl.floor(z * 1.4426950408889634 + 0.5)
    rest = z - whole * 0.693359375 + whole * 2.12194440e-4  # the two parts of ln 2
    return tl.exp2(whole) * tl.exp(rest)


@triton.jit
def activated(function, z):
    """Value of the activation function with an index, for every point: those of `hyperevo.functions`."""
    if function == SIN:
        z = tl.sin(_within(5.0 * z, 60.0))
    elif function == COS:
        z = tl.cos(_within(5.0 * z, 60.0))
    elif function == GAUSS:
        z = _within(z, 3.4)
        z = _exp(-5.0 * z * z)
    elif function == SIGMOID:
        z = 1.0 / (1.0 + _exp(-_within(5.0 * z, 60.0)))
    elif function == TANH:
        z = 2.0 / (1.0 + _exp(-2.0 * _within(2.5 * z, 60.0))) - 1.0
    elif function == ABS:
        z = tl.abs(z)
    elif function == RELU:
        z = _at_least(z, 0.0)
    elif function == SQUARE:
        z = z * z
    elif function == STEP:
        z = tl.where(z > 0.0, 1.0, 0.0)
    elif function == CLAMPED:
        z = _within(z, 1.0)
    elif function == HAT:
        z = _at_least(1.0 - tl.abs(z), 0.0)
    elif function == SOFTPLUS:
        z = 0.2 * tl.log(1.0 + _exp(_within(5.0 * z, 60.0)))
    elif function == ELU:
        z = tl.where(z > 0.0, z, _exp(_at_most(z, 0.0)) - 1.0)
    elif function == LELU:
        z = tl.where(z > 0.0, z, 0.005 * z)
    elif function == SELU:
        z = tl.where(z > 0.0, SCALE * z, SCALE * ALPHA * (_exp(_at_most(z, 0.0)) - 1.0))
    elif function == INV:
        z = tl.where(z == 0.0, 0.0, 1.0 / tl.where(z == 0.0, 1.0, z))
    elif function == LOG:
        z = tl.log(_at_least(z, 1e-7))
    elif function == EXP:
        z = _exp(_within(z, 60.0))
    elif function == CUBE:
        z = z * z * z
    return z


@triton.jit
def _received(mine, sources, weights, link, tile: tl.constexpr):
    """A link's weight times its source's values over the tile."""
    return tl.load(weights + link) * tl.load(mine + tl.load(sources + link) * tile + tl.arange(0, tile))


@triton.jit
def _combined(function, total, value):
    """Aggregate of a further value, for aggregations that take one after the other."""
    if function == PRODUCT:
        total = total * value
    elif function == MAX:
        total = _at_least(total, value)
    elif function == MIN:
        total = _at_most(total, value)
    else:  # the one of largest magnitude
        total = tl.where(tl.abs(total) >= tl.abs(value), total, value)
    return total


@triton.jit
def _is_before(first, second, is_earlier):
    """Mask of the points where the first value is sorted before the second: smaller, or equal and of an earlier link;
    what is not a number comes last."""
    undefined = (first != first) & (second != second)
    smaller = (first < second) | ((first == first) & (second != second))
    return smaller | (((first == second) | undefined) & is_earlier)


@triton.jit
def _median(mine, sources, weights, first, last, tile: tl.constexpr):
    """Mean of the middle values, one or two, which are found by counting how many others come before each."""
    count = last - first
    total = tl.zeros([tile], dtype=tl.float32)
    for link in range(first, last):
        value = _received(mine, sources, weights, link, tile)
        before = tl.zeros([tile], dtype=tl.int32)
        for other in range(first, last):
            compared = _received(mine, sources, weights, other, tile)
            before += _is_before(compared, value, other < link).to(tl.int32)
        total += tl.where((before == (count - 1) // 2) | (before == count // 2), value, 0.0)
    return tl.where(count % 2 == 0, 0.5 * total, total)


@triton.jit
def aggregated(function, mine, sources, weights, first, last, tile: tl.constexpr):
    """Aggregate of the weighted values of a node's links, first … last - 1."""
    total = tl.zeros([tile], dtype=tl.float32)
    if (function == SUM) | (function == MEAN):
        for link in range(first, last):
            total += _received(mine, sources, weights, link, tile)
        if function == MEAN:
            total = total / tl.maximum(last - first, 1).to(tl.float32)
    elif first == last:
        if function == PRODUCT:
            total += 1.0
    elif function == MEDIAN:
        total = _median(mine, sources, weights, first, last, tile)
    else:
        total = _received(mine, sources, weights, first, tile)
        for link in range(first + 1, last):
            total = _combined(function, total, _received(mine, sources, weights, link, tile))
    return total


@triton.jit
def _finished(value, threshold, factor):
    """Weight for a CPPN's output: its magnitude beyond the threshold, times the factor."""
    beyond = tl.where(value > 0.0, value - threshold, value + threshold)
    return tl.where(tl.abs(value) <= threshold, 0.0, beyond) * factor


@triton.jit(do_not_specialize=["tiles", "jobs", "most", "needed_at", "asked"])
def paint(starts, nodes, needed, sources, outputs, weights, biases, responses, source, target, spread, chosen, owners,
          painted, scratch, across, down, tiles, jobs, most, needed_at, asked, threshold, factor, inputs: tl.constexpr,
          further: tl.constexpr, kept: tl.constexpr, expressed: tl.constexpr, by_row: tl.constexpr,
          tile: tl.constexpr):
    """Paint P networks' weights (P, kept, down · across) over points (down, across); or, if by_row, a row of points of
    network `owners` (down,) each: (down, kept, across).

    starts (P + 1,), nodes (N, 4): activation, aggregation, first link, past the last link. needed: mask of the nodes,
    from `needed_at` on. outputs (P, asked): values of the graph that are outputs. source (inputs, across), target
    (inputs, down), spread (further, down, across): the graph's inputs are source + target, and then spread. chosen:
    kept outputs that paint, then, if expressed, as many that say where. jobs: tiles · P, or tiles · down. most: room
    for so many values of a graph in a program's scratch.
    """
    program = tl.program_id(0)
    points = across if by_row else across * down
    lanes = tl.arange(0, tile)
    mine = scratch + program.to(tl.int64) * most * tile
    for job in range(program, jobs, tl.num_programs(0)):
        item = job // tiles
        network = tl.load(owners + item) if by_row else item
        point = (job % tiles) * tile + lanes
        inside = point < points
        row = item + point * 0 if by_row else point // across
        column = point if by_row else point % across
        for place in tl.static_range(inputs):
            value = tl.load(source + place * across + column, mask=inside, other=0.0)
            value += tl.load(target + place * down + row, mask=inside, other=0.0)
            tl.store(mine + place * tile + lanes, value)
        for place in tl.static_range(further):
            value = tl.load(spread + (place * down + row) * across + column, mask=inside, other=0.0)
            tl.store(mine + (inputs + place) * tile + lanes, value)
        tl.debug_barrier()
        start = tl.load(starts + network)
        stop = tl.load(starts + network + 1)
        for node in range(start, stop):
            if tl.load(needed + needed_at + node) != 0:
                first = tl.load(nodes + node * 4 + 2)
                last = tl.load(nodes + node * 4 + 3)
                value = aggregated(tl.load(nodes + node * 4 + 1), mine, sources, weights, first, last, tile)
                value = value * tl.load(responses + node) + tl.load(biases + node)
                value = activated(tl.load(nodes + node * 4), value)
                tl.store(mine + (inputs + further + node - start) * tile + lanes, value)
                tl.debug_barrier()
        for place in range(kept):
            output = tl.load(outputs + network * asked + tl.load(chosen + place))
            weight = _finished(tl.load(mine + output * tile + lanes), threshold, factor)
            if expressed:
                output = tl.load(outputs + network * asked + tl.load(chosen + kept + place))
                weight = tl.where(tl.load(mine + output * tile + lanes) > 0.0, weight, 0.0)
            tl.store(painted + (item * kept + place).to(tl.int64) * points + point, weight, mask=inside)
        tl.debug_barrier()
