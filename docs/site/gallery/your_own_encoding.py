"""
Your own encoding
=================

An encoding maps genotypes to weights. This one gives every unit a number, and every weight the product of
two. In a file of its own, ``outer.py``, it works in configs and on the command line too:
``encoding={name='outer.py'}``.
"""

import matplotlib.pyplot as plt
import torch

import hyperevo as he

torch.set_num_threads(1)


class Outer(he.Encoding):
    """Every weight is a number of its target unit times a number of its source unit."""

    def __init__(self, settings, geometry, device):
        self.settings, self.geometry, self.device = settings, geometry, device
        self.sizes = [units for place in geometry.values() for units in place.shape]
        self.genes = sum(self.sizes)

    def sample(self, size, generator):
        return torch.randn(size, self.genes, generator=generator)

    def express(self, genotypes):
        sides = iter((genotypes.to(self.device) * 0.5).split(self.sizes, dim=1))
        return he.Weights({name: next(sides) if place.source is None else next(sides)[:, :, None] * next(sides)[:, None]
                           for name, place in self.geometry.items()})


task = he.task("digits", images=200)
net = he.target("mlp", task, hidden=[[8, 8]])
outer = Outer(he.Settings(name="outer"), net.geometry, torch.device("cpu"))
print(outer)

# %%
# It evolves beside one of hyperevo's own, on the same images:


def evolve(code):
    es = he.search("snes", code, population=40, seed=0)
    return [float(fitness.max()) for generation in range(80)
            for fitness in [he.fitness(code, net, task, es.ask(), batch=generation)] if es.tell(fitness) is None]


curves = {"outer product": evolve(outer), "cosine coefficients": evolve(he.encoding("dct", net, coefficients=[4]))}
for name, curve in curves.items():
    print(f"{name}: best fitness {curve[0]:.2f} → {curve[-1]:.2f}")

# %%
# One number a unit is too few for digits: all units of a layer see the same pattern.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, curve), style in zip(curves.items(), ("-", "--"), strict=True):
    axes.plot(curve, style, label=name)
axes.set(xlabel="generation", ylabel="best fitness (minus cross-entropy)", title="Two encodings of one network")
print(axes.legend().get_texts()[0].get_text(), "is yours")
