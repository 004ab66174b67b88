"""How much of NEAT's crossover lines up: links of both parents, and those of them with different innovation numbers.

    python experiments/structure/alignment.py

Writes alignment.csv beside this file, one row a task, over all couples of two different parents in runs of three seeds.
neat-python mixes a link's weight only where both parents have it under the same innovation number, and two genomes that
split the same link get nodes, and so links, of their own.
"""

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np

from hyperevo.compare.studies import write_table
from hyperevo.config import load_config
from hyperevo.runs import create_run, execute
from hyperevo.search import _neat_breeding
from hyperevo.search._neat_genes import Pool, cross, matched

CASES = {"xor-neat": ["run.rounds=100"], "boxes": ["run.rounds=100"], "food": [], "retina": ["run.rounds=100"]}
SEEDS = 3


def counted(pool: Pool, fitter: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Links of fitter parents; those that the other parent has too; those of these with other innovation numbers."""
    couples = fitter != other
    links, match = matched(pool.links, fitter[couples], other[couples])
    shared = match >= 0
    renamed = pool.links["innovation"][match[shared]] != links["innovation"][shared]
    return np.array([len(links), shared.sum(), renamed.sum()])


def crossed(name: str, overrides: list[str], seed: int) -> np.ndarray:
    """Counts of `counted` over a whole run."""
    total = np.zeros(3, dtype=np.int64)

    def watched(pool: Pool, fitter: np.ndarray, other: np.ndarray, draws: np.random.Generator) -> Pool:
        nonlocal total
        total = total + counted(pool, fitter, other)
        return cross(pool, fitter, other, draws)

    config = load_config(name, [*overrides, f"seed={seed}"]).config
    with tempfile.TemporaryDirectory() as folder, patch.object(_neat_breeding, "cross", watched):
        execute(create_run(config, Path(folder) / "run"))
    return total


if __name__ == "__main__":
    rows = []
    for name, overrides in CASES.items():
        links, shared, renamed = sum(crossed(name, overrides, seed) for seed in range(SEEDS))
        rows.append({"name": name, "seeds": SEEDS, "links": links, "shared": f"{shared / links:.4f}",
                     "shared_under_other_innovations": f"{renamed / shared:.5f}"})
        print(rows[-1], flush=True)
    write_table(Path(__file__).with_name("alignment.csv"), list(rows[0]), rows)
