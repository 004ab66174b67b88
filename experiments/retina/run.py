"""The retina problem, left and right (Verbancsics & Stanley 2011): generations until all 256 patterns are right, and
how far the halves of the networks that come out are modules.

    python experiments/retina/run.py [--seeds 5] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and figures beside
this file from the runs' own result.json. Every search has 1,000 generations of 500 at most, where the paper has 2,500
and 30 runs: so all of it takes about half an hour of one core. The config retina has the paper's 2,500.
"""

from pathlib import Path

from hyperevo.compare.studies import arguments, read_table, record, success_rounds
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import seeds_in_plane, success_along

GENERATIONS = 1000
BUDGET = [f"run.rounds={GENERATIONS}"]
PLAIN = ["search.locality=''", "encoding.link_expression=false", "encoding.threshold=0.3"]
SNES = "search={name='snes', population=500, deviation=1.0}"
VARIANTS = {
    "leo-locality": ("retina", BUDGET),
    # As ES-HyperNEAT has them: all pixels on one line, evenly spaced or with a column's two side by side; here, hidden
    # units lie on lines above them.
    "leo-locality-line": ("retina", [*BUDGET, "task.layout=line", "target.hidden=[[1, 8], [1, 4]]"]),
    "leo-locality-columns": ("retina", [*BUDGET, "task.layout=columns", "target.hidden=[[1, 8], [1, 4]]"]),
    "leo": ("retina", [*BUDGET, "search.locality=''"]),
    "hyperneat": ("retina", [*BUDGET, *PLAIN]),
    "direct-snes": ("retina", [*BUDGET, "encoding={name='direct', scale=1.0}", SNES]),
    **{f"dct-{wanted}-snes": ("retina", [
        *BUDGET, f"encoding={{name='dct', coefficients=[{wanted}], axes='matrix'}}", SNES]) for wanted in (4, 6, 8)},
}
COLUMNS = ("name", "seed", "rounds", "evaluations", "champion_round", "validation_accuracy", "connections",
           "separation", "encoded_genes", "direct_parameters", "generated_weights", "seconds")
"""rounds are generations; validation_accuracy is the share of all 256 patterns that are right on both sides;
connections are those that are not zero, separation the share of pairs of an input and the other half's output without a
path."""


def draw(table: Path) -> None:
    """Success along the generations, and modules against connections."""
    rows = list(read_table(table).values())
    label = "Retina, left and right"
    save_figure(success_along(success_rounds(rows), GENERATIONS, "generations of 500", label),
                table.with_name("success.png"))
    planes: dict[str, list] = {}
    for row in rows:
        planes.setdefault(row["name"], []).append((float(row["connections"]), float(row["separation"])))
    save_figure(seeds_in_plane(planes, "connections of the champion", "pairs of an input and the other half's output "
                               "without a path", "how modular champions are", label,
                               "every mark is one seed; at 1 the halves have nothing to do with each other"),
                table.with_name("separation.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 5, "runs/retina")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS)
    draw(results)
