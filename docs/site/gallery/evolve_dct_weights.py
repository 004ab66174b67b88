"""
Evolve cosine coefficients
==========================

910 low-frequency cosine coefficients stand for the 10,810 weights of a network that reads digits. The
evolution strategy SNES finds them, without a gradient.
"""

import torch

import hyperevo as he

torch.set_num_threads(1)
task = he.task("digits", images=250)
net = he.target("mlp", task, hidden=[[12, 12]])
code = he.encoding("dct", net, coefficients=[5])
print(code)

# %%
# The loop is yours: ask for a population, tell its fitness on one generation's images.

es = he.search("snes", code, population=60, seed=0)
curve = []
for generation in range(120):
    fitness = he.fitness(code, net, task, es.ask(), batch=generation)
    es.tell(fitness)
    curve.append(float(fitness.mean()))
print(f"mean fitness {curve[0]:.2f} → {curve[-1]:.2f};", he.test(code, net, task, es.candidates()))

# %%
# Receptive fields of the hidden units, smooth because only low frequencies were searched:

weights = code.express(es.candidates()).network(0)["hidden.weight"]
print(tuple(weights.shape), "weights from", code.settings.coefficients[0], "frequencies along each axis")
figure = he.plots.receptive_fields(weights, net, label="evolved by SNES")
figure
