"""What makes two poles hard for CPPNs: how far each free direction of an encoding's numbers moves the six weights.

    python experiments/double-pole/conditioning.py

Writes conditioning.csv, the singular values of the weights' derivative by the searched numbers, relative to the largest
(medians of STARTS random genotypes), and conditioning.png, in which they stand beside how many seeds solved the task
according to results.csv.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from run import KEPT, contestant

from hyperevo.compare.studies import read_table, write_table
from hyperevo.plots._series import COLOURS, LINES, MARKERS, log_ticks
from hyperevo.plots._style import SMALL, TEXT, bare, new_figure
from hyperevo.plots.run_figures import save_figure

STARTS = 64
ENCODINGS = {"markov-direct": "direct weights", "markov-dct-6": "6 cosine coefficients",
             "markov-dct-5": "5 cosine coefficients", "markov-dct-4": "4 cosine coefficients",
             **{f"markov-kept-{function}-{hidden}": f"CPPN of {hidden} {words}" for function, hidden, words in (
                 ("sin", 6, "sines"), ("gauss", 6, "Gaussians"), ("gauss", 3, "Gaussians"))}}
COLUMNS = ("name", "numbers", *(f"direction_{place}" for place in range(1, 7)))


def directions(name: str) -> tuple[int, np.ndarray]:
    """How many numbers are searched, and the relative singular values (6,), sorted; 0 where there are fewer."""
    parts, generator = contestant(name, 0).parts, torch.Generator().manual_seed(0)
    # A kept graph starts from zeros, where no hidden node does anything: one deviation around is where SNES is.
    starts = torch.randn(STARTS, parts.encoding.genes, generator=generator)

    def weights(numbers: torch.Tensor) -> torch.Tensor:
        return parts.encoding.express(numbers[None]).tensor("readout.weight").flatten()

    values = torch.stack([torch.linalg.svdvals(torch.autograd.functional.jacobian(weights, start)) for start in starts])
    values = (values / values[:, :1]).median(0).values
    return parts.encoding.genes, np.pad(values.numpy(), (0, 6 - len(values)))


def picture(found: dict[str, np.ndarray], solved: dict[str, str]) -> Figure:
    """Singular values along their rank, a line for each encoding."""
    figure = new_figure(9.0, 5.4, "Two poles, velocities seen", "what a step of an encoding does to six weights",
                        f"singular values of the weights' derivative by the searched numbers, medians of {STARTS} "
                        "random genotypes; those that are 0 are left out")
    axes = figure.add_subplot()
    for place, (name, values) in enumerate(found.items()):
        kept = values > 1e-6
        axes.plot(np.arange(1, 7)[kept], values[kept], color=COLOURS[place], marker=MARKERS[place],
                  linestyle=LINES[place % len(LINES)], linewidth=2, markersize=7,
                  label=f"{ENCODINGS[name]}: {solved.get(name, 'not recorded')}")
    axes.set_yscale("log")
    log_ticks(axes.yaxis)
    axes.set_xlabel("direction, by its effect", fontsize=TEXT)
    axes.set_ylabel("effect, relative to the largest", fontsize=TEXT)
    axes.legend(fontsize=SMALL, frameon=False, loc="lower left", title="encoding: seeds that solved the task",
                title_fontsize=SMALL, alignment="left")
    bare(axes)
    return figure


if __name__ == "__main__":
    assert all(name in ENCODINGS for name in KEPT)
    here, spectra, rows = Path(__file__).parent, {}, []
    for name in ENCODINGS:
        numbers, spectra[name] = directions(name)
        rows.append({"name": name, "numbers": numbers} | dict(zip(COLUMNS[2:], spectra[name].tolist(), strict=True)))
    write_table(here / "conditioning.csv", COLUMNS, rows)
    runs: dict[str, list[int]] = {}
    for row in read_table(here / "results.csv").values():
        runs.setdefault(row["name"], []).append(int(row["solved"]))
    save_figure(picture(spectra, {name: f"{sum(own)} of {len(own)}" for name, own in runs.items()}),
                here / "conditioning.png")
