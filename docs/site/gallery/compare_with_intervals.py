"""
Compare with intervals
======================

Three encodings of one network, five seeds each, under one search and one budget: what ``hyperevo compare``
does, from Python. With fewer than four seeds there would be no intervals.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from hyperevo.compare.execute import run_all
from hyperevo.compare.outcomes import read_outcomes, rows
from hyperevo.compare.plan import plan

torch.set_num_threads(1)
folder = tempfile.TemporaryDirectory()
entries = plan(["dct-mnist", "coordinate-mnist", "direct-mnist"], 5, Path(folder.name),
               ["task.name=digits", "task.images=200", "target.hidden=[[6,6]]", "search={name='snes',population=30}"],
               budget=("evaluations", "1200"))
print(len(entries), "runs; failed:", len(run_all(entries)))

# %%
# Means with 95 % bootstrap intervals over the seeds:

found = rows(read_outcomes(entries))
for row in found:
    print(f"{row.name}: {row.mean.value:.1%}, {row.mean.low:.1%} to {row.mean.high:.1%}, {row.searched:,.0f} numbers")

# %%
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for place, row in enumerate(found):
    axes.plot([row.mean.low, row.mean.high], [place, place], color="#0072b2", linewidth=6, alpha=0.35)
    axes.plot(row.accuracies, [place] * len(row.accuracies), "o", color="white", markeredgecolor="#0072b2")
    axes.plot(row.mean.value, place, "D", color="#0072b2")
axes.set(yticks=range(len(found)), yticklabels=[row.name for row in found], xlabel="test accuracy on digits",
         title="After 1,200 evaluations: mean, interval and seeds")
axes.xaxis.set_major_formatter(lambda value, place: f"{value:.0%}")
print("best:", max(found, key=lambda row: row.mean.value).name)
folder.cleanup()
