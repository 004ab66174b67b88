"""Ensembles of the networks that run.py's runs give: what they know, what they do not, and what fools them.

    python experiments/hypergan/measure.py [--seeds 3] [--runs DIR] [--images 10000] [NAME ...]

Writes ensembles.csv (accuracy, likelihood, calibration, disagreement, entropy outside), attacks.csv, norms.csv,
entropy.csv and interpolation.csv beside this file. Networks are fixed, drawn by the run's seed; ensembles vote softly;
test images are looked at here and at the end of run.py, and choose nothing. `swag` begins at the first network of the
ensemble's run. Images from outside are the test images of the classes that a run does not know or, where it knows
all, letters: notMNIST's t10k-images-idx3-ubyte.gz is read from HYPEREVO_DATA.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from run import VARIANTS
from swag import swag_genes
from torch import Tensor

from hyperevo.abilities import LearnsPrior
from hyperevo.compare.studies import add_rows
from hyperevo.data import load_images
from hyperevo.data._images import read_idx
from hyperevo.generative.attacks import Victim, fast_gradient_sign, projected_gradient
from hyperevo.generative.measures import (
    calibration_error,
    disagreement,
    entropy,
    layer_norms,
    negative_log_likelihood,
    separation,
    soft_vote,
)
from hyperevo.genotypes import Drawn, as_genes, stack
from hyperevo.plots.run_networks import drawn_networks
from hyperevo.plots.run_view import RunView, open_view
from hyperevo.runs import finished
from hyperevo.runs.checkpoint import latest_checkpoint
from hyperevo.runs.compose import build_task
from hyperevo.runs.environment import keep_freed_memory
from hyperevo.tasks._classes import accuracy
from hyperevo.tasks._images import ImageClassification
from hyperevo.weights import Weights

HERE = Path(__file__).parent
SIZES = (1, 5, 10, 100)
OUTSIDE, ATTACKED, TOGETHER = 2000, 200, 500
"""Images from outside, test images that are attacked, and images shown at a time."""
PAIRS, HELD_OUT = 5, 1000
"""Pairs of networks between which is interpolated, and held-out images that these are shown."""
EPSILONS = (0.01, 0.03, 0.08, 0.1, 0.3, 0.5, 1.0)
STEPS = 10
"""Steps of projected gradient descent, of a quarter of ε."""

SWAG = "swag"
"""Row that goes on from another's run."""

Outputs = Callable[[slice, Tensor], Tensor]
"""Function of networks and of what they read (N, pixels) to outputs (P, N, classes)."""


def networks_of(name: str, view: RunView, task: ImageClassification, seed: int) -> tuple[Outputs, int, Weights]:
    """Function that shows some networks of a run what they read, the number of networks, and weights of them."""
    if isinstance(view.encoding, LearnsPrior):
        weights = drawn_networks(view, range(SIZES[-1]), seed)
    else:
        genes = latest_checkpoint(view.folder).search["best"]
        weights = view.encoding.express(swag_genes(view, task, genes[0], seed, SIZES[-1]) if name == SWAG else genes)
    if view.config.part("target").dropout:
        def dropping(chosen: slice, inputs: Tensor) -> Tensor:
            return torch.cat([view.target.forward_dropping(weights, inputs, seed * 1000 + draw)
                              for draw in range(*chosen.indices(SIZES[-1]))])

        return dropping, SIZES[-1], weights
    return lambda chosen, inputs: view.target.forward(weights.networks(chosen), inputs), weights.population, weights


@torch.no_grad()
def shown(outputs: Outputs, networks: int, inputs: Tensor) -> Tensor:
    """Outputs (P, N, classes) of all networks."""
    return torch.cat([torch.cat([outputs(slice(first, min(first + 10, networks)), piece)
                                 for first in range(0, networks, 10)]) for piece in inputs.split(TOGETHER)], 1)


def ensembles(inside: Tensor, labels: Tensor, outside: Tensor) -> Iterator[dict[str, float]]:
    """A row for every size of ensemble; that of one network is the mean over the first ten."""
    for size in (size for size in SIZES if size <= len(inside)):
        groups = [slice(first, first + 1) for first in range(min(10, len(inside)))] if size == 1 else [slice(0, size)]
        rows = [measured(inside[group], labels, outside[group]) for group in groups]
        mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
        # Networks differ, or not, whatever the size of the ensemble; one network has nobody to differ from.
        yield {"networks": size, **mean, "disagreement": disagreement(inside[:size]) if size > 1 else float("nan")}


def measured(inside: Tensor, labels: Tensor, outside: Tensor) -> dict[str, float]:
    """Measures of one ensemble's outputs (P, N, classes), of test images and of images from outside."""
    known, unknown = soft_vote(inside), soft_vote(outside)
    return {"accuracy": float((known.argmax(1) == labels).double().mean()),
            "likelihood": negative_log_likelihood(known, labels), "calibration": calibration_error(known, labels),
            "separation": separation(entropy(known), entropy(unknown)),
            "entropy_inside": float(entropy(known).mean()), "entropy_outside": float(entropy(unknown).mean())}


def attacks(outputs: Outputs, networks: int, first: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) \
        -> Iterator[dict[str, object]]:
    """A row for every attack on an ensemble's mean outputs: its accuracy on the images, and that of other networks, as
    many, that the attack did not see."""
    for size in (size for size in (1, 5, 10) if 2 * size <= networks):
        seen, fresh = slice(0, size), slice(size, 2 * size)

        def victim(pixels: Tensor, seen: slice = seen) -> Tensor:
            return outputs(seen, first(255 * pixels)).mean(0)

        for epsilon in EPSILONS:
            for name, moved in moved_images(victim, images, labels, epsilon):
                with torch.no_grad():
                    votes = [soft_vote(outputs(group, first(255 * moved))) for group in (seen, fresh)]
                own, other = (float((vote.argmax(1) == labels).double().mean()) for vote in votes)
                yield {"attack": name, "epsilon": epsilon, "networks": size, "attacked": own, "fresh": other,
                       "entropy_attacked": float(entropy(votes[0]).mean()),
                       "entropy_fresh": float(entropy(votes[1]).mean())}


def moved_images(victim: Victim, images: Tensor, labels: Tensor, epsilon: float) -> Iterator[tuple[str, Tensor]]:
    """Images as either attack moves them; the slow one where it is of use, up to 0.3."""
    yield "FGSM", fast_gradient_sign(victim, images, labels, epsilon)
    if 0.03 < epsilon <= 0.3:
        yield "PGD", projected_gradient(victim, images, labels, epsilon, STEPS, epsilon / 4)


def from_outside(source: str, task: ImageClassification) -> Tensor:
    """Images (N, …), bytes, of no class that the networks know, by the name of the data set that they were shown."""
    data = load_images(source)
    if task.outputs < data.classes:
        return torch.from_numpy(data.test_images[data.test_labels >= task.outputs])
    return torch.from_numpy(read_idx(Path(os.environ["HYPEREVO_DATA"]) / "notmnist" / "t10k-images-idx3-ubyte.gz"))


def measure(name: str, seed: int, folder: Path, images: int) -> None:
    """Measure one run and add its rows to the tables."""
    view = open_view(folder)
    task = build_task(view.config.part("task"), torch.device("cpu"))
    first = task.preprocessing()
    inputs, labels = (part[:images] for part in task.test())
    outputs, networks, weights = networks_of(name, view, task, seed)
    unknown = from_outside(view.config.part("task").name, task)
    unknown = unknown[:: max(len(unknown) // min(OUTSIDE, images), 1)]
    inside, outside = (shown(outputs, networks, own) for own in (inputs, first(unknown)))
    write("ensembles", name, seed, list(ensembles(inside, labels, outside)), "networks")
    write("norms", name, seed, [{"parameter": key, "mean": mean, "deviation": spread}
                                for key, (mean, spread) in layer_norms(weights.dense()).items()], "parameter")
    most = min(10, networks)
    shares = torch.linspace(0, 1, 41).double()
    write("entropy", name, seed, [{"of": where, **{f"{share:.3f}": float(entropy(soft_vote(own[:most])).quantile(share))
                                                   for share in shares}}
                                  for where, own in (("inside", inside), ("outside", outside))], "of")
    if isinstance(view.encoding, LearnsPrior):
        held_out = task.validation[0][:HELD_OUT], task.validation[1][:HELD_OUT]
        write("interpolation", name, seed, list(interpolated(view, held_out, seed)), "share")
    pixels = (inputs[:ATTACKED] * first.spread + first.mean).clamp(0, 1)
    write("attacks", name, seed, list(attacks(outputs, networks, first, pixels, labels[:ATTACKED])), "attack",
          "epsilon", "networks")


@torch.no_grad()
def interpolated(view: RunView, images: tuple[Tensor, Tensor], seed: int) -> Iterator[dict[str, float]]:
    """A row for every place between two networks, the mean over PAIRS of them: accuracy of the network at the place
    between their noises, and of the one at the place between their weights."""
    shared = as_genes(stack(view.champion))[0, : view.encoding.genes - view.encoding.noise]
    noises = torch.randn(2, PAIRS, view.encoding.noise, generator=torch.Generator().manual_seed(seed))
    ends = [view.encoding.express(Drawn(shared, own)).dense() for own in noises]
    for share in torch.linspace(0, 1, 11).tolist():
        by_noise = view.encoding.express(Drawn(shared, torch.lerp(noises[0], noises[1], share)))
        by_weights = Weights({name: torch.lerp(ends[0][name], ends[1][name], share) for name in ends[0]})
        accuracies = [float(accuracy(view.target.forward(own, images[0]), images[1]).mean())
                      for own in (by_noise, by_weights)]
        yield {"share": round(share, 2), "noise": accuracies[0], "weights": accuracies[1]}


def write(table: str, name: str, seed: int, rows: list[dict[str, object]], *keys: str) -> None:
    """Add a run's rows to a table, in which `name` is that of the run and what tells its rows apart."""
    columns = ["name", "seed", *(rows[0] if rows else ())]
    add_rows(HERE / f"{table}.csv", columns,
             {(" ".join([name, *(str(row[key]) for key in keys)]), seed):
              {"name": " ".join([name, *(str(row[key]) for key in keys)]), "seed": seed, **row} for row in rows})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*VARIANTS, SWAG])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/hypergan"))
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    keep_freed_memory()
    for own in options.names:
        for number in range(options.seeds):
            folder = options.runs / f"{'ensemble' if own == SWAG else own}-{number}"
            if finished(folder):
                measure(own, number, folder, options.images)
