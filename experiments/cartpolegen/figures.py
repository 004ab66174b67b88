"""Figures of the CartPole models, from the runs of models.py and evolution.py and the tables that they wrote.

    python experiments/cartpolegen/figures.py [--networks FILE] [--runs FOLDER]

Draws survival.png (figure 4 of Chang et al. 2019), interpolation.png (figure 7), repair.png, embeddings.png and
evolution.png, and writes interpolation.csv and repair.csv.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from scipy.stats import gaussian_kde
from torch import Tensor

from hyperevo.compare.studies import read_table
from hyperevo.generative.networks import Networks, read_networks
from hyperevo.plots._style import FAINT, INK, SMALL, TEXT, bare, new_figure
from hyperevo.plots.run_figures import save_figure
from hyperevo.runs.opened import OpenedRun
from hyperevo.weights import Weights

sys.path.insert(0, str(Path(__file__).parent))
from models import GROUPS, HERE, Stage, canonical, held_out, sampled_vectors, within

TRAINED, SAMPLED, THIRD = "#0072b2", "#d55e00", "#009e73"
PAIRS, SHARES, MISSING = 200, np.linspace(-0.75, 1.75, 21), (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)

FILLINGS = ("zeros", "training mean", "conditional Gaussian", "the model")


class Model:
    """Encoder and decoder of a run, on vectors of aligned weights."""

    def __init__(self, run: Path):
        opened = OpenedRun(run)
        weights = {name: value[None] for name, value in opened.weights.items()}
        self.target = hyperevo_target(opened, len(weights[max(name for name in weights if name.startswith("decoder")
                                                              and name.endswith("bias"))][0]))
        self.weights, self.first = Weights(weights), opened._preprocessing()

    @torch.no_grad()
    def encode(self, vectors: Tensor) -> Tensor:
        """Mean codes (N, latent)."""
        return self.target.encode(self.weights, self.first(vectors))[0][0]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Vectors (N, weights) from codes."""
        decoded = self.target.decode(self.weights, codes[None], codes.new_zeros(len(codes), len(self.first.mean)))[0]
        return decoded * self.first.spread + self.first.mean


def hyperevo_target(opened: OpenedRun, weights: int):
    """Autoencoder of a run on networks of so many weights."""
    from hyperevo.geometry import Sheet
    from hyperevo.runs.compose import shaped_target
    return shaped_target(opened.config.target, Sheet((weights,)), weights)


def survival_figure(stage: Stage, networks: Networks, runs: Path) -> None:
    """Histograms and densities of trained and sampled survival, by group."""
    figure = new_figure(13, 3.9, "CartPole-v0", "survival of trained networks, and of 1,000 sampled from a model",
                        "bars: histograms; lines: Gaussian kernel densities; dashed: means")
    for axes, name in zip(figure.subplots(1, len(GROUPS)), GROUPS, strict=True):
        trained = within(networks, name).table["score"].numpy()
        sampled = stage.survival(sampled_vectors(stage, runs / f"{name}-0", 0)).numpy()
        for values, colour, word in ((trained, TRAINED, "trained"), (sampled, SAMPLED, "sampled")):
            density(axes, values, colour, f"{word}, {values.mean():.0f} ± {values.std():.0f}")
        axes.set_title("all networks" if name == "all" else f"{name} steps", fontsize=TEXT, color=INK)
        axes.set_xlabel("steps survived, of 200", fontsize=SMALL)
        axes.set_xlim(0, 200)
        axes.set_yticks([])
        axes.legend(fontsize=SMALL - 1, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        bare(axes)
    save_figure(figure, HERE / "survival.png")


def density(axes: Axes, values: np.ndarray, colour: str, label: str) -> None:
    """Histogram and density of values."""
    axes.hist(values, bins=40, range=(0, 200), density=True, color=colour, alpha=0.3)
    steps = np.linspace(0, 200, 400)
    axes.plot(steps, gaussian_kde(values)(steps), color=colour, linewidth=2, label=label)
    axes.axvline(values.mean(), color=colour, linestyle="--", linewidth=1)


def interpolation(stage: Stage, networks: Networks, runs: Path) -> None:
    """Survival between and beyond a bad network and a good one: in embedding space, in weights, in aligned weights."""
    model, generator = Model(runs / "all-0"), torch.Generator().manual_seed(5)
    raw = read_networks(options.networks)
    _, test = held_out(len(networks))
    score = networks.table["score"][test]
    masks = (score > 10) & (score < 40), score > 195
    pairs = min(PAIRS, *(int(mask.sum()) for mask in masks))
    low, high = (test[mask.nonzero()[:, 0]][torch.randperm(int(mask.sum()), generator=generator)[:pairs]]
                 for mask in masks)
    aligned, plain = networks.vectors, raw.vectors
    ends = {"embeddings": [model.encode(aligned[own]) for own in (low, high)],
            "weights as trained": [plain[own] for own in (low, high)],
            "weights aligned": [aligned[own] for own in (low, high)]}
    curves = {name: np.stack([stage.survival(model.decode(mixed) if name == "embeddings" else mixed).numpy()
                              for mixed in (one + (other - one) * float(share) for share in SHARES)])
              for name, (one, other) in ends.items()}
    with (HERE / "interpolation.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["share", *(f"{name}, {word}" for name in curves for word in ("mean", "lower quartile",
                                                                                      "upper quartile"))])
        writer.writerows([round(float(share), 4), *(round(float(value), 2) for own in curves.values() for value in (
            own[place].mean(), *np.quantile(own[place], (0.25, 0.75))))] for place, share in enumerate(SHARES))
    figure = new_figure(8, 4.6, "CartPole-v0", "from a bad network to a good one, and beyond both",
                        f"mean of {pairs} pairs of held-out networks; bands: quartiles; 0: survives 10 to 40 steps; "
                        "1: survives more than 195")
    axes = figure.subplots()
    for (name, own), colour, line in zip(curves.items(), (SAMPLED, TRAINED, THIRD), ("-", "--", "-."), strict=True):
        axes.plot(SHARES, own.mean(1), color=colour, linestyle=line, linewidth=2.2, label=name)
        axes.fill_between(SHARES, *np.quantile(own, (0.25, 0.75), axis=1), color=colour, alpha=0.12)
    for end in (0, 1):
        axes.axvline(end, color=FAINT, linewidth=0.8)
    axes.set_xlabel("place between the bad network (0) and the good one (1)", fontsize=TEXT)
    axes.set_ylabel("steps survived, of 200", fontsize=TEXT)
    axes.set_ylim(0, 205)
    axes.legend(fontsize=SMALL, frameon=False)
    bare(axes)
    save_figure(figure, HERE / "interpolation.png")


def filled(model: Model, broken: Tensor, missing: Tensor, mean: Tensor) -> Tensor:
    """Missing weights as the model completes them: decoded from the code of what is there, again and again."""
    vectors = torch.where(missing, mean, broken)
    for _ in range(30):
        vectors = torch.where(missing, model.decode(model.encode(vectors)), broken)
    return vectors


def gaussian_filled(broken: Tensor, missing: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Missing weights as their mean given the others, under one Gaussian of the training networks."""
    vectors = broken.clone()
    for network, lost in enumerate(missing):
        there = ~lost
        known = covariance[there][:, there] + 1e-4 * torch.eye(int(there.sum()))
        ahead = torch.linalg.solve(known, (broken[network, there] - mean[there]))
        vectors[network, lost] = mean[lost] + covariance[lost][:, there] @ ahead
    return vectors


def repair(stage: Stage, networks: Networks, runs: Path) -> None:
    """Survival of good held-out networks, some of whose weights are lost and filled in."""
    model, generator = Model(runs / "all-0"), torch.Generator().manual_seed(6)
    training, test = held_out(len(networks))
    good = networks.vectors[test[networks.table["score"][test] > 195]][:300]
    vectors = networks.vectors[training]
    mean, covariance = vectors.mean(0), vectors.T.cov()
    rows: dict[str, list[float]] = {name: [] for name in FILLINGS}
    for share in MISSING:
        missing = torch.rand(good.shape, generator=generator) < share
        fillings = (torch.where(missing, 0.0, good), torch.where(missing, mean, good),
                    gaussian_filled(good, missing, mean, covariance), filled(model, good, missing, mean))
        for own, completed in zip(rows.values(), fillings, strict=True):
            own.append(float(stage.survival(completed).mean()))
    with (HERE / "repair.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["share missing", *rows])
        writer.writerows([share, *(round(own[place], 2) for own in rows.values())]
                         for place, share in enumerate(MISSING))
    figure = new_figure(7, 4.2, "CartPole-v0", "networks repaired from missing weights",
                        f"mean of {len(good)} held-out networks that survived more than 195 steps")
    axes = figure.subplots()
    for (name, own), colour, mark in zip(rows.items(), (FAINT, TRAINED, THIRD, SAMPLED), "sv^o", strict=True):
        axes.plot([100 * share for share in MISSING], own, color=colour, marker=mark, linewidth=2, label=name)
    axes.set_xlabel("weights missing, %", fontsize=TEXT)
    axes.set_ylabel("steps survived, of 200", fontsize=TEXT)
    axes.set_ylim(0, 205)
    axes.legend(fontsize=SMALL, frameon=False)
    bare(axes)
    save_figure(figure, HERE / "repair.png")


def embeddings(networks: Networks, runs: Path) -> None:
    """Held-out networks in two dimensions, coloured by survival: a model whose codes are two numbers, and the first two
    principal components of the larger model's codes."""
    _, test = held_out(len(networks))
    own = networks.chosen(test)
    figure = new_figure(11, 4.8, "CartPole-v0", f"{len(own):,} held-out networks by their embeddings",
                        "colour: steps survived, of 200")
    plots = figure.subplots(1, 2)
    two, many = Model(runs / "two-0").encode(own.vectors), Model(runs / "all-0").encode(own.vectors)
    _, sizes, directions = torch.linalg.svd(many - many.mean(0), full_matrices=False)
    shares = (sizes.square() / sizes.square().sum())[:2]
    projected = (many - many.mean(0)) @ directions[:2].T
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(0))
    titles = ("model with codes of two numbers", f"two principal components of {many.shape[1]} numbers "
              f"({100 * float(shares.sum()):.0f} % of their variance)")
    for axes, places, title in zip(plots, (two, projected), titles, strict=True):
        drawn = axes.scatter(*places[order].T.numpy(), c=own.table["score"][order].numpy(), s=5, cmap="viridis", vmin=0,
                             vmax=200, linewidths=0)
        axes.set_title(title, fontsize=TEXT, color=INK)
        axes.set_aspect("equal", "datalim")
        bare(axes)
    bar = figure.colorbar(drawn, ax=plots, fraction=0.03, pad=0.015)
    bar.set_label("steps survived", fontsize=TEXT)
    save_figure(figure, HERE / "embeddings.png")


def evolution() -> None:
    """Share of seeds that have solved a task by evaluations, for every space that CMA-ES searched."""
    rows = list(read_table(HERE / "evolution.csv").values())
    tasks = {"cartpole-v0": "CartPole-v0", "acrobot": "Acrobot", "double-pole": "two poles"}
    present = [task for task in tasks if any(row["name"].startswith(task) for row in rows)]
    figure = new_figure(1.5 + 4.2 * len(present), 4.8, "CMA-ES", "share of 50 seeds solved by evaluations of a network",
                        "16 networks a generation; what trained the model's own networks is not counted")
    for axes, task in zip(np.atleast_1d(figure.subplots(1, len(present), sharey=True)), present, strict=True):
        last = max(float(row["evaluations"]) for row in rows if row["name"].startswith(task))
        for space, colour, line in (("embedding", SAMPLED, "-"), ("weights", TRAINED, "--"), ("dct", THIRD, "-.")):
            own = [row for row in rows if row["name"] == f"{task} {space}"]
            steps = np.sort([float(row["evaluations"]) for row in own if int(row["solved"])])
            if own:
                axes.plot(np.concatenate([[0], steps, [last]]),
                          np.append(np.arange(len(steps) + 1), len(steps)) / len(own), color=colour, linestyle=line,
                          linewidth=2.2, drawstyle="steps-post", label=f"{space}, {own[0]['numbers']} numbers")
        axes.set_xscale("symlog", linthresh=16, linscale=0.5)
        ticks = [0, *(16 * 4**power for power in range(6) if 16 * 4**power <= last)]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(tasks[task], fontsize=TEXT, color=INK)
        axes.set_xlabel("evaluations", fontsize=TEXT)
        axes.legend(fontsize=SMALL, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17))
        bare(axes)
    save_figure(figure, HERE / "evolution.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, default=Path("networks/cartpole.safetensors"))
    parser.add_argument("--runs", type=Path, default=Path("runs/cartpolegen"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    stage, networks = Stage(), canonical(read_networks(options.networks))
    survival_figure(stage, networks, options.runs)
    interpolation(stage, networks, options.runs)
    repair(stage, networks, options.runs)
    embeddings(networks, options.runs)
    if (HERE / "evolution.csv").exists():
        evolution()
