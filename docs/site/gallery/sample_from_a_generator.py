"""
Sample networks from a generator
================================

A generator of networks is an encoding with a prior: to draw codes is to sample networks. Sixty small networks
are trained side by side, a linear generator is fitted to their weights, and networks nobody trained are drawn
from it.
"""

import matplotlib.pyplot as plt
import torch

import hyperevo as he

torch.set_num_threads(1)
torch.manual_seed(0)
task = he.task("digits", images=200)
net = he.target("mlp", task, hidden=[[6, 6]])
code = he.encoding("direct", net)
adam = he.search("gradient", code, population=60, learning_rate=0.02, seed=0)
for step in range(250):
    adam.tell(he.fitness(code, net, task, adam.ask(), batch=step))
trained = adam.ask().detach()
accuracies = torch.tensor(he.test(code, net, task, trained).values)
print(f"sixty trained networks: {float(accuracies.mean()):.1%}")


# %%
# The generator, mean and principal directions, is an encoding of 20 genes whose prior is a standard normal
# distribution:


class Generator(he.Encoding):
    """Mean of the networks plus twenty principal directions, each scaled by its deviation."""

    genes = 20

    def __init__(self, networks):
        self.settings, self.geometry, self.device = he.Settings(name="generator"), net.geometry, torch.device("cpu")
        self.mean = networks.mean(0)
        _, deviations, self.directions = torch.pca_lowrank(networks - self.mean, self.genes, niter=4)
        self.deviations = deviations / len(networks) ** 0.5

    def sample(self, size, generator):
        return torch.randn(size, self.genes, generator=generator)

    def express(self, genotypes):
        return code.express(self.mean + (genotypes * self.deviations) @ self.directions.T)


generator = Generator(trained)
drawn = torch.tensor(he.test(generator, net, task, generator.sample(200, torch.Generator().manual_seed(1))).values)
noise = trained.mean(0) + trained.std(0) * torch.randn(200, code.genes)
noisy = torch.tensor(he.test(code, net, task, noise).values)
print(f"drawn from the generator: {float(drawn.mean()):.1%}; weight by weight: {float(noisy.mean()):.1%}")

# %%
figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for values, name, colour in ((accuracies, "trained", "#222222"), (drawn, "drawn from the generator", "#0072b2"),
                             (noisy, "drawn weight by weight", "#d55e00")):
    axes.hist(values, bins=torch.linspace(0, 1, 51).tolist(), density=True, alpha=0.6, label=name, color=colour)
axes.set(xlabel="test accuracy on digits", ylabel="density of networks", title="Networks nobody trained")
axes.xaxis.set_major_formatter(lambda value, place: f"{value:.0%}")
axes.legend(loc="upper left")
print("best drawn:", f"{float(drawn.max()):.1%}")
