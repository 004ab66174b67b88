"""
Paint with a CPPN
=================

A CPPN is a small graph of functions. It reads where two units are and answers with the weight between them.
Here one graph of neat-python's kind paints 64 × 144 weights, before any evolution.
"""

import torch

import hyperevo as he

torch.set_num_threads(1)
task = he.task("digits", images=100)
net = he.target("mlp", task, hidden=[[12, 12]])
cppn = he.encoding("cppn", net)
print(cppn)

# %%
# A first population of `neat`, with 8 hidden nodes of four functions:

neat = he.search("neat", cppn, population=20, functions=["sin", "gauss", "abs", "tanh"], hidden=8,
                 hidden_function="sin", deviation=0.8, seed=4)
graph = neat.ask()[0]
weights = cppn.express([graph]).network(0)["hidden.weight"]
print(f"{graph.genes} numbers paint {weights.numel():,} weights")
figure = he.plots.receptive_fields(weights, net, label="a random CPPN")
figure

# %%
# The graph that painted them:

from hyperevo.plots.encodings import draw_picture

picture = next(cppn.figures(graph))
graph_figure = draw_picture(picture, "a random CPPN")
print(len(graph.topology.nodes), "nodes")
graph_figure
