"""Networks whose weights make no picture are compared like any others."""

import pytest

from hyperevo.compare.execute import run_all
from hyperevo.compare.plan import plan
from hyperevo.compare.write import write_comparison
from hyperevo.plots import save_run_figures

SMALL = ["run.rounds=2", "run.validate_every=1", "search.population=6"]


@pytest.mark.parametrize(("config", "overrides"), [
    ("adding-hyperlstm", ["task.length=4", "task.images=20", "task.validation=20", "target.hidden=3"]),
    ("es-hyperneat-parity", []),
])
def test_a_comparison_without_pictures_of_weights(config, overrides, tmp_path):
    entries = plan([config], 2, tmp_path / "runs", [*SMALL, *overrides], (), None)
    assert run_all(entries, 1) == {}
    names = [path.name for path in write_comparison(entries, tmp_path, "without pictures").paths]
    assert "report.html" in names and "receptive_fields.png" not in names
    assert "table.md" in names
    drawn = [path.name for path in save_run_figures(entries[0].folder)]
    assert "learning_curves.png" in drawn and "receptive_fields.png" not in drawn
