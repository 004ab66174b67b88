"""
Boxes at 55 × 55
================

HyperNEAT's own task: point at the larger of two boxes. A CPPN is evolved on a field of 11 × 11 and then
paints networks for 33 × 33 and 55 × 55, of nine million weights, without any more evolution.
"""

import tempfile

import matplotlib.pyplot as plt
import torch

import hyperevo as he

torch.set_num_threads(1)
folder = tempfile.TemporaryDirectory()
result = he.run("boxes", seed=0, run={"rounds": 60, "until": 1.0}, out=f"{folder.name}/boxes", progress=False)
print(result.measure.text(result["test_accuracy"]), "of all pairs, after", result["evaluations"], "evaluations")

# %%
# The champion's genotype on finer fields, each pair of boxes once:

for size, facts in result["retests"].items():
    print(f"{size} × {size}: {facts['accuracy']:.2%} of {facts['pairs']:,} pairs")
champion = he.load(result.folder).genotype
large = he.task("boxes").resized(55)
wide = he.target("mlp", large, hidden=[], biases=False)
painter = he.encoding("cppn", wide, delta=True)
print(wide, "painted by", champion.genes, "numbers")

# %%
# Where does it point? One pair of boxes, and the answer of all 55 × 55 outputs:

inputs, wanted = large.validation
weights = painter.express([champion])
with torch.no_grad():
    answer = wide.forward(weights, inputs[:3])[0].reshape(3, 55, 55)
figure, panels = plt.subplots(2, 3, figsize=(9, 6.2), layout="constrained")
for column in range(3):
    panels[0, column].imshow(inputs[column].reshape(55, 55), cmap="Greys")
    panels[1, column].imshow(answer[column], cmap="viridis")
    row, place = divmod(int(answer[column].argmax()), 55)
    panels[0, column].plot(place, row, "x", color="#d55e00", markersize=12, markeredgewidth=3)
for panel in panels.flat:
    panel.set(xticks=[], yticks=[])
panels[0, 0].set_ylabel("boxes, and the answer ×")
panels[1, 0].set_ylabel("outputs")
figure.suptitle("Evolved on 11 × 11, at work on 55 × 55")
print("answers at", [divmod(int(one.argmax()), 55) for one in answer])
folder.cleanup()
