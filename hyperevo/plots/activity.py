"""Activity of a network's nodes along an episode."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.ticker
import torch
from matplotlib.figure import Figure
from torch import Tensor

from hyperevo.abilities import Filmed, ShowsActivity
from hyperevo.plots._style import DIVERGING, GAP, SMALL, TEXT, frame, new_figure
from hyperevo.plots.films import MOST_STEPS
from hyperevo.weights import Weights

MOST_ROWS = 60
"""Most inputs and nodes of a network whose activity is drawn."""


@dataclass(frozen=True)
class Activity:
    """Values (steps, rows) of a network's inputs, hidden nodes and outputs, with the name of every row, and the number
    of rows of each kind."""

    values: Tensor
    names: Sequence[str]
    kinds: Sequence[int]


@torch.no_grad()
def activity_in_episode(task: Filmed, target: ShowsActivity, weights: Weights, seed: int) -> Activity:
    """Activity of one network (P = 1) in an episode, up to the step at which films end."""
    seen: list[Tensor] = []
    for step, _, _, last in task.film(target, weights, seed):  # type: ignore[arg-type]
        if step:
            seen.append(torch.cat([part[0] for part in target.activity(weights)]))
        if last or step >= MOST_STEPS:
            break
    outputs, inputs = target.outputs_of(weights)[0].tolist(), target.activity(weights)[0].shape[1]
    hidden = [node for node in range(seen[0].numel() - inputs) if node not in outputs]
    order = [*range(inputs), *(inputs + node for node in (*hidden, *outputs))]
    names = [f"{kind} {number + 1}" for kind, count in (("input", inputs), ("hidden", len(hidden)),
                                                       ("output", len(outputs))) for number in range(count)]
    return Activity(torch.stack(seen)[:, order], names, (inputs, len(hidden), len(outputs)))


def activity_figure(activity: Activity, label: str = "") -> Figure:
    """Rows of colours over the steps, each from minus to plus its own largest magnitude, which stands beside it."""
    values = activity.values.double().T
    limits = values.abs().nan_to_num(0, 0, 0).amax(1)
    figure = new_figure(10.5, 1.9 + 0.3 * len(values), label, "activity along an episode",
                        "each row from minus to plus the magnitude beside it; white is zero")
    kinds = [(start, count) for start, count in zip((0, activity.kinds[0], sum(activity.kinds[:2])), activity.kinds,
                                                    strict=True) if count]
    grid = figure.subplots(len(kinds), 1, squeeze=False, sharex=True, height_ratios=[count for _, count in kinds])[:, 0]
    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=GAP)
    for axes, (start, count) in zip(grid, kinds, strict=True):
        own, most = values[start : start + count], limits[start : start + count]
        shares = own / most.clamp(min=1e-12)[:, None]
        image = axes.imshow(shares.numpy(), cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest",
                            extent=(0.5, own.shape[1] + 0.5, count - 0.5, -0.5))
        frame(axes, GAP, 0.6)
        axes.set_yticks(range(count), activity.names[start : start + count], fontsize=SMALL)
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(range(count), [f"±{limit:.3g}" for limit in most.tolist()], fontsize=SMALL)
        beside.tick_params(length=0)
    grid[-1].xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(8, integer=True))
    grid[-1].set_xlabel("step", fontsize=TEXT)
    bar = figure.colorbar(image, ax=list(grid), fraction=0.03, pad=0.01, aspect=25, ticks=[-1, 0, 1])
    bar.set_ticklabels(["minus", "zero", "plus"], fontsize=SMALL)
    bar.outline.set_visible(False)
    return figure
