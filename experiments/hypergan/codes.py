"""Codes of a HyperGAN that was trained on digits, evolved for other images, beside other ways to write such networks.

    python experiments/hypergan/codes.py [--seeds 3] [--runs DIR] [NAME ...]

CMA-ES evolves the 31,520 weights of the same target from 256 numbers of a code, from cosine coefficients, or from the
numbers of a coordinate network; for Fashion-MNIST, and for digits with shuffled pixels. DIR holds run.py's runs: the
generator is that of `hypergan-0`. Writes codes.csv beside this file from the runs' own result.json; a finished run in
DIR is kept, a broken one resumed.
"""

from pathlib import Path

from hyperevo.compare.studies import arguments, record

START = "centre=1.0, deviation=0.1"
"""A drawn centre: from 0 CMA-ES ends at coordinate networks that paint nothing."""
ENCODINGS = {
    "codes": ("{{name='generator', run='{runs}/hypergan-0'}}", "deviation=0.5"),
    "dct": ("{{name='dct', coefficients=[3]}}", START),
    "coordinates": ("{{name='coordinate', hidden=[32], activation='sine'}}", START),
}
"""Every encoding, and the first steps of its search: codes have a prior around 0."""
DATA = {"digits": ["task.name=mnist"], "fashion": ["task.name=fashion"],
        "shuffled": ["task.name=mnist", "task.shuffle_pixels=1"]}
SHARED = ["task.images=100", "task.sampling=fresh", "task.scale_outputs=2.0", "run.rounds=200", "run.validate_every=20"]
COLUMNS = ("name", "data", "seed", "test_accuracy", "validation_accuracy", "encoded_genes", "direct_parameters",
           "generated_weights", "rounds", "evaluations", "seconds", "peak_memory_gb")

if __name__ == "__main__":
    names = [f"{data}-{encoding}" for data in DATA for encoding in ENCODINGS]
    options = arguments(__doc__, names, 3, "runs/hypergan")
    variants = {f"{data}-{name}": ("hypergan-mnist", [
        f"encoding={encoding.format(runs=options.runs)}", f"search={{name='cmaes', population=24, {first}}}", *SHARED,
        *own]) for data, own in DATA.items() for name, (encoding, first) in ENCODINGS.items()}
    record(options, variants, Path(__file__).with_name("codes.csv"), COLUMNS)
