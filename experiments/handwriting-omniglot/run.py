"""Static against dynamic weights on pen strokes: an LSTM and a HyperLSTM of as many parameters, on Omniglot's drawings.

    python experiments/handwriting-omniglot/run.py [--seeds 3] [--runs DIR] [NAME ...]

The configs are shipped ones, but for a schedule that fits two cores: every drawing is seen five times, 64 in a batch.
Runs what is missing (a finished run in DIR is kept, a broken one resumed), then writes results.csv and figures beside
this file from the runs' own files.
"""

from pathlib import Path

from hyperevo.compare.studies import along_and_after, arguments, record
from hyperevo.plots.run_figures import save_figure
from hyperevo.plots.run_samples import BIAS, SAMPLES, drawings_figure, time_figure, usual_points
from hyperevo.plots.run_view import open_view
from hyperevo.plots.studies import curves_beside_tests
from hyperevo.runs import finished

SPELT = {"handwriting-omniglot-lstm": "LSTM", "handwriting-omniglot-hyperlstm": "HyperLSTM"}
EPOCHS = 5
SHORT = ["task.drawings=64", "search.learning_rate=0.003", "search.schedule=one-cycle", "search.steps_per_round=469",
         f"run.rounds={EPOCHS}", "threads=1"]
VARIANTS = {name: (name, SHORT) for name in SPELT}
COLUMNS = ("name", "data", "seed", "test_nats_per_drawing", "validation_nats_per_drawing", "test_images",
           "direct_parameters", "rounds", "evaluations", "operations", "seconds", "peak_memory_gb")
"""test_images are test drawings; evaluations are steps."""


def draw(table: Path, runs: Path) -> None:
    """Both networks and all seeds in one figure; and what seed 0 of each draws."""
    curves, tests = along_and_after(table, runs, SPELT, lambda row: -float(row["validation_accuracy"]),
                                    "test_nats_per_drawing")
    save_figure(curves_beside_tests(curves, tests, "steps along the gradient", "validation nats per drawing",
                                    "test nats per drawing", "Omniglot's drawings, as many parameters each",
                                    "less is better"), table.with_name("curves.png"))
    for name in filter(lambda name: finished(runs / f"{name}-0"), SPELT):
        view, short = open_view(runs / f"{name}-0"), name.rpartition("-")[2]
        save_figure(drawings_figure(view), table.with_name(f"drawings_{short}.png"))
        if short == "hyperlstm":
            save_figure(time_figure(view, BIAS, SAMPLES, usual_points(view), 0), table.with_name("strokes_in_time.png"))


if __name__ == "__main__":
    options = arguments(__doc__, tuple(VARIANTS), 3, "runs/handwriting-omniglot")
    results = Path(__file__).with_name("results.csv")
    record(options, VARIANTS, results, COLUMNS)
    draw(results, options.runs)
