"""Results of a comparison are read from the runs' own files, finished or not."""

import csv
import shutil
import subprocess

import pytest

from hyperevo.compare.outcomes import read_outcomes, rows, unfinished, write_results
from hyperevo.compare.plan import plan
from hyperevo.compare.tables import HEAD, latex, latex_columns, markdown, table
from hyperevo.runs import create_run, execute

SMALL = ["task.name=digits", "task.images=40", "target.hidden=[[3,3]]", "run.rounds=4", "run.validate_every=2",
         "search={name='snes', population=8}", "threads=1"]


@pytest.fixture(scope="module")
def entries(tmp_path_factory, run_until):
    """Two encodings, two seeds each: three runs finished, the last one cut after its first validation."""
    entries = plan(["dct-mnist", "coordinate-mnist"], 2, tmp_path_factory.mktemp("study"), SMALL)
    for entry in entries[:3]:
        execute(create_run(entry.config, entry.folder))
    run_until(entries[3].config, entries[3].folder, 3)
    return entries


def test_rows_hold_what_is_finished(entries):
    outcomes = read_outcomes(entries)
    assert [outcome.entry for outcome in unfinished(outcomes)] == entries[3:]
    first, second = rows(outcomes)
    assert (first.name, len(first.results), second.name, len(second.results)) == ("dct-mnist", 2, "coordinate-mnist", 1)
    assert first.mean.value == pytest.approx(sum(first.accuracies) / 2) and first.cost("evaluations") == 32
    assert first.searched == first.cost("encoded_genes") + first.cost("direct_parameters") > 0
    assert [outcome.curve.evaluations.tolist() for outcome in outcomes] == [[16, 24, 32]] * 3 + [[16, 24]]
    for outcome in outcomes:
        assert (outcome.curve.seconds[1:] > outcome.curve.seconds[:-1]).all()


def test_results_are_one_line_a_run(entries, tmp_path):
    outcomes = read_outcomes(entries)
    write_results(outcomes, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["finished"] for line in lines] == ["true"] * 3 + ["false"]
    assert float(lines[0]["test_accuracy"]) == outcomes[0].result["test_accuracy"]
    assert lines[3]["test_accuracy"] == "" and lines[3]["encoding"] == "coordinate"
    assert {line["folder"] for line in lines} == {entry.folder.name for entry in entries}


def test_tables_hold_every_row_the_best_first(entries):
    lines = table(rows(read_outcomes(entries)))
    assert len(lines) == 2 and all(len(line) == len(HEAD) for line in lines)
    assert float(lines[0][1].split()[0]) >= float(lines[1][1].split()[0])
    assert dict(zip((line[0] for line in lines), (line[HEAD.index("seeds")] for line in lines), strict=True)) \
        == {"dct-mnist": "2", "coordinate-mnist": "1 of 2"}
    assert markdown(HEAD, lines).count("\n") == 4
    assert markdown(("a|b",), []).startswith(r"| a\|b |")
    head, short = latex_columns(HEAD, lines)
    assert head == ["", "test accuracy", "encoded genes", "direct parameters", "seeds"]
    assert all(len(line) == 5 and line[1] == whole[1] for line, whole in zip(short, lines, strict=True))
    line = latex(("a", "b"), [("x={y='z_1'}", "7.6e+10")]).splitlines()[5]
    assert line == r"x=\{y='z\_1'\} & $7.6 \times 10^{10}$ \\"
    assert latex(HEAD, [("50 %", "a_b")]).count(r"\%") == 1 and r"a\_b \\" in latex(HEAD, [("50 %", "a_b")])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_the_latex_table_compiles_and_fits_a_page(entries, tmp_path):
    lines = [("50 % & more_of #1 {x} ~ ^ \\ $ × ² …", "92.81 % [92.60, 93.00]", *line[2:])
             for line in table(rows(read_outcomes(entries)))]
    (tmp_path / "table.tex").write_text(latex(*latex_columns(HEAD, lines)), "utf-8")
    (tmp_path / "page.tex").write_text("\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
                                       "\\noindent\\input{table}\\end{document}")
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path,
                          capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and (tmp_path / "page.pdf").stat().st_size > 1000


def test_what_was_never_begun_is_no_row(tmp_path):
    outcomes = read_outcomes(plan(["dct-mnist"], 1, tmp_path, SMALL))
    assert rows(outcomes) == [] and len(unfinished(outcomes)) == 1 and outcomes[0].curve is None
