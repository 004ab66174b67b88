"""
HyperLSTM in your model
=======================

``HyperLSTM`` is called as ``torch.nn.LSTM`` is. A small recurrent network scales the rows of its weight
matrices anew at every step. Here it learns to say how many ones it has read since the last marker.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

from hyperevo.dynamic import HyperLSTM, observe

torch.set_num_threads(1)
torch.manual_seed(0)


class Counter(nn.Module):
    """Marks and ones in, their count out, at every step."""

    def __init__(self):
        super().__init__()
        self.layer = HyperLSTM(2, 24, hyper_size=8, embedding=2)
        self.readout = nn.Linear(24, 1)

    def forward(self, inputs):
        return self.readout(self.layer(inputs)[0])[..., 0]


def sequences(count=32, steps=30):
    ones, marks = (torch.rand(steps, count) < 0.5).float(), (torch.rand(steps, count) < 0.1).float()
    counts, seen = [], torch.zeros(count)
    for one, mark in zip(ones, marks, strict=True):
        seen = seen * (1 - mark) + one
        counts.append(seen)
    return torch.stack([ones, marks], 2), torch.stack(counts)


model = Counter()
print(f"{sum(p.numel() for p in model.parameters()):,} numbers")

# %%
# An ordinary loop:

optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(200):
    inputs, counts = sequences()
    loss = nn.functional.mse_loss(model(inputs), counts)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
print(f"mean squared error {float(loss.detach()):.2f}")

# %%
# When do its weights move? ``observe`` says how far each gate's matrix moved at every step.

inputs, counts = sequences(1)
with torch.no_grad():
    change, said = observe(model.layer, inputs).change[0, :, 0], model(inputs)[:, 0]
figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
upper.step(range(30), counts[:, 0], where="mid", label="right")
upper.plot(said, ".", label="HyperLSTM")
upper.set(ylabel="ones since the mark", title="Counting, and how the weights move")
upper.legend()
image = lower.imshow(change.T, aspect="auto", cmap="viridis", interpolation="nearest")
lower.set(xlabel="step", ylabel="gate", yticks=range(4), yticklabels="ifgo")
figure.colorbar(image, ax=lower, label="change")
print(f"largest change at step {int(change.sum(1).argmax())}; marks at", inputs[:, 0, 1].nonzero().flatten().tolist())
