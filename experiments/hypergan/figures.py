"""Figures of HyperGAN and its baselines, from the tables of measure.py and the first runs of run.py.

    python experiments/hypergan/figures.py [--runs DIR]

Draws ensembles.png, entropy.png, attacks.png, interpolation.png and filters.png; and, where these were measured,
ensembles of 5,000 images and of five classes of CIFAR-10, and codes.png.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes

from hyperevo.compare.studies import read_table
from hyperevo.plots._series import COLOURS, LINES, MARKERS, percent
from hyperevo.plots._style import INK, SMALL, TEXT, bare, colour_bar, new_figure, show_map, symmetric_limit
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.run_networks import drawn_networks
from hyperevo.plots.run_view import open_view

HERE = Path(__file__).parent
ROWS = {"hypergan": "HyperGAN", "hypernetwork": "without discriminator", "ensemble": "deep ensemble",
        "dropout": "MC dropout", "bayes": "Bayes by backprop", "swag": "SWAG",
        "hypergan-decay-1": "HyperGAN, weight decay 1"}
DATA = {"": ("31,520-weight networks on MNIST", "notMNIST"),
        "mnist-5000-": ("31,520-weight networks on 5,000 images of MNIST", "notMNIST"),
        "cifar-5-": ("56,880-weight networks on CIFAR-10, classes 0 to 4", "classes 5 to 9")}
"""What the figures are of, and the images from outside, by what rows' names begin with."""
IMAGES = {"digits": "digits, as in training", "fashion": "Fashion-MNIST", "shuffled": "digits, shuffled pixels"}
WRITTEN = {"codes": "code of a trained HyperGAN, 256 numbers", "dct": "cosine coefficients, 270",
           "coordinates": "coordinate network, 675"}
FILTERS = 8
"""First kernels of each network in the figure."""


def table(name: str, data: str = "") -> dict[str, list[dict[str, str]]]:
    """Rows of a table by the name of the run, of one data set."""
    rows = read_table(HERE / f"{name}.csv").values()
    return {own: found for own in ROWS if (found := [row for row in rows if row["name"].split()[0] == data + own])}


def across(rows: list[dict[str, str]], key: str, value: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Values of one column in order; and of another there, over seeds: the mean, the smallest and the largest."""
    steps = sorted({float(row[key]) for row in rows})
    values = [[float(row[value]) for row in rows if float(row[key]) == step] for step in steps]
    return (np.array(steps), np.array([np.mean(own) for own in values]), np.array([np.min(own) for own in values]),
            np.array([np.max(own) for own in values]))


def lines(axes: Axes, tables: dict[str, list[dict[str, str]]], key: str, value: str) -> None:
    """A line for every row of the study, with a bar from the smallest to the largest seed."""
    for place, (name, word) in enumerate(ROWS.items()):
        if name in tables:
            steps, mean, least, most = across(tables[name], key, value)
            axes.errorbar(steps, mean, (mean - least, most - mean), color=COLOURS[place], marker=MARKERS[place],
                          linestyle=LINES[place % len(LINES)], linewidth=1.8, capsize=3, label=word)


def seeds(tables: dict[str, list[dict[str, str]]]) -> str:
    """Number of seeds in words, those of every row where they differ."""
    counts = {name: len({row["seed"] for row in rows}) for name, rows in tables.items()}
    most = max(counts.values())
    fewer = "; ".join(f"{ROWS[name]}: {count}" for name, count in counts.items() if count < most)
    return ("one seed" if most == 1 else f"{most} seeds: mean, and bars from the smallest to the largest") + \
        (f" ({fewer})" if fewer else "")


def ensembles_figure(data: str = "") -> None:
    """Accuracy, likelihood and separation against the number of networks."""
    tables, (title, outside) = table("ensembles", data), DATA[data]
    figure = new_figure(13, 4.6, title, "ensembles by soft vote against their size",
                        f"{seeds(tables)}; one network: the mean of ten")
    for axes, (value, name) in zip(figure.subplots(1, 3), (
            ("accuracy", "test accuracy"), ("likelihood", "negative log-likelihood, nats an image"),
            ("separation", f"AUROC of entropy, {outside}")), strict=True):
        lines(axes, tables, "networks", value)
        axes.set_xscale("log")
        axes.set_xticks([1, 5, 10, 100], ["1", "5", "10", "100"])
        axes.minorticks_off()
        axes.set_xlabel("networks", fontsize=TEXT)
        axes.set_ylabel(name, fontsize=TEXT)
        if value == "accuracy":
            axes.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
        bare(axes)
    figure.axes[0].legend(fontsize=SMALL, frameon=False, loc="best")
    save_figure(figure, HERE / f"{data}ensembles.png")


def entropy_figure() -> None:
    """Empirical distribution of the entropy of ten networks' vote, inside and outside."""
    tables = table("entropy")
    figure = new_figure(11, 4.4, "31,520-weight networks on MNIST", "entropy of the vote of ten networks",
                        "share of images whose entropy is smaller; seed 0; log 10 = 2.3 nats is a guess among ten")
    for axes, (of, word) in zip(figure.subplots(1, 2, sharey=True), (
            ("inside", "MNIST, test images"), ("outside", "notMNIST, letters")), strict=True):
        for place, (name, label) in enumerate(ROWS.items()):
            for row in tables.get(name, ()):
                if row["of"] == of and row["seed"] == "0":
                    shares = [key for key in row if key[0].isdigit()]
                    axes.plot([float(row[key]) for key in shares], [float(key) for key in shares],
                              color=COLOURS[place], linestyle=LINES[place % len(LINES)], linewidth=2, label=label)
        axes.set_title(word, fontsize=TEXT, color=INK)
        axes.set_xlabel("entropy, nats", fontsize=TEXT)
        axes.set_xlim(0, 2.31)
        axes.yaxis.set_major_formatter(percent)
        bare(axes)
    figure.axes[0].set_ylabel("share of images below", fontsize=TEXT)
    figure.axes[1].legend(fontsize=SMALL, frameon=False, loc="best")
    save_figure(figure, HERE / "entropy.png")


def attacks_figure() -> None:
    """Accuracy on images that were made to fool an ensemble, of that ensemble and of another one."""
    tables = table("attacks")
    sizes = [size for size in (1, 5, 10) if any(int(row["networks"]) == size for own in tables.values() for row in own)]
    figure = new_figure(4.4 * len(sizes), 4.8, "31,520-weight networks on MNIST", "images that fool an ensemble (FGSM)",
                        f"{seeds(tables).split(',')[0]}; filled: the ensemble that was attacked; hollow, dotted: other "
                        "networks, as many")
    for axes, size in zip(figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0], sizes, strict=True):
        for place, (name, word) in enumerate(ROWS.items()):
            own = [row for row in tables.get(name, ()) if row["attack"] == "FGSM" and int(row["networks"]) == size]
            for value, line, face in (("attacked", "-", COLOURS[place]), ("fresh", ":", "white")) if own else ():
                steps, mean, _, _ = across(own, "epsilon", value)
                axes.plot(steps, mean, color=COLOURS[place], linestyle=line, marker=MARKERS[place],
                          markerfacecolor=face, linewidth=1.6, label=word if value == "attacked" else None)
        axes.set_title("one network" if size == 1 else f"{size} networks", fontsize=TEXT, color=INK)
        axes.set_xscale("log")
        axes.set_xticks([0.01, 0.03, 0.1, 0.3, 1], ["0.01", "0.03", "0.1", "0.3", "1"])
        axes.minorticks_off()
        axes.set_xlabel("ε, of pixels in 0 to 1", fontsize=TEXT)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(percent)
        bare(axes)
    figure.axes[0].set_ylabel("accuracy", fontsize=TEXT)
    figure.axes[0].legend(fontsize=SMALL, frameon=False, loc="lower left")
    save_figure(figure, HERE / "attacks.png")


def interpolation_figure() -> None:
    """Accuracy of networks between two drawn ones."""
    tables = table("interpolation")
    figure = new_figure(11, 4.4, "31,520-weight networks on MNIST", "between two drawn networks",
                        f"held-out images, mean of five pairs; {seeds(tables).replace('bars', 'a band')}")
    names = [name for name in ROWS if name in tables]
    for axes, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        for value, word, colour, line in (("noise", "between their noises", COLOURS[0], "-"),
                                          ("weights", "between their weights", COLOURS[1], "--")):
            steps, mean, least, most = across(tables[name], "share", value)
            axes.plot(steps, mean, color=colour, linestyle=line, linewidth=2, label=word)
            axes.fill_between(steps, least, most, color=colour, alpha=0.15)
        axes.set_title(ROWS[name], fontsize=TEXT, color=INK)
        axes.set_xlabel("from first (0) to second (1)", fontsize=TEXT)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.2%}")
        bare(axes)
    figure.axes[0].set_ylabel("accuracy", fontsize=TEXT)
    figure.axes[0].legend(fontsize=SMALL, frameon=False, loc="best")
    save_figure(figure, HERE / "interpolation.png")


def codes_figure() -> None:
    """Test accuracy of networks that were evolved for each kind of images, by how they are written."""
    rows = read_table(HERE / "codes.csv").values()
    figure = new_figure(8.4, 4.6, "CMA-ES over 31,520-weight networks", "codes of a HyperGAN of digits, evolved",
                        "test accuracy; a dot is a seed, a bar their mean; 4,800 evaluations of 100 images")
    axes, width = figure.add_subplot(), 0.26
    for place, (encoding, word) in enumerate(WRITTEN.items()):
        for group, images in enumerate(IMAGES):
            own = [float(row["test_accuracy"]) for row in rows if row["name"] == f"{images}-{encoding}"]
            middle = group + (place - 1) * width
            axes.bar(middle, np.mean(own), width * 0.92, color=COLOURS[place], alpha=0.75,
                     label=None if group else word)
            axes.plot([middle] * len(own), own, "o", color=INK, markersize=4)
    axes.set_xticks(range(len(IMAGES)), list(IMAGES.values()))
    axes.set_ylabel("test accuracy", fontsize=TEXT)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(percent)
    axes.legend(fontsize=SMALL, frameon=False)
    bare(axes)
    save_figure(figure, HERE / "codes.png")


def filters_figure(runs: Path) -> None:
    """First kernels of sixteen networks that one generator draws, a row a network."""
    kernels = drawn_networks(open_view(runs / "hypergan-0"), range(16), 0).tensor("convolution1.weight")
    tiles = kernels[:, :FILTERS].unflatten(2, (5, 5))
    picture = torch.full((16, 6, FILTERS, 6), torch.nan)
    picture[:, :5, :, :5] = tiles.transpose(1, 2)
    figure = new_figure(6.4, 9.6, "HyperGAN on MNIST", "first kernels of sixteen networks that it draws",
                        f"a row: one network; a column: the same kernel, 5 × 5, of {FILTERS} among 32")
    axes = figure.add_subplot()
    image = show_map(axes, picture.flatten(2).flatten(0, 1)[:-1, :-1], symmetric_limit(kernels))
    colour_bar(figure, image, axes, "weight")
    save_figure(figure, HERE / "filters.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/hypergan"))
    for own in DATA:
        if table("ensembles", own):
            ensembles_figure(own)
    for draw in (entropy_figure, attacks_figure, interpolation_figure):
        draw()
    if (HERE / "codes.csv").exists():
        codes_figure()
    filters_figure(parser.parse_args().runs)
