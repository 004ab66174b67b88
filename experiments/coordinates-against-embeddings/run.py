"""Coordinates against embeddings: five encodings trained and evolved, NEAT alone and with a gradient, at one budget.

    python experiments/coordinates-against-embeddings/run.py [--runs DIR] [--seeds 3] [--jobs 2] [--no-runs]

Runs what is missing (finished runs in DIR are kept, broken ones resumed), then writes for MNIST, for Fashion-MNIST and
for MNIST with shuffled pixels: results.csv, tables, figures and report.html, and `shuffled.png` beside this file.
`--no-runs` draws all that again from recorded runs alone.
"""

import argparse
from pathlib import Path

from hyperevo.compare.execute import run_all
from hyperevo.compare.fairness import check_comparable
from hyperevo.compare.live import shown_live
from hyperevo.compare.outcomes import read_outcomes, rows
from hyperevo.compare.plan import Entry, plan
from hyperevo.compare.write import write_comparison
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import before_and_after

HERE = Path(__file__).parent
BUDGET = ("seconds", "120")
ENCODINGS = ("direct", "dct", "coordinate-relu", "coordinate-sine", "embedding")
TRAINED, EVOLVED = ([f"{name}-{search}" for name in ENCODINGS] for search in ("adam", "es"))
QUESTIONS = {
    "mnist": ([*TRAINED, *EVOLVED, "neat", "neat-adam"], []),
    "fashion": ([*TRAINED, *EVOLVED, "neat", "neat-adam"], ["task.name=fashion"]),
    "shuffled": ([*TRAINED, *EVOLVED], ["task.shuffle_pixels=0"]),
}
TITLES = {"mnist": "Coordinates against embeddings: MNIST", "fashion": "Coordinates against embeddings: Fashion-MNIST",
          "shuffled": "Coordinates against embeddings: MNIST with shuffled pixels"}


def entries(question: str, seeds: int, runs: Path) -> list[Entry]:
    """The runs of one question."""
    names, overrides = QUESTIONS[question]
    return plan([str(HERE / f"{name}.toml") for name in names], seeds, runs / question, overrides, (), BUDGET)


def accuracies(own: list[Entry]) -> dict[str, list[float]]:
    """By row, test accuracy of every seed."""
    return {row.name: row.accuracies for row in rows(read_outcomes(own))}


def main() -> None:
    """Run, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/coordinates-against-embeddings"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-runs", action="store_true")
    options = parser.parse_args()
    every = {question: entries(question, options.seeds, options.runs) for question in QUESTIONS}
    for question, own in every.items() if not options.no_runs else ():
        print(TITLES[question])
        with shown_live(own) as follow:
            for folder, reason in run_all(own, options.jobs, observe=follow).items():
                print(f"error: {folder}: {reason}")
    for question, own in every.items():
        check_comparable(own)
        print(write_comparison(own, HERE / question, TITLES[question]).paths[-1])
    before, after = accuracies(every["mnist"]), accuracies(every["shuffled"])
    save_figure(before_and_after({name: (before[name], after[name]) for name in after},
                                 ("pixels as they are", "pixels shuffled"), "784-256-10 on MNIST, 120 s on one core"),
                HERE / "shuffled.png")


if __name__ == "__main__":
    main()
