"""The static hypernetwork on MNIST: a kernel of 12,544 weights from an embedding of four numbers, and trained directly.

    python experiments/static-mnist/run.py [--seeds 5] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures are in the run folders.
"""

from pathlib import Path

from safetensors.torch import load_file

from hyperevo.compare.studies import GRADIENT_COLUMNS, arguments, record
from hyperevo.geometry import Sheet
from hyperevo.plots import kernels_side_by_side
from hyperevo.plots.run_figures import save_figure

NAMES = ("static-mnist", "static-mnist-direct")
VARIANTS = {"static-mnist-direct": ("static-mnist", ["encoding={name='direct', scale=1.0}"])}

PARAMETER = "convolution2.weight"


def draw(runs: Path, figure: Path) -> None:
    """The second kernels of the first seeds, generated and direct."""
    kernels = {kind: load_file(runs / f"{name}-0" / "champion" / "weights.safetensors")[PARAMETER].flatten(1)
               for kind, name in zip(("generated", "trained directly"), NAMES, strict=True)}
    save_figure(kernels_side_by_side(kernels, Sheet((16,)), Sheet((16, 7, 7)), "second kernels on MNIST"), figure)


if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 5, "runs/static-mnist")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), GRADIENT_COLUMNS)
    if all((options.runs / f"{name}-0" / "champion").is_dir() for name in NAMES):
        draw(options.runs, Path(__file__).with_name("kernels.png"))
