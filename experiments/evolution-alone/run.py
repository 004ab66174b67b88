"""How far evolution alone gets on MNIST, 784-256-10: every shipped config, several seeds, and what it owes to what.

    python experiments/evolution-alone/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv beside this file
from the runs' own result.json. Figures of the first seed are in its run folder.
"""

from pathlib import Path

from hyperevo.compare.studies import arguments, record

NAMES = ("cppn-mnist", "coordinate-mnist", "dct-mnist", "embedding-mnist", "direct-mnist", "eggroll-mnist",
         "coordinate-mnist-direct-readout", "dct-mnist-tanh", "cppn-mnist-graph-kept", "cppn-mnist-neat-only")
FIRST = ["task.images=500", "task.scale_outputs=2.5", "target.activation=tanh", "search.refine.rounds=100",
         "run.rounds=2400", "run.validate_every=20", "run.precision=float32"]
"""Settings of cppn-mnist when this study was recorded."""
VARIANTS = {
    "cppn-mnist": ("cppn-mnist", FIRST),
    # The coordinate network paints the hidden weights only, 193 genes; the readout is evolved as it is.
    "coordinate-mnist-direct-readout": ("coordinate-mnist", [
        "encoding.patterns=[]", "encoding.direct=['*.bias', 'readout.weight']", "target.activation=relu",
        "task.images=250", "search.population=60", "run.rounds=6000"]),
    "dct-mnist-tanh": ("dct-mnist", ["target.activation=tanh", "search.population=100", "task.images=500",
                                     "run.rounds=1200"]),
    # One champion of the first generation is refined to the end: no change of structure.
    "cppn-mnist-graph-kept": ("cppn-mnist", [*FIRST, "search.refine.rounds=100000"]),
    # No evolution strategy: NEAT's own mutation moves the numbers. Graphs that all differ cannot be evaluated together,
    # so this takes about as long for a ninth of the evaluations.
    "cppn-mnist-neat-only": ("cppn-mnist", [*FIRST, "search.refine.rounds=0", "search.mutate_rate=0.2",
                                            "run.rounds=200"]),
}
COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "encoded_genes", "direct_parameters",
           "generated_weights", "rounds", "evaluations", "seconds", "peak_memory_gb")


if __name__ == "__main__":
    options = arguments(__doc__, NAMES, 3, "runs/evolution-alone")
    record(options, VARIANTS, Path(__file__).with_name("results.csv"), COLUMNS)
