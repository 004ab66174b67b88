"""Random CPPNs, options of their encoding, and what one paints alone, node by node."""

import random

import torch

from hyperevo.functions import ACTIVATIONS, AGGREGATIONS
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.graph import Graph, Node, Topology, activate

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3, 4)), Sheet((5, 2))),
            "hidden.bias": ParameterGeometry(Sheet((3, 4))),
            "readout.weight": ParameterGeometry(Sheet((2, 5)), Sheet((3, 4))),
            "readout.bias": ParameterGeometry(Sheet((2, 5)))}

SMOOTH = ("sin", "cos", "gauss", "sigmoid", "tanh", "identity", "square", "softplus")
TAME = tuple(name for name in ACTIVATIONS if name not in ("exp", "cube", "inv", "log"))
OPTIONS = [{}, {"threshold": 0}, {"delta": True, "distance": True}, {"link_expression": True, "threshold": 0},
           {"outputs": "shared", "delta": True, "threshold": 0}, {"patterns": ("readout.weight",), "threshold": 0}]


def population(encoding, size, seed, activations=TAME, aggregations=tuple(AGGREGATIONS), hidden=6):
    """Random graphs of different shapes, float64; some nodes have no links, some are dead."""
    draw = random.Random(seed)
    graphs = []
    for _ in range(size):
        inputs, nodes = len(encoding.input_names), []
        for index in range(draw.randrange(hidden + 1)):
            sources = draw.sample(range(inputs + index), draw.randrange(5) % (inputs + index))
            nodes.append(Node(draw.choice(activations), draw.choice(aggregations), tuple(sources)))
        before = len(nodes)
        nodes += [Node("identity", "sum", tuple(draw.sample(range(inputs + before), 3)))
                  for _ in encoding.output_names]
        topology = Topology(inputs, tuple(nodes), tuple(range(before, len(nodes))))
        generator = torch.Generator().manual_seed(draw.randrange(2**31))
        numbers = [torch.randn(count, generator=generator, dtype=torch.float64) for count in
                   (topology.links, len(nodes), len(nodes))]
        responses = numbers[2] if draw.random() < 0.3 else torch.ones_like(numbers[2])
        graphs.append(Graph(topology, numbers[0] * 0.7, numbers[1] * 0.5, responses))
    return graphs


def painted_alone(encoding, graph, name):
    """A parameter of one network from its graph, node by node."""
    painting, shape = encoding.paintings[name], encoding.geometry[name].shape
    values = activate(graph, encoding.inputs(name, torch.float64), painting.values + painting.expression)
    rows = len(painting.values)
    size = (shape[0] // rows, shape[1] if len(shape) == 2 else 1)
    values = [value.expand(size) for value in values]
    weights = encoding.weight(torch.cat(values[:rows]))
    if painting.expression:
        weights = torch.where(torch.cat(values[rows:]) > 0, weights, 0.0)
    return weights.reshape(shape)
