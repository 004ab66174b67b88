"""Vision to steering, after Koutník et al. (2013): a recurrent network of 1,115,139 weights from 201 cosine
coefficients drives CarRacing-v3, which it sees as 64 × 64 pixels of saturation, as theirs saw TORCS.

    python experiments/carracing/run.py [--seeds 1] [--runs DIR] [KEY=VALUE ...]

A run of the config carracing-dct takes a good hour on two cores. Runs what is missing (a finished run in DIR is
kept, a broken one resumed), then writes results.csv beside this file from the runs' own result.json, and of the first
seed the learning curves and a strip of pictures of the champion's drive. With overrides, such as `run.rounds=5` to try
it, all this is written into DIR. Needs `pip install 'hyperevo[box2d]'`.
"""

import shutil
from pathlib import Path

from hyperevo.compare.studies import arguments, record
from hyperevo.plots import save_run_figures

HERE = Path(__file__).parent
COLUMNS = ("name", "data", "seed", "encoded_genes", "generated_weights", "test_mean_return", "validation_mean_return",
           "test_images", "rounds", "evaluations", "seconds", "peak_memory_gb")
"""test_images are test episodes of up to 1,000 steps."""


def main() -> None:
    """Run, and keep the table and the figures."""
    options = arguments(__doc__, (), 1, "runs/carracing")
    overrides, options.names = options.names, ["carracing"]
    place = options.runs if overrides else HERE
    options.runs.mkdir(parents=True, exist_ok=True)
    record(options, {"carracing": ("carracing-dct", overrides)}, place / "results.csv", COLUMNS, told)
    figures = save_run_figures(options.runs / "carracing-0")
    for path in figures:
        if path.stem in ("learning_curves", "frames"):
            shutil.copyfile(path, place / path.name)


def told(result: dict) -> dict:
    """A result, after its counts are printed."""
    print(f"{result['generated_weights']:,} weights from {result['encoded_genes']:,} coefficients: mean return "
          f"{result['test_mean_return']:.1f} in {result['test_images']} test episodes", flush=True)
    return result


if __name__ == "__main__":
    main()
