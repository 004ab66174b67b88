"""XOR by NEAT: evaluations until all four patterns are right, over 100 seeds, feed-forward and recurrent.

    python experiments/xor-neat/run.py [--seeds 100] [NAME ...]

Runs what is missing in results.csv, and writes it and a figure beside this file; 100 seeds take a minute of one core.
Searches go without a run folder: a generation is asked for, evaluated and told, and its best network has solved XOR
when the sign of its output is right for all patterns. A search ends then, or after 300 generations.
"""

from math import inf
from pathlib import Path

import torch

from hyperevo.compare.studies import add_rows, arguments, read_table
from hyperevo.config import load_config
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import success_along
from hyperevo.runs.compose import compose
from hyperevo.runs.evaluate import evaluate

GENERATIONS = 300
VARIANTS = {"feed-forward": [], "recurrent": ["encoding.recurrent=true"]}
COLUMNS = ("name", "seed", "solved", "generations", "evaluations", "nodes", "links")


@torch.no_grad()
def solved(name: str, seed: int) -> dict[str, object]:
    """Row of one search."""
    parts = compose(load_config("xor-neat", [f"seed={seed}", *VARIANTS[name]]).config)
    patterns, parities = batch = parts.task.batch(seed, 0)
    evaluations = generation = 0
    while generation < GENERATIONS:
        generation += 1
        population = parts.search.ask()
        fitness = evaluate(parts.encoding, parts.target, population, batch, parts.task.fitness, 1.0)
        parts.search.tell(fitness)
        evaluations += len(population)
        best = parts.search.candidates()
        outputs = parts.target.forward(parts.encoding.express(best), patterns)
        if float(parts.task.score(outputs, parities).max()) == 1:
            break
    return {"name": name, "seed": seed, "solved": int(float(parts.task.score(outputs, parities).max()) == 1),
            "generations": generation, "evaluations": evaluations, "nodes": len(best[0].topology.nodes),
            "links": best[0].topology.links}


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 100, "")
    torch.set_num_threads(1)
    table = Path(__file__).with_name("results.csv")
    for name in options.names:
        for seed in range(options.seeds):
            if (name, seed) not in read_table(table):
                add_rows(table, COLUMNS, {(name, seed): solved(name, seed)})
    rounds: dict[str, list[float]] = {}
    for row in read_table(table).values():
        rounds.setdefault(row["name"], []).append(float(row["generations"]) if int(row["solved"]) else inf)
    save_figure(success_along(rounds, GENERATIONS, "generations", "XOR by NEAT, population 150"),
                table.with_name("success.png"))
