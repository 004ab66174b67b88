"""
Your own data
=============

Arrays in memory are a task: labels that are integers are classes, floats are values, whose score is R². The
same from a file: ``task={name='arrays', path='mine.npz'}``.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import hyperevo as he

torch.set_num_threads(1)
random = np.random.default_rng(0)
points = random.uniform(-1, 1, size=(600, 2)).astype("float32")
heights = np.sin(3 * points[:, 0]) * points[:, 1]
task = he.task("arrays", inputs=points, labels=heights)
print(task, "measured by", task.measure.name)

# %%
# A network of 12 × 12 hidden units, its weights from a small coordinate network, trained by gradient:

net = he.target("mlp", task, hidden=[[12, 12]])
code = he.encoding("coordinate", net)
adam = he.search("gradient", code, learning_rate=0.01, seed=0)
for step in range(300):
    adam.tell(he.fitness(code, net, task, adam.ask(), batch=step))
print(code, he.test(code, net, task, adam.candidates()))

# %%
# What it learned, beside the truth:

axis = np.linspace(-1, 1, 60, dtype="float32")
grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
inputs = torch.from_numpy(grid) if task.preprocessing() is None else task.preprocessing()(torch.from_numpy(grid))
with torch.no_grad():
    learned = net.forward(code.express(adam.candidates()), inputs)[0, :, 0].reshape(60, 60)
figure, panels = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
truth = (np.sin(3 * grid[:, 0]) * grid[:, 1]).reshape(60, 60)
for panel, values, title in zip(panels, (truth, learned), ("the data's function", "the network"), strict=True):
    drawn = panel.imshow(values, origin="lower", extent=(-1, 1, -1, 1), cmap="RdBu_r", vmin=-1, vmax=1)
    panel.set_title(title)
figure.colorbar(drawn, ax=panels, label="value")
print(f"largest difference {float(np.abs(learned.numpy() - truth).max()):.2f}")
