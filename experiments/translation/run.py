"""A HyperLSTM in translation: three encoders and decoders of as many parameters each, on Multi30k, English to French.

    python experiments/translation/run.py [--seeds 3] [--runs DIR] [NAME ...]

Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv, bootstrap.csv and
figures beside this file from the runs' own files. bootstrap.csv holds sacrebleu's paired bootstrap of every row against
the LSTM with layer normalisation of the same seed, on each test: BLEU, its 95 % interval, and p.
"""

from pathlib import Path

from hyperevo.compare.studies import along_and_after, arguments, record, write_table
from hyperevo.data import load_pairs
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.run_translations import translation_figures, translations
from hyperevo.plots.run_view import open_view
from hyperevo.plots.studies import curves_beside_tests
from hyperevo.runs import finished

ROWS = {"lstm": "LSTM", "layernorm-lstm": "LSTM, layer norm", "hyperlstm": "HyperLSTM, layer norm"}
RECIPE = ["threads=1", "search.precision=bfloat16", "search.learning_rate=0.003", "run.rounds=12"]
VARIANTS = {name: (f"translation-multi30k-{name}", RECIPE) for name in ROWS}
BASELINE = "layernorm-lstm"
TESTS = ("2016", "2017", "2018", "coco")
MEASURES = ("bleu_tokens", "bleu", "chrf", "log_perplexity")
COLUMNS = ("name", "data", "seed", *(f"{measure}_{test}" for measure in MEASURES for test in TESTS), "validation_BLEU",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
SAMPLES = 1000
"""Resamples of a bootstrap."""


def write_bootstrap(runs: Path, seeds: int, table: Path) -> None:
    """Compare every row with the baseline of the same seed, as far as both are finished."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    tests, rows = load_pairs("multi30k", ("en", "fr")).tests, []
    for seed in range(seeds):
        folders = {name: runs / f"{name}-{seed}" for name in (BASELINE, *(own for own in ROWS if own != BASELINE))}
        views = {name: open_view(folder) for name, folder in folders.items() if finished(folder)}
        if BASELINE not in views or len(views) < 2:
            continue
        for test, pairs in tests.items():
            systems = [(name, translations(view, pairs.source)) for name, view in views.items()]
            _, scores = PairedTest(systems, {"BLEU": BLEU()}, [list(pairs.target)], "bs", SAMPLES)()
            rows += [{"test": test, "seed": seed, "name": name, "bleu": own.score, "mean": own.mean, "interval": own.ci,
                      "p": own.p_value} for name, own in zip(scores["System"], scores["BLEU"], strict=True)]
    write_table(table, ("test", "seed", "name", "bleu", "mean", "interval", "p"), rows)


def draw(table: Path, runs: Path) -> None:
    """BLEU along the runs and on test 2016; and the attention of the HyperLSTM of the first seed."""
    curves, tests = along_and_after(table, runs, ROWS, lambda row: 100 * float(row["validation_accuracy"]),
                                    "bleu_tokens_2016")
    if curves:
        save_figure(curves_beside_tests(curves, tests, "steps along the gradient", "validation BLEU (greedy)",
                                        "test 2016 BLEU, lower-cased tokens, beam of 5",
                                        "Multi30k, English to French, about 4.5 million parameters each"),
                    table.with_name("curves.png"))
    writer = runs / "hyperlstm-0"
    if finished(writer):
        for name, figure in translation_figures(open_view(writer)):
            save_figure(figure(), table.with_name(f"{name}.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 3, "runs/translation")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS)
    draw(results, options.runs)
    write_bootstrap(options.runs, options.seeds, results.with_name("bootstrap.csv"))
