"""
Moving over from evotorch
=========================

A function that evotorch's ``Problem`` takes is a task too. The search is evotorch's SNES in both; hyperevo's
adds the encoding, here cosine coefficients for the same 400 numbers.
"""

import matplotlib.pyplot as plt
import torch
from evotorch import Problem
from evotorch.algorithms import SNES

import hyperevo as he

torch.set_num_threads(1)
torch.manual_seed(0)
across, down = torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 20), indexing="xy")
wanted = torch.sin(4 * across) * torch.cos(3 * down)


def likeness(surfaces):
    """Minus the squared error of surfaces (P, 400): (P,)."""
    return -(surfaces - wanted.flatten()).square().mean(1)


print(f"a flat surface: {float(likeness(torch.zeros(1, 400))):.3f}")


# %%
# As it is in evotorch, 400 numbers one by one:

problem = Problem("max", likeness, solution_length=400, initial_bounds=(-1.0, 1.0), vectorized=True, seed=0)
searcher, theirs = SNES(problem, popsize=40, stdev_init=0.5), []
for _ in range(120):
    searcher.step()
    theirs.append(float(searcher.status["mean_eval"]))
print(f"evotorch, direct: {theirs[-1]:.3f}")

# %%
# The same function as a task: networks without hidden units whose 20 × 20 weights are the surface.


def on_networks(networks):
    return likeness(networks(torch.eye(20)).transpose(1, 2).flatten(1))


task, curves = he.task(fitness=on_networks, inputs=20, outputs=20), {"evotorch: direct": theirs}
net = he.target("mlp", task, hidden=[], biases=False)
for name, settings in (("direct", {}), ("dct", {"coefficients": [6]})):
    code = he.encoding(name, net, **settings)
    es, curve = he.search("snes", code, population=40, centre=0.5, deviation=0.5, seed=0), []
    for generation in range(120):
        fitness = he.fitness(code, net, task, es.ask(), batch=generation)
        es.tell(fitness)
        curve.append(float(fitness.mean()))
    curves[f"hyperevo: {name}, {code.genes} genes"] = curve
    print(f"hyperevo, {name}: {curve[-1]:.3f}")

# %%
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, curve), style in zip(curves.items(), ("-", "--", ":"), strict=True):
    axes.plot(curve, style, linewidth=2, label=name)
axes.set(xlabel="generation", ylabel="mean fitness (minus squared error)", ylim=(-1.5, 0.05),
         title="One function, one search, two encodings")
axes.legend(loc="lower right")
print("most fit at the end:", max(curves, key=lambda name: curves[name][-1]))
