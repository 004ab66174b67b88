"""Networks drawn from a generator that a run trained or searched in, written as one `state_dict` each."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from hyperevo.abilities import Calibrates, HasPrior, LearnsPrior
from hyperevo.errors import UserError, reason
from hyperevo.genotypes import as_genes, stack
from hyperevo.plots.run_view import RunView
from hyperevo.runs.files import whole
from hyperevo.weights import Weights

NETWORKS = 8
"""Default number of networks."""

TOGETHER = 64
"""Number of networks that are made at a time."""


def draws_networks(view: RunView) -> bool:
    """True where networks can be drawn: a run trained a generator, or its encoding is one."""
    return isinstance(view.encoding, LearnsPrior | HasPrior)


@torch.no_grad()
def drawn_networks(view: RunView, count: int, generator: torch.Generator) -> Weights:
    """Weights of networks that are drawn from the prior, through the champion's generator where the run trained one."""
    encoding = view.encoding
    if isinstance(encoding, LearnsPrior):
        shared = as_genes(stack(view.champion))[0, : encoding.genes - encoding.noise]
        return view.encoding.express(encoding.drawn(shared, count, generator))
    assert isinstance(encoding, HasPrior)
    return view.encoding.express(encoding.prior(count, generator))


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
        generator = torch.Generator().manual_seed(seed)
        for first in range(0, count, TOGETHER):
            weights = drawn_networks(view, min(TOGETHER, count - first), generator)
            for index in range(weights.population):
                with whole(folder / f"network-{first + index:04d}.safetensors") as temporary:
                    save_file(view.target.state_dict(weights.network(index)), temporary)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {reason(error)}") from error
