"""Networks drawn from a generator that a run trained or searched in, written as one `state_dict` each."""

from pathlib import Path

import torch

from hyperevo.abilities import Calibrates, HasPrior, LearnsPrior
from hyperevo.errors import UserError, reason
from hyperevo.genotypes import Drawn, as_genes, stack
from hyperevo.plots.run_view import RunView
from hyperevo.randomness import generator_for
from hyperevo.runs.files import write_tensors
from hyperevo.weights import Weights

NETWORKS = 8
"""Default number of networks."""

TOGETHER = 64
"""Number of networks that are made at a time."""


def draws_networks(view: RunView) -> bool:
    """True where networks can be drawn: a run trained a generator, or its encoding is one."""
    return isinstance(view.encoding, LearnsPrior | HasPrior)


@torch.no_grad()
def drawn_networks(view: RunView, numbers: range, seed: int) -> Weights:
    """Weights of networks drawn from the prior, each by the seed and its number alone, through the champion's generator
    where the run trained one."""
    encoding, generators = view.encoding, [generator_for(seed, number) for number in numbers]
    if isinstance(encoding, LearnsPrior):
        shared = as_genes(stack(view.champion))[0, : encoding.genes - encoding.noise]
        return view.encoding.express(Drawn(shared, torch.cat([encoding.drawn(shared, 1, own).codes
                                                              for own in generators])))
    assert isinstance(encoding, HasPrior)
    return view.encoding.express(torch.cat([encoding.prior(1, own) for own in generators]))


def write_networks(view: RunView, folder: Path, count: int, seed: int) -> None:
    """Write networks into a new folder, a safetensors file each; raises UserError where it has files already, or the
    networks need examples to be complete."""
    if isinstance(view.target, Calibrates) and view.target.calibration_examples:
        raise UserError(f"{view.folder}: its networks take statistics or a readout from examples: weights alone are no "
                        "network")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} holds files; --out names another folder")
        for first in range(0, count, TOGETHER):
            weights = drawn_networks(view, range(first, min(first + TOGETHER, count)), seed)
            for index in range(weights.population):
                write_tensors(folder / f"network-{first + index:04d}.safetensors",
                              view.target.state_dict(weights.network(index)))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {reason(error)}") from error
