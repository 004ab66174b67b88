"""XOR by NEAT: generations until all four patterns are right, over 100 seeds, feed-forward and recurrent.

    python experiments/xor-neat/run.py [--seeds 100] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and a figure beside
this file. A run ends when its champion is right on all patterns, or after 300 generations.
"""

from pathlib import Path

from hyperevo.compare.studies import arguments, read_table, record, success_rounds
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import success_along

GENERATIONS = 300
ENDS = ["run.until=1.0", f"run.rounds={GENERATIONS}"]
VARIANTS = {"feed-forward": ("xor-neat", ENDS),
            "recurrent": ("xor-neat", [*ENDS, "encoding.recurrent=true"])}
COLUMNS = ("name", "seed", "rounds", "evaluations", "champion_round", "validation_accuracy", "encoded_genes", "seconds")

if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 100, "runs/xor-neat")
    table = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, table, COLUMNS)
    if solved := success_rounds(list(read_table(table).values())):
        save_figure(success_along(solved, GENERATIONS, "generations", "XOR by NEAT, population 150"),
                    table.with_name("success.png"))
