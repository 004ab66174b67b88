"""Where evolved structure pays: NEAT against its own seed graph with nothing but its numbers evolved, task by task.

    python experiments/structure/run.py [--seeds 10] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv, effects.csv,
others.csv and structure.png beside this file from the runs' own result.json. Both sides have the task's shipped config,
the same seed graphs and the same number of evaluations; one of them has all mutations of structure switched off. A run
ends when it has solved its task. others.csv sets two further sides against NEAT: calmer mutation, that of the retina,
and seed graphs with hidden nodes, of which nothing but the numbers evolves.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import mannwhitneyu

from hyperevo.compare.statistics import probability_of_improvement
from hyperevo.compare.studies import arguments, read_table, record, write_table
from hyperevo.plots._series import COLOURS, log_ticks
from hyperevo.plots._style import INK, SMALL, TEXT, bare, new_figure
from hyperevo.plots.run_figures import save_figure

FROZEN = [f"search.{name}=0" for name in ("add_node", "add_link", "delete_node", "delete_link", "function_rate",
                                          "toggle_rate")]
SIDES = {"structure": [], "numbers": FROZEN}
"""The two that are compared: overrides."""
CALM = ["search.mutate_rate=0.1", "search.replace_rate=0.01", "search.toggle_rate=0"]
WITH_HIDDEN = ["search.hidden=4", "search.connection=full_direct", *FROZEN]
OTHERS = {"hidden": (WITH_HIDDEN, ("xor", "painting", "boxes", "food")), "calm": (CALM, ("xor", "boxes", "food"))}
"""Further sides: overrides, and the tasks that have them. Calm ones are those whose own rates are eight and ten times
as high, and whose champions are not refined."""


@dataclass(frozen=True)
class Case:
    """A task: its config with overrides, its name in the figure, and the score of a run that has solved it, by default
    none: then runs are compared by their last score on held-out examples."""

    title: str
    config: str
    overrides: Sequence[str]
    solved: float | None = None


PAINTING = ["task={{name='arrays', path='{path}', examples=400, fitness='squared-error', sampling='epochs'}}",
            "search.functions=['gauss', 'sin', 'tanh', 'identity']", "search.output_function=identity",
            "search.deviation=1.0", "run.rounds=300", "run.validate_every=5"]
"""Overrides of xor-neat."""

CASES = {
    "xor": Case("XOR", "xor-neat", [], 1.0),
    "painting": Case("painting of known structure", "xor-neat", PAINTING),
    "two-poles": Case("two poles, velocities seen", "double-pole-neat", ["run.evaluations=10000"], 100_000),
    "two-poles-hidden": Case("two poles, velocities hidden", "double-pole-hidden-velocities-neat",
                             ["run.evaluations=30000"], 100_000),
    "retina": Case("retina, seed of locality", "retina", ["run.rounds=400"], 1.0),
    "boxes": Case("boxes", "boxes", [], 1.0),
    "food": Case("food", "food", ["encoding.distance=false"]),
    "mnist": Case("MNIST", "cppn-mnist", []),
}
Rows = Mapping[tuple[str, int], dict[str, str]]
"""Rows of results.csv by variant and seed."""
COLUMNS = ("name", "data", "seed", "validation_accuracy", "test_accuracy", "encoded_genes", "rounds", "evaluations",
           "seconds")


def painted(file: Path) -> None:
    """Write pixels (400, 2) of a square and their values (400, 1), painted by a graph with three hidden nodes:
    gauss(2x - y) - sin(2 tanh(2y) + x)."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-1, 1, 20)] * 2))
    values = np.exp(-5 * (2 * x - y) ** 2) - np.sin(2 * np.tanh(2 * y) + x)
    arrays = {"inputs": np.stack([x, y], 1).astype(np.float32), "targets": values[:, None].astype(np.float32)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **arrays, **{f"{part}_{name}": array for part in ("validation", "test")
                                for name, array in arrays.items()})


def outcome(case: Case, row: dict[str, str]) -> float:
    """How good a run is, higher is better: minus its evaluations if it solved its task, else minus infinity; or its
    score."""
    score = float(row["validation_accuracy"])
    if case.solved is None:
        return score
    return -float(row["evaluations"]) if score >= case.solved else -math.inf


def runs_of(rows: Rows, name: str, side: str) -> dict[int, dict[str, str]]:
    """Rows of one side of a task, by seed."""
    return {seed: row for (own, seed), row in rows.items() if own == f"{name}-{side}"}


def both_sides(rows: Rows, name: str, first: str, second: str) -> list[list[dict[str, str]]]:
    """Rows of a task, one list for each of two sides, of the seeds that both have."""
    sides = [runs_of(rows, name, side) for side in (first, second)]
    return [[side[seed] for seed in sides[0] if seed in sides[1]] for side in sides]


def effects(rows: Rows, first: str, second: str) -> list[dict[str, object]]:
    """A row for every task of which two sides are there: median outcomes, share of pairs of runs in which the first is
    the better one (Vargha & Delaney's A, ties count half), and the p-value of Mann and Whitney's test."""
    found: list[dict[str, object]] = []
    for name, case in CASES.items():
        one, other = (np.array([outcome(case, row) for row in side]) for side in both_sides(rows, name, first, second))
        if not len(one):
            continue
        # Infinite outcomes are the worst; ranks are all that the test looks at.
        ranked = [np.where(np.isinf(side), -1e18, side) for side in (one, other)]
        found.append({"name": name, "side": first, "against": second, "seeds": len(one),
                      "median": abs(np.median(one)), "median_against": abs(np.median(other)),
                      "solved": int(np.isfinite(one).sum()), "solved_against": int(np.isfinite(other).sum()),
                      "wins": probability_of_improvement(*ranked),
                      "p": float(mannwhitneyu(*ranked).pvalue) if len({*ranked[0], *ranked[1]}) > 1 else 1.0})
    return found


LABELS = ("NEAT", "seed graph,\nnumbers", "4 hidden,\nnumbers")
"""Words of the sides in the figure, the last where there are runs of it."""


def panel(axes: Axes, case: Case, rows: Sequence[Sequence[dict[str, str]]], effect: dict[str, object]) -> None:
    """Runs of one task, side by side: evaluations until it was solved, or the score."""
    for place, runs in enumerate(rows):
        values = np.array([outcome(case, row) for row in runs])
        shift = np.linspace(-0.16, 0.16, len(values))
        solved = np.isfinite(values)
        axes.plot(place + shift[solved], np.abs(values[solved]), "o", color=COLOURS[place], markersize=5)
        most = max(float(row["evaluations"]) for row in runs)
        axes.plot(place + shift[~solved], np.full((~solved).sum(), most), "x", color=COLOURS[place], markersize=6)
        if np.isfinite(np.median(values)):
            axes.plot([place - 0.25, place + 0.25], [abs(np.median(values))] * 2, color=INK, linewidth=1.5)
    axes.set_title(f"{case.title}\nahead in {effect['wins']:.0%} of pairs, p = {effect['p']:.2g}", fontsize=SMALL,
                   color=INK)
    axes.set_xticks(range(len(rows)), LABELS[: len(rows)], fontsize=SMALL)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    if case.solved is not None:
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("score" if case.solved is None else "evaluations until solved", fontsize=TEXT)
    bare(axes)


def draw(rows: Rows, found: Sequence[dict[str, object]], file: Path) -> None:
    """All tasks side by side."""
    columns = 4
    figure = new_figure(13, 3.9 * math.ceil(len(found) / columns), "NEAT against its seed graph",
                        "evolved structure against evolved numbers alone",
                        "dot: solved, or the score; cross: not solved; line: median; ahead: NEAT, of its seed graph")
    grid = figure.subplots(math.ceil(len(found) / columns), columns, squeeze=False).ravel()
    for axes, effect in zip(grid, found, strict=False):
        name = str(effect["name"])
        hidden = list(runs_of(rows, name, "hidden").values())
        panel(axes, CASES[name], [*both_sides(rows, name, *SIDES), *([hidden] if hidden else [])], effect)
    for axes in grid[len(found):]:
        axes.axis("off")
    save_figure(figure, file)


if __name__ == "__main__":
    options = arguments(__doc__, list(CASES), 10, "runs/structure")
    results, painting = Path(__file__).with_name("results.csv"), options.runs.absolute() / "painting.npz"
    painted(painting)
    sides = {**{side: (changed, tuple(CASES)) for side, changed in SIDES.items()}, **OTHERS}
    variants = {f"{name}-{side}": (case.config, [
        *(words.format(path=painting) if "{path}" in words else words for words in case.overrides), *changed,
        *([] if case.solved is None else [f"run.until={case.solved}"])])
        for name, case in CASES.items() for side, (changed, own) in sides.items() if name in own}
    options.names = [name for name in variants if name.rpartition("-")[0] in options.names]
    record(options, variants, results, COLUMNS)
    rows = read_table(results)
    found = effects(rows, *SIDES)
    write_table(results.with_name("effects.csv"), list(found[0]), found)
    others = [row for side in OTHERS for row in effects(rows, side, "structure")]
    if others:
        write_table(results.with_name("others.csv"), list(others[0]), others)
    draw(rows, found, results.with_name("structure.png"))
