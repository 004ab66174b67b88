"""Double pole balancing as Koutník, Gomez & Schmidhuber (2010) compare encodings: evaluations until it is solved over
the number of cosine coefficients, beside direct weights and a CPPN, with velocities seen and hidden.

    python experiments/double-pole/run.py [--seeds 50] [NAME ...]

All seeds of all encodings run side by side: their networks have one shape and one first state, so that a generation of
all of them is one population, which takes little more time than one alone. Writes results.csv and figures beside this
file; what is in results.csv is not run again.

A run has solved the task when the search's candidate (the centre of SNES, the best graphs of NEAT) balances for 100,000
steps and, with velocities hidden, for 1,000 from 200 of Gruau's 625 starts as well. Nobody's search depends on that, so
many candidates are tried together, later, and the earliest of a run counts; its evaluations are those of its search
until then, of at most 1,000 steps each.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import pad

from hyperevo.compare.studies import add_rows, arguments, read_table
from hyperevo.config import load_config
from hyperevo.control import rollout
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.studies import evaluations_to_solve
from hyperevo.runs.compose import Parts, compose, gene_counts
from hyperevo.weights import Weights

NEAT = ("search={name='neat', population=50, functions=['gauss', 'sin', 'sigmoid', 'tanh', 'abs', 'identity'], "
        "deviation=1.0, limit=8.0, mutate_rate=0.1, mutate_power=0.5, replace_rate=0.01, toggle_rate=0.0, "
        "stagnation=200, add_node=0.1, add_link=0.2, delete_node=0.02, delete_link=0.05, neutral_growth=false, "
        "target_species=8, refine={rounds=0}}")
HEAVIEST = {"markov": 24.0, "hidden": 16.0}
"""The largest weight that a CPPN can write: a little more than any in six direct solutions of SNES."""


def kept(function: str, hidden: int, width: float = 0.0, heaviest: float = 10.0) -> list[str]:
    """Overrides: one CPPN whose numbers are searched. Its hidden nodes read the input's place, each times `width` and
    from a place of its own on, and are summed to its weight; the bias is an output of its own."""
    nodes = [[function, "sum", [0]]] * hidden + [["identity", "sum", [*range(5, 5 + hidden)]], ["identity", "sum", []]]
    places = [-1 + 2 * number / (hidden - 1) for number in range(hidden)]
    graph = {"inputs": 5, "outputs": [hidden, hidden + 1], "nodes": nodes,
             "weights": [width] * hidden + [0.0] * hidden, "biases": [-width * place for place in places] + [0.0] * 2,
             "responses": [1.0] * (hidden + 2)}
    return [f"encoding={{name='fixed-graph', graph='{json.dumps(graph)}', threshold=0.0, maximum_weight={heaviest}, "
            "deviation=1.0}"]


COEFFICIENTS = {"markov": ("[3]", "[4]", "[5]", "[6]"), "hidden": ("[1, 1]", "[2, 2]", "[1, 3]", "[2, 3]", "[3, 3]")}
CONFIGS = {"markov": "double-pole-dct", "hidden": "double-pole-hidden-velocities-dct"}
TITLES = {"markov": "Two poles, velocities seen", "hidden": "Two poles, velocities hidden, damped"}
VARIANTS = {f"{version}-{name}": (version, overrides) for version in CONFIGS for name, overrides in [
    *((f"dct-{wanted.strip('[]').replace(', ', 'x')}", [f"encoding.coefficients={wanted}"])
      for wanted in COEFFICIENTS[version]),
    ("direct", ["encoding={name='direct', scale=1.0}"]),
    ("cppn", [f"encoding={{name='cppn', maximum_weight={HEAVIEST[version]}}}", NEAT])]}
# NEAT's own networks: configs of their own, and budgets around what Stanley & Miikkulainen (2002) report.
VARIANTS |= {"markov-neat": ("double-pole-neat", []), "hidden-neat": ("double-pole-hidden-velocities-neat", []),
             "markov-neat-alone": ("double-pole-neat", ["search.population=150", "search.refine.rounds=0",
                                                        "search.stagnation=20", "search.species_elitism=2"])}
# One CPPN whose numbers alone are searched, by SNES: six of its hidden nodes can write any six weights.
KEPT = {f"markov-kept-{function}-{hidden}": (function, hidden)
        for function, hidden in (("gauss", 3), ("gauss", 6), ("sin", 6))}
VARIANTS |= {name: ("markov", [*kept(*graph), "search.deviation=1.0"]) for name, graph in KEPT.items()}
# Six Gaussians that are at the six inputs' places when the search begins, and small first steps.
PLACED = {f"markov-placed-gauss-6-{search}": search for search in ("snes", "cmaes", "xnes")}
VARIANTS |= {name: ("markov", [*kept("gauss", 6, 1.5, 30.0), f"search.name={search}", "search.start=sample",
                               "search.deviation=0.1"]) for name, search in PLACED.items()}
BUDGET = {"markov": 5_000, "hidden": 10_000, "markov-neat": 10_000, "hidden-neat": 33_000, "markov-neat-alone": 20_000}
SOLVED, SIEVE, WINDOW, TRIES, GENERALISES = 100_000, 10_000, 16, 16, 200
"""Steps that solve the task, and that a candidate has to balance to be tried for so long; generations between sieves;
candidates of a run that are tried together; and how many of Gruau's starts."""
COLUMNS = ("name", "seed", "coefficients", "weights", "solved", "evaluations", "generalisation")


@dataclass
class Contestant:
    """A run: `candidates` are those that balance for SIEVE steps, each with the evaluations until it was there."""

    name: str
    seed: int
    parts: Parts
    evaluations: int = 0
    fresh: list[tuple[int, Weights]] = field(default_factory=list)
    candidates: list[tuple[int, Weights]] = field(default_factory=list)
    row: dict[str, Any] | None = None


def contestant(name: str, seed: int) -> Contestant:
    """A run before its first generation."""
    version, overrides = VARIANTS[name]
    config = load_config(CONFIGS.get(version, version), [f"seed={seed}", *overrides]).config
    return Contestant(name, seed, compose(config))


def joined(every: Sequence[Weights]) -> Weights:
    """Populations of networks of one shape as one; networks that are graphs are padded to the largest."""
    def padded(name: str) -> torch.Tensor:
        parts = [own.tensor(name) for own in every]
        missing = [max(part.shape[1] for part in parts) - part.shape[1] for part in parts]
        return torch.cat([pad(part, (0, more), value=0 if part.is_floating_point() else -1) if more else part
                          for part, more in zip(parts, missing, strict=True)])

    return Weights({name: padded(name) for name in every[0]})


def one_generation(going: Sequence[Contestant]) -> None:
    """Of every run: asked, evaluated all together, told."""
    expressed = [own.parts.encoding.express(own.parts.search.ask()) for own in going]
    task, target = going[0].parts.task, going[0].parts.target
    starts = task.batch(0, 0)
    fitness = task.fitness(task.play(target, joined(expressed), *starts), starts[1])
    parts = fitness.split([weights.population for weights in expressed])
    for own, weights, told in zip(going, expressed, parts, strict=True):
        own.parts.search.tell(told)
        own.evaluations += weights.population
        candidates = own.parts.encoding.express(own.parts.search.candidates())
        own.fresh += [(own.evaluations, candidates.networks(slice(place, place + 1)))
                      for place in range(candidates.population)]


def balanced(parts: Parts, candidates: Sequence[Weights], steps: int) -> list[bool]:
    """Which of the candidates balance for so many steps."""
    lasted = rollout(parts.task.environment, parts.target, joined(candidates), parts.task.validation[0], steps)[1]
    return (lasted[:, 0] >= steps).tolist()


def sieve(going: Sequence[Contestant]) -> None:
    """Keep the candidates of the last generations that are worth a long try."""
    every = [(own, candidate) for own in going for candidate in own.fresh]
    kept = balanced(going[0].parts, [weights for _, (_, weights) in every], SIEVE)
    for (own, candidate), good in zip(every, kept, strict=True):
        own.candidates += [candidate] if good else []
    for own in going:
        own.fresh.clear()


def judge(waiting: Sequence[Contestant]) -> None:
    """Try the earliest candidates of every run for as long as the task wants."""
    tried = [(own, candidate) for own in waiting for candidate in own.candidates[:TRIES]]
    parts = waiting[0].parts
    long = balanced(parts, [weights for _, (_, weights) in tried], SOLVED)
    first: dict[int, tuple[Contestant, int, Weights]] = {}
    for (own, (evaluations, weights)), good in zip(tried, long, strict=True):
        if id(own) not in first:
            own.candidates.pop(0)
            if good:
                first[id(own)] = own, evaluations, weights
    for own, evaluations, weights in first.values():
        count = int(parts.task.generalisation(parts.target, weights)[0])
        if own.name.startswith("markov") or count >= GENERALISES:
            own.row = row(own, 1, evaluations, count)


def row(own: Contestant, solved: int, evaluations: int, generalisation: int) -> dict[str, Any]:
    """A line of the table."""
    graphs = not own.parts.encoding.genes
    counts = gene_counts(own.parts, own.parts.search.candidates()[0] if graphs else None)
    return {"name": own.name, "seed": own.seed, "coefficients": counts["encoded_genes"] + counts["direct_parameters"],
            "weights": counts["generated_weights"] + counts["direct_parameters"], "solved": solved,
            "evaluations": evaluations, "generalisation": generalisation}


def race(contestants: Sequence[Contestant], budget: int, table: Path) -> None:
    """Run all to the end; a run pauses while it has candidates that wait for their try."""
    while unsolved := [own for own in contestants if own.row is None]:
        going = [own for own in unsolved if not own.candidates]
        for own in going:
            if own.evaluations >= budget:
                own.row = row(own, 0, own.evaluations, 0)
        waiting = [own for own in unsolved if own.candidates]
        if (going := [own for own in going if own.row is None]) and len(waiting) < len(going):
            for _ in range(WINDOW):
                if acting := [own for own in going if own.evaluations < budget]:
                    one_generation(acting)
            sieve(going)
        elif waiting:
            judge(waiting)
        add_rows(table, COLUMNS, {(own.name, own.seed): own.row for own in contestants if own.row is not None})
        print(f"{sum(own.row is None for own in contestants)} of {len(contestants)} runs go on", flush=True)
    for own in contestants:
        if hasattr(own.parts.search, "close"):
            own.parts.search.close()


def draw(table: Path) -> None:
    """Koutník's curve of either version."""
    rows = read_table(table).values()
    for version, title in TITLES.items():
        curve: dict[int, list[float | None]] = {}
        others: dict[str, list[float | None]] = {}
        for name in (name for name in VARIANTS if name.startswith(version)):
            own = [one for one in rows if one["name"] == name]
            found = [float(one["evaluations"]) if int(one["solved"]) else None for one in own]
            if own and "dct" in name:
                curve[int(own[0]["coefficients"])] = found
            elif own and name not in {*BUDGET, *KEPT, *PLACED}:
                others[name.removeprefix(f"{version}-")] = found
        if curve or others:
            curve = dict(sorted(curve.items()))
            save_figure(evaluations_to_solve(curve, others, BUDGET[version], title), table.with_name(f"{version}.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 50, "")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    results = Path(__file__).with_name("results.csv")
    for version in (*list(BUDGET)[2:], *CONFIGS):
        names = [name for name in options.names if name == version or version in CONFIGS and name.startswith(version)
                 and name not in BUDGET]
        wanted = [(name, seed) for name in names for seed in range(options.seeds)]
        race([contestant(*key) for key in wanted if key not in read_table(results)], BUDGET[version], results)
    draw(results)
