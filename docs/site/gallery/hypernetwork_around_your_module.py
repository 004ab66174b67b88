"""
A static hypernetwork around your module
========================================

``StaticHyperNetwork`` replaces kernels of any ``nn.Module`` by embeddings and one generator, and is trained
in your own loop, as the module would be.
"""

import torch
from torch import nn

import hyperevo as he
from hyperevo.data import load_images

torch.set_num_threads(1)
torch.manual_seed(0)


def network():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1),
                         nn.ReLU(), nn.Flatten(), nn.Linear(16 * 16, 10))


hyper = he.StaticHyperNetwork(network(), layers=["3"], embedding=4)
print(f"{sum(p.numel() for p in network().parameters()):,} numbers become "
      f"{sum(p.numel() for p in hyper.parameters()):,}")

# %%
# An ordinary loop:

digits = load_images("digits")
images, labels = torch.tensor(digits.train_images)[:, None] / 16, torch.tensor(digits.train_labels, dtype=torch.long)
optimizer = torch.optim.Adam(hyper.parameters(), lr=0.01)
for _ in range(150):
    batch = torch.randint(1500, (64,))
    loss = nn.functional.cross_entropy(hyper(images[batch]), labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
answers = hyper(torch.tensor(digits.test_images)[:, None] / 16).argmax(1)
accuracy = float((answers == torch.tensor(digits.test_labels)).float().mean())
print(f"test accuracy {accuracy:.1%}")

# %%
# The champion's weights are a plain ``state_dict``. Its generated kernels:

module = network()
module.load_state_dict(hyper.plain_state_dict())
kernels = module[3].weight.detach()
print(tuple(kernels.shape), "kernels from one generator")
figure = he.plots.receptive_fields(kernels.flatten(1), he.Sheet((16,)), he.Sheet((16, 3, 3)), label="generated",
                                   parameter="3.weight")
figure
